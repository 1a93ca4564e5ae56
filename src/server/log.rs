//! Where log lines and spans go.

use std::io::IsTerminal as _;

use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};
use url::Url;

use crate::config::{LogFormat, LogSettings};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter.
    #[error("IDP_LOG={filter:?}: {reason}")]
    Filter {
        /// As it was set.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The OpenTelemetry exporter.
    #[error("otel.endpoint: {0}")]
    Exporter(String),
}

/// The log of the process. Dropping it sends the last spans.
#[derive(Debug, Default)]
pub struct Log {
    #[cfg(feature = "otel")]
    _exporter: Option<super::otel::Exporter>,
}

/// Logs to standard error: JSON lines for machines, plain ones on a terminal, or as set. Other crates
/// log warnings only, because at finer levels some show requests. `filter` (`warn`, `idp=debug`), if
/// there is one, wins over the level of the settings. Spans go to `collector`, if there is one.
///
/// # Errors
/// See [`LogError`].
pub fn start_log(
    settings: LogSettings,
    filter: Option<&str>,
    collector: Option<&Url>,
) -> Result<Log, LogError> {
    let of_settings = format!("idp={}", settings.level.as_str());
    let filter = filter.unwrap_or(&of_settings);
    let filter =
        EnvFilter::try_new(format!("warn,{filter}")).map_err(|error| LogError::Filter {
            filter: filter.to_owned(),
            reason: error.to_string(),
        })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let format = settings
        .format
        .unwrap_or(if std::io::stderr().is_terminal() {
            LogFormat::Text
        } else {
            LogFormat::Json
        });
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    };
    let (log, spans) = exporter(collector)?;
    // A second initialisation, after --verbose, is not an error.
    let _ = tracing_subscriber::registry()
        .with(lines.and_then(spans).with_filter(filter))
        .try_init();
    Ok(log)
}

type Spans = Option<Box<dyn Layer<Registry> + Send + Sync>>;

#[cfg(feature = "otel")]
fn exporter(collector: Option<&Url>) -> Result<(Log, Spans), LogError> {
    let Some(collector) = collector else {
        return Ok((Log::default(), None));
    };
    let (exporter, layer) = super::otel::start(collector).map_err(LogError::Exporter)?;
    let log = Log {
        _exporter: Some(exporter),
    };
    Ok((log, Some(layer)))
}

#[cfg(not(feature = "otel"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the shape of the one that can fail"
)]
fn exporter(_: Option<&Url>) -> Result<(Log, Spans), LogError> {
    Ok((Log::default(), None))
}

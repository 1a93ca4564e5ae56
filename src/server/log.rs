//! Where log lines and spans go.

use std::{borrow::Cow, fmt, io::IsTerminal as _};

use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, LevelFilter, filter_fn},
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{self, Format, Json, JsonFields, Writer},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};
use url::Url;

use crate::{
    config::{LogFormat, LogSettings},
    http::LogFields,
};

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
    if filter.contains('[') {
        return Err(LogError::Filter {
            filter: filter.to_owned(),
            reason: "it names a span; filter by target and level, such as idp::http=debug"
                .to_owned(),
        });
    }
    let filter =
        EnvFilter::try_new(format!("warn,{filter}")).map_err(|error| LogError::Filter {
            filter: filter.to_owned(),
            reason: error.to_string(),
        })?;
    let format = settings
        .format
        .unwrap_or(if std::io::stderr().is_terminal() {
            LogFormat::Text
        } else {
            LogFormat::Json
        });
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => lines
            .event_format(TextLines::new(std::io::stderr().is_terminal()))
            .boxed(),
        LogFormat::Json => lines
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines::new())
            .boxed(),
    };
    // Lines tell of their request themselves; spans would be written out for each.
    let events = filter_fn(is_event).with_max_level_hint(LevelFilter::TRACE);
    let mut layers = vec![lines.with_filter(filter.clone().and(events)).boxed()];
    let (log, spans) = exporter(collector)?;
    layers.extend(spans.map(|spans| spans.with_filter(filter).boxed()));
    // A second initialisation, after --verbose, is not an error.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    Ok(log)
}

fn is_event(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
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

/// Plain lines, each with the fields of its request at its end.
struct TextLines(Format);

impl TextLines {
    fn new(ansi: bool) -> Self {
        Self(format::format().with_ansi(ansi))
    }
}

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let line = line(&self.0, context, event)?;
        match LogFields::with_current(ToString::to_string) {
            Some(fields) => writeln!(writer, "{line} {fields}"),
            None => writeln!(writer, "{line}"),
        }
    }
}

/// JSON lines. `tracing` knows no lists and writes one as a text; `kids` is made a list again. The fields of the
/// line's request are the member `span`.
struct JsonLines(Format<Json>);

impl JsonLines {
    fn new() -> Self {
        Self(
            format::format()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false),
        )
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let line = line(&self.0, context, event)?;
        let line = with_lists(&line);
        let fields = LogFields::with_current(serde_json::to_string).and_then(Result::ok);
        match (fields, line.strip_suffix('}')) {
            (Some(fields), Some(members)) => writeln!(writer, "{members},\"span\":{fields}}}"),
            _ => writeln!(writer, "{line}"),
        }
    }
}

/// What `format` writes, without the line's end.
fn line<S, N>(
    format: &impl FormatEvent<S, N>,
    context: &FmtContext<'_, S, N>,
    event: &Event<'_>,
) -> Result<String, fmt::Error>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let mut line = String::with_capacity(256);
    format.format_event(context, Writer::new(&mut line), event)?;
    line.truncate(line.trim_end_matches('\n').len());
    Ok(line)
}

/// The line with the member `kids` as a list, where it is the text of one. Kids are base64url, in which Rust and
/// JSON spell a list alike.
fn with_lists(line: &str) -> Cow<'_, str> {
    const MEMBER: &str = ",\"kids\":";

    let list = || {
        let start = line.find(MEMBER)? + MEMBER.len();
        let mut texts = serde_json::Deserializer::from_str(&line[start..]).into_iter::<String>();
        let text = texts.next()?.ok()?;
        let end = start + texts.byte_offset();
        let kids: Vec<String> = serde_json::from_str(&text).ok()?;
        let kids = serde_json::to_string(&kids).ok()?;
        Some(format!("{}{kids}{}", &line[..start], &line[end..]))
    };
    list().map_or(Cow::Borrowed(line), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a line says of an event.
    fn logged(event: impl FnOnce()) -> Value {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines::new());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, event);
        let bytes = lines.0.lock().unwrap().clone();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_filter_that_names_a_span_is_refused() {
        let filter = Some("idp[request]=debug");
        let error = start_log(LogSettings::default(), filter, None).unwrap_err();
        assert!(error.to_string().contains("it names a span"), "{error}");
    }

    #[test]
    fn kids_are_a_list_and_texts_stay_texts() {
        let kids = ["vdr0Jvw5-_A", "ly8Ki"];
        let line = logged(|| tracing::info!(issuer = "i", ?kids, count = 2, "made"));
        assert_eq!(line["kids"], json!(kids));
        assert_eq!((&line["issuer"], &line["count"]), (&json!("i"), &json!(2)));
        assert_eq!(line["message"], "made");
        let none: [&str; 0] = [];
        assert_eq!(
            logged(|| tracing::info!(kids = ?none, "none"))["kids"],
            json!([])
        );
        let text = logged(|| tracing::info!(kids = "many", "x"));
        assert_eq!(text["kids"], "many");
        let quoted = logged(|| tracing::info!("says {}", ",\"kids\":\"[]\""));
        assert_eq!(quoted["message"], "says ,\"kids\":\"[]\"");
        assert_eq!(quoted["kids"], Value::Null);
    }
}

//! What server commands need beside what every command has: a runtime with all cores, a log.

use std::future::Future;

use url::Url;

use super::{
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
};
use crate::{
    config::LogSettings,
    server::{Log, LogError, StartError, start_log},
};

/// Runs a future on all cores.
pub(super) fn block_on<F: Future>(future: F) -> Outcome<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ExitCode::Other, error))?;
    Ok(runtime.block_on(future))
}

/// Starts the log; `IDP_LOG` filters (`warn`, `idp=debug`) and wins over the settings. It lasts until
/// what is returned is dropped.
pub(super) fn log(
    context: &Context,
    settings: LogSettings,
    collector: Option<&Url>,
) -> Outcome<Log> {
    let filter = context.env.text("IDP_LOG")?;
    start_log(settings, filter, collector).map_err(|error| {
        let code = match error {
            LogError::Filter { .. } => ExitCode::Usage,
            LogError::Exporter(_) => ExitCode::Other,
        };
        Failure::new(code, error)
    })
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::new(ExitCode::Other, error)
    }
}

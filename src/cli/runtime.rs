//! What server commands need beside what every command has: a runtime with all cores, a log.

use std::{future::Future, io::IsTerminal as _};

use tracing_subscriber::EnvFilter;

use super::{
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
};
use crate::server::StartError;

/// Runs a future on all cores.
pub(super) fn block_on<F: Future>(future: F) -> Outcome<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ExitCode::Other, error))?;
    Ok(runtime.block_on(future))
}

/// Logs to standard error: JSON lines for machines, plain ones on a terminal. `IDP_LOG` filters
/// (`warn`, `idp=debug`); other crates log warnings only, because at finer levels some show requests.
pub(super) fn log(context: &Context, default: &str) -> Outcome {
    let filter = context.env.text("IDP_LOG")?.unwrap_or(default);
    let filter = EnvFilter::try_new(format!("warn,{filter}"))
        .map_err(|error| Failure::usage(format!("IDP_LOG={filter:?}: {error}")))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second initialisation, after --verbose, is not an error.
    let _ = if std::io::stderr().is_terminal() {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    Ok(())
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::new(ExitCode::Other, error)
    }
}

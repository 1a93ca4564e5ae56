//! What every command gets from the edge.

use std::{future::Future, sync::Arc};

use super::{
    environment::Environment,
    exit::ExitCode,
    failure::{Failure, Outcome},
    printer::Printer,
};
use crate::{
    client::{identity::Identity, token::EnvironmentTokens},
    domain::{Clock, Random},
    upstream::{guard::Allow, http::HttpClient},
};

/// Environment variables, output, time and chance.
#[derive(Clone)]
pub struct Context {
    /// The environment variables.
    pub env: Environment,
    /// Where output goes.
    pub printer: Printer,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}

impl Context {
    /// Runs a future to its end on this thread. A runtime is made here and not earlier, because
    /// commands that need none have to be quick.
    pub fn block_on<F: Future>(&self, future: F) -> Outcome<F::Output> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(ExitCode::Other, error))?;
        Ok(runtime.block_on(future))
    }

    /// This environment's identity.
    pub fn identity(&self) -> Outcome<Identity> {
        Ok(Identity::load(&self.env.identity_path()?)?)
    }

    /// An HTTP client for hosts that the user configured.
    #[must_use]
    pub fn http(&self) -> HttpClient {
        HttpClient::new(self.env.http_settings(), Allow::AnyAddress)
    }

    /// The tokens of `identity`, which came from this context.
    pub fn tokens(&self, identity: Identity) -> Outcome<EnvironmentTokens> {
        let key = identity.key(&self.env.identity_path()?)?;
        Ok(EnvironmentTokens {
            identity,
            key,
            http: self.http(),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
        })
    }
}

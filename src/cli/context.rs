//! What every command gets from the edge.

use std::{future::Future, sync::Arc, time::Duration};

use super::{
    environment::Environment,
    exit::ExitCode,
    failure::{Failure, Outcome},
    printer::Printer,
};
use crate::{
    client::{
        identity::Identity,
        lock_file::LockError,
        patience::Patience,
        rotate::{RotateError, Which, is_due, rotate},
        token::EnvironmentTokens,
    },
    domain::{Clock, Random},
    upstream::{guard::Allow, http::HttpClient},
};

/// How long a command lets the replacement of its key take.
const RENEWAL_TIME: Duration = Duration::from_secs(5);

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
        let file = self.env.identity_path()?;
        let key = identity.key(&file)?;
        Ok(EnvironmentTokens {
            identity,
            key,
            file,
            http: self.http(),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            patience: self.patience(),
        })
    }

    /// Waits for a server that cannot answer now, and says so.
    #[must_use]
    pub fn patience(&self) -> Patience {
        let printer = self.printer;
        Patience::new(Arc::clone(&self.random), move |pause| {
            printer.note(&format!(
                "{}; trying again in {:.1} s (try {} of {})",
                pause.error,
                pause.wait.as_secs_f32(),
                pause.next_try,
                pause.tries
            ));
        })
    }

    /// Replaces the key of `tokens` where it is old. That it could not be replaced costs a warning
    /// and nothing else: the old key works as before. `IDP_ROTATE=off` leaves keys alone.
    pub async fn renew_key(&self, tokens: &EnvironmentTokens) {
        if self
            .env
            .get("IDP_ROTATE")
            .is_some_and(|value| value == "off")
            || !is_due(&tokens.identity, self.clock.now())
        {
            return;
        }
        let renewal = rotate(
            &tokens.file,
            Which::Due,
            Duration::ZERO,
            &tokens.http,
            &*self.clock,
        );
        let reason = match tokio::time::timeout(RENEWAL_TIME, renewal).await {
            // Whoever holds the lock is replacing it.
            Ok(Ok(_) | Err(RotateError::Lock(LockError::Busy { .. }))) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "the server did not answer within {} s",
                RENEWAL_TIME.as_secs()
            ),
        };
        self.printer.warn(&format!(
            "the key of this environment is over a day old and could not be replaced: {reason}; it works as \
             before (IDP_ROTATE=off leaves keys alone)"
        ));
    }
}

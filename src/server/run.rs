//! Running a server until it is told to stop.

use std::{sync::Arc, time::Duration};

use axum::Router;
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    Server, StartError,
    build::open_store,
    listener::{Bound, bind, tls_config},
};
use crate::{
    config::{AuditSettings, Settings},
    domain::{AuditEvent, Clock, Outcome, Random, SecretString},
    http,
    service::{Service, bootstrap},
};

/// How often expired `jti`s are forgotten, refusals recorded and keys looked after. A replica publishes
/// what another has made within this time: far less than a key is published before it signs.
const HOUSEKEEPING: Duration = Duration::from_secs(10);

/// How often it is looked whether a checkpoint is due.
const CHECKPOINTS: Duration = Duration::from_secs(10);

/// Turns true when the process is asked to stop (SIGINT or SIGTERM).
///
/// # Errors
/// The signals cannot be watched.
pub fn stop_signal() -> std::io::Result<watch::Receiver<bool>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: requests in flight may finish");
        stop.send_replace(true);
    });
    Ok(stopped)
}

impl Server {
    /// Serves on `bound` until `stop` turns true, finishes what was accepted, and closes the
    /// database. `extra` is served beside the issuer's routes.
    ///
    /// # Errors
    /// The TLS files or the ops listener.
    pub async fn run(
        self,
        bound: Bound,
        extra: Router,
        stop: watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let limits = self.settings.limits;
        let tls = self.settings.tls.as_ref().map(tls_config).transpose()?;
        let router = http::router(
            self.service.clone(),
            &self.server_url,
            extra,
            limits.request_timeout,
        );
        let ops = match self.settings.ops_listen {
            Some(address) => {
                let bound = bind(address).await?;
                let router = http::ops_router(self.service.clone());
                Some(tokio::spawn(bound.serve(router, None, 64, stop.clone())))
            }
            None => None,
        };
        let housekeeping = tokio::spawn(keep_house(self.service.clone(), stop.clone()));
        let checkpoints = tokio::spawn(keep_checkpoints(
            self.service.clone(),
            self.settings.audit.clone(),
            stop.clone(),
        ));
        bound.serve(router, tls, limits.connections, stop).await;
        drop(checkpoints.await);
        // Not aborted: what it has taken to record would be lost.
        drop(housekeeping.await);
        if let Some(ops) = ops {
            drop(ops.await);
        }
        if let Err(error) = self.service.leave_house().await {
            tracing::warn!(%error, "the last refusals were not recorded");
        }
        self.store.close().await;
        Ok(())
    }
}

async fn keep_house(service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    let mut ticks = interval(HOUSEKEEPING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        if let Err(error) = service.keep_house().await {
            tracing::warn!(%error, "housekeeping has to wait");
        }
        if let Err(error) = service.keep_keys().await {
            tracing::warn!(%error, "the issuer's keys were not looked after; the next round tries again");
        }
    }
}

/// Writes checkpoints and removes old records.
async fn keep_checkpoints(
    service: Arc<Service>,
    settings: AuditSettings,
    mut stop: watch::Receiver<bool>,
) {
    if settings.checkpoints.is_none() {
        return;
    }
    let mut ticks = interval(CHECKPOINTS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        match service.checkpoint_if_due(settings.checkpoint_every).await {
            Ok(false) => continue,
            Ok(true) => tracing::debug!("wrote a checkpoint of the audit log"),
            Err(error) => {
                tracing::error!(%error, "no checkpoint of the audit log was written");
                continue;
            }
        }
        if let Some(retain) = settings.retain {
            match service.remove_old_records(retain).await {
                Ok(0) => {}
                Ok(records) => tracing::info!(records, "removed old audit records"),
                Err(error) => tracing::error!(%error, "old audit records were not removed"),
            }
        }
    }
}

/// Builds nothing more: binds the configured address and serves until the process is told to stop.
///
/// # Errors
/// See [`StartError`].
pub async fn serve(server: Server) -> Result<(), StartError> {
    let bound = bind(server.settings.listen).await?;
    let stop = stop_signal().map_err(StartError::Threads)?;
    tracing::info!(
        issuer = %server.settings.issuer,
        listen = %server.settings.listen,
        tls = server.settings.tls.is_some(),
        "serving"
    );
    server.run(bound, Router::new(), stop).await
}

/// Makes the first administrator token of the installation that `settings` name; `None` where there
/// is one already.
///
/// # Errors
/// The database does not open or answer.
pub async fn bootstrap_admin(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    random: &dyn Random,
) -> Result<Option<SecretString>, StartError> {
    let store = open_store(&settings.database_url, clock.clone()).await?;
    let token = bootstrap(&*store, &*clock, random).await?;
    if token.is_none() {
        let mut event = AuditEvent::new(&*clock, random, "admin.bootstrap", "");
        event.outcome = Outcome::Refused;
        event.details = json!({ "reason": "there is an administrator token already" });
        store.append(event).await?;
    }
    store.close().await;
    Ok(token)
}

//! Running a server until it is told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::{Request, body::Incoming};
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::{Interval, MissedTickBehavior, interval, sleep},
};

use super::{
    ListenError, Server, StartError,
    build::open_store,
    listener::{Bound, Options, bind},
    metrics::{Sampled, UPKEEP, recorder},
    tls::{Certificates, POLL},
};
use crate::{
    config::{AuditSettings, Settings},
    domain::{AuditEvent, Clock, Outcome, Random, SecretString},
    http::{self, Bounds, Front, Ops},
    service::{Service, bootstrap, replace_administrator},
};

/// How often expired `jti`s are forgotten, refusals recorded, and the clock and the keys looked after. A
/// replica publishes what another has made within this time: far less than a key is published before it
/// signs.
const HOUSEKEEPING: Duration = Duration::from_secs(10);

/// How often it is looked whether a checkpoint is due.
const CHECKPOINTS: Duration = Duration::from_secs(10);

/// Connections to the ops listener at once: a few probes and a few scrapers.
const OPS_CONNECTIONS: usize = 64;

/// Turns true when the process is asked to stop (SIGINT or SIGTERM). Whoever asks again ends it at once, with the
/// exit code of a process that the signal ends.
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
        let code = tokio::select! {
            _ = interrupt.recv() => 128 + SignalKind::interrupt().as_raw_value(),
            _ = terminate.recv() => 128 + SignalKind::terminate().as_raw_value(),
        };
        tracing::warn!("asked to stop again: requests in flight are cut off");
        std::process::exit(code);
    });
    Ok(stopped)
}

impl Server {
    /// Serves on `bound` until `stop` turns true, finishes what was accepted, and closes the
    /// database. `extra` is served beside the issuer's routes.
    ///
    /// From `stop` on the server is not ready; its listeners close `shutdown.delay` later.
    ///
    /// # Errors
    /// The TLS files or the ops listener.
    pub async fn run(
        self,
        bound: Bound,
        extra: Router,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let (limits, shutdown) = (self.settings.limits, self.settings.shutdown);
        let tls = self.settings.tls.as_ref();
        let certificates = tls.map(Certificates::load).transpose()?;
        let options = Options {
            name: "public",
            tls: certificates
                .as_ref()
                .map(Certificates::server_config)
                .transpose()?,
            connections: limits.connections,
            header_timeout: limits.header_timeout,
            grace: shutdown.timeout,
        };
        let front = self.front(extra);
        let (end, ended) = watch::channel(false);
        let ops = match self.settings.ops_listen {
            Some(address) => Some(self.serve_ops(address, &front, &stop, ended).await?),
            None => None,
        };
        let tended = [
            tokio::spawn(keep_house(self.service.clone(), stop.clone())),
            tokio::spawn(keep_metrics(stop.clone())),
            tokio::spawn({
                let (service, stop) = (self.service.clone(), stop.clone());
                async move { service.follow_changes(stop).await }
            }),
            tokio::spawn(keep_certificates(certificates, stop.clone())),
            tokio::spawn(keep_checkpoints(
                self.service.clone(),
                self.settings.audit.clone(),
                stop.clone(),
            )),
        ];
        let (close, closing) = watch::channel(false);
        let closes = async {
            // An error means that nobody can stop the server any more, which is a stop too.
            drop(stop.wait_for(|stop| *stop).await);
            sleep(shutdown.delay).await;
            close.send_replace(true);
        };
        let answer = move |request: Request<Incoming>, peer| {
            let front = front.clone();
            async move { front.answer(request, peer).await }
        };
        tokio::join!(bound.serve(answer, options, closing), closes);
        for task in tended {
            // Not aborted: what it has taken to record would be lost.
            drop(task.await);
        }
        if let Err(error) = self.service.leave_house().await {
            tracing::warn!(%error, "the last refusals were not recorded");
        }
        end.send_replace(true);
        if let Some(ops) = ops {
            drop(ops.await);
        }
        self.store.close().await;
        Ok(())
    }

    fn front(&self, extra: Router) -> Front {
        let limits = self.settings.limits;
        Front::new(
            self.service.clone(),
            &self.server_url,
            extra,
            self.settings.trusted_proxies.clone(),
            Bounds {
                requests: limits.connections,
                time: limits.request_timeout,
            },
        )
    }

    /// Answers health, readiness and metrics until `ended` turns true.
    async fn serve_ops(
        &self,
        address: SocketAddr,
        front: &Front,
        stop: &watch::Receiver<bool>,
        ended: watch::Receiver<bool>,
    ) -> Result<JoinHandle<()>, ListenError> {
        let bound = bind(address).await?;
        let sampled = Sampled::new();
        let (service, front) = (self.service.clone(), front.clone());
        let router = http::ops_router(Ops {
            service: self.service.clone(),
            stopping: stop.clone(),
            metrics: Box::new(move || sampled.render(&service, &front)),
        });
        let options = Options {
            name: "ops",
            tls: None,
            connections: OPS_CONNECTIONS,
            header_timeout: self.settings.limits.header_timeout,
            grace: Duration::from_secs(1),
        };
        Ok(tokio::spawn(bound.serve_router(router, options, ended)))
    }
}

/// Ticks until the server stops.
struct Ticks {
    interval: Interval,
    stop: watch::Receiver<bool>,
}

impl Ticks {
    /// The first tick comes at once.
    fn every(period: Duration, stop: watch::Receiver<bool>) -> Self {
        let mut interval = interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval, stop }
    }

    /// Whether there was another tick before the stop.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.interval.tick() => true,
            _ = self.stop.wait_for(|stop| *stop) => false,
        }
    }
}

async fn keep_house(service: Arc<Service>, stop: watch::Receiver<bool>) {
    let mut ticks = Ticks::every(HOUSEKEEPING, stop);
    while ticks.next().await {
        let observed = service.observe().await;
        if let Err(error) = service.keep_house().await.and(observed) {
            tracing::warn!(%error, "housekeeping has to wait");
        }
        if let Err(error) = service.keep_keys().await {
            tracing::warn!(%error, "the issuer's keys were not looked after; the next round tries again");
        }
    }
}

/// Writes checkpoints and removes old records, until told to stop: what is under way then is left, and
/// the next start goes on with it.
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
    let work = async {
        loop {
            ticks.tick().await;
            checkpoint(&service, &settings).await;
        }
    };
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn checkpoint(service: &Service, settings: &AuditSettings) {
    match service.checkpoint_if_due(settings.checkpoint_every).await {
        Ok(false) => return,
        Ok(true) => tracing::debug!("wrote a checkpoint of the audit log"),
        Err(error) => {
            tracing::error!(%error, "no checkpoint of the audit log was written");
            return;
        }
    }
    let Some(retain) = settings.retain else {
        return;
    };
    match service.remove_old_records(retain).await {
        Ok(0) => {}
        Ok(records) => tracing::info!(records, "removed old audit records"),
        Err(error) => tracing::error!(%error, "old audit records were not removed"),
    }
}

async fn keep_metrics(stop: watch::Receiver<bool>) {
    let mut ticks = Ticks::every(UPKEEP, stop);
    while ticks.next().await {
        recorder().run_upkeep();
    }
}

/// Follows the TLS files. SIGHUP, which would end a process that does not expect it, has them read at
/// once.
async fn keep_certificates(
    certificates: Option<Arc<Certificates>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::error!(%error, "SIGHUP cannot be watched; TLS files are not read again");
            return;
        }
    };
    let mut ticks = interval(POLL);
    loop {
        let asked = tokio::select! {
            _ = ticks.tick() => false,
            _ = hangup.recv() => true,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        if let Some(certificates) = &certificates {
            certificates.refresh(asked);
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

/// Makes an administrator token for everything in the installation that `settings` name, and revokes all
/// others that reach everything.
///
/// # Errors
/// The database does not open or answer.
pub async fn replace_admin(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    random: &dyn Random,
) -> Result<SecretString, StartError> {
    let store = open_store(&settings.database_url, clock.clone()).await?;
    let token = replace_administrator(&*store, &*clock, random).await?;
    store.close().await;
    Ok(token)
}

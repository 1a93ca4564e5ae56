//! The signing proxy, put together: its directory, its ways in, its engine, its log, its metrics.

mod bundle;
mod ops;
mod state;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch, time::interval};

use super::{listener::ListenError, metrics::recorder};
use crate::{
    domain::{Clock, Random},
    policy::Rules,
    ports::CredentialSource,
    proxy::{
        AuthorityError, Engine, EngineParts, Leaves, Limits, NotLoopback, ProxyKey, SpoolSettings,
        ToldHosts, WaysIn, check_listen,
        request_log::{OpenError, RequestLogFile, RequestLogSettings, log_name},
        serve,
        upstream::{RootsError, SystemResolver, Upstream, UpstreamSettings},
    },
};

pub use state::{ProxyState, Running, StateError};

/// How often it is looked whether the certificate authority needs a successor.
const AUTHORITY_CHECK: Duration = Duration::from_hours(1);

/// How many proxies of one directory can record at once, each in a file of its own.
const MOST_LOGS: u32 = 100;

/// Why the proxy does not start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address.
    #[error(transparent)]
    NotLoopback(#[from] NotLoopback),
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// Certificates for hosts.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The certificates of AWS.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The request log.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The operating system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How the proxy runs.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// A loopback address; port 0 for any free one.
    pub listen: SocketAddr,
    /// Where health and metrics are answered; nowhere if `None`.
    pub ops_listen: Option<SocketAddr>,
    /// How AWS is reached.
    pub upstream: UpstreamSettings,
    /// The bounds of the ways in.
    pub limits: Limits,
    /// Where `ca.pem` and `bundle.pem` go for everybody to read, besides the proxy's own directory.
    pub public_dir: Option<PathBuf>,
}

/// What the proxy is made of.
pub struct ProxyParts {
    /// The environment whose proxy it is.
    pub environment: Arc<str>,
    /// What requests may do.
    pub rules: Rules,
    /// The key that requests show.
    pub key: ProxyKey,
    /// Where sessions come from.
    pub credentials: Arc<dyn CredentialSource>,
    /// Its directory.
    pub state: ProxyState,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}

/// A signing proxy that listens, and answers once it runs.
pub struct Proxy {
    listener: TcpListener,
    address: SocketAddr,
    ways: Arc<WaysIn<Engine>>,
    upstream: Upstream,
    ops: Option<ops::Ops>,
    authority: AuthorityKeeper,
    files: (PathBuf, PathBuf),
}

impl Proxy {
    /// Puts the proxy together and binds its port.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub async fn prepare(settings: ProxySettings, parts: ProxyParts) -> Result<Self, ProxyError> {
        check_listen(settings.listen)?;
        let ProxyParts {
            environment,
            rules,
            key,
            credentials,
            state,
            clock,
            random,
        } = parts;
        // What is counted before the recorder is there counts nowhere.
        let ops = match settings.ops_listen {
            Some(address) => {
                recorder();
                Some(ops::Ops::bind(address).await?)
            }
            None => None,
        };
        let listener = bind(settings.listen).await?;
        let address = listener.local_addr()?;
        let mut authority = AuthorityKeeper {
            state,
            public_dir: settings.public_dir,
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            leaves: None,
        };
        let (leaves, files) = authority.open()?;
        let upstream = Upstream::new(settings.upstream, Arc::new(SystemResolver))?;
        let (rules, key) = (Arc::new(rules), Arc::new(key));
        let engine = Engine::new(EngineParts {
            environment,
            rules: Arc::clone(&rules),
            key: Arc::clone(&key),
            credentials,
            log: Arc::new(open_log(&authority.state)?),
            upstream: upstream.clone(),
            clock: Arc::clone(&clock),
            spool: SpoolSettings::new(std::env::temp_dir()),
        });
        Ok(Self {
            listener,
            address,
            ways: Arc::new(WaysIn {
                engine,
                key,
                leaves,
                tunnels: Box::new(move |host| rules.tunnels(host)),
                told: ToldHosts::default(),
                limits: settings.limits,
                clock,
                random,
            }),
            upstream,
            ops,
            authority,
            files,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where health and metrics are answered, if anywhere.
    #[must_use]
    pub fn ops_address(&self) -> Option<SocketAddr> {
        self.ops.as_ref().map(ops::Ops::address)
    }

    /// The files with the proxy's certificate authorities, and with the system's besides; the public ones
    /// where there are such.
    #[must_use]
    pub const fn files(&self) -> (&PathBuf, &PathBuf) {
        (&self.files.0, &self.files.1)
    }

    /// Answers until `stop` turns true, then lets requests in flight finish.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let upstream = self.upstream.clone();
        let beside = async {
            tokio::join!(upstream.sweep(), self.authority.keep());
        };
        let ops = async {
            match self.ops {
                Some(ops) => ops.serve(stop.clone()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = serve(self.listener, self.ways, stop.clone()) => {}
            () = beside => {}
            () = ops => {}
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|reason| ListenError::Bind { address, reason })
}

/// One proxy writes a log. `idp proxy exec` runs one for each program, so that the first takes
/// `requests.jsonl`, and those beside it `requests-2.jsonl` and so on.
fn open_log(state: &ProxyState) -> Result<RequestLogFile, OpenError> {
    let mut number = 1;
    loop {
        let path = state.path(&log_name(number));
        match RequestLogFile::open(RequestLogSettings::new(path)) {
            Err(OpenError::InUse(_)) if number < MOST_LOGS => number += 1,
            opened => return opened,
        }
    }
}

/// Has a certificate authority at hand, and its successor in time.
struct AuthorityKeeper {
    state: ProxyState,
    public_dir: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    leaves: Option<Arc<Leaves>>,
}

impl AuthorityKeeper {
    fn open(&mut self) -> Result<(Arc<Leaves>, (PathBuf, PathBuf)), ProxyError> {
        let (authority, files) = self.read()?;
        let (clock, random) = (Arc::clone(&self.clock), Arc::clone(&self.random));
        let leaves = Arc::new(Leaves::new(authority, clock, random)?);
        self.leaves = Some(Arc::clone(&leaves));
        Ok((leaves, files))
    }

    fn read(&self) -> Result<(crate::proxy::Authority, (PathBuf, PathBuf)), ProxyError> {
        let (clock, random) = (&*self.clock, &*self.random);
        let authorities = self.state.authorities(clock, random)?;
        let files = match &self.public_dir {
            Some(dir) => self.state.publish(dir, &authorities, 0o644)?,
            None => (self.state.path("ca.pem"), self.state.path("bundle.pem")),
        };
        let authority = authorities.signing(clock.now()).ok_or_else(|| {
            AuthorityError::Record("there is none though one was just made".to_owned())
        })?;
        Ok((authority, files))
    }

    /// Looks after the authority for ever.
    async fn keep(&self) {
        let mut ticks = interval(AUTHORITY_CHECK);
        loop {
            ticks.tick().await;
            match (self.read(), &self.leaves) {
                (Ok((authority, _)), Some(leaves)) => leaves.replace_authority(authority),
                (Err(error), _) => {
                    tracing::error!(%error, "the certificate authority was not looked after");
                }
                _ => {}
            }
        }
    }
}

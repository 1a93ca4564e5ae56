//! The local STS alone, for pipelines that want to be tested without AWS.

use std::{
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::listener::{Bound, ListenError, Options, bind};
use crate::{
    domain::{Clock, Random},
    http::{CurrentSts, OnRefusal, sts_router_of},
    sts::{LocalSts, Roles, RolesError},
    upstream::{guard::Allow, http::HttpSettings, keys::HttpKeyFetch},
};

/// How often the roles file is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// After how many looks a file that is not there is gone.
const GONE: u32 = 3;

/// The largest roles file, in bytes.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// How many connections are served at once.
const CONNECTIONS: usize = 256;

/// How long a request's head may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the STS does not start, or does not take a changed file.
#[derive(Debug, thiserror::Error)]
pub enum StsError {
    /// The file cannot be read.
    #[error("cannot read the roles file {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// What is in the file.
    #[error("{} is not a roles file:\n{error}", path.display())]
    Roles {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        error: RolesError,
    },
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The operating system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What happened to the roles file while the STS was serving.
#[derive(Debug)]
pub enum RolesChange {
    /// It was taken: so many providers and roles.
    Taken {
        /// How many providers.
        providers: usize,
        /// How many roles.
        roles: usize,
    },
    /// It was not; the STS goes on with what it had.
    Refused(StsError),
    /// It is not there any more; the STS goes on with what it had, and takes the file when it is back.
    Gone,
}

/// The local STS, ready to run.
pub struct StandaloneSts {
    file: RolesFile,
    sts: Arc<CurrentSts>,
    bound: Bound,
}

impl StandaloneSts {
    /// Reads `roles` and listens on the loopback `port` (any free one for 0). Keys are fetched from
    /// the providers that the file lists, wherever they are.
    ///
    /// # Errors
    /// See [`StsError`].
    pub async fn prepare(
        roles: &Path,
        port: u16,
        http: &HttpSettings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StsError> {
        let mut file = RolesFile::new(roles);
        let known = file.read()?;
        let fetch = Arc::new(HttpKeyFetch::new(http, Allow::AnyAddress));
        let sts = LocalSts::new(known, fetch, clock, random);
        Ok(Self {
            file,
            sts: Arc::new(CurrentSts::new(sts)),
            bound: bind((Ipv4Addr::LOCALHOST, port).into()).await?,
        })
    }

    /// Its address.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn url(&self) -> io::Result<String> {
        Ok(format!("http://{}", self.bound.address()?))
    }

    /// How many providers and roles it knows.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        counts(self.sts.get().roles())
    }

    /// Serves until `stop` turns true, and takes changes of the roles file; sessions outlive them.
    pub async fn run(
        self,
        on_refusal: OnRefusal,
        on_change: impl Fn(RolesChange),
        stop: watch::Receiver<bool>,
    ) {
        let Self {
            mut file,
            sts,
            bound,
        } = self;
        let router = sts_router_of(sts.clone(), Some(on_refusal));
        let serving = bound.serve_router(
            router,
            Options {
                name: "sts",
                tls: None,
                connections: CONNECTIONS,
                header_timeout: HEADER_TIMEOUT,
                grace: Duration::from_secs(1),
            },
            stop,
        );
        let watching = async {
            let mut ticks = interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                match file.look() {
                    Look::Same => continue,
                    Look::Gone => {
                        on_change(RolesChange::Gone);
                        continue;
                    }
                    Look::Changed => {}
                }
                on_change(match file.read() {
                    Ok(roles) => {
                        let (providers, count) = counts(&roles);
                        sts.replace(sts.get().with_roles(roles));
                        RolesChange::Taken {
                            providers,
                            roles: count,
                        }
                    }
                    Err(error) => RolesChange::Refused(error),
                });
            }
        };
        tokio::select! {
            () = serving => {}
            () = watching => {}
        }
    }
}

fn counts(roles: &Roles) -> (usize, usize) {
    (roles.providers().count(), roles.role_arns().len())
}

/// The file, and what it looked like when it was last read.
struct RolesFile {
    path: PathBuf,
    seen: Option<(SystemTime, u64)>,
    /// How often in a row it was not there.
    absent: u32,
}

/// What became of the file since the last look.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Same,
    Changed,
    /// It has been away for a while, which is told once.
    Gone,
}

impl RolesFile {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            seen: None,
            absent: 0,
        }
    }

    fn stamp(&self) -> Option<(SystemTime, u64)> {
        let metadata = fs::metadata(&self.path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }

    /// A file that is away for a moment, as while an editor replaces it, has not changed. One that was gone is
    /// read when it is back, whatever it looks like.
    fn look(&mut self) -> Look {
        let Some(stamp) = self.stamp() else {
            self.absent = self.absent.saturating_add(1);
            if self.absent == GONE {
                self.seen = None;
                return Look::Gone;
            }
            return Look::Same;
        };
        self.absent = 0;
        if self.seen == Some(stamp) {
            Look::Same
        } else {
            Look::Changed
        }
    }

    fn read(&mut self) -> Result<Roles, StsError> {
        let unread = |reason| StsError::Read {
            path: self.path.clone(),
            reason,
        };
        let stamp = self.stamp();
        if stamp.is_some_and(|(_, length)| length > MOST_BYTES) {
            return Err(unread(io::Error::other("it has more than 16 MiB")));
        }
        let text = fs::read_to_string(&self.path).map_err(unread)?;
        self.seen = stamp;
        Roles::parse(&text).map_err(|error| StsError::Roles {
            path: self.path.clone(),
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_gone_is_told_once_and_read_when_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("roles.json");
        let text = r#"{"account": "000000000000"}"#;
        fs::write(&path, text).unwrap();
        let mut file = RolesFile::new(&path);
        file.read().unwrap();
        assert_eq!(file.look(), Look::Same);
        let away = dir.path().join("away");
        fs::rename(&path, &away).unwrap();
        assert_eq!([file.look(), file.look()], [Look::Same, Look::Same]);
        // An editor that was quick.
        fs::rename(&away, &path).unwrap();
        assert_eq!(file.look(), Look::Same);
        fs::rename(&path, &away).unwrap();
        let looks = [file.look(), file.look(), file.look(), file.look()];
        assert_eq!(looks, [Look::Same, Look::Same, Look::Gone, Look::Same]);
        fs::rename(&away, &path).unwrap();
        assert_eq!(file.look(), Look::Changed);
        file.read().unwrap();
        assert_eq!(file.look(), Look::Same);
    }
}

//! The connection to a token: the module, the login, and sessions that are used again. It is made anew
//! after whatever went wrong, because there is no telling what a module still knows once its token
//! was away.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use cryptoki::{
    context::{CInitializeArgs, Pkcs11},
    error::{Error, RvError},
    object::ObjectHandle,
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};

use super::{pin, private_half};
use crate::{config::Pkcs11Settings, jose::sha256};

/// Why a token did not do it.
#[derive(Debug)]
pub(super) enum Fault {
    /// The module's own error.
    Module(Error),
    /// There is no token with the configured label, or more than one.
    NoToken(String),
    /// The PIN cannot be read, or was refused. Not to be tried again: tokens lock themselves.
    Pin(String),
    /// The key is not in the token.
    NoKey,
    /// An answer that does not make sense.
    Odd(&'static str),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

/// An initialised module, logged in to its token.
struct Connection {
    /// Kept open: with its last session a token forgets the login.
    login: Mutex<Session>,
    /// Sessions that nobody uses at the moment.
    idle: Mutex<Vec<Session>>,
    /// Private halves that were found. A handle is good in every session.
    found: Mutex<HashMap<Vec<u8>, ObjectHandle>>,
    slot: Slot,
    context: Pkcs11,
}

pub(super) struct Token {
    settings: Pkcs11Settings,
    connection: RwLock<Option<Connection>>,
    /// Grows with every connection, so that of many that find it broken one makes it anew.
    generation: AtomicU64,
    /// SHA-256 of the PIN that the token refused.
    refused_pin: Mutex<Option<[u8; 32]>>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Token {
    pub(super) fn new(settings: Pkcs11Settings) -> Self {
        Self {
            settings,
            connection: RwLock::new(None),
            generation: AtomicU64::new(0),
            refused_pin: Mutex::new(None),
        }
    }

    /// Does `work` in a session; where it fails, once more on a fresh connection.
    pub(super) fn patiently<T>(
        &self,
        work: impl Fn(&Session) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        match self.once(&work) {
            Err(Fault::Module(_) | Fault::NoKey) => self.once(work),
            result => result,
        }
    }

    /// Does `work` in a session. Where it fails, the next one gets a fresh connection.
    pub(super) fn once<T>(
        &self,
        work: impl FnOnce(&Session) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (generation, result) = self.in_session(work);
        if result.is_err() {
            self.disconnect(generation);
        }
        result
    }

    fn in_session<T>(
        &self,
        work: impl FnOnce(&Session) -> Result<T, Fault>,
    ) -> (u64, Result<T, Fault>) {
        loop {
            let connection = self
                .connection
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            let generation = self.generation.load(Ordering::SeqCst);
            let Some(connected) = connection.as_ref() else {
                drop(connection);
                if let Err(fault) = self.connect() {
                    return (generation, Err(fault));
                }
                continue;
            };
            let result = connected.session().and_then(|session| {
                let done = work(&session)?;
                lock(&connected.idle).push(session);
                Ok(done)
            });
            return (generation, result);
        }
    }

    /// The private half of a key, looked up once in the life of a connection.
    pub(super) fn private_key(&self, session: &Session, id: &[u8]) -> Result<ObjectHandle, Fault> {
        let connection = self.connection.try_read();
        let found = connection.as_ref().ok().and_then(|it| it.as_ref());
        if let Some(known) = found.and_then(|it| lock(&it.found).get(id).copied()) {
            return Ok(known);
        }
        let key = *session
            .find_objects(&private_half(id))?
            .first()
            .ok_or(Fault::NoKey)?;
        if let Some(connected) = found {
            lock(&connected.found).insert(id.to_vec(), key);
        }
        Ok(key)
    }

    /// Forgets where a key is.
    pub(super) fn forget(&self, id: &[u8]) {
        let connection = self
            .connection
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(connected) = connection.as_ref() {
            lock(&connected.found).remove(id);
        }
    }

    fn connect(&self) -> Result<(), Fault> {
        let mut connection = self
            .connection
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if connection.is_none() {
            *connection = Some(self.log_in()?);
            self.generation.fetch_add(1, Ordering::SeqCst);
            tracing::info!(
                token = self.settings.token,
                "logged in to the PKCS #11 token"
            );
        }
        Ok(())
    }

    /// Drops the connection that was found broken, which finalizes the module, once those who are
    /// using it have ended.
    fn disconnect(&self, generation: u64) {
        let mut connection = self
            .connection
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if self.generation.load(Ordering::SeqCst) == generation {
            *connection = None;
        }
    }

    fn log_in(&self) -> Result<Connection, Fault> {
        let pin = pin::read(&self.settings.pin_file).map_err(Fault::Pin)?;
        let hash = sha256(pin.as_bytes());
        if *lock(&self.refused_pin) == Some(hash) {
            return Err(Fault::Pin(format!(
                "the token refused the PIN in {}; it is not tried again, so that the token does not lock \
                 itself; correct the file",
                self.settings.pin_file.display()
            )));
        }
        let context = Pkcs11::new(&self.settings.module)?;
        context.initialize(CInitializeArgs::OsThreads)?;
        let slot = self.slot(&context)?;
        let session = context.open_rw_session(slot)?;
        match session.login(UserType::User, Some(&AuthPin::new(pin.to_string()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(Error::Pkcs11(
                refused @ (RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked),
                _,
            )) => {
                *lock(&self.refused_pin) = Some(hash);
                return Err(Fault::Pin(format!(
                    "the token refused the PIN in {}: {refused}",
                    self.settings.pin_file.display()
                )));
            }
            Err(error) => return Err(error.into()),
        }
        *lock(&self.refused_pin) = None;
        Ok(Connection {
            login: Mutex::new(session),
            idle: Mutex::new(Vec::new()),
            found: Mutex::new(HashMap::new()),
            slot,
            context,
        })
    }

    fn slot(&self, context: &Pkcs11) -> Result<Slot, Fault> {
        let mut seen = Vec::new();
        let mut matching = Vec::new();
        for slot in context.get_slots_with_token()? {
            let info = context.get_token_info(slot)?;
            if info.label() == self.settings.token {
                matching.push(slot);
            }
            seen.push(format!("{:?}", info.label()));
        }
        match matching[..] {
            [slot] => Ok(slot),
            [] => Err(Fault::NoToken(format!(
                "no token has the label {:?}; there are: {}",
                self.settings.token,
                seen.join(", ")
            ))),
            _ => Err(Fault::NoToken(format!(
                "several tokens have the label {:?}",
                self.settings.token
            ))),
        }
    }

    /// What happened, for an operator's eyes.
    pub(super) fn explain(&self, fault: &Fault) -> String {
        let reason = match fault {
            Fault::Module(Error::LibraryLoading(error)) => format!(
                "{} cannot be loaded: {error}",
                self.settings.module.display()
            ),
            Fault::Module(error) => error.to_string(),
            Fault::NoToken(reason) | Fault::Pin(reason) => reason.clone(),
            Fault::NoKey => "the key is not in the token".to_owned(),
            Fault::Odd(what) => format!("it answered with {what}"),
        };
        format!("PKCS #11 token {:?}: {reason}", self.settings.token)
    }
}

impl Connection {
    /// A session that nobody else uses.
    fn session(&self) -> Result<Session, Fault> {
        if let Some(session) = lock(&self.idle).pop() {
            return Ok(session);
        }
        Ok(self.context.open_rw_session(self.slot)?)
    }
}

impl Drop for Connection {
    /// Sessions end before the module does.
    fn drop(&mut self) {
        lock(&self.idle).clear();
        // Says goodbye where the token is still there; it forgets the login with its sessions anyway.
        let _ = lock(&self.login).logout();
    }
}

//! The composition root: builds stores, keys, services and routers from the settings and runs them.

mod audit_access;
mod build;
mod dev;
mod dev_lock;
mod examine;
mod key_file;
mod listener;
mod log;
mod metrics;
mod objects;
#[cfg(feature = "otel")]
mod otel;
mod proxy;
mod publish;
mod run;
mod sts;
mod tls;
mod vault;

pub use audit_access::{AuditAccess, open_audit};
pub use build::{Server, StartError};
pub use dev::{Dev, DevDir, DevError, ROLE_ARN};
pub use dev_lock::DevLockError;
pub use examine::examine;
pub use key_file::KeyFileError;
pub use listener::{Bound, ListenError, bind};
pub use log::{Log, LogError, start_log};
pub use objects::open_objects;
pub use proxy::{Proxy, ProxyError, ProxyParts, ProxySettings, ProxyState, Running, StateError};
pub use publish::publish;
pub use run::{bootstrap_admin, replace_admin, serve, stop_signal};
pub use sts::{RolesChange, StandaloneSts, StsError};
pub use vault::{Reseal, Vault, VaultError};

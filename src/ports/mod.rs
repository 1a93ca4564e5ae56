//! The traits between the middle of the house and the outside world.

mod environment_keys;
mod keys;
mod objects;
mod signer;
mod store;
mod sts;

pub use environment_keys::{
    EnvironmentKeyStore, KeyRotation, KeyStanding, QuarantineOutcome, ReleaseOutcome,
    RotationOutcome,
};
pub use crate::domain::AuditRecord;
pub use keys::{FetchError, FetchedKeys, KeyFetch};
pub use signer::{ExternalKey, ExternalKeys, SignError, Signer};
pub use objects::{Created, NewObject, ObjectError, ObjectStore};
pub use store::{
    AdminStore, AdminToken, AuditStore, Change, EnrolOutcome, EnrolmentStore, EnvironmentStore, InsertOutcome, IssuerKeyStore, ListedPrincipal, MintOutcome, MintRequest, MintStore, OrganizationStore, Page, PrincipalStore, ProjectStore, StopOutcome, Store, EnvironmentChange, OrganizationChange, StoreError, KeyChange, KeyNote, KeyStep, OutstandingTokens, FoundRecords,
};
pub use sts::{Sts, StsCredentials, StsError, StsRefusal, StsRequest};

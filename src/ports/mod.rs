//! The traits between the middle of the house and the outside world.

mod administrators;
mod environment_keys;
mod keys;
mod objects;
mod proxy;
mod signer;
mod store;
mod sts;
mod unkept_key;

pub use crate::domain::AuditRecord;
pub use administrators::{AdminStore, AdminToken};
pub use environment_keys::{
    EnvironmentKeyStore, KeyRotation, KeyStanding, QuarantineOutcome, ReleaseOutcome,
    RotationOutcome,
};
pub use keys::{FetchError, FetchedKeys, KeyFetch};
pub use objects::{Created, NewObject, ObjectError, ObjectStore};
pub use proxy::{
    AwsSession, CredentialError, CredentialSource, LogError, RequestLog, RequestPhase,
    RequestRecord, WantedSession,
};
pub use signer::{ExternalKey, ExternalKeys, SignError, Signer};
pub use store::{
    AuditStore, Change, EnrolOutcome, EnrolmentStore, EnvironmentChange, EnvironmentStore,
    FoundRecords, InsertOutcome, IssuerKeyStore, KeyChange, KeyNote, KeyStep, ListedOrganization,
    ListedPrincipal, MintOutcome, MintRequest, MintStore, Notice, OrganizationChange,
    OrganizationStore, OutstandingTokens, Page, Patience, PrincipalStore, ProjectStore,
    ReplicaStore, StopOutcome, Store, StoreError, StoreUsage,
};
pub use sts::{Sts, StsCredentials, StsError, StsRefusal, StsRequest};
pub use unkept_key::UnkeptKey;

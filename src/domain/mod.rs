//! The words of the field as types: identities, subjects, audiences, issuers, ARNs, claims, audit
//! events, time and chance. No IO, nothing asynchronous, nothing of the other rooms.

mod address;
mod arn;
mod audience;
mod audit;
mod audit_chain;
mod audit_filter;
mod audit_line;
mod audit_record;
mod aws_claims;
mod checkpoint;
mod claims;
mod database_url;
mod environment;
mod id;
mod issuer;
mod key;
mod name;
mod organization;
mod project;
mod random;
mod request_target;
mod rotation;
mod secret;
mod strict_json;
mod subject;
mod time;

pub use address::{AddressRule, ForbiddenAddress};
pub use arn::{Arn, ArnError, Partition, RoleArn};
pub use audience::{Audience, AudienceError, DEFAULT_AUDIENCE};
pub use audit::{Actor, AuditEvent, Outcome};
pub use audit_chain::{
    AuditChain, AuditCut, ChainHead, ChainVerifier, Finding, FindingKind, Vouched, first_broken,
};
pub use audit_filter::AuditFilter;
pub use audit_line::{AuditLine, AuditLineError};
pub use audit_record::{AuditRecord, audit_hash};
pub use aws_claims::{
    AwsClaims, AwsClaimsChange, AwsProfile, AwsTokenClaims, SessionTags, TagError, TagNames,
    is_tag_char, tag_value,
};
pub use checkpoint::Checkpoint;
pub use claims::{TokenClaims, TokenLifetime};
pub use database_url::{DatabaseUrl, DatabaseUrlError};
pub use environment::{
    Credential, Environment, EnvironmentState, FORMER_KEY_GRACE, FORMER_KEYS_KEPT, JOIN_TOKEN_LIFE,
    JOIN_TOKEN_PREFIX, JoinToken,
};
pub use id::{
    AdminTokenId, AssertionId, AuditId, EnvironmentId, IdError, JoinTokenId, KeyId, OrganizationId,
    ProjectId, RequestId,
};
pub use issuer::{Issuer, IssuerError};
pub use key::{IssuerKey, KeyFacts, KeyState, PublicJwk, SigningAlgorithm};
pub use name::{Name, NameError};
pub use organization::Organization;
pub use project::Project;
pub use random::{Random, SystemRandom};
pub use request_target::{PathStyle, RequestTarget, TargetError};
pub use rotation::{
    Due, JWKS_MAX_AGE, MOST_KEYS, Rotation, Schedule, Transition, Unsound,
    duration as parse_duration, pending_floor, retiring_floor, spelled,
};
pub use secret::{ExposeSecret, SecretString, bearer_secret};
pub use strict_json::from_slice as strict_json;
pub use subject::Subject;
pub use time::{Clock, SimulatedClock, SystemClock, Timestamp};

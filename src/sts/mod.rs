//! The local STS: it stands in for AWS, verifies a web-identity token as AWS was seen to do, and
//! answers in AWS's words.
//!
//! What AWS does is known from a record of its answers (`tests/data/sts-oidc-cases.json`). Where
//! the record is silent, this room refuses rather than admits, and says so at the place.
//!
//! `params` → the token, unverified (`jose`) → `keys` (the issuer's) → `claims` → `trust`
//! → `session` → `answer`; [`LocalSts`] is the way through. Every refusal is a [`Refusal`]: AWS's
//! code and message for the client, and a reason for whoever runs this STS.

mod answer;
mod chain;
mod claims;
mod constraint;
mod keys;
mod other;
mod packed;
mod params;
mod refusal;
mod role_pin;
mod roles;
mod service;
mod session;
mod session_policy;
mod tags;
mod trust;
mod xml;

pub use answer::Answer;
pub use refusal::Refusal;
pub use roles::{Provider, Role, Roles, RolesError};
pub use service::{LocalSts, StsHttpRequest};

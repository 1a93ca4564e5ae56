//! The IAM policy language as role trust policies use it: read, evaluate, and say for every
//! statement and condition why.
//!
//! What is not understood is refused when the policy is read, never skipped when it is evaluated:
//! a condition that is silently dropped opens a role.
//!
//! - `json` reads JSON without losing duplicate members or the place of anything.
//! - [`Policy`] and its parts are the language; `parse` reads them, with the place, the cure and
//!   IAM's own words in every error; [`Document`] finds the policy in the output of other tools.
//! - `value` matches one value, `comparison` compares numbers, times and addresses, `operator` a
//!   key's values, `evaluate` decides.
//! - `write` makes policies in code and writes any policy as JSON.
//! - `explain` finds out why a request is refused and the smallest change that would let it in.
//! - `lint` finds policies that admit more than they should, or nobody.
//! - [`WebIdentityRequest`] is what STS knows of a request with a token.
//! - [`SessionPolicy`] is what a role session may do at most.
//! - [`generate`] writes the infrastructure around policies.

mod comparison;
mod context;
mod document;
mod error;
mod evaluate;
mod explain;
pub mod generate;
mod json;
mod lint;
mod operator;
mod parse;
mod policy;
mod session;
mod value;
mod web_identity;
mod write;

pub use context::{Context, Principal, Request};
pub use document::{DescribedRole, Document, Element};
pub use error::{PolicyError, Position};
pub use evaluate::{ConditionOutcome, Decision, Evaluation, StatementOutcome};
pub use explain::{Cause, Change, TrustExplanation};
pub use lint::{Finding, RULES, Rule, Severity, to_sarif};
pub use operator::{Operator, SetOperator, Test};
pub use parse::MAX_TEXT;
pub use policy::{
    Actions, Condition, Effect, Policy, PrincipalKind, Principals, Statement, Version,
};
pub use session::{Resources, SessionPolicy, SessionStatement};
pub use value::Value;
pub use web_identity::{ASSUME, SET_SOURCE_IDENTITY, TAG_SESSION, WebIdentityRequest};

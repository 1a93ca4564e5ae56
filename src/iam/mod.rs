//! The IAM policy language as role trust policies use it: parse, evaluate, and say for every
//! statement and condition why.
//!
//! What is not understood is refused when the policy is read, never skipped when it is evaluated:
//! a condition that is silently dropped opens a role.
//!
//! - `json` reads JSON without losing duplicate members.
//! - [`Policy`] and its parts are the language; `parse` reads them, with the place and the cure in
//!   every error.
//! - `value` matches one value, `operator` compares a key's values, `evaluate` decides.
//! - `write` makes policies in code and writes any policy as JSON.

mod context;
mod error;
mod evaluate;
mod json;
mod operator;
mod parse;
mod policy;
mod value;
mod write;

pub use context::{Context, Principal, Request};
pub use error::PolicyError;
pub use evaluate::{ConditionOutcome, Decision, Evaluation, StatementOutcome};
pub use operator::{Operator, SetOperator, Test};
pub use policy::{
    Actions, Condition, Effect, Policy, PrincipalKind, Principals, Statement, Version,
};
pub use value::Value;

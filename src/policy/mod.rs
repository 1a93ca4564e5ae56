//! What a request may do: rules from a file, and the decision.
//!
//! - [`Rules`] are read from TOML by `file`, with every mistake and its place, and compiled to indexes.
//! - [`Question`] is one request as the catalog recognised it; [`Decision`] what becomes of it.
//! - [`Allowed`] is the permission to sign one request. It has no public constructor: only
//!   [`Rules::decide`] makes it.
//! - [`Explanation`] says for every rule why it fits a request or not.
//! - `session_policy` writes the allow rules as an IAM policy, so that AWS enforces them as well.
//!
//! Severity is block, then ask, then allow; nothing that fits is a block. What is not known counts
//! against the request: an allow rule has to fit whatever the unknown part is, a block rule fits where
//! it could.

#![expect(
    clippy::similar_names,
    reason = "rules and roles are the words of the subject"
)]

mod decide;
mod decision;
mod explain;
mod file;
mod finding;
mod glob;
mod index;
mod preset;
mod question;
mod refusal;
mod resource;
mod roles;
mod rule;
mod rules;
mod session_policy;
mod verdict;
mod vocabulary;

pub use decision::{Allowed, Asked, Blocked, Decision};
pub use explain::{Explanation, Needed, RuleOutcome};
pub use file::ReadFile;
pub use finding::{Finding, RulesError, Severity};
pub use question::{Question, Recognition};
pub use roles::Role;
pub use rule::Effect;
pub use rules::Rules;

#[cfg(test)]
#[path = "corpus_test.rs"]
mod corpus;
#[cfg(test)]
#[path = "property_test.rs"]
mod property;

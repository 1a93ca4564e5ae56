//! A policy and its parts.

use super::{Operator, Value};

/// A policy's language version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `2008-10-17`, which a policy without `Version` has: `${` means nothing.
    V2008,
    /// `2012-10-17`.
    V2012,
}

/// A policy: statements, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The language version.
    pub version: Version,
    /// The `Id` member.
    pub id: Option<String>,
    /// The statements.
    pub statements: Vec<Statement>,
}

/// What a statement does where it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Allows.
    Allow,
    /// Denies, whatever others allow.
    Deny,
}

/// One statement: where principal, action and every condition fit, its effect counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The `Sid` member.
    pub sid: Option<String>,
    /// Allow or deny.
    pub effect: Effect,
    /// Whom it concerns.
    pub principals: Principals,
    /// Which actions it concerns.
    pub actions: Actions,
    /// All of them must be met.
    pub conditions: Vec<Condition>,
}

/// The kinds of principal that a policy can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// `AWS`: accounts, users, roles.
    Aws,
    /// `Federated`: identity providers.
    Federated,
    /// `Service`: AWS services.
    Service,
    /// `CanonicalUser`: an account in S3's notation.
    CanonicalUser,
}

/// Whom a statement concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principals {
    /// `"*"`.
    Everyone,
    /// `Principal`: these.
    Only(Vec<(PrincipalKind, String)>),
    /// `NotPrincipal`: all but these.
    AllBut(Vec<(PrincipalKind, String)>),
}

/// Which actions a statement concerns; patterns without regard to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actions {
    /// `Action`: these.
    Only(Vec<Value>),
    /// `NotAction`: all but these.
    AllBut(Vec<Value>),
}

/// One operator on one condition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// How it is compared.
    pub operator: Operator,
    /// The key, as the policy writes it.
    pub key: String,
    /// The policy's values: one of them must fit (by negated operators: none).
    pub values: Vec<Value>,
}

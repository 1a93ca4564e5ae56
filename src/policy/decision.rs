//! What becomes of a request.

use std::{fmt, sync::Arc, time::Duration};

use super::roles::Role;
use crate::domain::RoleArn;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It may be signed and sent.
    Allow(Allowed),
    /// Somebody has to approve it first.
    Ask(Asked),
    /// It is refused.
    Block(Blocked),
    /// The head does not decide it: read the body, at most 1 MiB, recognise again and ask again.
    NeedsBody,
}

/// The permission to sign one request. Only [`Rules::decide`](super::Rules::decide) makes it.
#[derive(Clone, Debug)]
pub struct Allowed {
    pub(super) rule: Arc<str>,
    pub(super) role: Arc<Role>,
}

impl Allowed {
    /// The rule that allows it.
    #[must_use]
    pub const fn rule(&self) -> &Arc<str> {
        &self.rule
    }

    /// The role whose credentials sign it.
    #[must_use]
    pub fn role(&self) -> &RoleArn {
        self.role.arn()
    }

    /// The session policy that the role's session gets: JSON, at most 2,048 characters.
    #[must_use]
    pub fn session_policy(&self) -> Option<&Arc<str>> {
        self.role.session_policy()
    }
}

/// A request that waits for an approval.
#[derive(Clone, Debug)]
pub struct Asked {
    pub(super) rule: Arc<str>,
    pub(super) reason: String,
    pub(super) hold: Duration,
}

impl Asked {
    /// The rule that wants an approval.
    #[must_use]
    pub const fn rule(&self) -> &Arc<str> {
        &self.rule
    }

    /// What is asked for and which rule asks, for the client where nobody approves.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// How long the request may be held before it is refused.
    #[must_use]
    pub const fn hold(&self) -> Duration {
        self.hold
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The rule that blocks it; `None` where none allows it.
    pub rule: Option<Arc<str>>,
    /// What was asked for, which rule decided, and what to change. Without control characters, in
    /// one line.
    pub reason: String,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

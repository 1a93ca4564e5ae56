//! IAM actions, as rules and policies name them.

use std::fmt;

/// What an action does to what it is allowed on, in the words of the
/// [Service Authorization Reference](https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessLevel {
    /// Names what exists, not what is in it.
    List,
    /// Reads and changes nothing.
    Read,
    /// Makes, changes or deletes.
    Write,
    /// Changes tags alone.
    Tagging,
    /// Changes who may do what.
    PermissionsManagement,
}

impl AccessLevel {
    /// Whether nothing is changed: [`Self::List`] or [`Self::Read`].
    #[must_use]
    pub const fn reads_only(self) -> bool {
        matches!(self, Self::List | Self::Read)
    }
}

/// An action, such as `s3:GetObject`. Its spelling is that of the Service Authorization Reference; IAM
/// compares without regard to case.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Action {
    pub(super) prefix: &'static str,
    pub(super) name: &'static str,
    pub(super) access_level: AccessLevel,
}

impl Action {
    /// What stands before the colon: `s3`.
    #[must_use]
    pub const fn prefix(&self) -> &'static str {
        self.prefix
    }

    /// What stands behind the colon: `GetObject`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it does to its resources.
    #[must_use]
    pub const fn access_level(&self) -> AccessLevel {
        self.access_level
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.prefix, self.name)
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The actions that IAM asks for when a request is made: a set, all of whose members have to be allowed.
///
/// Empty only where the operation is unmapped ([`Operation::mapped`](super::Operation::mapped)).
#[derive(Clone, Copy)]
pub struct Actions {
    all: &'static [&'static Action],
    chosen: u64,
}

impl Actions {
    /// The most actions that one operation may have.
    pub(super) const MOST: usize = 64;

    /// Those of `all` whose bit is set in `chosen`, the first action's being the lowest.
    pub(super) const fn new(all: &'static [&'static Action], chosen: u64) -> Self {
        Self { all, chosen }
    }

    /// The members; the operation's main action comes first.
    pub fn iter(&self) -> impl Iterator<Item = &'static Action> + Clone + use<> {
        let chosen = self.chosen;
        self.all
            .iter()
            .enumerate()
            .filter(move |(index, _)| chosen & (1 << index) != 0)
            .map(|(_, action)| *action)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether the operation is unmapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl IntoIterator for Actions {
    type Item = &'static Action;
    type IntoIter = Box<dyn Iterator<Item = &'static Action>>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

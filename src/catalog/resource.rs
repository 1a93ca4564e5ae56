//! What a request acts on.

use std::fmt;

use super::Action;

/// An ARN, parts of which may be unknown. The account always is, unless the request names it.
///
/// An unknown part stands as `*`. A request may also hold a literal `*` (an object's key may), so the text
/// alone does not tell: [`Resource::unknown`] does.
#[derive(Clone, PartialEq, Eq)]
pub struct Resource {
    pub(super) arn: String,
    pub(super) unknown: Vec<usize>,
    pub(super) actions: ResourceActions,
}

/// On which of its operation's actions a resource has a bearing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ResourceActions {
    /// All of them.
    All,
    /// These, as `prefix:Name`.
    Some(&'static [&'static Action]),
}

impl Resource {
    /// The ARN, unknown parts as `*`. A single `*` where nothing at all is known, or where the operation acts
    /// on no resource (`s3:ListAllMyBuckets`), as IAM has it.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Where in [`Self::arn`] (bytes, ascending) a `*` stands for something unknown. A pattern of an allow
    /// rule has to cover whatever could stand there; a pattern of a block rule matches if anything could.
    #[must_use]
    pub fn unknown(&self) -> &[usize] {
        &self.unknown
    }

    /// Whether `action` is needed on this resource.
    #[must_use]
    pub fn concerns(&self, action: &Action) -> bool {
        match &self.actions {
            ResourceActions::All => true,
            ResourceActions::Some(actions) => actions.contains(&action),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}

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
    pub(super) is_named: bool,
    pub(super) spellings: Vec<Spelling>,
    pub(super) written: Option<String>,
}

/// Another ARN under which rules may know a resource. `*` and `?` in it stand for what is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    pub(super) arn: String,
    pub(super) allows: bool,
}

impl Spelling {
    /// The ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Whether AWS means the same by both, so that a rule may allow either: a log group's ARN with and
    /// without `:*`. Otherwise it may be the same thing (the key behind an alias) or a wider one (the
    /// function of a version), and counts only for rules that block or ask.
    #[must_use]
    pub const fn allows(&self) -> bool {
        self.allows
    }
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

    /// Where in [`Self::arn`] (bytes, ascending) a `*` stands for something unknown, or a `?` for one such
    /// character. A pattern of an allow rule has to cover whatever could stand there; a pattern of a block
    /// rule matches if anything could.
    #[must_use]
    pub fn unknown(&self) -> &[usize] {
        &self.unknown
    }

    /// Whether the request gives its name, so that an account or region that it does not say are the
    /// caller's. A name that is not known may be an ARN of another account's.
    #[must_use]
    pub const fn is_named(&self) -> bool {
        self.is_named
    }

    /// The other ARNs under which rules may know it.
    #[must_use]
    pub fn spellings(&self) -> &[Spelling] {
        &self.spellings
    }

    /// The ARN as the request writes it, where [`Self::arn`] is something longer that it may mean: an ARN
    /// of a secret may lack its last six characters. A rule that allows exactly this text means it.
    #[must_use]
    pub fn written(&self) -> Option<&str> {
        self.written.as_deref()
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

//! One rule.

use std::sync::Arc;

use http::Method;

use super::{glob::Glob, question::Question, resource::ResourcePattern, verdict::Verdict};
use crate::{
    catalog::{Action, Recognised, Service},
    domain::RoleArn,
};

/// What a rule does where it fits; the greater one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// The request may be sent.
    Allow,
    /// Somebody has to approve it.
    Ask,
    /// It is refused.
    Block,
}

impl Effect {
    /// `allow`, `ask` or `block`, as rules files write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Block => "block",
        }
    }
}

/// A rule: it fits where everything that it names fits.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: Arc<str>,
    /// The line in the file, from 1.
    pub(super) line: usize,
    pub(super) effect: Effect,
    /// `None` where the rule names none, so that it is about every action.
    pub(super) actions: Option<ActionPatterns>,
    /// `None` where the rule names none, or `*`.
    pub(super) resources: Option<Vec<ResourcePattern>>,
    pub(super) facets: Facets,
    /// The role that signs what this rule allows.
    pub(super) role: Option<RoleArn>,
}

/// The actions of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ActionPatterns(Vec<ActionPattern>);

/// `*`, or `PREFIX:NAME` in lower case, where `NAME` may have wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ActionPattern {
    /// As the file writes it.
    pub(super) written: Box<str>,
    /// `None`: of every service.
    pub(super) prefix: Option<Box<str>>,
    pub(super) name: Glob,
    /// Whether a preset wrote it, so that nobody named the action on purpose.
    pub(super) generated: bool,
}

impl ActionPattern {
    /// Reads `*` or `PREFIX:NAME`; `None` where it is neither.
    pub(super) fn parse(written: &str) -> Option<Self> {
        let lower = written.to_ascii_lowercase();
        let (prefix, name) = match lower.split_once(':') {
            None if lower == "*" => (None, "*"),
            Some((prefix, name)) if !prefix.is_empty() && !name.is_empty() => {
                (Some(prefix.into()), name)
            }
            _ => return None,
        };
        Some(Self {
            written: written.into(),
            prefix,
            name: Glob::new(name),
            generated: false,
        })
    }

    /// The pattern of one action, for a preset.
    pub(super) fn of(action: &Action) -> Self {
        Self {
            written: action.to_string().into(),
            prefix: Some(action.prefix().to_ascii_lowercase().into()),
            name: Glob::new(&action.name().to_ascii_lowercase()),
            generated: true,
        }
    }

    pub(super) fn is_everything(&self) -> bool {
        self.prefix.is_none()
    }

    pub(super) fn is_literal(&self) -> bool {
        self.prefix.is_some() && self.name.is_literal()
    }

    /// Whether it names the action, with or without wildcards.
    pub(super) fn names(&self, action: &Action) -> bool {
        self.concerns_prefix(action.prefix())
            && self.name.covers(&action.name().to_ascii_lowercase())
    }

    pub(super) fn concerns_prefix(&self, prefix: &str) -> bool {
        self.prefix
            .as_deref()
            .is_none_or(|mine| mine.eq_ignore_ascii_case(prefix))
    }

    fn is(&self, action: &Action) -> bool {
        self.is_literal()
            && !self.generated
            && self.concerns_prefix(action.prefix())
            && self.name.as_str().eq_ignore_ascii_case(action.name())
    }

    /// Whether there may be an action that both name.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let same = match (&self.prefix, &other.prefix) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => true,
        };
        same && self.name.touches(&other.name.as_str().replace('?', "*"))
    }

    /// Whether every action that the other names is named by this one.
    pub(super) fn includes(&self, other: &Self) -> bool {
        self.is_everything()
            || (self.prefix == other.prefix
                && self.name.covers(&other.name.as_str().replace('?', "*")))
    }
}

impl ActionPatterns {
    pub(super) const fn new(patterns: Vec<ActionPattern>) -> Self {
        Self(patterns)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, ActionPattern> {
        self.0.iter()
    }

    pub(super) fn names(&self, action: &Action) -> bool {
        self.0.iter().any(|pattern| pattern.names(action))
    }

    /// Whether a pattern without wildcards names the action.
    pub(super) fn name_literally(&self, action: &Action) -> bool {
        self.0.iter().any(|pattern| pattern.is(action))
    }

    /// Whether it is about every action of every service.
    pub(super) fn are_everything(&self) -> bool {
        self.0.iter().any(ActionPattern::is_everything)
    }
}

/// What a rule or a role says of a request apart from its actions and resources. What is empty does
/// not matter; of what is not, one member has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facets {
    /// botocore's names or IAM's prefixes, in lower case.
    pub(super) services: Vec<Box<str>>,
    pub(super) regions: Vec<Glob>,
    pub(super) hosts: Vec<Glob>,
    pub(super) methods: Vec<Method>,
    /// In the encoding in which paths are signed.
    pub(super) paths: Vec<Glob>,
}

impl Facets {
    pub(super) fn fits(&self, question: &Question<'_>) -> Verdict {
        let known = question.recognised();
        let plain = (self.methods.is_empty() || self.methods.contains(question.method))
            && any(&self.hosts, question.host)
            && any(&self.paths, question.target.path());
        Verdict::of(plain)
            .and(|| match (self.services.is_empty(), known) {
                (true, _) => Verdict::Yes,
                (false, Some(known)) => Verdict::of(self.names(known.service)),
                (false, None) => Verdict::Maybe,
            })
            .and(|| {
                let region = known.map(|known| &*known.region).or(question.region);
                match (self.regions.is_empty(), region) {
                    (true, _) => Verdict::Yes,
                    (false, Some(region)) if self.regions.iter().any(|g| g.covers(region)) => {
                        Verdict::Yes
                    }
                    (false, Some(region)) => {
                        let touched = self.regions.iter().any(|glob| glob.touches(region));
                        if touched { Verdict::Maybe } else { Verdict::No }
                    }
                    (false, None) => Verdict::Maybe,
                }
            })
    }

    pub(super) fn names(&self, service: &Service) -> bool {
        self.services
            .iter()
            .any(|name| **name == *service.id() || **name == *service.prefix())
    }

    /// Whether there is nothing that IAM policies have no words for.
    pub(super) fn are_iams(&self) -> bool {
        self.services.is_empty()
            && self.hosts.is_empty()
            && self.methods.is_empty()
            && self.paths.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.are_iams() && self.regions.is_empty()
    }

    /// Whether everything that fits the other ones fits these; `false` where that is not plain.
    fn include(&self, other: &Self) -> bool {
        included(&self.services, &other.services, |a, b| a == b)
            && included(&self.methods, &other.methods, |a, b| a == b)
            && included(&self.regions, &other.regions, includes)
            && included(&self.hosts, &other.hosts, includes)
            && included(&self.paths, &other.paths, includes)
    }
}

fn any(globs: &[Glob], text: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.covers(text))
}

fn includes(mine: &Glob, theirs: &Glob) -> bool {
    mine.covers(&theirs.as_str().replace('?', "*"))
}

fn included<T>(mine: &[T], theirs: &[T], includes: impl Fn(&T, &T) -> bool) -> bool {
    mine.is_empty()
        || (!theirs.is_empty()
            && theirs
                .iter()
                .all(|their| mine.iter().any(|mine| includes(mine, their))))
}

impl Rule {
    /// Whether the rule is about such an action.
    pub(super) fn names(&self, action: &Action) -> bool {
        self.actions
            .as_ref()
            .is_none_or(|actions| actions.names(action))
    }

    /// Whether it can let an operation through that hands out credentials.
    pub(super) fn names_literally(&self, action: &Action) -> bool {
        self.actions
            .as_ref()
            .is_some_and(|actions| actions.name_literally(action))
    }

    /// Whether the rule fits a request of which no action is known. Only one that names no actions, but
    /// host, method and path, lets it through; one that blocks actions may be meant.
    pub(super) fn fits_unmapped(&self, question: &Question<'_>) -> Verdict {
        let actions = match (&self.actions, question.recognised()) {
            (Some(actions), Some(Recognised { service, .. })) => {
                let meant = actions
                    .iter()
                    .any(|pattern| pattern.concerns_prefix(service.prefix()));
                if meant { Verdict::Maybe } else { Verdict::No }
            }
            (Some(_), None) => Verdict::Maybe,
            (None, _) => {
                let facets = &self.facets;
                let named = [
                    facets.hosts.is_empty(),
                    facets.methods.is_empty(),
                    facets.paths.is_empty(),
                ];
                if self.effect == Effect::Block || named == [false; 3] {
                    Verdict::Yes
                } else {
                    Verdict::Maybe
                }
            }
        };
        actions
            .and(|| self.facets.fits(question))
            .and(|| match self.resources {
                None => Verdict::Yes,
                Some(_) => Verdict::Maybe,
            })
    }

    /// Whether every request that fits the other rule fits this one; `false` where that is not plain.
    pub(super) fn includes(&self, other: &Self) -> bool {
        let actions = match (&self.actions, &other.actions) {
            (None, _) => true,
            (Some(mine), Some(theirs)) => theirs
                .iter()
                .all(|their| mine.iter().any(|mine| mine.includes(their))),
            (Some(_), None) => false,
        };
        let resources = match (&self.resources, &other.resources) {
            (None, _) => true,
            (Some(mine), Some(theirs)) => theirs
                .iter()
                .all(|their| mine.iter().any(|mine| mine.includes(their))),
            (Some(_), None) => false,
        };
        actions && resources && self.facets.include(&other.facets)
    }
}

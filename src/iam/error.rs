//! Why a text is not a policy.

use std::fmt;

/// A place in a text, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a text is not a policy, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Longer than a policy can be.
    #[error(
        "it has {bytes} bytes, and IAM takes no policy of more than {limit}; is this the right file?"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most there may be.
        limit: usize,
    },
    /// Not JSON.
    #[error("{position}: not JSON: {problem}")]
    Syntax {
        /// Where.
        position: Position,
        /// What the parser met.
        problem: String,
    },
    /// JSON, but not a policy.
    #[error("{path}: {problem}; {cure} ({position}{})", aws_says(*.aws))]
    Element {
        /// Where.
        position: Position,
        /// The JSON path of the element, such as `Statement[0].Condition.StringEquals`.
        path: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        cure: String,
        /// What IAM says to such a policy in its `MalformedPolicyDocument`, where that is known;
        /// `None` where IAM takes it and it is not understood here.
        aws: Option<&'static str>,
    },
}

fn aws_says(reason: Option<&'static str>) -> String {
    reason.map_or_else(String::new, |reason| {
        format!("; IAM says \"MalformedPolicyDocument: {reason}\"")
    })
}

impl PolicyError {
    /// Where it is, for a text that is a policy in part.
    #[must_use]
    pub const fn position(&self) -> Option<Position> {
        match self {
            Self::TooLong { .. } => None,
            Self::Syntax { position, .. } | Self::Element { position, .. } => Some(*position),
        }
    }
}

/// An error before its line and column are known.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    at: usize,
    /// `None`: not even JSON.
    path: Option<String>,
    what: String,
    cure: String,
    aws: Option<&'static str>,
}

impl Problem {
    pub(super) fn syntax(at: usize, problem: impl Into<String>) -> Self {
        Self {
            at,
            path: None,
            what: problem.into(),
            cure: String::new(),
            aws: None,
        }
    }

    pub(super) fn element(
        at: usize,
        path: &str,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            at,
            path: Some(path.to_owned()),
            what: problem.into(),
            cure: cure.into(),
            aws: None,
        }
    }

    /// The same with what IAM says to it.
    pub(super) const fn aws(mut self, reason: &'static str) -> Self {
        self.aws = Some(reason);
        self
    }

    /// The error for readers of `text`.
    pub(super) fn within(self, text: &str) -> PolicyError {
        let position = super::json::position(text, self.at);
        match self.path {
            None => PolicyError::Syntax {
                position,
                problem: self.what,
            },
            Some(path) => PolicyError::Element {
                position,
                path,
                problem: self.what,
                cure: self.cure,
                aws: self.aws,
            },
        }
    }
}

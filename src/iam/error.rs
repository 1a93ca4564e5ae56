//! Why a text is not a policy.

/// Why a text is not a policy, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not JSON.
    #[error("line {line}, column {column}: not JSON: {problem}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1; 0 where the line ended too early.
        column: usize,
        /// What the parser met.
        problem: String,
    },
    /// JSON, but not a policy that is understood here.
    #[error("{path}: {problem}; {cure}")]
    Element {
        /// The JSON path of the element, such as `Statement[0].Condition.StringEquals`.
        path: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        cure: String,
    },
}

impl PolicyError {
    pub(super) fn element(path: &str, problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Element {
            path: path.to_owned(),
            problem: problem.into(),
            cure: cure.into(),
        }
    }
}

impl From<serde_json::Error> for PolicyError {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        // serde_json ends its message with the place, which is told separately here.
        let problem = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(problem, _)| problem);
        Self::Syntax {
            line: error.line(),
            column: error.column(),
            problem: problem.to_owned(),
        }
    }
}

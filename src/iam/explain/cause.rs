//! Why a request is refused, as a list that people and programs read.

use serde::Serialize;

/// One reason, with both sides' values and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// A stable name, such as `case`.
    pub code: &'static str,
    /// Where it lies: an element of the policy, a claim of the token, a parameter.
    pub place: String,
    /// What is wrong, a sentence without a full stop.
    pub problem: String,
    /// What to do, the same.
    pub cure: String,
    /// What the policy, or AWS, has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// What the request has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
}

impl Cause {
    /// A cause without values.
    pub fn new(
        code: &'static str,
        place: impl Into<String>,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            code,
            place: place.into(),
            problem: problem.into(),
            cure: cure.into(),
            wanted: None,
            got: None,
        }
    }

    /// The same with both sides.
    #[must_use]
    pub fn with_values(mut self, wanted: impl Into<String>, got: impl Into<String>) -> Self {
        self.wanted = Some(wanted.into());
        self.got = Some(got.into());
        self
    }
}

//! Whether something fits where not everything is known.

/// Whether something fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It does not, whatever the unknown parts are.
    No,
    /// It does for some of what the unknown parts may be.
    Maybe,
    /// It does, whatever the unknown parts are.
    Yes,
}

impl Verdict {
    pub(super) const fn of(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }

    /// Both have to fit.
    pub(super) fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::No => Self::No,
            verdict => verdict.min(other()),
        }
    }
}

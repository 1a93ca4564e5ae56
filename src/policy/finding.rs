//! What is wrong with a rules file, or worth knowing of it.

use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know; nothing has to change.
    Note,
    /// The file can be used, and does not do what it seems to.
    Warning,
    /// The file cannot be used.
    Error,
}

impl Severity {
    /// `note`, `warning` or `error`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something about one place of a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is so.
    pub problem: String,
    /// What to do; empty where nothing has to be done.
    pub cure: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.problem)?;
        if !self.cure.is_empty() {
            write!(f, "; {}", self.cure)?;
        }
        Ok(())
    }
}

/// Why a text is no rules file: everything that was found, in the order of the text, with at least one
/// error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RulesError {
    /// The file's name.
    pub file: String,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl fmt::Display for RulesError {
    /// The errors alone, a line each: `FILE:LINE:COLUMN: problem; cure`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error);
        for (index, finding) in errors.enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:{finding}", self.file)?;
        }
        Ok(())
    }
}

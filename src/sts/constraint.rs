//! What the service model says of a parameter's value, and violations of it in AWS's words.

use std::ops::RangeInclusive;

use super::Refusal;
use crate::domain::is_tag_char;

/// A regular expression as AWS prints it, and the same as a test of one character.
pub(super) type Pattern = (&'static str, fn(char) -> bool);

/// What a parameter's value may be, apart from its length. One without an echo is a secret.
#[derive(Clone, Copy)]
pub(super) struct Constraint {
    pattern: Option<Pattern>,
    echo: bool,
}

pub(super) const ANYTHING: Constraint = Constraint {
    pattern: None,
    echo: true,
};
pub(super) const SECRET: Constraint = Constraint {
    pattern: None,
    echo: false,
};
/// Session names and source identities.
pub(super) const SESSION_NAME: Constraint = Constraint {
    pattern: Some(("[\\w+=,.@-]*", is_session_name_char)),
    echo: true,
};
pub(super) const ARN: Constraint = Constraint {
    pattern: Some((
        "[\\u0009\\u000A\\u000D\\u0020-\\u007E\\u0085\\u00A0-\\uD7FF\\uE000-\\uFFFD\\u10000-\\u10FFFF]+",
        is_arn_char,
    )),
    echo: true,
};

/// Session policies.
pub(super) const POLICY: Constraint = Constraint {
    pattern: Some(("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", is_policy_char)),
    echo: true,
};
/// External ids.
pub(super) const EXTERNAL_ID: Constraint = Constraint {
    pattern: Some(("[\\w+=,.@:\\/-]*", is_external_id_char)),
    echo: true,
};
/// Serial numbers of MFA devices.
pub(super) const SERIAL_NUMBER: Constraint = Constraint {
    pattern: Some(("[\\w+=/:,.@-]*", is_external_id_char)),
    echo: true,
};
/// MFA codes.
pub(super) const TOKEN_CODE: Constraint = Constraint {
    pattern: Some(("[\\d]*", is_digit)),
    echo: false,
};
/// Access key ids.
pub(super) const ACCESS_KEY_ID: Constraint = Constraint {
    pattern: Some(("[\\w]*", is_word_char)),
    echo: true,
};
/// Keys of session tags.
pub(super) const TAG_KEY: Constraint = Constraint {
    pattern: Some(("[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+", is_tag_char)),
    echo: true,
};
/// Values of session tags.
pub(super) const TAG_VALUE: Constraint = Constraint {
    pattern: Some(("[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*", is_tag_char)),
    echo: true,
};

const fn is_policy_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FF}')
}

const fn is_external_id_char(c: char) -> bool {
    is_session_name_char(c) || matches!(c, ':' | '/')
}

const fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

const fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

const fn is_session_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=' | ',' | '.' | '@' | '-')
}

const fn is_arn_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{A0}'..='\u{D7FF}'
        | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// What is wrong with the parameters, in AWS's words.
#[derive(Default)]
pub(super) struct Violations(Vec<String>);

impl Violations {
    pub(super) fn required<'a>(
        &mut self,
        name: &str,
        value: Option<&'a str>,
        length: RangeInclusive<usize>,
        constraint: Constraint,
    ) -> Option<&'a str> {
        if value.is_none() {
            self.missing(name);
        }
        self.optional(name, value, length, constraint)
    }

    pub(super) fn optional<'a>(
        &mut self,
        name: &str,
        value: Option<&'a str>,
        length: RangeInclusive<usize>,
        constraint: Constraint,
    ) -> Option<&'a str> {
        let value = value?;
        let count = value.chars().count();
        let mut wrong = |what: String| {
            let shown = if constraint.echo {
                format!("Value '{value}'")
            } else {
                "Value".to_owned()
            };
            self.0.push(format!(
                "{shown} at '{name}' failed to satisfy constraint: Member must {what}"
            ));
        };
        if let Some((pattern, fits)) = constraint.pattern
            && !value.chars().all(fits)
        {
            wrong(format!("satisfy regular expression pattern: {pattern}"));
        }
        if count < *length.start() {
            wrong(format!(
                "have length greater than or equal to {}",
                length.start()
            ));
        }
        if count > *length.end() {
            wrong(format!(
                "have length less than or equal to {}",
                length.end()
            ));
        }
        Some(value)
    }

    /// A whole number within bounds.
    pub(super) fn number(
        &mut self,
        (parameter, name): (&str, &str),
        value: Option<&str>,
        bounds: RangeInclusive<i32>,
    ) -> Result<Option<u32>, Refusal> {
        let Some(value) = value else {
            return Ok(None);
        };
        let Ok(number) = value.parse::<i32>() else {
            let message = format!("{parameter} is not a whole number");
            return Err(Refusal::new(
                "MalformedInput",
                400,
                message.clone(),
                message,
            ));
        };
        let mut wrong = |what: &str, bound: i32| {
            self.0.push(format!(
                "Value '{number}' at '{name}' failed to satisfy constraint: Member must have value \
                 {what} than or equal to {bound}"
            ));
        };
        if number < *bounds.start() {
            wrong("greater", *bounds.start());
        }
        if number > *bounds.end() {
            wrong("less", *bounds.end());
        }
        Ok(u32::try_from(number).ok())
    }

    /// A list with at most so many members.
    pub(super) fn list(&mut self, name: &str, count: usize, most: usize) {
        if count > most {
            self.0.push(format!(
                "Value at '{name}' failed to satisfy constraint: Member must have length less than \
                 or equal to {most}"
            ));
        }
    }

    /// The value of a list's member that is missing.
    pub(super) fn missing(&mut self, name: &str) {
        self.0.push(format!(
            "Value null at '{name}' failed to satisfy constraint: Member must not be null"
        ));
    }

    pub(super) fn none(self) -> Result<(), Refusal> {
        match self.0.len() {
            0 => Ok(()),
            count => Err(Refusal::validation(format!(
                "{count} validation error{} detected: {}",
                if count == 1 { "" } else { "s" },
                self.0.join("; ")
            ))),
        }
    }
}

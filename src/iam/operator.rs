//! Condition operators: how a key's values in the request are compared with the policy's.

use std::fmt;

use super::Value;

/// What one value is tested for. ([IAM condition operators])
///
/// [IAM condition operators]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Exactly equal.
    StringEquals,
    /// Not equal to any.
    StringNotEquals,
    /// Equal but for case.
    StringEqualsIgnoreCase,
    /// Not equal to any, whatever the case.
    StringNotEqualsIgnoreCase,
    /// Fits a pattern with `*` and `?`.
    StringLike,
    /// Fits no pattern.
    StringNotLike,
    /// `true` or `false`.
    Bool,
    /// `true`: the key is missing; `false`: it is there.
    Null,
}

impl Test {
    const ALL: [Self; 8] = [
        Self::StringEquals,
        Self::StringNotEquals,
        Self::StringEqualsIgnoreCase,
        Self::StringNotEqualsIgnoreCase,
        Self::StringLike,
        Self::StringNotLike,
        Self::Bool,
        Self::Null,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::StringEquals => "StringEquals",
            Self::StringNotEquals => "StringNotEquals",
            Self::StringEqualsIgnoreCase => "StringEqualsIgnoreCase",
            Self::StringNotEqualsIgnoreCase => "StringNotEqualsIgnoreCase",
            Self::StringLike => "StringLike",
            Self::StringNotLike => "StringNotLike",
            Self::Bool => "Bool",
            Self::Null => "Null",
        }
    }

    /// Whether it is the negation of another test: met where the key is missing, and several
    /// values in the policy are a NOR instead of an OR.
    #[must_use]
    pub const fn is_negated(self) -> bool {
        matches!(
            self,
            Self::StringNotEquals | Self::StringNotEqualsIgnoreCase | Self::StringNotLike
        )
    }

    /// Whether the policy's values can only be `true` and `false`.
    pub(super) const fn wants_boolean(self) -> bool {
        matches!(self, Self::Bool | Self::Null)
    }

    /// Whether one value of the request passes.
    fn passes(self, wanted: &[Value], got: &str) -> bool {
        let any = |fits: fn(&Value, &str) -> bool| wanted.iter().any(|value| fits(value, got));
        match self {
            Self::StringEquals => any(Value::equals),
            Self::StringNotEquals => !any(Value::equals),
            Self::StringEqualsIgnoreCase | Self::Bool => any(Value::equals_ignore_case),
            Self::StringNotEqualsIgnoreCase => !any(Value::equals_ignore_case),
            Self::StringLike => any(Value::matches),
            Self::StringNotLike => !any(Value::matches),
            // Null asks whether the key is there, and it is.
            Self::Null => any(|value, _| value.equals_ignore_case("false")),
        }
    }
}

/// How a key with several values is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOperator {
    /// Every value must pass; met where the key is missing.
    ForAllValues,
    /// One value must pass; not met where the key is missing, by a negated test neither.
    ForAnyValue,
}

/// A condition operator: `[ForAllValues:|ForAnyValue:]TEST[IfExists]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The prefix.
    pub set: Option<SetOperator>,
    /// The test itself.
    pub test: Test,
    /// Whether a missing key meets the condition.
    pub if_exists: bool,
}

/// Why a name is not an operator that is understood here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownOperator {
    /// The cure.
    pub(super) cure: String,
}

impl Operator {
    /// A test without prefix and `IfExists`.
    #[must_use]
    pub const fn new(test: Test) -> Self {
        Self {
            set: None,
            test,
            if_exists: false,
        }
    }

    /// Reads an operator's name. Case counts: IAM's own spelling only.
    pub(super) fn parse(name: &str) -> Result<Self, UnknownOperator> {
        let unknown = |cure: String| Err(UnknownOperator { cure });
        let (set, rest) = match name.split_once(':') {
            None => (None, name),
            Some(("ForAllValues", rest)) => (Some(SetOperator::ForAllValues), rest),
            Some(("ForAnyValue", rest)) => (Some(SetOperator::ForAnyValue), rest),
            Some(_) => {
                return unknown("before a colon write ForAllValues or ForAnyValue".to_owned());
            }
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let Some(test) = Test::ALL.into_iter().find(|test| test.name() == base) else {
            if let Some(near) = Test::ALL
                .into_iter()
                .find(|test| test.name().eq_ignore_ascii_case(base))
            {
                return unknown(format!("write {}", near.name()));
            }
            let names: Vec<_> = Test::ALL.into_iter().map(Test::name).collect();
            return unknown(format!("understood here are {}", names.join(", ")));
        };
        if test == Test::Null && (if_exists || set.is_some()) {
            return unknown(
                "Null asks whether the key is there, so write it without prefix and IfExists"
                    .to_owned(),
            );
        }
        Ok(Self {
            set,
            test,
            if_exists,
        })
    }

    /// Whether the condition is met. `got`: the key's values in the request, `None` where it is
    /// missing.
    #[must_use]
    pub fn is_met(self, wanted: &[Value], got: Option<&[String]>) -> bool {
        let Some(got) = got.filter(|got| !got.is_empty()) else {
            return self.is_met_by_missing(wanted);
        };
        let passes = |value: &String| self.test.passes(wanted, value);
        match self.set {
            Some(SetOperator::ForAllValues) => got.iter().all(passes),
            // Without a prefix a negated test stays the exact opposite of the plain one.
            None if self.test.is_negated() => got.iter().all(passes),
            Some(SetOperator::ForAnyValue) | None => got.iter().any(passes),
        }
    }

    fn is_met_by_missing(self, wanted: &[Value]) -> bool {
        if self.test == Test::Null {
            return wanted.iter().any(|value| value.equals_ignore_case("true"));
        }
        self.if_exists
            || match self.set {
                Some(SetOperator::ForAllValues) => true,
                Some(SetOperator::ForAnyValue) => false,
                None => self.test.is_negated(),
            }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.set {
            None => "",
            Some(SetOperator::ForAllValues) => "ForAllValues:",
            Some(SetOperator::ForAnyValue) => "ForAnyValue:",
        })?;
        f.write_str(self.test.name())?;
        f.write_str(if self.if_exists { "IfExists" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for name in [
            "StringEquals",
            "StringNotLikeIfExists",
            "ForAllValues:StringEquals",
            "ForAnyValue:StringNotEqualsIgnoreCaseIfExists",
            "BoolIfExists",
            "Null",
        ] {
            assert_eq!(Operator::parse(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_the_cure() {
        for (name, cure) in [
            ("stringEquals", "write StringEquals"),
            ("ArnLike", "understood here are StringEquals"),
            ("NullIfExists", "without prefix"),
            ("ForAnyValue:Null", "without prefix"),
            ("ForSomeValues:StringLike", "ForAllValues or ForAnyValue"),
            ("IfExists", "understood here"),
            ("", "understood here"),
        ] {
            let error = Operator::parse(name).unwrap_err();
            assert!(error.cure.contains(cure), "{name}: {}", error.cure);
        }
    }
}

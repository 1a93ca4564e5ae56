//! Condition operators: how a key's values in the request are compared with the policy's.

use std::{cmp::Ordering, fmt};

use super::{Context, Value, comparison};

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
    /// Numerically equal.
    NumericEquals,
    /// Numerically unequal to all.
    NumericNotEquals,
    /// Less than one.
    NumericLessThan,
    /// Less than one or equal.
    NumericLessThanEquals,
    /// Greater than one.
    NumericGreaterThan,
    /// Greater than one or equal.
    NumericGreaterThanEquals,
    /// The same time.
    DateEquals,
    /// Another time than all.
    DateNotEquals,
    /// Earlier than one.
    DateLessThan,
    /// Earlier than one or the same.
    DateLessThanEquals,
    /// Later than one.
    DateGreaterThan,
    /// Later than one or the same.
    DateGreaterThanEquals,
    /// The same bytes, in base64.
    BinaryEquals,
    /// In a network.
    IpAddress,
    /// In no network.
    NotIpAddress,
    /// Fits an ARN pattern, field by field; the same as `ArnLike`.
    ArnEquals,
    /// Fits no ARN pattern.
    ArnNotEquals,
    /// Fits an ARN pattern, field by field.
    ArnLike,
    /// Fits no ARN pattern.
    ArnNotLike,
    /// `true` or `false`.
    Bool,
    /// `true`: the key is missing; `false`: it is there.
    Null,
}

/// What kind of value a test compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Text,
    Number,
    Date,
    Bytes,
    Address,
    Arn,
    Boolean,
}

impl Test {
    const ALL: [Self; 27] = [
        Self::StringEquals,
        Self::StringNotEquals,
        Self::StringEqualsIgnoreCase,
        Self::StringNotEqualsIgnoreCase,
        Self::StringLike,
        Self::StringNotLike,
        Self::NumericEquals,
        Self::NumericNotEquals,
        Self::NumericLessThan,
        Self::NumericLessThanEquals,
        Self::NumericGreaterThan,
        Self::NumericGreaterThanEquals,
        Self::DateEquals,
        Self::DateNotEquals,
        Self::DateLessThan,
        Self::DateLessThanEquals,
        Self::DateGreaterThan,
        Self::DateGreaterThanEquals,
        Self::BinaryEquals,
        Self::IpAddress,
        Self::NotIpAddress,
        Self::ArnEquals,
        Self::ArnNotEquals,
        Self::ArnLike,
        Self::ArnNotLike,
        Self::Bool,
        Self::Null,
    ];

    /// The operator's name without prefix and suffix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StringEquals => "StringEquals",
            Self::StringNotEquals => "StringNotEquals",
            Self::StringEqualsIgnoreCase => "StringEqualsIgnoreCase",
            Self::StringNotEqualsIgnoreCase => "StringNotEqualsIgnoreCase",
            Self::StringLike => "StringLike",
            Self::StringNotLike => "StringNotLike",
            Self::NumericEquals => "NumericEquals",
            Self::NumericNotEquals => "NumericNotEquals",
            Self::NumericLessThan => "NumericLessThan",
            Self::NumericLessThanEquals => "NumericLessThanEquals",
            Self::NumericGreaterThan => "NumericGreaterThan",
            Self::NumericGreaterThanEquals => "NumericGreaterThanEquals",
            Self::DateEquals => "DateEquals",
            Self::DateNotEquals => "DateNotEquals",
            Self::DateLessThan => "DateLessThan",
            Self::DateLessThanEquals => "DateLessThanEquals",
            Self::DateGreaterThan => "DateGreaterThan",
            Self::DateGreaterThanEquals => "DateGreaterThanEquals",
            Self::BinaryEquals => "BinaryEquals",
            Self::IpAddress => "IpAddress",
            Self::NotIpAddress => "NotIpAddress",
            Self::ArnEquals => "ArnEquals",
            Self::ArnNotEquals => "ArnNotEquals",
            Self::ArnLike => "ArnLike",
            Self::ArnNotLike => "ArnNotLike",
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
            Self::StringNotEquals
                | Self::StringNotEqualsIgnoreCase
                | Self::StringNotLike
                | Self::NumericNotEquals
                | Self::DateNotEquals
                | Self::NotIpAddress
                | Self::ArnNotEquals
                | Self::ArnNotLike
        )
    }

    /// Whether `*` and `?` in the policy's values are wildcards.
    #[must_use]
    pub const fn has_wildcards(self) -> bool {
        matches!(self, Self::StringLike | Self::StringNotLike)
            || matches!(self.family(), Family::Arn)
    }

    /// Whether `${…}` in the policy's values is replaced: by the operators of texts and ARNs only.
    pub(super) const fn has_variables(self) -> bool {
        matches!(self.family(), Family::Text | Family::Arn)
    }

    const fn family(self) -> Family {
        match self {
            Self::StringEquals
            | Self::StringNotEquals
            | Self::StringEqualsIgnoreCase
            | Self::StringNotEqualsIgnoreCase
            | Self::StringLike
            | Self::StringNotLike => Family::Text,
            Self::NumericEquals
            | Self::NumericNotEquals
            | Self::NumericLessThan
            | Self::NumericLessThanEquals
            | Self::NumericGreaterThan
            | Self::NumericGreaterThanEquals => Family::Number,
            Self::DateEquals
            | Self::DateNotEquals
            | Self::DateLessThan
            | Self::DateLessThanEquals
            | Self::DateGreaterThan
            | Self::DateGreaterThanEquals => Family::Date,
            Self::BinaryEquals => Family::Bytes,
            Self::IpAddress | Self::NotIpAddress => Family::Address,
            Self::ArnEquals | Self::ArnNotEquals | Self::ArnLike | Self::ArnNotLike => Family::Arn,
            Self::Bool | Self::Null => Family::Boolean,
        }
    }

    /// Checks that a value of the policy is one that the test can compare; else says what it
    /// wants, with an example.
    pub(super) fn check(self, text: &str) -> Result<(), &'static str> {
        let (fits, wanted) = match self.family() {
            Family::Text | Family::Arn => return Ok(()),
            Family::Number => (
                comparison::number(text).is_some(),
                "a number, such as \"900\"",
            ),
            Family::Date => (
                comparison::date(text).is_some(),
                "a time, such as \"2026-12-31T00:00:00Z\"",
            ),
            Family::Bytes => (
                comparison::bytes(text).is_some(),
                "base64, such as \"aWRw\"",
            ),
            Family::Address => (
                comparison::network(text).is_some(),
                "an address or a network, such as \"203.0.113.0/24\"",
            ),
            Family::Boolean => (
                text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
                "\"true\" or \"false\"",
            ),
        };
        if fits { Ok(()) } else { Err(wanted) }
    }

    /// Whether one value of the request passes.
    fn passes(self, wanted: &[Value], got: &str, context: &Context) -> bool {
        let any = |fits: fn(&Value, &str) -> bool| {
            wanted.iter().any(|value| {
                value
                    .resolve(context)
                    .is_some_and(|value| fits(&value, got))
            })
        };
        let number = |is: fn(Ordering) -> bool| {
            wanted
                .iter()
                .any(|value| comparison::compare_numbers(got, value.text()).is_some_and(is))
        };
        let date = |is: fn(Ordering) -> bool| {
            wanted
                .iter()
                .any(|value| comparison::compare_dates(got, value.text()).is_some_and(is))
        };
        match self {
            Self::StringEquals => any(Value::equals),
            Self::StringNotEquals => !any(Value::equals),
            Self::StringEqualsIgnoreCase | Self::Bool => any(Value::equals_ignore_case),
            Self::StringNotEqualsIgnoreCase => !any(Value::equals_ignore_case),
            Self::StringLike => any(Value::matches),
            Self::StringNotLike => !any(Value::matches),
            Self::ArnEquals | Self::ArnLike => any(Value::matches_arn),
            Self::ArnNotEquals | Self::ArnNotLike => !any(Value::matches_arn),
            Self::NumericEquals => number(Ordering::is_eq),
            Self::NumericNotEquals => !number(Ordering::is_eq),
            Self::NumericLessThan => number(Ordering::is_lt),
            Self::NumericLessThanEquals => number(Ordering::is_le),
            Self::NumericGreaterThan => number(Ordering::is_gt),
            Self::NumericGreaterThanEquals => number(Ordering::is_ge),
            Self::DateEquals => date(Ordering::is_eq),
            Self::DateNotEquals => !date(Ordering::is_eq),
            Self::DateLessThan => date(Ordering::is_lt),
            Self::DateLessThanEquals => date(Ordering::is_le),
            Self::DateGreaterThan => date(Ordering::is_gt),
            Self::DateGreaterThanEquals => date(Ordering::is_ge),
            Self::BinaryEquals => any(|value, got| {
                let wanted = comparison::bytes(value.text());
                wanted.is_some() && wanted == comparison::bytes(got)
            }),
            Self::IpAddress => any(|value, got| comparison::is_within(got, value.text())),
            Self::NotIpAddress => !any(|value, got| comparison::is_within(got, value.text())),
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
            let nearest = Test::ALL
                .into_iter()
                .min_by_key(|test| distance(test.name(), base))
                .filter(|test| distance(test.name(), base) <= 3);
            return unknown(nearest.map_or_else(
                || {
                    "write one of IAM's condition operators, such as StringEquals or StringLike"
                        .to_owned()
                },
                |near| format!("write {}", near.name()),
            ));
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
    /// missing; `context`: what policy variables are taken from.
    #[must_use]
    pub fn is_met(self, wanted: &[Value], got: Option<&[String]>, context: &Context) -> bool {
        let Some(got) = got.filter(|got| !got.is_empty()) else {
            return self.is_met_by_missing(wanted);
        };
        let passes = |value: &String| self.test.passes(wanted, value, context);
        match self.set {
            Some(SetOperator::ForAllValues) => got.iter().all(passes),
            // Without a prefix a negated test stays the exact opposite of the plain one.
            None if self.test.is_negated() => got.iter().all(passes),
            Some(SetOperator::ForAnyValue) | None => got.iter().any(passes),
        }
    }

    /// Whether a missing key meets the condition.
    #[must_use]
    pub fn is_met_by_missing(self, wanted: &[Value]) -> bool {
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

/// How many characters have to be added, left out or changed to make one text of the other
/// (Levenshtein).
///
/// Of texts too long to be names, the greater length: the effort grows with the product of the two.
pub(super) fn distance(a: &str, b: &str) -> usize {
    if a.len().max(b.len()) > 1024 {
        return a.len().max(b.len());
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(from != *to))
                .min(above + 1)
                .min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
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
            "ForAnyValue:ArnNotLike",
            "NumericGreaterThanEqualsIfExists",
            "NotIpAddress",
            "Null",
        ] {
            assert_eq!(Operator::parse(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_the_cure() {
        for (name, cure) in [
            ("stringEquals", "write StringEquals"),
            ("StringEqual", "write StringEquals"),
            ("IpAdress", "write IpAddress"),
            ("SomethingElse", "such as StringEquals"),
            ("NullIfExists", "without prefix"),
            ("ForAnyValue:Null", "without prefix"),
            ("ForSomeValues:StringLike", "ForAllValues or ForAnyValue"),
            ("IfExists", "such as StringEquals"),
            ("", "such as StringEquals"),
        ] {
            let error = Operator::parse(name).unwrap_err();
            assert!(error.cure.contains(cure), "{name}: {}", error.cure);
        }
    }
}

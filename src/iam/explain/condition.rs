//! Why a condition is not met.

use super::{
    Cause,
    edit::{ConditionEdit, Edit},
    near_miss::{Miss, judge, recased},
};
use crate::iam::{
    Condition, ConditionOutcome, Context, Operator, Statement, Test, Value, WebIdentityRequest,
};

/// A reason, the change that mends it, and how much that changes.
pub(super) type Diagnosis = (Cause, Edit, usize);

/// One condition of one statement, not met.
pub(super) struct Unmet<'a> {
    pub(super) index: usize,
    pub(super) statement: &'a Statement,
    pub(super) condition_index: usize,
    pub(super) outcome: &'a ConditionOutcome<'a>,
    pub(super) request: &'a WebIdentityRequest,
    pub(super) context: &'a Context,
}

impl Unmet<'_> {
    const fn condition(&self) -> &Condition {
        self.outcome.condition
    }

    fn place(&self) -> String {
        let Condition { operator, key, .. } = self.condition();
        format!("statement {}, {operator} {key}", self.index)
    }

    fn edit(&self, change: ConditionEdit) -> Edit {
        Edit::Condition {
            statement: self.index,
            condition: self.condition_index,
            change,
        }
    }

    /// The claim's name where the key is `PREFIX:claim` of this provider or of another one.
    fn claim(&self) -> Option<(&str, &str)> {
        let (prefix, claim) = self.condition().key.rsplit_once(':')?;
        (prefix.contains('.')
            || prefix.contains('/')
            || prefix.contains(':')
            || prefix == "localhost")
            .then_some((prefix, claim))
    }

    pub(super) fn diagnose(&self) -> Diagnosis {
        match self.outcome.got {
            None => self.missing(),
            Some(got) => self.differing(got),
        }
    }

    fn wanted(&self) -> String {
        let values: Vec<_> = self
            .condition()
            .values
            .iter()
            .map(Value::as_written)
            .collect();
        values.join(", ")
    }

    /// Takes the condition away; where it was the only one on who asks, puts the subject in its place.
    fn remove(&self) -> Edit {
        let sub = format!("{}:sub", self.request.provider);
        let others = self.statement.conditions.iter().enumerate();
        let guarded = others
            .filter(|(index, _)| *index != self.condition_index)
            .any(|(_, other)| other.key.eq_ignore_ascii_case(&sub));
        if guarded {
            return self.edit(ConditionEdit::Remove);
        }
        Edit::AddCondition {
            statement: self.index,
            condition: Condition::equals(sub, &self.request.subject),
        }
    }

    fn missing(&self) -> Diagnosis {
        let key = self.condition().key.clone();
        let lower = key.to_ascii_lowercase();
        let cause = |code, problem: String, cure: &str| {
            Cause::new(code, self.place(), problem, cure).with_values(self.wanted(), "no such key")
        };
        if let Some(tag) = strip_ignoring_case(&key, "aws:RequestTag/") {
            return (
                cause(
                    "tag-missing",
                    format!("the token carries no session tag {tag}"),
                    "have the issuer send session tags, or condition on sub",
                ),
                Edit::TokenTag {
                    key: tag.to_owned(),
                    value: self.witness(),
                },
                2,
            );
        }
        match lower.as_str() {
            "aws:tagkeys" | "sts:transitivetagkeys" => {
                return (
                    cause(
                        "tag-missing",
                        "the token carries no session tags".to_owned(),
                        "have the issuer send session tags, or condition on sub",
                    ),
                    Edit::TokenTag {
                        key: self.witness(),
                        value: "1".to_owned(),
                    },
                    2,
                );
            }
            "sts:sourceidentity" => {
                return (
                    cause(
                        "source-identity-missing",
                        "the token carries no source identity".to_owned(),
                        "have the issuer send it, or condition on sub",
                    ),
                    Edit::TokenSourceIdentity(self.witness()),
                    2,
                );
            }
            _ => {}
        }
        if let Some((prefix, claim)) = self.claim() {
            return self.of_provider(prefix, claim, &cause);
        }
        if lower.starts_with("aws:") || lower.starts_with("sts:") {
            return (
                cause(
                    "key-never-present",
                    format!("a request with a web identity never has {key}"),
                    "condition on sub and aud instead",
                ),
                self.remove(),
                3,
            );
        }
        (
            cause(
                "key-unknown",
                format!("{key} is no key of this request"),
                "condition on sub and aud instead",
            ),
            self.remove(),
            3,
        )
    }

    fn of_provider(
        &self,
        prefix: &str,
        claim: &str,
        cause: &dyn Fn(&'static str, String, &str) -> Cause,
    ) -> Diagnosis {
        let provider = &self.request.provider;
        let known = ["aud", "sub", "amr"]
            .into_iter()
            .find(|known| claim.eq_ignore_ascii_case(known));
        if prefix.eq_ignore_ascii_case(provider) || known.is_none() {
            let why = if claim.eq_ignore_ascii_case("iss") {
                "the issuer is pinned by the principal already".to_owned()
            } else {
                format!(
                    "of a provider's claims AWS knows only aud, sub and amr, so {claim} reaches no policy"
                )
            };
            return (
                cause(
                    "claim-not-a-key",
                    why,
                    "condition on sub, or on a session tag",
                ),
                self.remove(),
                2,
            );
        }
        let code = if prefix
            .trim_start_matches("https://")
            .trim_end_matches('/')
            .eq_ignore_ascii_case(provider.trim_end_matches('/'))
        {
            "key-spelling"
        } else {
            "key-of-another-provider"
        };
        let right = format!("{provider}:{claim}");
        // Where the right key is there too, the wrong one only stands in the way.
        let operator = self.condition().operator;
        let conditions = self.statement.conditions.iter();
        let taken = conditions
            .into_iter()
            .any(|other| other.operator == operator && other.key == right);
        let change = self.edit(if taken {
            ConditionEdit::Remove
        } else {
            ConditionEdit::Key(right.clone())
        });
        (
            cause(
                code,
                format!("the token's provider is {provider}, so its keys begin with that"),
                &format!("write the key {right}"),
            ),
            change,
            1,
        )
    }

    /// A value that the condition would take.
    fn witness(&self) -> String {
        let value = self.condition().values.first();
        let text = value.map_or("", Value::text);
        if self.condition().operator.test.has_wildcards() {
            text.replace('*', "").replace('?', "x")
        } else {
            text.to_owned()
        }
    }

    fn differing(&self, got: &[String]) -> Diagnosis {
        let condition = self.condition();
        let test = condition.operator.test;
        let shown = got.join(", ");
        let cause = |code, problem: &str, cure: &str| {
            Cause::new(code, self.place(), problem, cure).with_values(self.wanted(), &shown)
        };
        if test == Test::Null {
            return (
                cause(
                    "null-of-a-present-key",
                    "the key is there, and the policy wants it missing",
                    "remove this condition",
                ),
                self.remove(),
                2,
            );
        }
        if test.is_negated() {
            return self.excluded(got, &cause);
        }
        match test {
            Test::Bool
                if condition
                    .key
                    .eq_ignore_ascii_case("sts:RoleAuthorizedByIdp")
                    && !self.request.authorized_by_idp =>
            {
                (
                    cause(
                        "role-pin-missing",
                        "the policy wants a token that names the role, and this one names none",
                        "have the issuer pin tokens to their role",
                    ),
                    Edit::TokenRolePin,
                    2,
                )
            }
            Test::Bool => {
                let with = Value::literal(&shown);
                (
                    cause("mismatch", "the two differ", "write the other one"),
                    self.edit(ConditionEdit::Replace { index: 0, with }),
                    3,
                )
            }
            Test::IpAddress => (
                cause(
                    "source-address",
                    "the address is in none of the networks",
                    "add its network",
                ),
                self.edit(ConditionEdit::Add(Value::literal(&shown))),
                2,
            ),
            Test::DateLessThan | Test::DateLessThanEquals => (
                cause(
                    "policy-expired",
                    "the time that the policy sets is over",
                    "set a later one, or remove this condition",
                ),
                self.remove_only(),
                2,
            ),
            Test::DateGreaterThan | Test::DateGreaterThanEquals => (
                cause(
                    "policy-early",
                    "the time that the policy sets has not come",
                    "set an earlier one, or remove this condition",
                ),
                self.remove_only(),
                2,
            ),
            Test::StringEquals
            | Test::StringEqualsIgnoreCase
            | Test::StringLike
            | Test::ArnEquals
            | Test::ArnLike => self.text(got),
            _ => (
                cause(
                    "mismatch",
                    "the value does not pass the comparison",
                    "change the limit, or remove this condition",
                ),
                self.remove_only(),
                4,
            ),
        }
    }

    fn excluded(
        &self,
        got: &[String],
        cause: &dyn Fn(&'static str, &str, &str) -> Cause,
    ) -> Diagnosis {
        let condition = self.condition();

        let hit: Vec<usize> = condition
            .values
            .iter()
            .enumerate()
            .filter(|(_, value)| {
                let alone = std::slice::from_ref(*value);
                !condition.operator.is_met(alone, Some(got), self.context)
            })
            .map(|(index, _)| index)
            .collect();
        let change = if hit.len() == condition.values.len() {
            self.remove()
        } else {
            self.edit(ConditionEdit::Drop(hit))
        };
        (
            cause(
                "excluded",
                "the policy excludes this value",
                "take it out of the list",
            ),
            change,
            2,
        )
    }

    fn remove_only(&self) -> Edit {
        self.edit(ConditionEdit::Remove)
    }

    fn text(&self, got: &[String]) -> Diagnosis {
        let condition = self.condition();
        let test = condition.operator.test;
        let (is_sub, is_aud) = (self.is_key("sub"), self.is_key("aud"));
        let other = match (is_sub, is_aud) {
            (true, _) => Some(self.request.audience.as_str()),
            (_, true) => Some(self.request.subject.as_str()),
            _ => None,
        };
        // Under ForAllValues one value of the request that fits none is enough.
        let failing = got.iter().find(|got| {
            let alone = std::slice::from_ref(*got);
            !condition
                .operator
                .is_met(&condition.values, Some(alone), self.context)
        });
        let got = failing.or(got.first()).map_or("", String::as_str);
        let nearest = condition
            .values
            .iter()
            .enumerate()
            .map(|(index, value)| (judge(test, value, got, self.context, other), index, value))
            .min_by_key(|(miss, ..)| miss.rank);
        let Some((miss, index, value)) = nearest else {
            return (
                Cause::new(
                    "mismatch",
                    self.place(),
                    "the policy has no value",
                    "add one",
                ),
                self.edit(ConditionEdit::Add(Value::literal(got))),
                3,
            );
        };
        let change = self.text_change(&miss, index, value, got);
        let code = match (miss.code, is_sub, is_aud) {
            ("mismatch", true, _) => "subject-mismatch",
            ("mismatch" | "one-segment", _, true) => "audience-mismatch",
            (code, ..) => code,
        };
        let cost = if miss.near { 1 } else { 3 };
        let cause = Cause::new(code, self.place(), miss.problem, cure(&change, value, got))
            .with_values(value.as_written(), got);
        (cause, self.edit(change), cost)
    }

    fn text_change(&self, miss: &Miss, index: usize, value: &Value, got: &str) -> ConditionEdit {
        let literal = Value::literal(got);
        match miss.code {
            "wildcard-under-equals" => {
                let operator = Operator {
                    test: Test::StringLike,
                    ..self.condition().operator
                };
                let taken =
                    self.statement.conditions.iter().any(|other| {
                        other.operator == operator && other.key == self.condition().key
                    });
                // Other values would become patterns as well, which is the same only without wildcards.
                if taken {
                    ConditionEdit::Add(literal)
                } else {
                    ConditionEdit::Operator(operator)
                }
            }
            "case" => {
                let with = recased(value, got)
                    .filter(|with| self.fits(with, got))
                    .unwrap_or(literal);
                ConditionEdit::Replace { index, with }
            }
            _ if miss.near => ConditionEdit::Replace {
                index,
                with: literal,
            },
            _ => ConditionEdit::Add(literal),
        }
    }

    fn fits(&self, value: &Value, got: &str) -> bool {
        let got = [got.to_owned()];
        self.condition()
            .operator
            .is_met(std::slice::from_ref(value), Some(&got), self.context)
    }

    fn is_key(&self, claim: &str) -> bool {
        self.condition()
            .key
            .eq_ignore_ascii_case(&format!("{}:{claim}", self.request.provider))
    }
}

fn cure(change: &ConditionEdit, value: &Value, got: &str) -> String {
    match change {
        ConditionEdit::Operator(operator) => {
            format!("write {operator}, or the whole value {got:?}")
        }
        ConditionEdit::Replace { with, .. } => {
            format!(
                "write {:?} instead of {:?}",
                with.as_written(),
                value.as_written()
            )
        }
        _ => format!(
            "add {got:?} if this token is to be let in; else ask why it is not {:?}",
            value.as_written()
        ),
    }
}

fn strip_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

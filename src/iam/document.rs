//! A trust policy as people have it at hand: the policy itself, the output of `aws iam get-role`, or
//! either of them URL-encoded as the IAM API gives it.

use percent_encoding::percent_decode_str;

use super::{
    Condition, Policy, PolicyError, Position,
    error::Problem,
    json::{self, Kind, Node},
    parse::{MAX_TEXT, trust_policy},
};
use crate::domain::RoleArn;

/// A policy with the places of its elements, and what came along with it.
#[derive(Clone, Debug)]
pub struct Document {
    /// The policy.
    pub policy: Policy,
    /// The role that it belongs to, where the text was a role's description.
    pub role: Option<DescribedRole>,
    text: String,
    root: Node,
}

/// What a role's description says beside its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedRole {
    /// The role.
    pub arn: RoleArn,
    /// The longest session, in seconds.
    pub max_session_duration: Option<u32>,
}

/// A part of a policy that has a place.
#[derive(Clone, Copy, Debug)]
pub enum Element<'a> {
    /// The policy.
    Policy,
    /// A statement, by its index.
    Statement(usize),
    /// A member of a statement: `Principal`, `Action`.
    Member(usize, &'a str),
    /// A condition of a statement.
    Condition(usize, &'a Condition),
}

impl Document {
    /// Reads any of the forms.
    ///
    /// # Errors
    /// Not one of them, or not a policy. Lines and columns are those of the decoded text where it
    /// was URL-encoded.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        // Three bytes for each that is encoded.
        if text.len() > 3 * MAX_TEXT {
            return Err(PolicyError::TooLong {
                bytes: text.len(),
                limit: MAX_TEXT,
            });
        }
        if text.trim_start().starts_with('%') {
            let decoded = percent_decode_str(text.trim()).decode_utf8_lossy();
            return Self::decoded(&decoded);
        }
        Self::decoded(text)
    }

    fn decoded(text: &str) -> Result<Self, PolicyError> {
        let located = |problem: Problem| problem.within(text);
        let node = json::parse(text).map_err(located)?;
        let (node, role) = unwrap_role(node).map_err(located)?;
        // A policy within quotes has a text of its own.
        if let Kind::String(inner) = &node.kind {
            let inner = if inner.trim_start().starts_with('%') {
                percent_decode_str(inner.trim())
                    .decode_utf8_lossy()
                    .into_owned()
            } else {
                inner.clone()
            };
            let root = json::parse(&inner).map_err(|problem| problem.within(&inner))?;
            return Self::read(inner, root, role);
        }
        Self::read(text.to_owned(), node, role)
    }

    fn read(text: String, root: Node, role: Option<DescribedRole>) -> Result<Self, PolicyError> {
        if text.len() > MAX_TEXT {
            return Err(PolicyError::TooLong {
                bytes: text.len(),
                limit: MAX_TEXT,
            });
        }
        let policy = trust_policy(root.clone()).map_err(|problem| problem.within(&text))?;
        Ok(Self {
            policy,
            role,
            text,
            root,
        })
    }

    /// Where an element begins.
    #[must_use]
    pub fn position(&self, element: Element<'_>) -> Position {
        json::position(&self.text, self.offset(element).unwrap_or(self.root.at))
    }

    /// How many characters IAM counts: all but white space.
    #[must_use]
    pub fn size(&self) -> usize {
        serde_json::to_string(&self.policy).map_or(0, |text| text.chars().count())
    }

    fn offset(&self, element: Element<'_>) -> Option<usize> {
        let (index, rest) = match element {
            Element::Policy => return None,
            Element::Statement(index) => (index, None),
            Element::Member(index, name) => (index, Some((name, None))),
            Element::Condition(index, condition) => (index, Some(("Condition", Some(condition)))),
        };
        let statements = &self.root.member("Statement")?.value;
        let statement = match &statements.kind {
            Kind::Array(items) => items.get(index)?,
            _ => statements,
        };
        let Some((name, condition)) = rest else {
            return Some(statement.at);
        };
        let member = statement.member(name)?;
        let Some(condition) = condition else {
            return Some(member.at);
        };
        let operator = member.value.member(&condition.operator.to_string())?;
        Some(operator.value.member(&condition.key)?.at)
    }
}

/// The policy within the output of `aws iam get-role`, of `aws iam list-roles` where that lists one
/// role, or within the role itself.
fn unwrap_role(node: Node) -> Result<(Node, Option<DescribedRole>), Problem> {
    if let Some(role) = node.member("Role") {
        return unwrap_role(role.value.clone());
    }
    if let Some(roles) = node.member("Roles") {
        return Err(Problem::element(
            roles.at,
            "Roles",
            "this is a list of roles",
            "take one: aws iam get-role --role-name NAME",
        ));
    }
    let Some(document) = node.member("AssumeRolePolicyDocument") else {
        return Ok((node, None));
    };
    let arn = node.member("Arn").and_then(|member| member.value.text());
    let role = arn
        .and_then(|text| text.parse().ok())
        .map(|arn| DescribedRole {
            arn,
            max_session_duration: node.member("MaxSessionDuration").and_then(
                |member| match &member.value.kind {
                    Kind::Number(text) => text.parse().ok(),
                    _ => None,
                },
            ),
        });
    Ok((document.value.clone(), role))
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/i.example"},
   "Action":"sts:AssumeRoleWithWebIdentity",
   "Condition":{"StringLike":{"i.example:sub":"a*"}}}]}"#;

    #[test]
    fn reads_every_form_as_the_same() {
        let plain = Document::parse(POLICY).unwrap();
        let encoded = utf8_percent_encode(POLICY, NON_ALPHANUMERIC).to_string();
        let role = |document: &str| {
            format!(
                r#"{{"Role":{{"Path":"/","RoleName":"ci","Arn":"arn:aws:iam::123456789012:role/ci","AssumeRolePolicyDocument":{document},"MaxSessionDuration":7200,"RoleLastUsed":{{}}}}}}"#
            )
        };
        for (text, described) in [
            (encoded.clone(), false),
            (format!("{encoded}\n"), false),
            (format!("\"{encoded}\""), false),
            (role(POLICY), true),
            (role(&format!("\"{encoded}\"")), true),
            (role(&serde_json::to_string(POLICY).unwrap()), true),
            (format!("{{\"AssumeRolePolicyDocument\":{POLICY}}}"), false),
        ] {
            let document = Document::parse(&text).unwrap();
            assert_eq!(document.policy, plain.policy, "{text}");
            let duration = document.role.and_then(|role| role.max_session_duration);
            assert_eq!(duration, described.then_some(7200), "{text}");
        }
    }

    #[test]
    fn elements_have_places() {
        let document = Document::parse(POLICY).unwrap();
        let condition = &document.policy.statements[0].conditions[0];
        let place = |element| document.position(element).to_string();
        assert_eq!(place(Element::Policy), "line 1, column 1");
        assert_eq!(place(Element::Statement(0)), "line 2, column 3");
        assert_eq!(place(Element::Member(0, "Action")), "line 3, column 4");
        assert_eq!(place(Element::Condition(0, condition)), "line 4, column 31");
    }

    #[test]
    fn says_what_else_it_is() {
        for (text, says) in [
            (r#"{"Roles":[]}"#, "take one: aws iam get-role"),
            ("%7B%22Version", "not JSON"),
            ("\"hello\"", "not JSON"),
            (
                "",
                "line 1, column 1: not JSON: a value is missing: the text ends here",
            ),
            (
                &"[".repeat(400_000),
                "IAM takes no policy of more than 131072",
            ),
        ] {
            let error = Document::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}

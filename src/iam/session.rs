//! Session policies: what a role session may do at most, beside what the role may do.

use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap as _},
};

use super::{
    Actions, Condition, Context, Decision, Effect, Value, Version,
    write::{conditions, written},
};

/// A session policy: an identity policy that STS takes when a role is assumed. The session may do what
/// both it and the role's own policies allow.
/// ([Session policies](https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session))
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// The language version.
    pub version: Version,
    /// The `Id` member.
    pub id: Option<String>,
    /// The statements.
    pub statements: Vec<SessionStatement>,
}

/// One statement: where action, resource and every condition fit, its effect counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStatement {
    /// The `Sid` member.
    pub sid: Option<String>,
    /// Allow or deny.
    pub effect: Effect,
    /// Which actions it concerns.
    pub actions: Actions,
    /// Which resources it concerns.
    pub resources: Resources,
    /// All of them must be met.
    pub conditions: Vec<Condition>,
}

/// Which resources a statement concerns: patterns of ARNs, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resources {
    /// `Resource`: these.
    Only(Vec<Value>),
    /// `NotResource`: all but these.
    AllBut(Vec<Value>),
}

impl SessionPolicy {
    /// The most characters that STS takes as `Policy`.
    /// ([AssumeRoleWithWebIdentity](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html))
    pub const MOST_CHARACTERS: usize = 2048;

    /// A policy of version 2012-10-17.
    #[must_use]
    pub const fn new(statements: Vec<SessionStatement>) -> Self {
        Self {
            version: Version::V2012,
            id: None,
            statements,
        }
    }

    /// The policy as JSON without spaces; what [`SessionPolicy::parse`] reads back as the same policy.
    ///
    /// A policy that was read always has such a form. One that was made in code has none where a
    /// statement has two conditions with one operator and key; then it is a policy that allows nothing.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| {
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#
                .to_owned()
        })
    }

    /// Decides whether a session may take `action` on the resource with ARN `resource` (`*` for an
    /// action that is on no resource), as far as this policy goes.
    #[must_use]
    pub fn decide(&self, action: &str, resource: &str, context: &Context) -> Decision {
        let find = |effect| {
            self.statements.iter().position(|statement| {
                statement.effect == effect
                    && statement.actions.concern(action)
                    && statement.resources.concern(resource, context)
                    && statement
                        .conditions
                        .iter()
                        .all(|condition| condition.outcome(context).holds(effect))
            })
        };
        find(Effect::Deny).map_or_else(
            || find(Effect::Allow).map_or(Decision::NotAllowed, Decision::Allowed),
            Decision::Denied,
        )
    }
}

impl Resources {
    fn concern(&self, resource: &str, context: &Context) -> bool {
        let among = |patterns: &[Value]| {
            patterns.iter().any(|pattern| {
                pattern.as_written() == "*"
                    || pattern
                        .resolve(context)
                        .is_some_and(|pattern| pattern.matches_arn(resource))
            })
        };
        match self {
            Self::Only(patterns) => among(patterns),
            Self::AllBut(patterns) => !among(patterns),
        }
    }
}

impl Serialize for SessionPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("Version", self.version.as_str())?;
        if let Some(id) = &self.id {
            members.serialize_entry("Id", id)?;
        }
        members.serialize_entry("Statement", &self.statements)?;
        members.end()
    }
}

impl Serialize for SessionStatement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        if let Some(sid) = &self.sid {
            members.serialize_entry("Sid", sid)?;
        }
        members.serialize_entry("Effect", self.effect.as_str())?;
        match &self.actions {
            Actions::Only(actions) => members.serialize_entry("Action", &written(actions))?,
            Actions::AllBut(actions) => members.serialize_entry("NotAction", &written(actions))?,
        }
        match &self.resources {
            Resources::Only(resources) => {
                members.serialize_entry("Resource", &written(resources))?;
            }
            Resources::AllBut(resources) => {
                members.serialize_entry("NotResource", &written(resources))?;
            }
        }
        if !self.conditions.is_empty() {
            let conditions = conditions(&self.conditions).map_err(S::Error::custom)?;
            members.serialize_entry("Condition", &conditions)?;
        }
        members.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> SessionPolicy {
        SessionPolicy::parse(text).unwrap()
    }

    #[test]
    fn decides_by_action_resource_and_condition() {
        let policy = policy(
            r#"{"Version":"2012-10-17","Statement":[
                {"Effect":"Allow","Action":["s3:Get*","s3:ListBucket"],"Resource":["arn:aws:s3:::a","arn:aws:s3:::a/*"]},
                {"Effect":"Allow","Action":"sqs:*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}},
                {"Effect":"Deny","Action":"*","NotResource":["arn:aws:s3:::a*","arn:aws:sqs:*:*:jobs"]}]}"#,
        );
        let mut here = Context::new();
        here.set("aws:RequestedRegion", "eu-west-1");
        let mut there = Context::new();
        there.set("aws:RequestedRegion", "us-east-1");
        for (action, resource, context, allowed) in [
            ("s3:GetObject", "arn:aws:s3:::a/k:1", &there, true),
            ("S3:getobject", "arn:aws:s3:::a/k", &there, true),
            ("s3:GetObject", "arn:aws:s3:::b/k", &there, false),
            ("s3:PutObject", "arn:aws:s3:::a/k", &there, false),
            (
                "sqs:SendMessage",
                "arn:aws:sqs:eu-west-1:1:jobs",
                &here,
                true,
            ),
            (
                "sqs:SendMessage",
                "arn:aws:sqs:eu-west-1:1:jobs",
                &there,
                false,
            ),
            ("sqs:SendMessage", "arn:aws:sqs:eu-west-1:1:x", &here, false),
        ] {
            let decision = policy.decide(action, resource, context);
            assert_eq!(decision.is_allowed(), allowed, "{action} {resource}");
        }
        assert_eq!(SessionPolicy::parse(&policy.to_json()).unwrap(), policy);
    }

    #[test]
    fn what_sts_would_refuse_is_refused_with_its_place() {
        for (text, says) in [
            ("{}", "Statement"),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"s3:*"}}"#,
                "Resource: it is missing",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#,
                "Action: it is missing",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"s3","Resource":"*"}}"#,
                "is not an action",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}}"#,
                "is neither an ARN nor",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}}"#,
                "concerns its session",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Conditions":{}}}"#,
                "write Condition",
            ),
        ] {
            let error = SessionPolicy::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}

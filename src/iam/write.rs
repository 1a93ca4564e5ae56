//! Policies made in code, and policies as JSON.

use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap as _},
};
use serde_json::{Map, Value as Json};

use super::{
    Actions, Condition, Effect, Operator, Policy, PrincipalKind, Principals, Statement, Test,
    Value, Version,
};

impl Policy {
    /// A policy of version 2012-10-17.
    #[must_use]
    pub const fn new(statements: Vec<Statement>) -> Self {
        Self {
            version: Version::V2012,
            id: None,
            statements,
        }
    }

    /// The policy as indented JSON with a newline at its end; what [`Policy::parse_trust`] reads
    /// back as the same policy.
    ///
    /// # Errors
    /// See [`Policy::serialize`].
    pub fn to_json_pretty(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }
}

impl Statement {
    /// Allows principals of an identity provider (its ARN) these actions, such as
    /// `sts:AssumeRoleWithWebIdentity`, under these conditions.
    #[must_use]
    pub fn allow_federated(
        provider_arn: impl Into<String>,
        actions: &[&str],
        conditions: Vec<Condition>,
    ) -> Self {
        Self {
            sid: None,
            effect: Effect::Allow,
            principals: Principals::Only(vec![(PrincipalKind::Federated, provider_arn.into())]),
            actions: Actions::Only(actions.iter().map(|name| Value::literal(name)).collect()),
            conditions,
        }
    }

    /// The same statement with a `Sid` (letters and digits, once in a policy).
    #[must_use]
    pub fn with_sid(mut self, sid: impl Into<String>) -> Self {
        self.sid = Some(sid.into());
        self
    }
}

impl Condition {
    /// A condition whose key must pass `test` with one of `values`.
    #[must_use]
    pub fn new(test: Test, key: impl Into<String>, values: Vec<Value>) -> Self {
        Self {
            operator: Operator::new(test),
            key: key.into(),
            values,
        }
    }

    /// `StringEquals` with one value, whatever characters are in it.
    #[must_use]
    pub fn equals(key: impl Into<String>, value: &str) -> Self {
        Self::new(Test::StringEquals, key, vec![Value::literal(value)])
    }
}

impl Version {
    /// As a policy writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2008 => "2008-10-17",
            Self::V2012 => "2012-10-17",
        }
    }
}

impl Effect {
    /// As a policy writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

impl PrincipalKind {
    /// As a policy writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "AWS",
            Self::Federated => "Federated",
            Self::Service => "Service",
            Self::CanonicalUser => "CanonicalUser",
        }
    }
}

impl Serialize for Policy {
    /// In AWS's order of members; a list of one is written as its one item.
    ///
    /// # Errors
    /// Two conditions of a statement have the same operator and key: JSON can hold only one of
    /// them, and values in one list would mean "or".
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

impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        if let Some(sid) = &self.sid {
            members.serialize_entry("Sid", sid)?;
        }
        members.serialize_entry("Effect", self.effect.as_str())?;
        match &self.principals {
            Principals::Everyone => members.serialize_entry("Principal", "*")?,
            Principals::Only(listed) => members.serialize_entry("Principal", &by_kind(listed))?,
            Principals::AllBut(listed) => {
                members.serialize_entry("NotPrincipal", &by_kind(listed))?;
            }
        }
        match &self.actions {
            Actions::Only(actions) => members.serialize_entry("Action", &written(actions))?,
            Actions::AllBut(actions) => members.serialize_entry("NotAction", &written(actions))?,
        }
        if !self.conditions.is_empty() {
            let conditions = conditions(&self.conditions).map_err(S::Error::custom)?;
            members.serialize_entry("Condition", &conditions)?;
        }
        members.end()
    }
}

fn by_kind(listed: &[(PrincipalKind, String)]) -> Map<String, Json> {
    let mut kinds: Map<String, Json> = Map::new();
    for (kind, name) in listed {
        let names = kinds
            .entry(kind.as_str())
            .or_insert_with(|| Json::Array(Vec::new()));
        if let Json::Array(names) = names {
            names.push(name.as_str().into());
        }
    }
    kinds
        .into_iter()
        .map(|(kind, names)| (kind, one_or_list(names)))
        .collect()
}

pub(super) fn conditions(conditions: &[Condition]) -> Result<Map<String, Json>, String> {
    let mut operators: Map<String, Json> = Map::new();
    for condition in conditions {
        let name = condition.operator.to_string();
        let keys = operators
            .entry(name.as_str())
            .or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(keys) = keys
            && keys
                .insert(condition.key.clone(), written(&condition.values))
                .is_some()
        {
            return Err(format!(
                "{name} on {} is there twice, which JSON cannot hold",
                condition.key
            ));
        }
    }
    Ok(operators)
}

pub(super) fn written(values: &[Value]) -> Json {
    one_or_list(values.iter().map(Value::as_written).collect())
}

fn one_or_list(list: Json) -> Json {
    match list {
        Json::Array(mut items) if items.len() == 1 => items.remove(0),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROVIDER: &str = "arn:aws:iam::123456789012:oidc-provider/idp.example.com";

    #[test]
    fn writes_what_people_write() {
        let policy = Policy::new(vec![
            Statement::allow_federated(
                PROVIDER,
                &["sts:AssumeRoleWithWebIdentity"],
                vec![
                    Condition::equals("idp.example.com:aud", "sts.amazonaws.com"),
                    Condition::new(
                        Test::StringLike,
                        "idp.example.com:sub",
                        vec![Value::pattern("org:1/*").unwrap(), Value::literal("a*")],
                    ),
                    Condition::equals("aws:RequestTag/team", "a"),
                ],
            )
            .with_sid("Ci"),
        ]);
        assert_eq!(
            serde_json::to_string(&policy).unwrap(),
            r#"{"Version":"2012-10-17","Statement":[{"Sid":"Ci","Effect":"Allow","Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/idp.example.com"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"idp.example.com:aud":"sts.amazonaws.com","aws:RequestTag/team":"a"},"StringLike":{"idp.example.com:sub":["org:1/*","a${*}"]}}}]}"#
        );
        assert!(policy.to_json_pretty().unwrap().ends_with("}\n"));
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        let twice = vec![Condition::equals("k", "a"), Condition::equals("k", "b")];
        let policy = Policy::new(vec![Statement::allow_federated(
            PROVIDER,
            &["sts:*"],
            twice,
        )]);
        let error = policy.to_json_pretty().unwrap_err().to_string();
        assert!(
            error.contains("StringEquals on k is there twice"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn reads_back_as_the_same(
            sid in proptest::option::of("[a-z]{1,5}"),
            deny in any::<bool>(),
            values in proptest::collection::vec("[a-z*?${}]{0,6}", 1..4),
            test in proptest::sample::select(vec![
                Test::StringEquals, Test::StringLike, Test::StringNotEqualsIgnoreCase,
            ]),
        ) {
            let values = values.iter().map(|text| Value::literal(text)).collect();
            let mut statement = Statement::allow_federated(
                PROVIDER,
                &["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
                vec![Condition::new(test, "idp.example.com:sub", values)],
            );
            statement.sid = sid;
            statement.effect = if deny { Effect::Deny } else { Effect::Allow };
            let policy = Policy::new(vec![statement]);
            let text = policy.to_json_pretty().unwrap();
            prop_assert_eq!(Policy::parse_trust(&text).unwrap(), policy);
        }
    }
}

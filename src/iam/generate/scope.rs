//! Whom a role trusts.

use serde_json::{Map, Value, json};

use crate::domain::{EnvironmentId, OrganizationId, ProjectId, Subject};

/// All environments of an organisation, those of one project, or one environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The organisation.
    pub organization: OrganizationId,
    /// The project; with an environment, the one that it belongs to.
    pub project: Option<ProjectId>,
    /// The environment.
    pub environment: Option<EnvironmentId>,
}

impl Scope {
    /// Whether a subject is within.
    #[must_use]
    pub fn contains(&self, subject: &Subject) -> bool {
        self.organization == subject.organization
            && match self.environment {
                Some(environment) => {
                    environment == subject.environment && self.project == subject.project
                }
                None => self.project.is_none() || self.project == subject.project,
            }
    }

    /// The condition operator on `sub`, and its values. An environment's `sub` is written whole. A
    /// wildcard stands only where a whole id does, at the places that ids have, because a looser one
    /// would admit whatever kinds of principal come later.
    pub(super) fn subjects(&self) -> (&'static str, Vec<String>) {
        let organization = format!("org:{}", self.organization);
        match (self.project, self.environment) {
            (project, Some(environment)) => {
                let subject = Subject {
                    organization: self.organization,
                    project,
                    environment,
                };
                ("StringEquals", vec![subject.to_string()])
            }
            (Some(project), None) => (
                "StringLike",
                vec![format!("{organization}/prj:{project}/env:*")],
            ),
            (None, None) => (
                "StringLike",
                vec![
                    format!("{organization}/env:*"),
                    format!("{organization}/prj:*/env:*"),
                ],
            ),
        }
    }
}

/// One value bare, several as a list.
pub(super) fn one_or_many(mut values: Vec<String>) -> Value {
    if values.len() == 1 {
        json!(values.remove(0))
    } else {
        json!(values)
    }
}

/// Adds a condition, beside others of the same operator.
pub(super) fn add(conditions: &mut Map<String, Value>, operator: &str, key: &str, value: Value) {
    let keys = conditions
        .entry(operator)
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(keys) = keys {
        keys.insert(key.to_owned(), value);
    }
}

//! The `sub` of a token: what an AWS trust policy matches.

use std::fmt;

use super::{EnvironmentId, OrganizationId, ProjectId};

/// A v2 subject: `org:<O>/prj:<P>/env:<E>`, without a project `org:<O>/env:<E>`.
///
/// Every segment is an identifier and can hold neither a separator nor a wildcard, so no value
/// forges a segment. At most 128 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The tenant.
    pub organization: OrganizationId,
    /// The project, where the environment belongs to one.
    pub project: Option<ProjectId>,
    /// The environment itself.
    pub environment: EnvironmentId,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "org:{}", self.organization)?;
        if let Some(project) = self.project {
            write!(f, "/prj:{project}")?;
        }
        write!(f, "/env:{}", self.environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_shape_that_trust_policies_match() {
        let subject = Subject {
            organization: "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap(),
            project: Some("019527e4-75d5-704d-a5a4-a2b52cf56198".parse().unwrap()),
            environment: "019527e4-75d5-704d-a5a4-a2b52cf56196".parse().unwrap(),
        };
        let text = subject.to_string();
        assert_eq!(
            text,
            "org:0191e223-1c3c-7607-badf-303c98b52d2f/prj:019527e4-75d5-704d-a5a4-a2b52cf56198/\
             env:019527e4-75d5-704d-a5a4-a2b52cf56196"
        );
        assert!(text.len() <= 127, "Google Cloud's limit");
        let without = Subject {
            project: None,
            ..subject
        };
        assert_eq!(
            without.to_string(),
            "org:0191e223-1c3c-7607-badf-303c98b52d2f/env:019527e4-75d5-704d-a5a4-a2b52cf56196"
        );
    }
}

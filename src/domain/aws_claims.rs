//! The claims that AWS takes from a token into its policies and into CloudTrail.

use icu_properties::{
    CodePointMapData,
    props::{GeneralCategory, GeneralCategoryGroup},
};
use serde::{Serialize, ser::SerializeMap};

use super::{EnvironmentId, Name, RoleArn, Subject};

/// Which of these claims the tokens of an organisation carry. All off by default: a role whose
/// trust policy does not allow `sts:TagSession` or `sts:SetSourceIdentity` refuses a token that
/// needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AwsClaims {
    /// `https://aws.amazon.com/tags`: ids and names as session tags.
    pub session_tags: bool,
    /// `https://aws.amazon.com/source_identity`: the environment's id.
    pub source_identity: bool,
    /// `https://aws.amazon.com/roles`: the only roles that the token is good for.
    pub role_pin: bool,
}

/// A change of [`AwsClaims`]; what is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AwsClaimsChange {
    /// Session tags.
    pub session_tags: Option<bool>,
    /// Source identity.
    pub source_identity: Option<bool>,
    /// Role pin.
    pub role_pin: Option<bool>,
}

impl AwsClaimsChange {
    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.session_tags.is_none() && self.source_identity.is_none() && self.role_pin.is_none()
    }

    /// What `before` becomes.
    #[must_use]
    pub fn applied_to(self, before: AwsClaims) -> AwsClaims {
        AwsClaims {
            session_tags: self.session_tags.unwrap_or(before.session_tags),
            source_identity: self.source_identity.unwrap_or(before.source_identity),
            role_pin: self.role_pin.unwrap_or(before.role_pin),
        }
    }
}

/// The names that session tags carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagNames {
    /// The organisation's.
    pub organization: Name,
    /// The project's, where the environment belongs to one.
    pub project: Option<Name>,
    /// The environment's.
    pub environment: Name,
}

/// What an environment's claims for AWS are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsProfile {
    /// What its organisation has turned on.
    pub claims: AwsClaims,
    /// The names; there where session tags are on.
    pub names: Option<TagNames>,
    /// The roles that its tokens may be pinned to; any if `None`.
    pub role_arns: Option<Vec<RoleArn>>,
}

/// The claims for AWS of one token; those that are off are not written at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AwsTokenClaims {
    /// Session tags.
    #[serde(
        rename = "https://aws.amazon.com/tags",
        skip_serializing_if = "Option::is_none"
    )]
    pub tags: Option<SessionTags>,
    /// The source identity: 2–64 of `[\w+=,.@-]`, which an id always is.
    #[serde(
        rename = "https://aws.amazon.com/source_identity",
        skip_serializing_if = "Option::is_none"
    )]
    pub source_identity: Option<EnvironmentId>,
    /// The roles that the token is pinned to.
    #[serde(
        rename = "https://aws.amazon.com/roles",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub roles: Vec<RoleArn>,
}

/// The keys that a session which is chained from this one keeps and cannot change: the ids.
const TRANSITIVE: [&str; 3] = ["organization_id", "project_id", "environment_id"];

/// Session tags: ids and names of organisation, project and environment, all of which AWS takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTags(Vec<(&'static str, String)>);

/// A name that cannot be a session tag's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {what}'s name {:?} cannot be an AWS session tag because of the character U+{:04X}: tags \
     hold letters, digits, spaces and _.:/=+-@",
    .name.as_str(), *.character as u32
)]
pub struct TagError {
    /// Whose name.
    pub what: &'static str,
    /// The name.
    pub name: Name,
    /// The first character that does not fit.
    pub character: char,
}

impl SessionTags {
    /// The tags of an environment.
    ///
    /// # Errors
    /// A name has a character that AWS does not take. It would refuse the whole token, and a name
    /// that is changed on the way could pass for another.
    pub fn new(subject: &Subject, names: &TagNames) -> Result<Self, TagError> {
        let mut tags = Vec::with_capacity(6);
        tags.push(("organization_id", subject.organization.to_string()));
        tags.push((
            "organization_name",
            tag_value("organisation", &names.organization)?,
        ));
        if let (Some(id), Some(name)) = (subject.project, &names.project) {
            tags.push(("project_id", id.to_string()));
            tags.push(("project_name", tag_value("project", name)?));
        }
        tags.push(("environment_id", subject.environment.to_string()));
        tags.push((
            "environment_name",
            tag_value("environment", &names.environment)?,
        ));
        Ok(Self(tags))
    }

    /// Every tag's key and value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(key, value)| (*key, value.as_str()))
    }

    /// The keys that a session which is chained from this one keeps and cannot change.
    pub fn transitive_keys(&self) -> impl Iterator<Item = &'static str> {
        let there = |key: &&str| self.0.iter().any(|(other, _)| other == key);
        TRANSITIVE.into_iter().filter(there)
    }
}

/// `{"principal_tags": {"KEY": ["VALUE"]}, "transitive_tag_keys": ["KEY"]}`, the form in which AWS
/// takes tags ([session tags with web identity]).
///
/// [session tags with web identity]: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_adding-assume-role-idp
impl Serialize for SessionTags {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Values<'a>(&'a [(&'static str, String)]);
        impl Serialize for Values<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(key, value)| (key, [value])))
            }
        }
        let transitive: Vec<_> = self.transitive_keys().collect();
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("principal_tags", &Values(&self.0))?;
        map.serialize_entry("transitive_tag_keys", &transitive)?;
        map.end()
    }
}

/// A name as a tag's value. Its length fits: names have 128 characters, values may have 256.
///
/// # Errors
/// It has a character that AWS does not take.
pub fn tag_value(what: &'static str, name: &Name) -> Result<String, TagError> {
    match name.as_str().chars().find(|c| !is_tag_char(*c)) {
        None => Ok(name.as_str().to_owned()),
        Some(character) => Err(TagError {
            what,
            name: name.clone(),
            character,
        }),
    }
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`: what STS takes in the keys and values of session tags.
#[must_use]
pub fn is_tag_char(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c);
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    [
        GeneralCategoryGroup::Letter,
        GeneralCategoryGroup::Number,
        GeneralCategoryGroup::Separator,
    ]
    .into_iter()
    .any(|group| group.contains(category))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What could pass for more than itself in a policy.
    const FORGING: [char; 7] = ['*', '?', '$', '{', '%', '"', '\\'];

    fn subject() -> Subject {
        Subject {
            organization: "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap(),
            project: Some("019527e4-75d5-704d-a5a4-a2b52cf56198".parse().unwrap()),
            environment: "019527e4-75d5-704d-a5a4-a2b52cf56196".parse().unwrap(),
        }
    }

    fn names(environment: &str) -> TagNames {
        TagNames {
            organization: "Acme GmbH".parse().unwrap(),
            project: Some("web".parse().unwrap()),
            environment: environment.parse().unwrap(),
        }
    }

    #[test]
    fn claims_have_the_form_that_aws_takes() {
        let claims = AwsTokenClaims {
            tags: Some(SessionTags::new(&subject(), &names("zürich-1")).unwrap()),
            source_identity: Some(subject().environment),
            roles: vec!["arn:aws:iam::123456789012:role/demo".parse().unwrap()],
        };
        assert_eq!(
            serde_json::to_value(&claims).unwrap(),
            json!({
                "https://aws.amazon.com/tags": {
                    "principal_tags": {
                        "organization_id": ["0191e223-1c3c-7607-badf-303c98b52d2f"],
                        "organization_name": ["Acme GmbH"],
                        "project_id": ["019527e4-75d5-704d-a5a4-a2b52cf56198"],
                        "project_name": ["web"],
                        "environment_id": ["019527e4-75d5-704d-a5a4-a2b52cf56196"],
                        "environment_name": ["zürich-1"],
                    },
                    "transitive_tag_keys": ["organization_id", "project_id", "environment_id"],
                },
                "https://aws.amazon.com/source_identity": "019527e4-75d5-704d-a5a4-a2b52cf56196",
                "https://aws.amazon.com/roles": ["arn:aws:iam::123456789012:role/demo"],
            })
        );
        let none = serde_json::to_value(AwsTokenClaims::default()).unwrap();
        assert_eq!(none, json!({}));
    }

    #[test]
    fn without_a_project_there_is_no_tag_of_one() {
        let subject = Subject {
            project: None,
            ..subject()
        };
        let names = TagNames {
            project: None,
            ..names("ci")
        };
        let tags = serde_json::to_value(SessionTags::new(&subject, &names).unwrap()).unwrap();
        assert_eq!(
            tags["transitive_tag_keys"],
            json!(["organization_id", "environment_id"])
        );
        assert_eq!(tags["principal_tags"].as_object().unwrap().len(), 4);
    }

    #[test]
    fn case_11_what_aws_would_not_take_is_refused_and_named() {
        for (name, character) in [
            ("a*", '*'),
            ("a?b", '?'),
            ("${aws:username}", '$'),
            ("50%2F", '%'),
            ("a\\b", '\\'),
            ("a,b", ','),
            ("\"", '"'),
            ("кий\u{0301}", '\u{0301}'),
            ("Ⓐ", 'Ⓐ'),
            ("🦀", '🦀'),
        ] {
            let error = SessionTags::new(&subject(), &names(name)).unwrap_err();
            assert_eq!((error.what, error.character), ("environment", character));
            assert!(error.to_string().contains("cannot be an AWS session tag"));
        }
        for name in ["a:b/c", "x=y+z@w_v-u.t", "名前", "Ünïcödé 1", "Ⅷ", "٣"] {
            SessionTags::new(&subject(), &names(name)).unwrap();
        }
    }

    proptest! {
        #[test]
        fn every_name_is_taken_whole_or_refused(name in "\\PC{1,40}") {
            if let Ok(name) = name.parse::<Name>() {
                match tag_value("environment", &name) {
                    Ok(value) => {
                        prop_assert_eq!(&value, name.as_str());
                        prop_assert!(value.chars().count() <= 256);
                        prop_assert!(!value.contains(FORGING));
                    }
                    Err(error) => prop_assert!(!is_tag_char(error.character)),
                }
            }
        }
    }
}

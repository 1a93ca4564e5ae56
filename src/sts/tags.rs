//! Session tags in a token.

use serde_json::{Map, Value};

use super::Refusal;
use crate::domain::is_tag_char;

const CLAIM: &str = "https://aws.amazon.com/tags";
const FLAT_TAG: &str = "https://aws.amazon.com/tags/principal_tags/";
const FLAT_TRANSITIVE: &str = "https://aws.amazon.com/tags/transitive_tag_keys";

/// The most tags a session can have.
const MOST: usize = 50;

/// A session's tags.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SessionTags {
    /// Keys and values.
    pub(super) tags: Vec<(String, String)>,
    /// The keys that a chained session keeps.
    pub(super) transitive: Vec<String>,
}

/// Reads the tags in both forms that AWS takes: nested, with values as one-element lists, and flat
/// claims, with bare strings or one-element lists.
pub(super) fn read(claims: &Map<String, Value>) -> Result<SessionTags, Refusal> {
    let mut found = SessionTags::default();
    match claims.get(CLAIM) {
        None | Some(Value::Null) => {}
        Some(Value::Object(members)) => {
            match members.get("principal_tags") {
                None => {}
                Some(Value::Object(tags)) => {
                    for (key, value) in tags {
                        let value = only_string(value).ok_or_else(|| wrong_tag(key))?;
                        found.tags.push((key.clone(), value));
                    }
                }
                Some(_) => return Err(wrong_tag("principal_tags")),
            }
            if let Some(keys) = members.get("transitive_tag_keys") {
                found.transitive = strings(keys)?;
            }
        }
        Some(_) => return Err(wrong_tag(CLAIM)),
    }
    for (name, value) in claims {
        if let Some(key) = name.strip_prefix(FLAT_TAG) {
            let value = value
                .as_str()
                .map(str::to_owned)
                .or_else(|| only_string(value))
                .ok_or_else(|| wrong_tag(key))?;
            found.tags.push((key.to_owned(), value));
        } else if name == FLAT_TRANSITIVE {
            found.transitive = strings(value)?;
        }
    }
    check_limits(&found)?;
    Ok(found)
}

/// IAM's limits; what AWS says beyond them is not in the record. Keys have no case.
fn check_limits(found: &SessionTags) -> Result<(), Refusal> {
    if found.tags.len() > MOST {
        return Err(Refusal::token(
            "principal_tags passed in claim is not in correct format.",
            format!(
                "{} session tags; a session has at most 50",
                found.tags.len()
            ),
        ));
    }
    for (index, (key, value)) in found.tags.iter().enumerate() {
        let key_fits = (1..=128).contains(&key.chars().count()) && key.chars().all(is_tag_char);
        let value_fits = value.chars().count() <= 256 && value.chars().all(is_tag_char);
        let repeated = found.tags[..index]
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(key));
        if !key_fits || !value_fits || repeated {
            return Err(wrong_tag(key));
        }
    }
    let known = |key: &String| found.tags.iter().any(|(tag, _)| tag == key);
    match found.transitive.iter().find(|key| !known(key)) {
        None => Ok(()),
        Some(key) => Err(Refusal::token(
            "transitive_tag_keys passed in claim is not in correct format.",
            format!("the transitive tag key {key:?} is not among the session tags"),
        )),
    }
}

fn only_string(value: &Value) -> Option<String> {
    match value.as_array()?.as_slice() {
        [Value::String(text)] => Some(text.clone()),
        _ => None,
    }
}

fn strings(value: &Value) -> Result<Vec<String>, Refusal> {
    value
        .as_array()
        .and_then(|list| {
            list.iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect()
        })
        .ok_or_else(|| {
            Refusal::token(
                "transitive_tag_keys passed in claim is not in correct format.",
                "the transitive tag keys are not a list of strings",
            )
        })
}

fn wrong_tag(key: &str) -> Refusal {
    Refusal::token(
        "principal_tags passed in claim is not in correct format.",
        format!(
            "session tag {key:?}: a key of 1-128 and a value of up to 256 letters, digits, spaces \
             and _.:/=+-@, once each; nested values are lists of one string"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(claims: serde_json::Value) -> Result<SessionTags, Refusal> {
        let Value::Object(claims) = claims else {
            panic!("an object")
        };
        read(&claims)
    }

    #[test]
    fn reads_both_forms() {
        let wanted = SessionTags {
            tags: vec![("Team".to_owned(), "a b".to_owned())],
            transitive: vec!["Team".to_owned()],
        };
        let nested = serde_json::json!({ CLAIM: {
            "principal_tags": { "Team": ["a b"] }, "transitive_tag_keys": ["Team"] } });
        assert_eq!(tags(nested).unwrap(), wanted);
        let flat = serde_json::json!({
            format!("{FLAT_TAG}Team"): "a b", FLAT_TRANSITIVE: ["Team"] });
        assert_eq!(tags(flat).unwrap(), wanted);
        assert_eq!(tags(serde_json::json!({})).unwrap(), SessionTags::default());
    }

    #[test]
    fn refuses_what_is_not_a_tag() {
        let nested = |tags| serde_json::json!({ CLAIM: { "principal_tags": tags } });
        let many: Map<_, _> = (0..51)
            .map(|n| (n.to_string(), serde_json::json!(["x"])))
            .collect();
        for bad in [
            nested(serde_json::json!({ "a": "bare" })),
            nested(serde_json::json!({ "a": ["x", "y"] })),
            nested(serde_json::json!({ "a": [] })),
            nested(serde_json::json!({ "a": [7] })),
            nested(serde_json::json!({ "": ["x"] })),
            nested(serde_json::json!({ "a*": ["x"] })),
            nested(serde_json::json!({ "a": ["${x}"] })),
            nested(serde_json::json!({ "a": ["x\n"] })),
            nested(serde_json::json!({ "a": ["x"], "A": ["y"] })),
            nested(serde_json::json!({ "a".repeat(129): ["x"] })),
            nested(serde_json::json!({ "a": ["x".repeat(257)] })),
            nested(serde_json::json!([])),
            nested(Value::Object(many)),
            serde_json::json!({ CLAIM: [] }),
            serde_json::json!({ CLAIM: { "transitive_tag_keys": ["a"] } }),
            serde_json::json!({ FLAT_TRANSITIVE: "a" }),
        ] {
            assert_eq!(
                tags(bad.clone()).unwrap_err().code,
                "InvalidIdentityToken",
                "{bad}"
            );
        }
    }
}

//! What AWS requires of a discovery document.

use serde_json::Value;

/// What is wrong with the discovery document of `issuer`, in plain words, `None` where AWS reads it:
/// its issuer must be exactly that one, and the members that [AWS's guide on OIDC
/// providers](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html)
/// requires must be there.
#[must_use]
pub fn discovery_flaw(issuer: &str, discovery: &Value) -> Option<String> {
    let says = discovery.get("issuer").and_then(Value::as_str);
    if says != Some(issuer) {
        return Some(format!(
            "its issuer is {:?}, not {issuer:?}",
            says.unwrap_or("missing")
        ));
    }
    let present = |name: &&str| match discovery.get(*name) {
        Some(Value::String(text)) => *name == "jwks_uri" && !text.is_empty(),
        Some(Value::Array(list)) => *name != "jwks_uri" && !list.is_empty(),
        _ => false,
    };
    let required = [
        "jwks_uri",
        "response_types_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
    ];
    let missing = required.iter().find(|name| !present(name))?;
    Some(format!("{missing} is missing, which AWS requires"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_what_is_missing() {
        let issuer = "https://idp.example.com";
        let good = json!({ "issuer": issuer, "jwks_uri": "https://idp.example.com/jwks",
            "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"] });
        assert_eq!(discovery_flaw(issuer, &good), None);
        let slash = discovery_flaw("https://idp.example.com/", &good).unwrap();
        assert!(slash.contains("its issuer is"), "{slash}");
        for name in ["jwks_uri", "subject_types_supported"] {
            for value in [Value::Null, json!([]), json!("")] {
                let mut bad = good.clone();
                bad[name] = value;
                let flaw = discovery_flaw(issuer, &bad).unwrap();
                assert!(flaw.contains(name), "{flaw}");
            }
        }
    }
}

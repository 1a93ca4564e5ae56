//! Relying parties that others have written, which know the issuer's URL and nothing else.

use std::path::Path;

use serde_json::{Value, json};

use super::{dev::Dev, installation::Installation};
use crate::support::{python, python_json};

/// What the relying parties of `tests/python/relying_party.py` make of the token in a file.
#[track_caller]
pub(crate) fn judgement(
    python: &Path,
    issuer: &str,
    token: &Path,
    environment: &[(&str, &str)],
) -> Value {
    python_json(
        python,
        "relying_party.py",
        &[issuer, "sts.amazonaws.com", token.to_str().unwrap()],
        environment,
    )
}

/// Asserts that all of them accept the token, and the metadata, and refuse what they have to.
#[track_caller]
pub(crate) fn assert_accepted(judgement: &Value, issuer: &str) {
    assert_eq!(judgement["openid_complaint"], Value::Null);
    assert_eq!(judgement["oauth_complaint"], Value::Null);
    let pyjwt = &judgement["pyjwt"];
    assert_eq!(pyjwt["claims"]["iss"], issuer);
    assert_eq!(pyjwt["claims"]["aud"], "sts.amazonaws.com");
    assert_eq!(pyjwt["claims"], judgement["authlib"]["claims"]);
    assert_eq!(pyjwt["other_audience"], "InvalidAudienceError");
    assert_eq!(pyjwt["other_issuer"], "InvalidIssuerError");
    assert_eq!(pyjwt["other_signature"], "InvalidSignatureError");
    assert_eq!(pyjwt["later"], "ExpiredSignatureError");
}

#[test]
fn pyjwt_and_authlib_verify_rs256_from_discovery_alone() {
    let Some(python) = python() else { return };
    let dev = Dev::start();
    let issuer = dev.issuer();
    dev.run("idp token > \"$IDP_HOME/token\"").ok();
    let judgement = judgement(&python, &issuer, &dev.path().join("token"), &[]);
    assert_accepted(&judgement, &issuer);
    assert_eq!(
        judgement["metadata"]["id_token_signing_alg_values_supported"],
        json!(["RS256"])
    );
}

#[test]
fn pyjwt_and_authlib_verify_es256_from_discovery_alone() {
    let Some(python) = python() else { return };
    let installation = Installation::running("ES256");
    installation.enrolled();
    let token = installation.token_file();
    let judgement = judgement(&python, &installation.url(), &token, &[]);
    assert_accepted(&judgement, &installation.url());
    let algorithms = &judgement["metadata"]["id_token_signing_alg_values_supported"];
    assert_eq!(algorithms[0], "ES256");
}

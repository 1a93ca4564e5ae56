//! A client of the token endpoint that chooses its own `jti`.

use idp::{
    client::identity::Identity,
    jose::{PrivateKey, sign_compact},
    upstream::{
        guard::Allow,
        http::{HttpClient, HttpSettings},
    },
};
use serde_json::json;
use url::form_urlencoded;

use super::attackers::now;

/// An HTTP client for servers on this machine.
pub(crate) fn http() -> HttpClient {
    // Another test of this process may have done it; under nextest there is none.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    HttpClient::new(HttpSettings::default(), Allow::AnyAddress)
}

/// A client assertion.
pub(crate) fn assertion(identity: &Identity, key: &PrivateKey, jti: &str) -> String {
    let now = now();
    let id = identity.environment_id;
    let claims = json!({
        "iss": id, "sub": id, "aud": identity.issuer, "iat": now, "exp": now + 120, "jti": jti,
    });
    let typ = "client-authentication+jwt";
    sign_compact(key, typ, &identity.kid, claims.to_string().as_bytes()).unwrap()
}

/// The form of a token request with that assertion.
pub(crate) fn token_form(assertion: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair(
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        )
        .append_pair("client_assertion", assertion)
        .append_pair("audience", "sts.amazonaws.com")
        .finish()
}

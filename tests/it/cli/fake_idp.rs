//! An identity provider that records what it is asked and checks every proof and assertion.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use idp::{
    domain::{PublicJwk, SigningAlgorithm},
    jose::{Jws, PrivateKey, VerifyingKey, sign_compact, thumbprint},
};
use serde_json::{Map, Value, json};

use super::{Form, field, parse_form, serve};

pub(super) const ENVIRONMENT: &str = "019527e4-75d5-704d-a5a4-a2b52cf56196";

/// An answer that comes before the good ones: status, body, further header lines.
pub(super) type Scripted = (u16, Value, Vec<(&'static str, String)>);

#[derive(Default)]
struct Seen {
    token_forms: Vec<Form>,
    enrolments: Vec<Value>,
    rotations: Vec<Value>,
    rotation_script: VecDeque<Scripted>,
    script: VecDeque<Scripted>,
    published: bool,
}

struct Inner {
    key: PrivateKey,
    seen: Mutex<Seen>,
}

#[derive(Clone)]
pub(super) struct FakeIdp {
    inner: Arc<Inner>,
    url: String,
}

impl FakeIdp {
    pub(super) fn start() -> Self {
        let inner = Arc::new(Inner {
            key: PrivateKey::generate(SigningAlgorithm::Es256).unwrap(),
            seen: Mutex::new(Seen {
                published: true,
                ..Seen::default()
            }),
        });
        let app = Router::new()
            .route("/enroll/nonce", get(nonce))
            .route("/enroll", post(enroll))
            .route("/enroll/rotate", post(rotate))
            .route("/oauth2/token", post(token))
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/.well-known/jwks.json", get(jwks))
            .with_state(Arc::clone(&inner));
        Self {
            url: format!("http://{}", serve(app)),
            inner,
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The next POST is answered so.
    pub(super) fn next(&self, status: u16, body: Value) {
        self.next_with(status, body, vec![]);
    }

    pub(super) fn next_with(&self, status: u16, body: Value, headers: Vec<(&'static str, String)>) {
        let mut seen = self.inner.seen.lock().unwrap();
        seen.script.push_back((status, body, headers));
    }

    /// From now on the key is not in the JWKS.
    pub(super) fn withdraw_key(&self) {
        self.inner.seen.lock().unwrap().published = false;
    }

    pub(super) fn token_forms(&self) -> Vec<Form> {
        self.inner.seen.lock().unwrap().token_forms.clone()
    }

    /// The next rotation is answered so.
    pub(super) fn next_rotation(&self, status: u16, body: Value) {
        let mut seen = self.inner.seen.lock().unwrap();
        seen.rotation_script.push_back((status, body, vec![]));
    }

    pub(super) fn rotations(&self) -> Vec<Value> {
        self.inner.seen.lock().unwrap().rotations.clone()
    }

    pub(super) fn enrolments(&self) -> Vec<Value> {
        self.inner.seen.lock().unwrap().enrolments.clone()
    }
}

fn host(headers: &HeaderMap) -> String {
    format!("http://{}", headers[header::HOST].to_str().unwrap())
}

fn answer((status, body, headers): Scripted) -> Response {
    let mut response = (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn ok(body: &Value) -> Response {
    answer((200, body.clone(), vec![]))
}

async fn nonce(headers: HeaderMap) -> Response {
    ok(&json!({"nonce": "nonce-1", "expires_in": 60, "issuer": host(&headers)}))
}

/// The claims of a JWS that the key in `jwk` has signed, and its `typ`.
pub(super) fn opened(jws: &str, jwk: &Value) -> (Map<String, Value>, String) {
    let public: PublicJwk = serde_json::from_value(jwk.clone()).unwrap();
    let parsed = Jws::parse(jws).unwrap();
    assert_eq!(parsed.header().alg, "ES256");
    assert_eq!(parsed.header().kid.as_deref(), Some(&*thumbprint(&public)));
    let typ = parsed.header().typ.clone().unwrap();
    let claims = parsed.verified_claims(&VerifyingKey::from_jwk(&public).unwrap());
    (claims.expect("signed by that key"), typ)
}

async fn enroll(State(idp): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let public: PublicJwk = serde_json::from_value(request["jwk"].clone()).unwrap();
    let mut seen = idp.seen.lock().unwrap();
    seen.enrolments.push(request);
    if let Some(scripted) = seen.script.pop_front() {
        return answer(scripted);
    }
    ok(&json!({
        "environment_id": ENVIRONMENT,
        "issuer": host(&headers),
        "kid": thumbprint(&public),
    }))
}

async fn rotate(State(idp): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let public: PublicJwk = serde_json::from_value(request["jwk"].clone()).unwrap();
    let mut seen = idp.seen.lock().unwrap();
    seen.rotations.push(request);
    if let Some(scripted) = seen.rotation_script.pop_front() {
        return answer(scripted);
    }
    ok(&json!({
        "environment_id": ENVIRONMENT,
        "issuer": host(&headers),
        "kid": thumbprint(&public),
    }))
}

async fn token(State(idp): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(
        headers[header::CONTENT_TYPE],
        "application/x-www-form-urlencoded"
    );
    let form = parse_form(&body);
    let mut seen = idp.seen.lock().unwrap();
    seen.token_forms.push(form.clone());
    if let Some(scripted) = seen.script.pop_front() {
        return answer(scripted);
    }
    let kid = thumbprint(idp.key.public());
    let claims = json!({
        "iss": host(&headers),
        "sub": format!("org:0191e223-1c3c-7607-badf-303c98b52d2f/env:{ENVIRONMENT}"),
        "aud": field(&form, "audience"),
        "iat": now(),
        "exp": now() + 300,
        "jti": format!("token-{}", seen.token_forms.len()),
    });
    let token = sign_compact(&idp.key, "JWT", &kid, claims.to_string().as_bytes()).unwrap();
    ok(&json!({"access_token": token, "token_type": "Bearer", "expires_in": 300}))
}

async fn discovery(headers: HeaderMap) -> Response {
    let issuer = host(&headers);
    ok(&json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn jwks(State(idp): State<Arc<Inner>>) -> Response {
    let mut jwk = serde_json::to_value(idp.key.public()).unwrap();
    jwk["kid"] = thumbprint(idp.key.public()).into();
    let published = idp.seen.lock().unwrap().published;
    ok(&json!({"keys": if published { vec![jwk] } else { vec![] }}))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test reads the machine's clock, so this fake has to"
)]
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

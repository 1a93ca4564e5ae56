//! An issuer that serves discovery and keys on loopback, and a local STS that trusts it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{Json, Router, body::Body, http::Request, routing::get};
use idp::{
    domain::{Clock as _, Issuer, SimulatedClock, SystemRandom, Timestamp},
    http,
    ports::{FetchError, FetchedKeys, KeyFetch},
    sts::{LocalSts, Roles},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::keys::KEYS;

pub(crate) const ACCOUNT: &str = "000000000000";
pub(crate) const ROLE: &str = "arn:aws:iam::000000000000:role/oidc-role";

/// What the issuer serves.
pub(crate) struct Issued {
    pub(crate) discovery: Mutex<Value>,
    pub(crate) jwks: Mutex<Value>,
    pub(crate) max_age: AtomicU32,
    pub(crate) fetches: AtomicU32,
}

/// An issuer on loopback, a clock that stands still, and an STS.
pub(crate) struct World {
    /// `127.0.0.1:PORT`.
    pub(crate) host: String,
    pub(crate) issued: Arc<Issued>,
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) sts: Router,
    fetch: Arc<HttpFetch>,
}

/// Fetches over real HTTP, with what the seam asks for and no guard.
struct HttpFetch(reqwest::Client);

#[async_trait]
impl KeyFetch for HttpFetch {
    async fn fetch(&self, issuer: &Issuer) -> Result<FetchedKeys, FetchError> {
        let failed = |url: &str, error: &dyn std::error::Error| FetchError::Unreachable {
            url: url.to_owned(),
            reason: error.to_string(),
        };
        let url = issuer.discovery_url();
        let text = async |url: &str| {
            let response = self.0.get(url).send().await?.error_for_status()?;
            let max_age = response
                .headers()
                .get("cache-control")
                .and_then(|value| value.to_str().ok()?.strip_prefix("max-age=")?.parse().ok())
                .unwrap_or(0);
            Ok::<_, reqwest::Error>((response.text().await?, max_age))
        };
        let (discovery, _) = text(&url).await.map_err(|error| failed(&url, &error))?;
        let discovery: Value =
            serde_json::from_str(&discovery).map_err(|error| failed(&url, &error))?;
        let url = discovery["jwks_uri"].as_str().unwrap_or_default();
        let (jwks, max_age) = text(url).await.map_err(|error| failed(url, &error))?;
        let jwks = serde_json::from_str(&jwks).map_err(|error| failed(url, &error))?;
        Ok(FetchedKeys {
            discovery,
            jwks,
            max_age: Duration::from_secs(max_age),
        })
    }
}

/// The STS's answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: String,
    /// The texts of the XML, by the element's name.
    fields: Vec<(String, String)>,
}

impl Reply {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, text)| text.as_str())
    }

    /// Code and message of a refusal.
    pub(crate) fn refusal(&self) -> (&str, &str) {
        (
            self.get("Code").unwrap_or_default(),
            self.get("Message").unwrap_or_default(),
        )
    }
}

/// Reads XML; panics where it is not well-formed.
fn fields(xml: &str) -> Vec<(String, String)> {
    use quick_xml::events::Event;

    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut open, mut fields) = (Vec::new(), Vec::<(String, String)>::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                let name = start.local_name().as_ref().to_owned();
                open.push(name.clone());
                fields.push((name, String::new()));
            }
            Event::End(_) => drop(open.pop()),
            Event::Text(text) => fields.last_mut().unwrap().1.push_str(&text),
            Event::GeneralRef(name) => {
                let text = &mut fields.last_mut().unwrap().1;
                match name.resolve_char_ref().unwrap() {
                    Some(c) => text.push(c),
                    None => text.push_str(
                        quick_xml::escape::resolve_predefined_entity(&name).expect("known entity"),
                    ),
                }
            }
            Event::Eof => {
                assert!(open.is_empty(), "unclosed {open:?}");
                return fields;
            }
            _ => {}
        }
    }
}

impl World {
    /// An issuer with the "six" keys and a role as the record's baseline has it.
    pub(crate) async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let issued = Arc::new(Issued {
            discovery: Mutex::new(discovery(&host)),
            jwks: Mutex::new(KEYS.six()),
            max_age: AtomicU32::new(0),
            fetches: AtomicU32::new(0),
        });
        let (one, two) = (Arc::clone(&issued), Arc::clone(&issued));
        let app = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async move || Json(one.discovery.lock().unwrap().clone())),
            )
            .route(
                "/jwks",
                get(async move || {
                    two.fetches.fetch_add(1, Ordering::SeqCst);
                    let max_age = two.max_age.load(Ordering::SeqCst);
                    (
                        [("cache-control", format!("max-age={max_age}"))],
                        Json(two.jwks.lock().unwrap().clone()),
                    )
                }),
            );
        tokio::spawn(async move { axum::serve(listener, app).await });
        let clock = Arc::new(SimulatedClock::new(Timestamp::from_secs(1_760_000_000)));
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut world = Self {
            host,
            issued,
            clock,
            sts: Router::new(),
            fetch: Arc::new(HttpFetch(client)),
        };
        world.trust(&world.baseline());
        world
    }

    /// How this STS gets keys.
    pub(crate) fn fetch(&self) -> Arc<dyn KeyFetch> {
        Arc::clone(&self.fetch) as Arc<dyn KeyFetch>
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().secs()
    }

    pub(crate) fn provider_arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{}", self.host)
    }

    /// The record's trust policy.
    pub(crate) fn baseline(&self) -> Value {
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
            "Principal": { "Federated": self.provider_arn() },
            "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession",
                "sts:SetSourceIdentity"] }] })
    }

    /// Starts a new STS, whose role has that trust policy.
    pub(crate) fn trust(&mut self, policy: &Value) {
        self.sts = http::sts_router(self.local_sts(policy));
    }

    /// The same with another role, `second`.
    pub(crate) fn trust_two(&mut self, policy: &Value, second: &Value) {
        let roles = json!([
            { "name": "oidc-role", "trust_policy": policy },
            { "name": "second", "trust_policy": second, "max_session_duration": 7200 },
        ]);
        self.sts = http::sts_router(self.sts_with(&roles));
    }

    pub(crate) fn local_sts(&self, policy: &Value) -> Arc<LocalSts> {
        self.sts_with(&json!([{ "name": "oidc-role", "trust_policy": policy,
            "max_session_duration": 7200 }]))
    }

    fn sts_with(&self, roles: &Value) -> Arc<LocalSts> {
        let file = json!({ "account": ACCOUNT,
            "providers": [{ "url": format!("http://{}", self.host),
                "client_ids": ["client-a", "client-b"] }],
            "roles": roles });
        Arc::new(LocalSts::new(
            Roles::parse(&file.to_string()).unwrap(),
            self.fetch.clone(),
            self.clock.clone(),
            Arc::new(SystemRandom),
        ))
    }

    /// The claims of the record's baseline, in its order.
    pub(crate) fn claims(&self) -> Value {
        json!({ "iss": format!("http://{}", self.host), "aud": "client-a",
            "sub": "subject-probe", "iat": self.now() - 10, "exp": self.now() + 900 })
    }

    /// A token of the baseline, its claims changed by `changes`.
    pub(crate) fn token(&self, changes: &Value) -> String {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        KEYS.sign(
            "RS256",
            r#"{"alg":"RS256","kid":"k1","typ":"JWT"}"#,
            &claims.to_string(),
        )
    }

    /// Sends a request to the STS.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        reply(&self.sts, request).await
    }

    /// `AssumeRoleWithWebIdentity`, with more or other parameters where a test wants them.
    pub(crate) async fn assume(&self, token: &str, params: &[(&str, &str)]) -> Reply {
        self.send(form(&assume_form(token, params))).await
    }
}

fn discovery(host: &str) -> Value {
    json!({ "issuer": format!("http://{host}"), "jwks_uri": format!("http://{host}/jwks"),
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"] })
}

pub(crate) async fn reply(router: &Router, request: Request<Body>) -> Reply {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Reply {
        status: parts.status.as_u16(),
        headers: parts.headers,
        fields: fields(&body),
        body,
    }
}

pub(crate) fn assume_form(token: &str, params: &[(&str, &str)]) -> String {
    let mut pairs = vec![
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", ROLE),
        ("RoleSessionName", "oidc-probe"),
        ("WebIdentityToken", token),
    ];
    for (name, value) in params {
        pairs.retain(|(other, _)| other != name);
        pairs.push((name, value));
    }
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

pub(crate) fn form(body: &str) -> Request<Body> {
    Request::post("/")
        .header("host", "sts.example.com")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

//! Many environments that ask for tokens.

use std::{path::PathBuf, sync::Arc};

use http::Method;
use idp::{
    client::{
        admin::Admin,
        enrol::enrol,
        identity::Identity,
        patience::Patience,
        server::{Server, ServerUrl},
    },
    domain::{OrganizationId, SecretString, SystemClock, SystemRandom},
    jose::PrivateKey,
    upstream::http::HttpClient,
};
use serde_json::{Value, json};

use super::client::{http, token_form};

const FORM: &str = "application/x-www-form-urlencoded";

/// One environment, and how to ask for its tokens.
pub(crate) struct Client {
    pub(crate) identity: Identity,
    pub(crate) key: PrivateKey,
    pub(crate) http: HttpClient,
}

impl Client {
    /// Status and body; `None` where there was no answer.
    pub(crate) async fn ask(&self, server: &str, assertion: &str) -> Option<(u16, Value)> {
        let url = format!("{server}/oauth2/token").parse().unwrap();
        let answer = self
            .http
            .post(&url, FORM, token_form(assertion))
            .await
            .ok()?;
        let body = serde_json::from_slice(&answer.body).ok()?;
        Some((answer.status.as_u16(), body))
    }
}

/// Calls the administration API of the server at `url`.
pub(crate) async fn administer(
    url: &str,
    token: &str,
    method: Method,
    path: &str,
    body: Value,
) -> Value {
    let url: ServerUrl = url.parse().unwrap();
    let token = SecretString::from(token);
    let http = http();
    let admin = Admin {
        server: Server {
            http: &http,
            url: &url,
            clock: &SystemClock,
        },
        token: &token,
    };
    admin.call(method, path, Some(body)).await.unwrap()
}

/// Makes an organisation with `count` enrolled environments over the API of the server at `url`.
pub(crate) async fn enrolled(
    url: &str,
    admin_token: &str,
    count: usize,
) -> (OrganizationId, Vec<Arc<Client>>) {
    let post = async |path: &str, body: Value| {
        administer(url, admin_token, Method::POST, path, body).await
    };
    let organization = post("/organizations", json!({"name": "acme"})).await["id"].clone();
    let organization = organization.as_str().unwrap().to_owned();
    let path = format!("/organizations/{organization}/environments");
    let server_url: ServerUrl = url.parse().unwrap();
    let mut clients = Vec::new();
    for number in 0..count {
        let made = post(&path, json!({"name": format!("env-{number}")})).await;
        let join_token = SecretString::from(made["join_token"].as_str().unwrap());
        let http = http();
        let server = Server {
            http: &http,
            url: &server_url,
            clock: &SystemClock,
        };
        let identity = enrol(server, &join_token, &Patience::none(Arc::new(SystemRandom)))
            .await
            .unwrap();
        let key = identity.key(&PathBuf::new()).unwrap();
        clients.push(Arc::new(Client {
            identity,
            key,
            http,
        }));
    }
    (organization.parse().unwrap(), clients)
}

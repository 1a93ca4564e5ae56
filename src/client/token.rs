//! Tokens for this environment, against a client assertion (RFC 7523 §2.2).

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded::Serializer;

use super::{
    identity::Identity,
    patience::Patience,
    secret_text,
    server::{Server, ServerError},
};
use crate::{
    domain::{AssertionId, Audience, Clock, Random, RoleArn, SecretString, TokenLifetime},
    jose::{KeyError, PrivateKey, sign_compact},
    upstream::http::HttpClient,
};

/// How long a client assertion lives, in seconds: the server allows 120.
const ASSERTION_LIFE: i64 = 60;

/// What the server issued.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub token: SecretString,
    /// Its life in seconds.
    pub expires_in: u64,
}

/// Where fresh tokens come from.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A fresh token for `audience`; its life is the server's default if `ttl` is `None`. `role` is
    /// the role that it is meant for: where the organisation pins tokens to roles, no other takes it.
    async fn token(
        &self,
        audience: &Audience,
        ttl: Option<TokenLifetime>,
        role: Option<&RoleArn>,
    ) -> Result<AccessToken, ServerError>;
}

/// The tokens of an enrolled environment.
pub struct EnvironmentTokens {
    /// Who it is.
    pub identity: Identity,
    /// Its key.
    pub key: PrivateKey,
    /// Where both came from. The file is read again for each assertion, because another process may
    /// have put a new key there, after whose first use the old one soon ends.
    pub file: PathBuf,
    /// How to reach the server.
    pub http: HttpClient,
    /// For the assertion's times.
    pub clock: Arc<dyn Clock>,
    /// For the assertion's `jti`.
    pub random: Arc<dyn Random>,
    /// How long a server that cannot answer now is waited for.
    pub patience: Patience,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(with = "secret_text")]
    access_token: SecretString,
    expires_in: u64,
}

impl EnvironmentTokens {
    /// A client assertion as the token endpoint wants it; each can be used once.
    ///
    /// The time is read before the key is. So an assertion never says that a key was used after the
    /// file had given it up, however long this process was held up in between.
    fn assertion(&self) -> Result<String, KeyError> {
        let now = self.clock.now().secs();
        let renewed = self.renewed();
        let (kid, key) = renewed.as_ref().map_or_else(
            || (&self.identity.kid, &self.key),
            |(identity, key)| (&identity.kid, key),
        );
        let id = self.identity.environment_id;
        let claims = json!({
            "iss": id,
            "sub": id,
            "aud": self.identity.issuer,
            "iat": now,
            "exp": now + ASSERTION_LIFE,
            "jti": AssertionId::new(&*self.clock, &*self.random),
        });
        sign_compact(
            key,
            "client-authentication+jwt",
            kid,
            claims.to_string().as_bytes(),
        )
    }

    /// The identity with another key, where the file holds one by now.
    fn renewed(&self) -> Option<(Identity, PrivateKey)> {
        let identity = Identity::load(&self.file).ok()?;
        let same = identity.environment_id == self.identity.environment_id
            && identity.issuer == self.identity.issuer;
        if !same || identity.kid == self.identity.kid {
            return None;
        }
        let key = identity.key(&self.file).ok()?;
        Some((identity, key))
    }

    /// The body of a token request.
    fn form(
        &self,
        audience: &Audience,
        ttl: Option<TokenLifetime>,
        role: Option<&RoleArn>,
    ) -> Result<String, KeyError> {
        let mut form = Serializer::new(String::with_capacity(1024));
        form.append_pair("grant_type", "client_credentials")
            .append_pair(
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            )
            .append_pair("client_assertion", &self.assertion()?)
            .append_pair("client_id", &self.identity.environment_id.to_string())
            .append_pair("audience", audience.as_str());
        if let Some(ttl) = ttl {
            form.append_pair("ttl", &ttl.secs().to_string());
        }
        if let Some(role) = role {
            form.append_pair("role_arn", &role.to_string());
        }
        Ok(form.finish())
    }
}

#[async_trait]
impl TokenSource for EnvironmentTokens {
    async fn token(
        &self,
        audience: &Audience,
        ttl: Option<TokenLifetime>,
        role: Option<&RoleArn>,
    ) -> Result<AccessToken, ServerError> {
        tracing::debug!(server = %self.identity.server_url, %audience, "asking for a token");
        let server = Server {
            http: &self.http,
            url: &self.identity.server_url,
            clock: &*self.clock,
        };
        let server = &server;
        let answer = self
            .patience
            .of(|| async move {
                let form = self.form(audience, ttl, role)?;
                server
                    .post("/oauth2/token", "application/x-www-form-urlencoded", form)
                    .await
            })
            .await?;
        let answer: TokenAnswer =
            serde_json::from_value(answer).map_err(|_| ServerError::Unexpected {
                url: format!("{}/oauth2/token", self.identity.server_url),
                reason: "its answer lacks access_token or expires_in".to_owned(),
            })?;
        Ok(AccessToken {
            token: answer.access_token,
            expires_in: answer.expires_in,
        })
    }
}

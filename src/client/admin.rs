//! The administration API's client.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde_json::Value;
use url::Url;

use super::server::{Server, ServerError};
use crate::{
    domain::{ExposeSecret as _, SecretString},
    upstream::http::HttpStream,
};

/// An administrator's view of a server.
pub struct Admin<'a> {
    /// The server.
    pub server: Server<'a>,
    /// The administrator token.
    pub token: &'a SecretString,
}

impl Admin<'_> {
    /// Calls `/api/v1` and `path` (which begins with a slash) with a JSON body, if there is one.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, ServerError> {
        let (url, request) = self.request(method, path, body)?;
        let answer = self.server.http.send(request).await?;
        self.server.read(&url, &answer)
    }

    /// `GET`s an answer of any length.
    pub async fn stream(&self, path: &str) -> Result<HttpStream, ServerError> {
        let (url, request) = self.request(Method::GET, path, None)?;
        let stream = self.server.http.stream(request).await?;
        if stream.status.is_success() {
            return Ok(stream);
        }
        let answer = stream.collect().await?;
        Err(match self.server.read(&url, &answer) {
            Err(error) => error,
            Ok(_) => ServerError::Unexpected {
                url: url.to_string(),
                reason: format!("HTTP {}", answer.status.as_u16()),
            },
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(Url, Request<Bytes>), ServerError> {
        let url = self.server.join(&format!("/api/v1{path}"))?;
        let unexpected = |reason: String| ServerError::Unexpected {
            url: url.to_string(),
            reason,
        };
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", self.token.expose_secret()))
            .map_err(|_| unexpected("the administrator token has stray characters".to_owned()))?;
        bearer.set_sensitive(true);
        let mut request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(header::AUTHORIZATION, bearer);
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request
            .body(body)
            .map_err(|error| unexpected(error.to_string()))?;
        Ok((url, request))
    }

    /// Every item of a listing, page by page.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, ServerError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let page = match &cursor {
                Some(cursor) => format!("{path}{join}limit=500&cursor={cursor}"),
                None => format!("{path}{join}limit=500"),
            };
            let mut answer = self.call(Method::GET, &page, None).await?;
            if let Some(Value::Array(more)) = answer.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            match answer.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }
}

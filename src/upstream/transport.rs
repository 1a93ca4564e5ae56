//! The SDK's requests over our HTTP client, so that there is one set of TLS, proxy and time-out
//! rules.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient as SdkHttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use crate::upstream::http::{HttpClient, HttpError};

/// An SDK connector that knows where it last sent a request.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct Transport {
    client: Arc<HttpClient>,
    endpoint: Arc<Mutex<Option<String>>>,
}

impl Transport {
    pub(in crate::upstream) fn new(client: HttpClient) -> Self {
        Self {
            client: Arc::new(client),
            endpoint: Arc::default(),
        }
    }

    /// The endpoint that the SDK resolved, once it has sent something.
    pub(super) fn endpoint(&self) -> Option<String> {
        self.endpoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        *self.endpoint.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(request.uri().trim_end_matches('/').to_owned());
        let request = request
            .try_into_http1x()
            .map_err(|error| ConnectorError::user(error.into()))?
            .map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
        let answer = self.client.send(request).await.map_err(|error| {
            ConnectorError::io(
                match error {
                    HttpError::Unreachable { reason, .. } => reason,
                    other => other.to_string(),
                }
                .into(),
            )
        })?;
        let status = StatusCode::try_from(answer.status.as_u16())
            .map_err(|error| ConnectorError::user(error.into()))?;
        let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
        for (name, value) in &answer.headers {
            // The SDK reads request ids from the header; what is not text cannot be one.
            if let Ok(value) = value.to_str() {
                response
                    .headers_mut()
                    .append(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(response)
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().exchange(request))
    }
}

impl SdkHttpClient for Transport {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

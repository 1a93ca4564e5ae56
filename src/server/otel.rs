//! Spans to an OpenTelemetry collector, as OTLP over HTTP
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient as OtlpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing_subscriber::{Layer, Registry};
use url::Url;

use crate::upstream::{
    guard::Allow,
    http::{HttpClient, HttpSettings},
};

/// Sends spans until it is dropped, which waits for the last ones.
#[derive(Debug)]
pub(super) struct Exporter(SdkTracerProvider);

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

/// Starts the export to `collector`, on the runtime that this is called on.
pub(super) fn start(
    collector: &Url,
) -> Result<(Exporter, Box<dyn Layer<Registry> + Send + Sync>), String> {
    let endpoint = format!("{}/v1/traces", collector.as_str().trim_end_matches('/'));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client {
            http: Arc::new(HttpClient::new(HttpSettings::default(), Allow::AnyAddress)),
            runtime: Handle::current(),
        })
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| error.to_string())?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name("idp").build())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("idp"));
    Ok((Exporter(provider), layer.boxed()))
}

/// The program's own HTTP client. The exporter works on a thread outside of the runtime.
struct Client {
    http: Arc<HttpClient>,
    runtime: Handle,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[async_trait]
impl OtlpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = Arc::clone(&self.http);
        let answer = self
            .runtime
            .spawn(async move { http.send(request).await })
            .await?
            .inspect_err(|error| tracing::warn!(%error, "spans were not exported"))?;
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

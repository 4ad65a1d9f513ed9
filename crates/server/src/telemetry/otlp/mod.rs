//! Export to an OpenTelemetry collector, by OTLP over HTTP: traces of calls, and metrics.
//!
//! The SDK reads OpenTelemetry's environment variables for headers, compression, intervals and so on.

pub(crate) mod metrics;
pub(crate) mod traces;

use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::Resource;
use std::time::Duration;

/// Timeout of an export request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a collector's response.
const MAX_ANSWER: u64 = 1 << 20;

/// The exporting service.
fn resource() -> Resource {
    let resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let has_name = |all: String| all.split(',').any(|one| one.trim_start().starts_with("service.name="));
    let is_named = std::env::var_os("OTEL_SERVICE_NAME").is_some() || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(has_name);
    if is_named { resource } else { resource.with_service_name(env!("CARGO_PKG_NAME")) }.build()
}

/// Sends export requests on the exporter's own thread.
#[derive(Debug)]
struct Client(ureq::Agent);

impl Client {
    fn new() -> Self {
        let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build();
        let config =
            ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).max_redirects(0).http_status_as_error(false).tls_config(tls);
        Self(ureq::Agent::new_with_config(config.build()))
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let response = self.0.run(Request::from_parts(parts, body.to_vec()))?;
        let (parts, mut body) = response.into_parts();
        let body = body.with_config().limit(MAX_ANSWER).read_to_vec()?;
        Ok(Response::from_parts(parts, Bytes::from(body)))
    }
}

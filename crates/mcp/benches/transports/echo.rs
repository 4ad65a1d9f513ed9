//! The echo service of both sides.

use mcp::{
    Limits, http,
    rmcp::{
        ErrorData, RoleServer, ServerHandler, ServiceExt,
        model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ServerCapabilities, ServerConfig, Tool},
        service::RequestContext,
        transport::{
            StreamableHttpServerConfig, StreamableHttpService, async_rw::AsyncRwTransport,
            streamable_http_server::session::local::LocalSessionManager,
        },
    },
    sessions::{SessionLimits, Sessions},
    stdio,
};
use std::{net::Ipv4Addr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    fn get_tool(&self, _: &str) -> Option<Tool> {
        None
    }

    async fn call_tool(&self, request: CallToolRequestParams, _: RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        let text = request.arguments.as_ref().and_then(|args| args.get("text")).and_then(|text| text.as_str()).unwrap_or_default();
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

/// Serves until killed, or until the input ends.
pub(crate) fn serve(ours: bool, transport: &str) {
    let runtime = match transport {
        "stdio" => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        _ => tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build(),
    };
    runtime.expect("a runtime").block_on(async {
        let stop = CancellationToken::new();
        match (transport, ours) {
            ("stdio", true) => {
                stdio::serve(Echo, &Sessions::new(SessionLimits::default(), None, None), Limits::default(), stop).await.expect("stdio");
            }
            ("stdio", false) => {
                let transport = AsyncRwTransport::new_server(tokio::io::stdin(), tokio::io::stdout());
                drop(Echo.serve(transport).await.expect("a client").waiting().await);
            }
            _ => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
                println!("{}", listener.local_addr().expect("an address").port());
                if ours {
                    let sessions = Sessions::new(SessionLimits { max: 2_000, ..SessionLimits::default() }, None, None);
                    let options = http::Options { sessions, ..http::Options::default() };
                    http::serve(vec![http::Listener::Tcp(listener)], |_| Echo, options, stop).await.expect("http");
                } else {
                    let config = StreamableHttpServerConfig::default().with_json_response(true);
                    let service = StreamableHttpService::new(|| Ok(Echo), Arc::new(LocalSessionManager::default()), config);
                    let app = axum::Router::new().nest_service("/mcp", service);
                    axum::serve(axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true))), app)
                        .await
                        .expect("http");
                }
            }
        }
    });
}

//! Starts a server inside of this program, calls it over HTTP, drains it and stops it:
//! `cargo run --example embed -- REPOSITORY`.
#![allow(clippy::print_stdout, reason = "an example prints what it has seen")]

use mcp_server_git::McpGitServer;
use serde_json::{Value, json};
use std::{
    error::Error,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The revision of MCP whose calls need no handshake.
const REVISION: &str = "2026-07-28";

fn main() -> Result<(), Box<dyn Error>> {
    // git in a sandbox starts this program again, to edit the steps of a rebase.
    if mcp_server_git::edit_sequence()? {
        return Ok(());
    }
    let repository = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    println!("{}", tokio::runtime::Runtime::new()?.block_on(run(&repository))?);
    Ok(())
}

/// Runs the server for a while, and returns what a client has seen.
pub(crate) async fn run(repository: &Path) -> Result<String, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let server = McpGitServer::builder()
        .repository(repository)
        .port(0)
        .state_dir(folder.path().join("state"))
        .admin_socket(folder.path().join("admin.sock"))
        .start()
        .await?;
    let address = server.address().ok_or("the server listens on a Unix socket")?;
    let health = ask(address, "GET /health", &[], "").await?;
    let status = call(address, "git_status", &json!({})).await?;
    let drained = server.drain(Duration::from_secs(5)).await;
    let draining = ask(address, "GET /health", &[], "").await?;
    server.shutdown().await?;
    let text = status["result"]["content"][0]["text"].as_str().unwrap_or_default();
    Ok(format!("health: {}\n{text}\ncalls left: {}\nhealth: {}", health["status"], drained.left, draining["status"]))
}

/// Calls a tool.
async fn call(address: SocketAddr, tool: &str, arguments: &Value) -> Result<Value, Box<dyn Error>> {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": REVISION,
        "io.modelcontextprotocol/clientInfo": {"name": "example", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", REVISION),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", tool),
    ];
    ask(address, "POST /mcp", &headers, &message.to_string()).await
}

/// Sends a request, such as `GET /health`, and returns the JSON of its answer.
pub(crate) async fn ask(address: SocketAddr, what: &str, headers: &[(&str, &str)], body: &str) -> Result<Value, Box<dyn Error>> {
    let headers = headers.iter().fold(String::new(), |all, (name, value)| all + name + ": " + value + "\r\n");
    let length = body.len();
    let request = format!("{what} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    // The head of the answer has no braces.
    let json = answer.find('{').map(|at| &answer[at..]).ok_or("the answer has no JSON")?;
    let first = serde_json::Deserializer::from_str(json).into_iter::<Value>().next();
    Ok(first.ok_or("the answer has no JSON")??)
}

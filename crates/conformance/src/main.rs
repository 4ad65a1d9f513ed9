//! The fixtures of the official MCP conformance suite, served over the product's transport.
//!
//! `mcpgit-conformance PORT` serves on loopback (0: any free port). The first line of its standard output is the URL;
//! it exits on SIGTERM or at the end of its standard input.

mod call;
mod catalogue;
mod changes;
mod content;
mod dialogue;
mod fixture;
mod handler;
mod inputs;
mod jobs;
mod prompts;
mod resources;
mod rounds;
mod serve;

use std::{env, io};

#[tokio::main]
async fn main() -> io::Result<()> {
    let port = env::args().nth(1).and_then(|port| port.parse().ok());
    let port = port.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "usage: mcpgit-conformance PORT"))?;
    serve::run(port).await
}

//! `token`: creates a token for `serve`. It is printed once and never stored; the configuration holds its hash.

use super::{cannot_run, say};
use crate::{
    caller::Right,
    config::{PRINCIPALS, is_principal},
    random,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp::http::Tokens;
use std::process::ExitCode;

pub(super) fn run(name: &str, scopes: &[Right]) -> ExitCode {
    if !is_principal(name) {
        return cannot_run(&PRINCIPALS);
    }
    let random = match random::bytes::<32>() {
        Ok(random) => random,
        Err(err) => return cannot_run(&format!("no random bytes: {err}")),
    };
    let token = format!("mcpgit_{}", URL_SAFE_NO_PAD.encode(random));
    let hash = hex::encode(Tokens::hash(&token));
    let scopes: Vec<String> = scopes.iter().map(|scope| format!("\"{}\"", scope.name())).collect();
    say(&format!(
        "# The token, shown only once: {token}\n[[auth.tokens]]\nname = \"{name}\"\nsha256 = \"{hash}\"\nscopes = [{}]",
        scopes.join(", ")
    ));
    ExitCode::SUCCESS
}

//! Tokens of several principals.

use super::{Fixture, program};
use std::fs;

/// A configuration with three tokens: one with all scopes, one that can only read, and another principal's.
pub(crate) fn tokens(fixture: &Fixture) -> (String, [String; 3]) {
    let mut text = String::from("[auth]\nauthorization_servers = [\"https://login.example\"]\n");
    let mut made = Vec::new();
    for (name, scopes) in [("all", "read,write,network"), ("reader", "read"), ("other", "read,write")] {
        let output = program().args(["token", name, "--scopes", scopes]).output().expect("a token");
        let stdout = String::from_utf8(output.stdout).expect("text");
        made.push(stdout.lines().next().and_then(|line| line.rsplit(' ').next()).expect("the token").to_owned());
        text += &stdout;
    }
    let path = fixture.home.path().join("config.toml");
    assert!(!made.iter().any(|token| {
        text.lines().skip_while(|line| line.starts_with('#')).any(|line| !line.starts_with('#') && line.contains(token.as_str()))
    }));
    fs::write(&path, text).expect("a file");
    (path.display().to_string(), made.try_into().expect("three"))
}

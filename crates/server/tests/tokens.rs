//! Tokens: authentication, scopes, and ownership.

#![allow(clippy::expect_used, clippy::panic, reason = "tests start the server, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
};
use support::{
    Fixture, Outcome, program, text_of,
    tokens::tokens,
    wire::{Served, call, meta, modern, post, session},
};
use tungstenite::Message;

#[test]
fn tokens_allow_what_their_scopes_name_50_51() -> Outcome {
    let fixture = Fixture::new();
    let (config, [all, reader, other]) = tokens(&fixture);
    let server = Served::start(&fixture, &["--config", &config, "--host", "0.0.0.0"], &[]);
    let bearer = |token: &str| format!("Bearer {token}");
    let (all, reader, other) = (bearer(&all), bearer(&reader), bearer(&other));
    let status = || call(1, "git_status", json!({}));
    // Without a token, with a wrong one, in the wrong place.
    let refused = modern(&server, &[], status());
    let challenge = refused.header("www-authenticate").unwrap_or_default().to_owned();
    assert!(
        refused.status == 401 && challenge.contains("resource_metadata=") && challenge.contains("/.well-known/oauth-protected-resource"),
        "{refused:?}"
    );
    for wrong in ["Bearer nope", "Basic dTpw", "Bearer", ""] {
        assert_eq!(modern(&server, &[("Authorization", wrong)], status()).status, 401, "{wrong}");
    }
    for path in ["/mcp?access_token=x", "/mcp?a=b&Token=x"] {
        assert_eq!(server.send("POST", path, &[("Authorization", &all)], b"{}").status, 400, "{path}");
    }
    assert_eq!(server.send("GET", "/health", &[], b"").status, 200);
    let metadata = server.send("GET", "/.well-known/oauth-protected-resource", &[], b"").message().ok_or("no metadata")?;
    assert_eq!(metadata["authorization_servers"], json!(["https://login.example"]));
    assert!(server.websocket(&[]).is_err());
    let mut socket = server.websocket(&[("Authorization", &reader)])?;
    let mut discover = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta(&json!({}))}});
    socket.send(Message::text(discover.to_string()))?;
    assert!(socket.read()?.to_text()?.contains("supportedVersions"));
    discover["id"] = json!(2);
    // A reader may read; for the rest it is refused, with the scope that it needs.
    assert!(modern(&server, &[("Authorization", &reader)], status()).message().is_some_and(|reply| reply["result"]["isError"] != true));
    for (tool, args, scope) in [("git_add", json!({"files": ["."]}), "write"), ("git_fetch", json!({}), "network")] {
        let refused = modern(&server, &[("Authorization", &reader)], call(1, tool, args.clone()));
        let challenge = refused.header("www-authenticate").unwrap_or_default().to_owned();
        assert!(refused.status == 403 && challenge.contains("insufficient_scope") && challenge.contains(scope), "{refused:?}");
        // A socket has no headers by now, so the call itself is refused.
        let mut message = call(3, tool, args);
        message["params"]["_meta"] = meta(&json!({}));
        socket.send(Message::text(message.to_string()))?;
        let text = socket.read()?.to_text()?.to_owned();
        assert!(text.contains("does not have the scope"), "{text}");
    }
    // Sessions and workspaces belong to their owner.
    let id = session(&server, &[("Authorization", &all)]);
    for (token, expect) in [(&all, 200), (&other, 404)] {
        let reply = post(&server, &[("Authorization", token), ("Mcp-Session-Id", &id)], &status());
        assert_eq!(reply.status, expect, "{reply:?}");
    }
    let opened =
        modern(&server, &[("Authorization", &all)], call(1, "git_workspace", json!({"action": "open"}))).message().ok_or("no reply")?;
    let text = text_of(&opened["result"]);
    let handle = text.split_whitespace().find(|word| word.starts_with("ws_")).ok_or("no handle")?.to_owned();
    let place = text.lines().find_map(|line| line.split(" at ").nth(1)).ok_or("no place")?.trim_end_matches(']').to_owned();
    for (token, found) in [(&all, true), (&other, false)] {
        for args in [json!({"workspace": handle}), json!({"repo_path": place})] {
            let reply = modern(&server, &[("Authorization", token)], call(1, "git_status", args.clone())).message().ok_or("no reply")?;
            assert_eq!(reply["result"]["isError"] != true, found, "{args}: {reply}");
            assert!(found || text_of(&reply["result"]).contains("no such workspace"), "{reply}");
        }
        for tool in ["git_workspace", "git_worktree"] {
            let listed = modern(&server, &[("Authorization", token)], call(1, tool, json!({}))).message().ok_or("no reply")?;
            assert_eq!(text_of(&listed["result"]).contains(&handle), found, "{listed}");
        }
    }
    for action in ["remove", "lock"] {
        let args = json!({"action": action, "path": place, "confirm": true});
        let reply = modern(&server, &[("Authorization", &other)], call(1, "git_worktree", args)).message().ok_or("no reply")?;
        assert!(text_of(&reply["result"]).contains("no such workspace"), "{reply}");
    }
    assert!(fs::exists(&place)?);
    Ok(())
}

#[test]
fn keys_and_changes_belong_to_their_principal() -> Outcome {
    let fixture = Fixture::new();
    let (config, [all, _, other]) = tokens(&fixture);
    let server = Served::start(&fixture, &["--config", &config], &[]);
    let ask = |token: &str, tool: &str, args: Value| {
        let reply = modern(&server, &[("Authorization", &format!("Bearer {token}"))], call(1, tool, args)).message().unwrap_or_default();
        (reply["result"]["isError"] != true, text_of(&reply["result"]))
    };
    let commit = json!({"message": "m", "allow_empty": true, "idempotency_key": "k"});
    let (first, again) = (ask(&all, "git_commit", commit.clone()), ask(&all, "git_commit", commit.clone()));
    let foreign = ask(&other, "git_commit", commit);
    assert!(first.0 && again.1 == first.1 && foreign.0 && foreign.1 != first.1, "{first:?} {again:?} {foreign:?}");
    assert_eq!(String::from_utf8(fixture.git(&["rev-list", "--count", "HEAD"]))?.trim(), "4");
    let (_, answer) = ask(&all, "git_undo", json!({}));
    assert!(answer.contains("made by other"), "{answer}");
    let (_, call) = answer.split_once("git_undo ").ok_or("no call")?;
    let args: Value = serde_json::Deserializer::from_str(call).into_iter().next().ok_or("no arguments")??;
    let (done, refused) = ask(&all, "git_undo", args.clone());
    assert!(!done && refused.contains("made by other") && refused.contains("`confirm`"), "{refused}");
    assert!(ask(&other, "git_undo", args).0);
    Ok(())
}

#[test]
fn a_principal_over_its_rate_limit_must_wait() {
    let fixture = Fixture::new();
    let (config, [all, _, other]) = tokens(&fixture);
    let server = Served::start(&fixture, &["--config", &config], &[("MCP_GIT_RATE", "1")]);
    let ask = |token: &str| modern(&server, &[("Authorization", &format!("Bearer {token}"))], call(1, "git_status", json!({})));
    let refused = (0..20).map(|_| ask(&all)).find(|reply| reply.status != 200).expect("a refusal");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{refused:?}");
    assert!(refused.message().is_some_and(|reply| reply["error"]["data"]["code"] == "rate_limit_exceeded"));
    assert_eq!(ask(&other).status, 200);
}

#[test]
fn other_machines_need_tokens() -> Outcome {
    let fixture = Fixture::new();
    let output = program().arg("-r").arg(&fixture.path).args(["serve", "--port", "0", "--host", "0.0.0.0"]).output()?;
    let answer = String::from_utf8(output.stderr)?;
    assert!(output.status.code() == Some(2) && answer.contains("auth.tokens") && answer.contains("mcp-server-git token"), "{answer}");
    Ok(())
}

/// A private key of these bytes, and its public key.
fn signing_key(seed: u8) -> jsonwebtoken::EncodingKey {
    let head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    jsonwebtoken::EncodingKey::from_ed_der(&[&head[..], &[seed; 32]].concat())
}

/// An authorization server on the loopback that publishes these keys.
fn keys_at(body: &str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/jwks.json", listener.local_addr().expect("an address"));
    let reply =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 2048];
            stream.read(&mut request).map(drop).unwrap_or_default();
            stream.write_all(reply.as_bytes()).unwrap_or_default();
        }
    });
    url
}

#[test]
fn tokens_of_an_authorization_server_are_checked_49() -> Outcome {
    let fixture = Fixture::new();
    let keys = json!({"keys": [
        {"kty": "unknown", "kid": "strange"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "good", "use": "sig", "alg": "EdDSA", "x": "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw"},
    ]});
    let file = fixture.home.path().join("keys.json");
    fs::write(&file, keys.to_string())?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let token = |kid: &str, seed: u8, change: Value| {
        let mut claims = json!({"iss": "https://login.example", "aud": "https://git.example/mcp", "sub": "somebody", "exp": now + 600, "scope": "git:read"});
        for (key, value) in change.as_object().into_iter().flatten() {
            claims[key] = value.clone();
        }
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
        header.kid = Some(kid.to_owned());
        jsonwebtoken::encode(&header, &claims, &signing_key(seed)).expect("a token")
    };
    for source in [file.display().to_string(), keys_at(&keys.to_string())] {
        let config = fixture.home.path().join("config.toml");
        fs::write(
            &config,
            format!("[auth.jwt]\nissuer = \"https://login.example\"\naudience = \"https://git.example/mcp\"\njwks = \"{source}\"\n"),
        )?;
        let server = Served::start(&fixture, &["--config", &config.display().to_string()], &[]);
        let ask = |token: &str, tool: &str| modern(&server, &[("Authorization", &format!("Bearer {token}"))], call(1, tool, json!({})));
        assert_eq!(ask(&token("good", 7, json!({})), "git_status").status, 200, "{source}");
        assert_eq!(ask(&token("good", 7, json!({"scope": null, "scp": ["read", "write"]})), "git_stash").status, 200, "{source}");
        assert_eq!(ask(&token("good", 7, json!({})), "git_commit").status, 403, "{source}");
        // An unsigned token, and a shared secret in place of a public key.
        let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.";
        let shared = jsonwebtoken::encode(
            &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256),
            &json!({"iss": "https://login.example", "aud": "https://git.example/mcp", "sub": "x", "exp": now + 600}),
            &jsonwebtoken::EncodingKey::from_secret(b"6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw"),
        )?;
        // A request that disconnects while keys are fetched for it blocks no other.
        let mut junk = std::net::TcpStream::connect(("127.0.0.1", server.port))?;
        let unknown = token("junk", 9, json!({}));
        write!(junk, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {unknown}\r\nContent-Length: 9\r\n\r\n")?;
        drop(junk);
        assert_eq!(ask(&token("good", 7, json!({})), "git_status").status, 200, "{source}");
        for (why, bad) in [
            ("a scope of something else", token("good", 7, json!({"scope": "billing:read"}))),
            ("another audience", token("good", 7, json!({"aud": "https://other.example"}))),
            ("no audience", token("good", 7, json!({"aud": null}))),
            ("another issuer", token("good", 7, json!({"iss": "https://evil.example"}))),
            ("expired", token("good", 7, json!({"exp": now - 3600}))),
            ("no end", token("good", 7, json!({"exp": null}))),
            ("not yet", token("good", 7, json!({"nbf": now + 3600}))),
            ("nobody's", token("good", 7, json!({"sub": null}))),
            ("another key", token("good", 9, json!({}))),
            ("an unknown key", token("none", 9, json!({}))),
            ("unsigned", unsigned.to_owned()),
            ("a shared secret", shared),
            ("half of one", token("good", 7, json!({})).chars().take(60).collect()),
        ] {
            let expect = if why.contains("scope") { 403 } else { 401 };
            assert_eq!(ask(&bad, "git_status").status, expect, "{why}");
        }
    }
    Ok(())
}

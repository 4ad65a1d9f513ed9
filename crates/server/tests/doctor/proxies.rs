//! Remotes behind a proxy: probed through it, with the step that fails and the setting that names the proxy.

use super::{Outcome, Report, Ward, network::Answering};
use serde_json::Value;
use std::{net::TcpListener, sync::atomic::Ordering};

/// A port at which nothing listens yet.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The finding on remotes.
fn remotes(report: &Report) -> Value {
    report.checks.iter().find(|one| one["name"] == "remotes").cloned().unwrap_or_default()
}

#[test]
fn remotes_behind_a_proxy_are_reached_through_it() -> Outcome {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    let args = ["-r", path.as_str(), "--online"];
    let port = free_port()?;
    let proxy = Answering::start(port)?;
    let through = format!("through the proxy 127.0.0.1:{port}");
    // A name that only the proxy resolves.
    for (scheme, variable, target, request) in [
        ("http", "http_proxy", 80, "GET http://nobody.invalid:80/x.git/info/refs?service=git-upload-pack HTTP/1.1\r\n"),
        ("https", "HTTPS_PROXY", 443, "CONNECT nobody.invalid:443 HTTP/1.1\r\n"),
        ("https", "ALL_PROXY", 443, "CONNECT nobody.invalid:443 HTTP/1.1\r\n"),
    ] {
        ward.sh(&format!("git remote remove origin || true; git remote add origin {scheme}://nobody.invalid/x.git"));
        let lines = format!("export MCP_GIT_PROTOCOLS=https,http {variable}=http://user:hunter2@127.0.0.1:{port}");
        let report = |status: u16| {
            proxy.status.store(status, Ordering::SeqCst);
            proxy.asked.lock().expect("the requests").clear();
            let report = ward.report(&lines, &args);
            let asked = proxy.asked.lock().expect("the requests").clone();
            assert!(asked.contains(request), "{variable}: {asked}");
            assert!(!asked.to_ascii_lowercase().contains("authorization"), "{variable}: {asked}");
            assert!(!format!("{:?}", report.checks).contains("hunter2") && !asked.contains("hunter2"), "{variable}: {:?}", report.checks);
            remotes(&report)
        };
        let found = report(200);
        assert_eq!(found["state"], "ok", "{variable}: {found}");
        let cause = found["causes"][0].as_str().unwrap_or_default();
        assert!(cause.starts_with(&format!("nobody.invalid, port {target}, {through} ({variable})")), "{variable}: {found}");
        for (status, state, words) in [(502, "problem", "does not reach nobody.invalid"), (407, "note", "requires a login")] {
            let found = report(status);
            let detail = found["detail"].as_str().unwrap_or_default();
            assert!(found["state"] == state && detail.contains(words) && detail.contains(variable), "{variable} {status}: {found}");
        }
        let exempt = ward.report(&format!("{lines} NO_PROXY=.invalid"), &args);
        assert!(exempt.find("remotes", "(DNS)").is_some(), "{variable}: {:#?}", exempt.checks);
    }
    let refused = || {
        proxy.status.store(403, Ordering::SeqCst);
        ward.report(&format!("export HTTPS_PROXY=127.0.0.1:{port}"), &args)
    };
    assert!(refused().find("remotes", "does not connect to nobody.invalid, port 443 (status 403)").is_some());
    Ok(())
}

#[test]
fn a_proxy_that_does_not_answer_is_named_with_its_setting() -> Outcome {
    let ward = Ward::new();
    let path = ward.fixture.path.display().to_string();
    let args = ["-r", path.as_str(), "--online"];
    let closed = free_port()?;
    ward.sh("git remote add origin https://127.0.0.1:1/x.git");
    let allowed = "export MCP_GIT_ALLOW_HOSTS=127.0.0.1";
    for (url, words) in [
        (format!("http://user:hunter2@127.0.0.1:{closed}"), "accepts no connection (TCP)"),
        ("http://user:hunter2@proxy.invalid:3128".to_owned(), "does not resolve (DNS)"),
        ("http://user:hunter2@proxy.invalid:many".to_owned(), "has no valid port"),
        ("socks5h://user:hunter2@127.0.0.1:1".to_owned(), "which was not tried: it is socks5h"),
    ] {
        let by_variable = ward.report(&format!("{allowed} HTTPS_PROXY={url}"), &args);
        ward.sh(&format!("git config --global http.proxy {url}"));
        let by_key = ward.report(allowed, &args);
        ward.sh(&format!("git config --global --unset http.proxy; git config remote.origin.proxy {url}"));
        let of_remote = ward.report(allowed, &args);
        // An empty one disables proxies.
        ward.sh("git config remote.origin.proxy ''");
        let none = ward.report(&format!("{allowed} HTTPS_PROXY={url}"), &args);
        ward.sh("git config --unset remote.origin.proxy");
        for (report, from) in [(by_variable, "(HTTPS_PROXY)"), (by_key, "(http.proxy)"), (of_remote, "(remote.origin.proxy)")] {
            let found = report.find("remotes", words).unwrap_or_else(|| panic!("{url} {from}: {:#?}", report.checks));
            assert!(found["detail"].as_str().is_some_and(|detail| detail.contains(from)) && found["fix"].is_string(), "{found}");
            assert!(!format!("{:?}", report.checks).contains("hunter2"), "{:#?}", report.checks);
        }
        assert!(none.find("remotes", "127.0.0.1, port 1 accepts no connection (TCP)").is_some(), "{url}: {:#?}", none.checks);
    }
    // The way to a server is not that of git.
    let report = ward.report(
        &format!("export http_proxy=http://user:hunter2@127.0.0.1:{closed}"),
        &["--url", &format!("http://127.0.0.1:{closed}/mcp")],
    );
    let note = report.find("proxy", "which was not tried").cloned().unwrap_or_default();
    assert!(note["state"] == "note" && report.find("tcp", "accepts no connection").is_some(), "{:#?}", report.checks);
    assert!(!format!("{:?}", report.checks).contains("hunter2"), "{:#?}", report.checks);
    Ok(())
}

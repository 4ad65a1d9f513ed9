//! A server inside of another program: the examples, and what they leave out.

#[allow(dead_code, reason = "the tests call what `main` calls")]
#[path = "../examples/diagnose.rs"]
mod diagnose;
#[allow(dead_code, reason = "the tests call what `main` calls")]
#[path = "../examples/embed.rs"]
mod embed;
mod support;

use mcp_server_git::{Builder, McpGitServer, StartError, config::CacheName, sessions::SessionLimits};
use std::{
    net::{SocketAddr, TcpStream},
    num::NonZeroUsize,
    time::Duration,
};
use support::{Fixture, Outcome, wire::wait_for};

/// A server of this repository, at any port.
fn of(fixture: &Fixture) -> Builder {
    let home = fixture.home.path();
    McpGitServer::builder().repository(&fixture.path).port(0).state_dir(home.join("state")).admin_socket(home.join("admin.sock"))
}

async fn health(address: SocketAddr) -> Result<String, Box<dyn std::error::Error>> {
    let answer = embed::ask(address, "GET /health", &[], "").await?;
    Ok(answer["status"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_an_embedded_server_sees_health_a_call_and_the_drain() -> Outcome {
    let fixture = Fixture::new();
    let seen = embed::run(&fixture.path).await?;
    assert!(seen.starts_with("health: \"ok\"\n") && seen.ends_with("\ncalls left: 0\nhealth: \"draining\""), "{seen}");
    assert!(seen.contains("main"), "{seen}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_diagnoses_sees_sessions_circuits_and_a_spike() -> Outcome {
    let fixture = Fixture::new();
    let seen = diagnose::run(&fixture.path).await?;
    for part in [
        "0 sessions\n",
        "circuit database: closed\n",
        "network_timeout: 20 per minute\n",
        "Total sessions: 0\n",
        "Heartbeat manager: running\n",
        "PROBLEM\nWindow: 1m\n",
        "Spike: network_timeout",
    ] {
        assert!(seen.contains(part), "{part:?}: {seen}");
    }
    assert_eq!(seen.matches("PROBLEM").count(), 1, "{seen}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_server_stops_accepting_resumes_and_restarts_at_its_port() -> Outcome {
    let fixture = Fixture::new();
    let server = of(&fixture).start().await?;
    let address = server.address().ok_or("an address")?;
    server.stop_accepting();
    assert_eq!(health(address).await?, "draining");
    assert!(server.resume() && !server.resume());
    assert_eq!(health(address).await?, "ok");
    let recovered = server.recover_emergency().await;
    assert_eq!(recovered.ok, Some(true), "{recovered:?}");
    let (server, report) = server.restart(Duration::from_secs(5)).await?;
    assert_eq!((server.address(), report.left, report.kept), (Some(address), 0, Some(0)));
    assert_eq!(health(address).await?, "ok");
    server.shutdown().await?;
    assert!(TcpStream::connect(address).is_err() && !fixture.home.path().join("admin.sock").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_server_stops() -> Outcome {
    let fixture = Fixture::new();
    let server = of(&fixture).start().await?;
    let address = server.address().ok_or("an address")?;
    drop(server);
    wait_for("its end", || TcpStream::connect(address).is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedded_server_takes_limits_and_switches_a_cache() -> Outcome {
    let fixture = Fixture::new();
    let limits = SessionLimits { max: 7, missed: 5, heartbeat: Duration::from_millis(1500), ..SessionLimits::default() };
    let server = of(&fixture).session_limits(limits).max_concurrent(NonZeroUsize::MIN).start().await?;
    assert_eq!(server.sessions().limits().max, 7);
    let beats = server.heartbeats();
    assert!(beats.is_running() && beats.last_beats().is_empty() && !beats.record("none"));
    assert_eq!((beats.config().interval, beats.config().missed), (limits.heartbeat, 5));
    let repositories = || server.caches().list().into_iter().find(|cache| cache.name == CacheName::Repositories);
    assert!(repositories().is_some_and(|cache| cache.enabled && cache.limit > 0));
    server.caches().set_enabled(CacheName::Repositories, false);
    assert!(repositories().is_some_and(|cache| !cache.enabled && cache.limit == 0));
    server.shutdown().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_start_names_the_reason() -> Outcome {
    let fixture = Fixture::new();
    let missing = McpGitServer::builder().repository("/nonexistent").start().await.err();
    assert!(matches!(missing, Some(StartError::Roots(_))), "{missing:?}");
    let first = of(&fixture).start().await?;
    let port = first.address().ok_or("an address")?.port();
    let second = of(&fixture).port(port).start().await.err();
    assert!(matches!(&second, Some(StartError::Io(err)) if err.to_string().contains("is in use")), "{second:?}");
    first.shutdown().await?;
    Ok(())
}

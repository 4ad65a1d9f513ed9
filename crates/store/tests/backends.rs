//! Both backends: each case runs on its own `SQLite` file, and in its own schema of a `PostgreSQL` server.

#![allow(clippy::disallowed_methods, reason = "starts a server if one is installed")]
#![allow(clippy::print_stderr, reason = "names the case that runs")]
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod support;

use sqlx::Connection;
use store::{Address, Error, ErrorBucket, Kind, OperationEnd, OperationRow, SessionRow, Store, Touch, WorkspaceRow};

macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    let dir = tempfile::tempdir().unwrap();
                    super::$case(&store::Address::File(dir.path().join("store.db"))).await;
                }
            )+
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn postgres() {
            let Some(server) = support::Server::start() else { return };
            $(
                eprintln!("{}", stringify!($case));
                $case(&server.fresh(stringify!($case)).await).await;
            )+
            let store = open(&server.fresh("gone").await).await;
            drop(server);
            assert!(store.ping().await.unwrap_err().is_outage());
            assert!(store.put_session(&SessionRow::default()).await.unwrap_err().is_outage());
        }
    };
}

cases! {
    sessions_round_trip,
    a_touch_does_not_recreate_a_deleted_session,
    idle_sessions_are_deleted,
    workspaces_round_trip,
    operations_round_trip,
    an_operation_ends_once,
    an_interrupted_operation_can_still_end,
    an_interrupted_operation_is_repeated_by_its_tool_in_its_worktree,
    an_operation_is_undone_once_and_only_after_its_end,
    operations_are_found_by_key,
    the_journal_stays_bounded,
    a_lease_has_one_holder,
    a_stopped_holder_is_fenced,
    leases_use_the_shared_clock,
    errors_add_up,
    everything_survives_a_restart,
    a_newer_database_is_rejected,
    concurrent_opens_create_one_database,
    concurrent_writers_lose_nothing,
    unusual_text_round_trips,
}

async fn open(address: &Address) -> Store {
    let opened = Store::open(address).await.unwrap();
    assert_eq!(opened.quarantined, None);
    opened.store
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn session(id: &str, last_seen_ms: i64) -> SessionRow {
    SessionRow {
        id: text(id),
        kind: text("websocket"),
        principal: text("p"),
        client: text("c 1"),
        protocol: text("2025-11-25"),
        state: text("active"),
        created_ms: 1,
        last_seen_ms,
        last_heartbeat_ms: 3,
        missed: 4,
        revision: 1,
        log_level: text("info"),
        subscriptions: text("[]"),
        node: text("n"),
        data: text("{}"),
    }
}

fn operation(id: &str, started_ms: i64) -> OperationRow {
    OperationRow {
        id: text(id),
        repository: text("/r"),
        worktree: text("/w"),
        principal: text("p"),
        tool: text("git_commit"),
        digest: text("d"),
        state: text("running"),
        node: text("n"),
        pid: 7,
        pid_start: i64::MAX,
        started_ms,
        before: text("b"),
        ..OperationRow::default()
    }
}

fn end(state: &str) -> OperationEnd {
    OperationEnd { state: text(state), ended_ms: 20, after: Some(text("a")), result: Some(text("r")) }
}

fn ids(rows: &[OperationRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

async fn sessions_round_trip(address: &Address) {
    let store = open(address).await;
    store.ping().await.unwrap();
    assert_eq!(store.session("s").await.unwrap(), None);
    let mut row = session("s", 2);
    store.put_session(&row).await.unwrap();
    assert_eq!(store.session("s").await.unwrap(), Some(row.clone()));
    row.state = text("paused");
    store.put_session(&row).await.unwrap();
    store.put_session(&session("a", 2)).await.unwrap();
    row.revision = 2;
    assert_eq!(store.sessions().await.unwrap(), [session("a", 2), row]);
    assert!(store.set_session_preferences("s", "error", "[\"x\"]").await.unwrap());
    assert!(!store.set_session_preferences("none", "error", "").await.unwrap());
    let wished = store.session("s").await.unwrap().unwrap();
    assert_eq!((&*wished.log_level, &*wished.subscriptions), ("error", "[\"x\"]"));
    assert!(store.delete_session("s").await.unwrap());
    assert!(!store.delete_session("s").await.unwrap());
}

async fn a_touch_does_not_recreate_a_deleted_session(address: &Address) {
    let store = open(address).await;
    let touch = |id: &str| Touch { id: text(id), state: text("closing"), last_seen_ms: 50, last_heartbeat_ms: 60, missed: 1 };
    store.put_session(&session("s", 2)).await.unwrap();
    store.touch_sessions(&[touch("z"), touch("s"), touch("gone")]).await.unwrap();
    store.touch_sessions(&[]).await.unwrap();
    // Later activity wins, so the row survives a deletion of sessions idle since before it.
    store.touch_sessions(&[Touch { last_seen_ms: 40, state: text("paused"), ..touch("s") }]).await.unwrap();
    assert!(!store.delete_session_unless_seen("s", 49).await.unwrap());
    let expect = SessionRow { state: text("closing"), last_heartbeat_ms: 60, missed: 1, revision: 2, ..session("s", 50) };
    assert_eq!(store.sessions().await.unwrap(), [expect]);
    assert!(store.delete_session_unless_seen("s", 50).await.unwrap());
}

async fn idle_sessions_are_deleted(address: &Address) {
    let store = open(address).await;
    for (id, seen) in [("c", 1), ("a", 2), ("b", 3)] {
        store.put_session(&session(id, seen)).await.unwrap();
    }
    assert_eq!(store.delete_sessions_idle_since(3).await.unwrap(), ["a", "c"]);
    assert_eq!(store.delete_sessions_idle_since(3).await.unwrap(), Vec::<String>::new());
    assert_eq!(store.sessions().await.unwrap(), [session("b", 3)]);
}

async fn workspaces_round_trip(address: &Address) {
    let store = open(address).await;
    let row = |handle: &str, expires_ms| WorkspaceRow {
        handle: text(handle),
        principal: text("p"),
        repository: text("/r"),
        worktree: text("/w"),
        branch: text("main"),
        created_ms: 1,
        expires_ms,
    };
    store.put_workspace(&row("ws_b", 10)).await.unwrap();
    store.put_workspace(&row("ws_a", 99)).await.unwrap();
    store.put_workspace(&row("ws_a", 20)).await.unwrap();
    assert_eq!(store.workspace("ws_a").await.unwrap(), Some(row("ws_a", 20)));
    assert_eq!(store.workspace("ws_c").await.unwrap(), None);
    assert_eq!(store.workspaces().await.unwrap(), [row("ws_a", 20), row("ws_b", 10)]);
    assert_eq!(store.expired_workspaces(9).await.unwrap(), []);
    assert_eq!(store.expired_workspaces(20).await.unwrap(), [row("ws_b", 10), row("ws_a", 20)]);
    assert!(store.renew_workspace("ws_b", 30).await.unwrap());
    assert!(!store.renew_workspace("ws_c", 30).await.unwrap());
    assert_eq!(store.expired_workspaces(20).await.unwrap(), [row("ws_a", 20)]);
    assert!(store.delete_workspace("ws_a").await.unwrap());
    assert!(!store.delete_workspace("ws_a").await.unwrap());
}

async fn operations_round_trip(address: &Address) {
    let store = open(address).await;
    let full = OperationRow {
        key: Some(text("k")),
        is_task: true,
        ended_ms: Some(2),
        saved: Some(text("s")),
        after: Some(text("a")),
        result: Some(text("r")),
        ..operation("full", 1)
    };
    store.begin_operation(&full).await.unwrap();
    store.begin_operation(&operation("bare", 1)).await.unwrap();
    assert_eq!(store.operation("full").await.unwrap(), Some(full.clone()));
    assert_eq!(store.operation("bare").await.unwrap(), Some(operation("bare", 1)));
    assert_eq!(store.operation("gone").await.unwrap(), None);
    let again = store.begin_operation(&OperationRow { tool: text("other"), ..operation("bare", 1) }).await;
    assert!(matches!(again, Err(Error::Exists(id)) if id == "bare"));
    for (id, state, started_ms, ended_ms) in
        [("kept", "done", 1, Some(9)), ("gone", "done", 1, Some(1)), ("runs", "running", 9, None), ("lost", "running", 1, None)]
    {
        let task = OperationRow { repository: String::new(), is_task: true, state: text(state), ended_ms, ..operation(id, started_ms) };
        store.begin_operation(&task).await.unwrap();
    }
    assert_eq!(store.prune_tasks(2).await.unwrap(), 2);
    assert!(store.operation("gone").await.unwrap().is_none() && store.operation("lost").await.unwrap().is_none());
    assert!(store.interrupt_operation("runs", 9, "why").await.unwrap());
    store.begin_operation(&operation("old", 0)).await.unwrap();
    store.begin_operation(&OperationRow { repository: text("/other"), ..operation("other", 5) }).await.unwrap();
    // Of two in the same millisecond, the later one comes first.
    assert_eq!(ids(&store.operations_of("/r", 10).await.unwrap()), ["bare", "full", "old"]);
    assert_eq!(ids(&store.operations_of("/r", 2).await.unwrap()), ["bare", "full"]);
    assert_eq!(store.operations_of("/r", -1).await.unwrap(), []);
    assert_eq!(store.newest_operation_in("/r", &full.worktree).await.unwrap().map(|row| row.id), Some(text("bare")));
    assert_eq!(store.newest_operation_in("/r", "/elsewhere").await.unwrap(), None);
    assert_eq!(ids(&store.running_operations().await.unwrap()), ["old", "full", "bare", "other"]);
}

async fn an_operation_ends_once(address: &Address) {
    let store = open(address).await;
    store.begin_operation(&operation("o", 1)).await.unwrap();
    assert!(store.note_operation("o", "stash").await.unwrap());
    assert!(!store.note_operation("gone", "stash").await.unwrap());
    assert!(store.end_operation("o", &end("done")).await.unwrap());
    assert!(!store.end_operation("o", &end("failed")).await.unwrap());
    assert!(!store.end_operation("gone", &end("failed")).await.unwrap());
    assert!(!store.interrupt_operation("o", 30, "late").await.unwrap());
    let expect = OperationRow {
        state: text("done"),
        ended_ms: Some(20),
        saved: Some(text("stash")),
        after: Some(text("a")),
        result: Some(text("r")),
        ..operation("o", 1)
    };
    assert_eq!(store.operation("o").await.unwrap(), Some(expect));
    assert_eq!(store.running_operations().await.unwrap(), []);
}

async fn an_interrupted_operation_can_still_end(address: &Address) {
    let store = open(address).await;
    store.begin_operation(&operation("o", 1)).await.unwrap();
    assert!(store.interrupt_operation("o", 9, "the server was killed").await.unwrap());
    assert!(!store.interrupt_operation("o", 10, "again").await.unwrap());
    let found = store.operation("o").await.unwrap().unwrap();
    let expect = (text("interrupted"), Some(9), Some(text("the server was killed")));
    assert_eq!((found.state, found.ended_ms, found.result), expect);
    assert!(store.end_operation("o", &end("done")).await.unwrap());
    assert!(!store.end_operation("o", &end("done")).await.unwrap());
}

async fn an_interrupted_operation_is_repeated_by_its_tool_in_its_worktree(address: &Address) {
    let store = open(address).await;
    let row = operation("o", 5);
    store.begin_operation(&row).await.unwrap();
    assert!(store.interrupt_operation("o", 6, "the server was killed").await.unwrap());
    let done = |id: &str, at| OperationRow { state: text("done"), ..operation(id, at) };
    for other in [
        done("earlier", 4),
        OperationRow { state: text("failed"), ..done("failed", 7) },
        OperationRow { tool: text("git_tag"), ..done("tool", 7) },
        OperationRow { worktree: text("/elsewhere"), ..done("worktree", 7) },
        OperationRow { repository: text("/q"), ..done("repository", 7) },
    ] {
        store.begin_operation(&other).await.unwrap();
        assert!(!store.is_repeated(&row).await.unwrap(), "{}", other.id);
    }
    store.begin_operation(&done("again", 7)).await.unwrap();
    assert!(store.is_repeated(&row).await.unwrap());
}

async fn an_operation_is_undone_once_and_only_after_its_end(address: &Address) {
    let store = open(address).await;
    store.begin_operation(&operation("o", 1)).await.unwrap();
    assert!(!store.mark_undone("o").await.unwrap());
    assert!(store.end_operation("o", &end("done")).await.unwrap());
    assert!(store.mark_undone("o").await.unwrap());
    assert!(!store.mark_undone("o").await.unwrap());
    assert!(!store.end_operation("o", &end("done")).await.unwrap());
    assert_eq!(store.operation("o").await.unwrap().unwrap().state, "undone");
}

async fn operations_are_found_by_key(address: &Address) {
    let store = open(address).await;
    let keyed = |id: &str, key: &str, at| OperationRow { key: Some(text(key)), ..operation(id, at) };
    for row in [
        keyed("second", "k", 2),
        keyed("first", "k", 1),
        keyed("other", "l", 1),
        operation("none", 1),
        OperationRow { principal: text("q"), ..keyed("foreign", "k", 1) },
        OperationRow { repository: text("/q"), ..keyed("elsewhere", "k", 1) },
    ] {
        store.begin_operation(&row).await.unwrap();
    }
    assert_eq!(ids(&store.operations_with_key("/r", "k", "p").await.unwrap()), ["first", "second"]);
    assert_eq!(store.operations_with_key("/r", "m", "p").await.unwrap(), []);
}

async fn the_journal_stays_bounded(address: &Address) {
    let store = open(address).await;
    let ended = |id: &str, at, ended_ms| OperationRow { state: text("done"), ended_ms: Some(ended_ms), ..operation(id, at) };
    for row in [
        operation("running", 0),
        ended("a", 1, 1),
        ended("b", 2, 2),
        ended("long", 3, 100),
        ended("c", 4, 4),
        ended("newest", 5, 5),
        OperationRow { repository: text("/q"), ..ended("alone", 1, 1) },
    ] {
        store.begin_operation(&row).await.unwrap();
    }
    // In `/r`, the newest two, the running and the recently ended ones stay.
    assert_eq!(store.prune_operations(50, 2).await.unwrap(), 2);
    assert_eq!(ids(&store.operations_of("/r", 10).await.unwrap()), ["newest", "c", "long", "running"]);
    assert_eq!(ids(&store.operations_of("/q", 10).await.unwrap()), ["alone"]);
    assert_eq!(store.prune_operations(50, 2).await.unwrap(), 0);
    assert_eq!(store.prune_operations(5, 0).await.unwrap(), 2);
}

async fn a_lease_has_one_holder(address: &Address) {
    let store = open(address).await;
    let lease = store.acquire_lease("k", "a", 0, 60_000).await.unwrap().unwrap();
    assert_eq!((lease.token, lease.key.as_str(), lease.holder.as_str()), (1, "k", "a"));
    assert_eq!(store.acquire_lease("k", "b", 1, 60_000).await.unwrap(), None);
    assert_eq!(store.acquire_lease("l", "b", 1, 60_000).await.unwrap().unwrap().token, 1);
    assert!(store.holds_lease(&lease, 1).await.unwrap());
    assert!(store.renew_lease(&lease, 1, 60_000).await.unwrap());
    // The same holder gets a new token, which makes its first lease stale.
    let again = store.acquire_lease("k", "a", 2, 60_000).await.unwrap().unwrap();
    assert_eq!(again.token, 2);
    assert!(!store.holds_lease(&lease, 3).await.unwrap());
    assert!(!store.renew_lease(&lease, 3, 60_000).await.unwrap());
    assert!(!store.release_lease(&lease).await.unwrap());
    assert!(store.holds_lease(&again, 3).await.unwrap());
    assert!(store.release_lease(&again).await.unwrap());
    assert!(!store.release_lease(&again).await.unwrap());
    assert!(!store.holds_lease(&again, 3).await.unwrap());
    assert!(!store.renew_lease(&again, 3, 60_000).await.unwrap());
    // Tokens keep growing after a release.
    assert_eq!(store.acquire_lease("k", "b", 4, 60_000).await.unwrap().unwrap().token, 3);
}

async fn a_stopped_holder_is_fenced(address: &Address) {
    let store = open(address).await;
    // It expires immediately.
    let stopped = store.acquire_lease("k", "a", 10, 0).await.unwrap().unwrap();
    assert!(!store.holds_lease(&stopped, 10).await.unwrap());
    assert!(!store.renew_lease(&stopped, 10, 60_000).await.unwrap());
    let next = store.acquire_lease("k", "b", 10, 60_000).await.unwrap().unwrap();
    assert_eq!(next.token, stopped.token + 1);
    assert!(!store.holds_lease(&stopped, 10).await.unwrap());
    assert!(!store.renew_lease(&stopped, 10, 60_000).await.unwrap());
    assert!(!store.release_lease(&stopped).await.unwrap());
    assert!(store.holds_lease(&next, 10).await.unwrap());
}

async fn leases_use_the_shared_clock(address: &Address) {
    let store = open(address).await;
    let lease = store.acquire_lease("k", "a", 0, 60_000).await.unwrap().unwrap();
    let (ahead, server) = (i64::MAX / 2, store.kind() == Kind::Postgres);
    assert_eq!(lease.expires_ms > 60_000, server);
    // A server ignores the clock of a node that is ahead; a file belongs to one machine with one clock.
    assert_eq!(store.holds_lease(&lease, ahead).await.unwrap(), server);
    assert_eq!(store.renew_lease(&lease, ahead, 60_000).await.unwrap(), server);
    assert_eq!(store.acquire_lease("k", "b", ahead, 60_000).await.unwrap().is_none(), server);
}

async fn errors_add_up(address: &Address) {
    let store = open(address).await;
    let bucket = |class: &str, minute, count| ErrorBucket { class: text(class), minute, count };
    store.add_errors(&[bucket("b", 1, 2), bucket("a", 2, 1), bucket("b", 1, 3)]).await.unwrap();
    store.add_errors(&[bucket("b", 1, 4), bucket("a", 0, 1)]).await.unwrap();
    assert_eq!(store.errors_since(1).await.unwrap(), [bucket("b", 1, 9), bucket("a", 2, 1)]);
    assert_eq!(store.prune_errors(2).await.unwrap(), 2);
    assert_eq!(store.errors_since(0).await.unwrap(), [bucket("a", 2, 1)]);
}

async fn everything_survives_a_restart(address: &Address) {
    let store = open(address).await;
    store.put_session(&session("s", 2)).await.unwrap();
    store.begin_operation(&operation("o", 1)).await.unwrap();
    let lease = store.acquire_lease("k", "a", 0, 60_000).await.unwrap().unwrap();
    store.close().await;
    assert!(matches!(store.ping().await, Err(Error::Unavailable(_))));
    let store = open(address).await;
    assert_eq!(store.sessions().await.unwrap(), [session("s", 2)]);
    assert_eq!(store.running_operations().await.unwrap(), [operation("o", 1)]);
    assert!(store.holds_lease(&lease, 1).await.unwrap());
}

async fn a_newer_database_is_rejected(address: &Address) {
    open(address).await.close().await;
    let url = match address {
        Address::File(path) => format!("sqlite://{}", path.display()),
        Address::Url(url) => url.clone(),
    };
    let mut conn = sqlx::AnyConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE mcpgit_meta SET value = 1000").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    assert!(matches!(Store::open(address).await, Err(Error::Newer { found: 1000, known: 1 })));
}

async fn concurrent_opens_create_one_database(address: &Address) {
    let opening: Vec<_> = (0..6)
        .map(|n| {
            let address = address.clone();
            tokio::spawn(async move {
                let store = open(&address).await;
                store.begin_operation(&operation(&n.to_string(), n)).await.unwrap();
            })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap();
    }
    assert_eq!(ids(&open(address).await.running_operations().await.unwrap()), ["0", "1", "2", "3", "4", "5"]);
}

async fn concurrent_writers_lose_nothing(address: &Address) {
    let stores = [open(address).await, open(address).await];
    stores[0].put_session(&session("s", 0)).await.unwrap();
    let writing: Vec<_> = (0..16_i64)
        .map(|task| {
            let store = stores[usize::try_from(task % 2).unwrap()].clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    let id = format!("{task}-{n}");
                    store.begin_operation(&operation(&id, n)).await.unwrap();
                    store.add_errors(&[ErrorBucket { class: text("c"), minute: 0, count: 1 }]).await.unwrap();
                    let touch = Touch { id: text("s"), state: text("active"), ..Touch::default() };
                    store.touch_sessions(&[touch]).await.unwrap();
                    assert!(store.end_operation(&id, &end("done")).await.unwrap());
                    if let Some(lease) = store.acquire_lease("k", &id, 0, 60_000).await.unwrap() {
                        assert!(store.release_lease(&lease).await.unwrap());
                    }
                }
            })
        })
        .collect();
    for written in writing {
        written.await.unwrap();
    }
    assert_eq!(stores[0].operations_of("/r", 1000).await.unwrap().len(), 320);
    assert_eq!(stores[1].running_operations().await.unwrap(), []);
    assert_eq!(stores[1].errors_since(0).await.unwrap()[0].count, 320);
    assert_eq!(stores[0].session("s").await.unwrap().unwrap().revision, 321);
}

async fn unusual_text_round_trips(address: &Address) {
    let store = open(address).await;
    let data = format!("' \" ; -- $1 ? % \u{1F980} \r\n\t {}", "x".repeat(1 << 20));
    store.put_session(&SessionRow { data: data.clone(), ..session("'; DROP TABLE mcpgit_sessions", 0) }).await.unwrap();
    assert_eq!(store.session("'; DROP TABLE mcpgit_sessions").await.unwrap().unwrap().data, data);
}

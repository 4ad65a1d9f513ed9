//! Which repository, tool and change is allowed: decided by the operator, the client and the user.

use super::row::{Row, argument, elsewhere, followed, named, with};
use crate::support::{
    Client, Fixture, edited, is_edited, older, program, shell, text_of,
    tokens::tokens,
    wire::{Served, call, modern, wait_for},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// A client whose roots are these repositories.
fn serving(places: &[&Path], variables: &[(&str, &str)]) -> Client {
    let places: Vec<String> = places.iter().flat_map(|place| ["-r".to_owned(), place.display().to_string()]).collect();
    let mut client = Client::start(&places.iter().map(String::as_str).collect::<Vec<_>>(), variables);
    client.initialize();
    client
}

/// A client with one root of its own, on a server that serves the folder above.
fn rooted(served: &Path, root: &str) -> Client {
    let mut client = declaring(&[served], &[("MCP_GIT_SANDBOX", "off")]);
    answer_roots(&mut client, root);
    client
}

/// A client that declares roots and receives `roots/list`.
fn declaring(places: &[&Path], variables: &[(&str, &str)]) -> Client {
    let places: Vec<String> = places.iter().flat_map(|place| ["-r".to_owned(), place.display().to_string()]).collect();
    let mut client = Client::start(&places.iter().map(String::as_str).collect::<Vec<_>>(), variables);
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {"roots": {"listChanged": true}}, "clientInfo": {"name": "t", "version": "1"}});
    client.request("initialize", &params);
    client.send_json(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    client
}

/// Answers `roots/list`.
fn answer_roots(client: &mut Client, root: &str) {
    let asked = client.receive();
    assert_eq!(asked["method"], "roots/list", "{asked}");
    client.send_json(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": [{"uri": format!("file://{root}")}]}}));
}

/// Announces changed roots.
fn announce_roots(client: &mut Client, root: &str) {
    client.send_json(&json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}));
    answer_roots(client, root);
}

/// Capabilities of a client that can ask its user.
fn asks() -> Value {
    json!({"elicitation": {"form": {}}})
}

/// Makes a call that asks the user, and answers the question.
fn answered(client: &mut Client, args: &Value, answer: &Value) -> Value {
    let id = client.start_call("git_reset", args);
    let question = client.receive();
    assert_eq!(question["method"], "elicitation/create", "{question}");
    client.send_json(&json!({"jsonrpc": "2.0", "id": question["id"], "result": answer}));
    client.answer_to(&id)["result"].clone()
}

pub(crate) const ROWS: &[Row] = &[
    followed("pipeline/resolve.rs", "Use a path, or file:///PATH.", |it| {
        let fixture = Fixture::new();
        let path = fixture.path.display().to_string();
        let better = [("git_status", json!({"repo_path": path})), ("git_status", json!({"repo_path": format!("file://{path}")}))];
        it.corrects(&fixture, ("git_status", json!({"repo_path": "file://elsewhere/x"})), &better);
    }),
    followed("pipeline/resolve.rs", "Ask the operator to start it with `-r PATH`", |it| {
        let fixture = Fixture::new();
        let status = ("git_status", json!({}));
        it.printed(&mut serving(&[], &[]), status.clone());
        let option = it.text.split('`').nth(1).expect("an option").replace("PATH", &fixture.path.display().to_string());
        let mut client = Client::start(&option.split(' ').collect::<Vec<_>>(), &[]);
        client.initialize();
        client.text(status.0, &status.1);
        // A folder of repositories.
        serving(&[fixture.path.parent().expect("a parent")], &[]).text("git_status", &json!({"repo_path": fixture.path}));
    }),
    followed("pipeline/resolve.rs", "Repositories under the allowed roots", |it| {
        let (one, other) = (Fixture::new(), Fixture::new());
        let mut client = serving(&[&one.path, &other.path], &[]);
        for wrong in [json!({}), json!({"repo_path": "relative"}), json!({"repo_path": "/nonexistent"})] {
            let (_, filled) = it.printed(&mut client, ("git_status", wrong));
            let places: Vec<&str> = filled[0].split(", ").collect();
            assert_eq!(places.len(), 2, "{places:?}");
            for place in places {
                client.text("git_status", &json!({"repo_path": place}));
            }
        }
    }),
    followed("pipeline/resolve.rs", "There is no repository under", |it| {
        let home = tempfile::tempdir().expect("a folder");
        let place = fs::canonicalize(home.path()).expect("its path");
        let mut client = serving(&[&place], &[]);
        let (_, filled) = it.printed(&mut client, ("git_status", json!({})));
        let made = Path::new(&filled[0]).join("made");
        client.text("git_init", &json!({"repo_path": made}));
        client.text("git_status", &json!({"repo_path": made}));
    }),
    followed("pipeline/resolve.rs", "Its answer to roots/list names", |it| {
        let fixture = Fixture::new();
        let mut client = rooted(&fixture.path, "/nonexistent");
        it.printed(&mut client, ("git_status", json!({})));
        announce_roots(&mut client, &fixture.path.display().to_string());
        client.text("git_status", &json!({}));
    }),
    followed("pipeline/resolve.rs", "The client's workspace decides which", |it| {
        let (one, other) = (Fixture::new(), Fixture::new());
        let mut client = declaring(&[&one.path, &other.path], &[]);
        answer_roots(&mut client, &one.path.display().to_string());
        let there = ("git_status", json!({"repo_path": other.path}));
        it.printed(&mut client, there.clone());
        client.text("git_status", &json!({"repo_path": one.path}));
        announce_roots(&mut client, &other.path.display().to_string());
        client.text(there.0, &there.1);
    }),
    followed("tool/mod.rs", "The client's workspace decides where", |it| {
        let fixture = Fixture::new();
        let above = fixture.path.parent().expect("a parent");
        let mut client = rooted(above, &fixture.path.display().to_string());
        let outside = above.join("outside").display().to_string();
        let add = |path: &str| ("git_worktree", json!({"repo_path": fixture.path, "action": "add", "path": path, "branch": "made"}));
        it.printed(&mut client, add(&outside));
        let (tool, inside) = add("inside");
        client.text(tool, &inside);
    }),
    followed("wire/roots.rs", "The client must answer roots/list", |it| {
        let fixture = Fixture::new();
        let path = fixture.path.display().to_string();
        let mut client = declaring(&[&fixture.path], &[("MCP_GIT_READ_TIMEOUT", "1")]);
        let asked = client.receive();
        let id = client.start_call("git_status", &json!({}));
        it.read(&text_of(&client.answer_to(&id)["result"]));
        client.send_json(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": [{"uri": format!("file://{path}")}]}}));
        client.text("git_status", &json!({}));
        // Or a client that declares no roots.
        older(&fixture, &json!({}), &[]).text("git_status", &json!({}));
    }),
    followed("error/advice/mod.rs", "Only repositories inside the allowed roots", |it| {
        let (one, other) = (Fixture::new(), Fixture::new());
        // `git_init` in a folder without a repository.
        let made = other.path.with_file_name("made").display().to_string();
        let init = ("git_init", json!({"repo_path": made}));
        let (error, _) = it.printed(&mut serving(&[&one.path], &[]), init.clone());
        assert!(error.contains("`-r PATH`"));
        serving(&[&one.path, other.home.path()], &[]).text(init.0, &init.1);
    }),
    elsewhere(
        "error/advice/mod.rs",
        "If you trust it, ask the operator to run: git config",
        ("answers/ownership.rs", "the_advised_safe_directory_is_the_one_that_git_checks"),
    ),
    followed("selection.rs", "The operator selects the available tools", |it| {
        let fixture = Fixture::new();
        let status = ("git_status", json!({}));
        it.printed(&mut fixture.serve_with(&["--exclude-tools", "git_status"], &[]), status.clone());
        it.printed(&mut fixture.serve_with(&["--tools", "git_log"], &[]), status.clone());
        fixture.serve_with(&["--tools", "git_log,git_status"], &[]).text(status.0, &status.1);
    }),
    followed("selection.rs", "The operator has started it with --read-only", |it| {
        let fixture = Fixture::new();
        let make = ("git_create_branch", json!({"branch_name": "new"}));
        it.printed(&mut fixture.serve_with(&["--read-only"], &[]), make.clone());
        it.printed(&mut fixture.serve_with(&[], &[("MCP_GIT_READ_ONLY", "true")]), make.clone());
        fixture.serve().text(make.0, &make.1);
    }),
    followed("policy.rs", "The operator forbids it", |it| {
        let fixture = Fixture::new();
        fixture.write("untracked", "x");
        fixture.git(&["tag", "v1"]);
        for (name, call) in [
            ("hard_reset", ("git_reset", json!({"mode": "hard", "confirm": true}))),
            ("clean", ("git_clean", json!({"remove": true, "confirm": true}))),
            ("delete", ("git_tag", json!({"action": "delete", "name": "v1", "confirm": true}))),
        ] {
            let variable = format!("MCP_GIT_{}", name.to_uppercase());
            let (_, filled) = it.printed(&mut fixture.serve_with(&[], &[(&variable, "deny")]), call.clone());
            assert_eq!(filled[0], name);
            // The operator changes the setting that the hint names.
            let file = fixture.home.path().join("policy.toml");
            fs::write(&file, format!("[policy]\n{} = \"confirm\"\n", filled[0])).expect("a file");
            fixture.serve_with(&["--config", &file.display().to_string()], &[]).text(call.0, &call.1);
        }
    }),
    followed("policy.rs", "The operator names protected branches", |it| {
        let (fixture, _remote) = crate::support::remote::published();
        let amend = ("git_commit", json!({"amend": true, "message": "m", "confirm": true}));
        it.printed(&mut fixture.serve(), amend.clone());
        let file = fixture.home.path().join("policy.toml");
        fs::write(&file, "[policy]\nprotected_branches = [\"release\"]\n").expect("a file");
        fixture.serve_with(&["--config", &file.display().to_string()], &[]).text(amend.0, &amend.1);
    }),
    followed("caller.rs", "The operator decides which scopes", |it| {
        let fixture = Fixture::new();
        let (config, [_, reader, _]) = tokens(&fixture);
        let bearer = format!("Bearer {reader}");
        let make =
            |server: &Served| modern(server, &[("Authorization", &bearer)], call(1, "git_create_branch", json!({"branch_name": "n"})));
        let server = Served::start(&fixture, &["--config", &config], &[]);
        let mut socket = server.websocket(&[("Authorization", &bearer)]).expect("a socket");
        let mut message = call(3, "git_create_branch", json!({"branch_name": "n"}));
        message["params"]["_meta"] = crate::support::wire::meta(&json!({}));
        socket.send(tungstenite::Message::text(message.to_string())).expect("the server reads");
        let answer: Value = serde_json::from_str(socket.read().expect("an answer").to_text().expect("text")).expect("JSON");
        it.read(&text_of(&answer["result"]));
        drop(server);
        let text = fs::read_to_string(&config).expect("a file").replace("scopes = [\"read\"]", "scopes = [\"read\", \"write\"]");
        fs::write(&config, text).expect("a file");
        let made = make(&Served::start(&fixture, &["--config", &config], &[]));
        assert!(made.message().is_some_and(|answer| answer["result"]["isError"] == false), "{made:?}");
    }),
    followed("wire/confirm.rs", "Do not repeat it unless", |it| {
        let fixture = edited();
        let hard = json!({"mode": "hard"});
        let mut client = older(&fixture, &asks(), &[]);
        it.read(&text_of(&answered(&mut client, &hard, &json!({"action": "cancel"}))));
        assert!(is_edited(&fixture));
        // The user accepts.
        let done = answered(&mut client, &hard, &json!({"action": "accept", "content": {"confirm": true}}));
        assert!(done["isError"] != true && !is_edited(&fixture), "{done}");
    }),
    followed("wire/declines.rs", "Do not repeat it. The user can ask for it", |it| {
        let fixture = edited();
        let hard = json!({"mode": "hard"});
        let mut client = older(&fixture, &asks(), &[]);
        it.read(&text_of(&answered(&mut client, &hard, &json!({"action": "decline"}))));
        assert!(client.error("git_reset", &hard).contains("declined it before") && is_edited(&fixture));
        // The user runs git in a terminal.
        shell(&fixture.path, "git reset -q --hard");
        assert!(!is_edited(&fixture));
    }),
    followed("wire/declines.rs", "The same call is refused without a prompt for {}. ", |it| {
        let fixture = edited();
        let hard = json!({"mode": "hard"});
        let mut client = older(&fixture, &asks(), &[]);
        let filled = it.read(&text_of(&answered(&mut client, &hard, &json!({"action": "decline"}))));
        assert_eq!(filled[0], "10 minutes");
        // Refused at once, without a question.
        assert!(client.error("git_reset", &hard).contains("declined it before"));
        // A restarted server does not remember the decline.
        let done = answered(&mut older(&fixture, &asks(), &[]), &hard, &json!({"action": "accept", "content": {"confirm": true}}));
        assert!(done["isError"] != true && !is_edited(&fixture), "{done}");
    }),
    followed("wire/declines.rs", "The same call is refused without a prompt for {} more", |it| {
        let fixture = edited();
        let hard = json!({"mode": "hard"});
        let mut client = older(&fixture, &asks(), &[]);
        answered(&mut client, &hard, &json!({"action": "decline"}));
        let (_, filled) = it.printed(&mut client, ("git_reset", hard));
        assert!(filled[0].ends_with("minutes"), "{filled:?}");
        // A different change is asked about at once.
        let done =
            answered(&mut client, &json!({"mode": "hard", "target": "HEAD"}), &json!({"action": "accept", "content": {"confirm": true}}));
        assert!(done["isError"] != true && !is_edited(&fixture), "{done}");
    }),
    followed("wire/resources.rs", "Read it in parts: git_show", |it| {
        let (fixture, other) = (Fixture::new(), Fixture::new());
        fixture.write("long", "0123456789abcdef\n".repeat(100_000)).commit("long");
        let mut client = serving(&[&fixture.path, &other.path], &[]);
        let uri = format!("git://{}/blob/HEAD/long", fixture.path.display().to_string().replace('/', "%2F"));
        let read = client.request("resources/read", &json!({"uri": uri}));
        let error = read["error"]["message"].as_str().unwrap_or_else(|| panic!("{read}"));
        it.read(error);
        let (tool, args) = named(error, "git_show");
        let first = client.text(tool, &args);
        let (tool, args) = named(&first, "git_show");
        assert!(client.text(tool, &args).contains("0123456789abcdef"));
    }),
    followed("cli/admin/health.rs", ": new work is rejected", |it| {
        let fixture = Fixture::new();
        let server = crate::support::admin::Administered::start(&fixture, &[], &[]);
        server.post("/drain", &json!({"timeout": 0}));
        let status = crate::support::admin::operate(&server, &["status"]);
        let said = crate::support::out(&status);
        it.read(&said);
        let command = it.text.split('`').nth(1).expect("a command").split(' ').nth(1).expect("its name");
        assert!(crate::support::admin::operate(&server, &[command]).status.success());
        assert_eq!(modern(&server.server, &[], call(1, "git_status", json!({}))).status, 200);
    }),
    followed("serving/listen.rs", "Choose another with", |it| {
        let fixture = Fixture::new();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("its number").port().to_string();
        let serve = |args: &[&str], variables: &[(&str, &str)]| {
            let mut command = program();
            command.arg("-r").arg(&fixture.path).arg("serve").args(args).envs(variables.iter().copied());
            command
        };
        let refused = serve(&["--port", &port], &[]).output().expect("the program runs");
        it.read(&String::from_utf8_lossy(&refused.stderr));
        for (args, variables) in [(&["--port", "0"][..], &[][..]), (&[], &[("MCP_GIT_PORT", "0")])] {
            let server = Served::spawn(&mut serve(args, variables));
            wait_for("the server", || server.send("GET", "/health", &[], b"").status == 200);
        }
    }),
    followed("error/mod.rs", "Try again later.", |it| {
        let fixture = Fixture::new();
        let (socket, state) = (fixture.home.path().join("admin"), fixture.home.path().join("state").display().to_string());
        let channel = socket.display().to_string();
        let mut client = fixture.serve_with(&["--state-dir", &state], &[("MCP_GIT_ADMIN_SOCKET", &channel)]);
        fixture.write("new", "x");
        client.text("git_add", &json!({"files": ["new"]}));
        wait_for("the admin channel", || socket.exists());
        let operate = |command: &str| program().args([command, "--socket", &channel]).output().expect("the program runs");
        operate("drain");
        it.printed(&mut client, ("git_status", json!({})));
        assert!(operate("resume").status.success());
        client.text("git_status", &json!({}));
    }),
    followed("error/advice/mod.rs", "Use git_checkout with `branch_name`", |it| {
        let fixture = Fixture::new();
        fixture.git(&["branch", "taken"]);
        let mut client = fixture.serve();
        let (error, _) = it.printed(&mut client, ("git_create_branch", json!({"branch_name": "taken"})));
        client.text("git_checkout", &json!({"branch_name": argument(&error, "branch_name")}));
        assert_eq!(fixture.text(&["branch", "--show-current"]), "taken");
        client.text("git_create_branch", &json!({"branch_name": "other"}));
    }),
    followed("error/advice/mod.rs", "If they are meant to be tracked", |it| {
        let fixture = Fixture::new();
        fixture.write(".gitignore", "*.log\n").write("a.log", "x\n");
        let mut client = fixture.serve();
        let add = json!({"files": ["a.log"]});
        let (error, _) = it.printed(&mut client, ("git_add", add.clone()));
        client.text("git_add", &with(&error, "force", &add));
        assert_eq!(fixture.text(&["diff", "--cached", "--name-only"]), "a.log");
    }),
];

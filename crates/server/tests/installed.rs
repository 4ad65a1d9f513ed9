//! With operators' programs: an ssh server, git-lfs, nginx.
//!
//! Without the program a test reports that and ends; where `CI` is set it fails.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests start programs and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};
use support::{
    Fixture, Outcome, git_in, program,
    programs::{Running, found, node},
    root, shell,
    wire::{NEWEST, Served, meta},
};

/// An ssh server for the current user and the ssh command that reaches it. Not OpenSSH, which as root needs a dedicated
/// user on the machine.
fn ssh_server(node: &Path, modules: &Path, home: &Path) -> (Running, String) {
    let script = "mkdir -p keys && ssh-keygen -q -t ed25519 -N '' -f keys/host && ssh-keygen -q -t ed25519 -N '' -f keys/user && \
                  cp keys/user.pub keys/authorized && chmod 600 keys/*";
    shell(home, script);
    let path = |name: &str| home.join("keys").join(name).display().to_string();
    let mut command = Command::new(node);
    command.arg(root().join("tests/servers/ssh.mjs")).arg(modules).args([path("host"), path("authorized")]);
    let mut server = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("an ssh server"));
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().expect("its output")).read_line(&mut line).expect("its port");
    let port = line.trim();
    let known = fs::read_to_string(path("host.pub")).expect("the host's key");
    fs::write(path("known"), format!("[127.0.0.1]:{port} {known}")).expect("a file");
    let client = format!(
        "ssh -F /dev/null -p {port} -i '{}' -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile='{}'",
        path("user"),
        path("known")
    );
    (server, client)
}

#[test]
fn pushes_and_fetches_work_over_ssh() -> Outcome {
    let [Some(_), Some(_)] = ["ssh", "ssh-keygen"].map(found) else { return Ok(()) };
    let Some((node, modules)) = node("ssh") else { return Ok(()) };
    let fixture = Fixture::new();
    let home = fs::canonicalize(fixture.home.path())?;
    assert!(git_in(&home, &["init", "-q", "--bare", "--initial-branch=main", "bare.git"]).status.success());
    let (_server, ssh) = ssh_server(&node, &modules, &home);
    fixture.git(&["config", "core.sshCommand", &ssh]);
    let user = String::from_utf8(shell(&home, "id -un"))?;
    let url = format!("ssh://{}@127.0.0.1{}", user.trim(), home.join("bare.git").display());
    fixture.git(&["remote", "add", "origin", &url]);
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_ALLOW_HOSTS", "127.0.0.1")]);
    let pushed = client.text("git_push", &json!({"set_upstream": true}));
    assert!(pushed.contains("* refs/heads/main"), "{pushed}");
    let bare = home.join("bare.git");
    assert_eq!(git_in(&bare, &["rev-parse", "main"]).stdout, fixture.git(&["rev-parse", "main"]));
    git_in(&bare, &["branch", "other", "main"]);
    assert!(client.text("git_fetch", &json!({})).contains("refs/remotes/origin/other"));
    assert!(client.text("git_ls_remote", &json!({})).contains("refs/heads/other"));
    // A key unknown to the server: no prompt, and a hint.
    fs::write(home.join("keys/authorized"), "")?;
    let refused = client.error("git_fetch", &json!({}));
    assert!(refused.contains("Permission denied") && refused.contains("SSH_AUTH_SOCK"), "{refused}");
    // A server whose host key changed.
    let other = fs::read_to_string(home.join("keys/user.pub"))?;
    let known = fs::read_to_string(home.join("keys/known"))?;
    fs::write(home.join("keys/known"), format!("{} {other}", known.split(' ').next().unwrap_or_default()))?;
    let refused = client.error("git_fetch", &json!({}));
    assert!(refused.contains("Host key verification failed"), "{refused}");
    Ok(())
}

#[test]
fn large_files_go_through_the_operators_git_lfs() -> Outcome {
    let Some(lfs) = found("git-lfs") else { return Ok(()) };
    let fixture = Fixture::new();
    let operator = fixture.path.with_file_name("operator.gitconfig");
    let settings = format!(
        "[filter \"lfs\"]\n\tclean = {0} clean -- %f\n\tsmudge = {0} smudge -- %f\n\tprocess = {0} filter-process\n\trequired = true\n",
        lfs.display()
    );
    fs::write(&operator, settings)?;
    fs::set_permissions(&operator, fs::Permissions::from_mode(0o600))?;
    let content = "large\n".repeat(10_000);
    fixture.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n").write("big.bin", &content);
    // The hooks that it installs search for it on the path.
    let path = format!("{}:{}", lfs.parent().ok_or("a folder")?.display(), std::env::var("PATH")?);
    let mut client = fixture.serve_with(&[], &[("GIT_CONFIG_GLOBAL", &operator.display().to_string()), ("PATH", &path)]);
    client.text("git_add", &json!({"files": ["."]}));
    client.text("git_commit", &json!({"message": "large", "author": "A <a@example.com>"}));
    let stored = String::from_utf8(fixture.git(&["cat-file", "blob", "HEAD:big.bin"]))?;
    assert!(stored.starts_with("version https://git-lfs") && stored.ends_with("size 60000\n"), "{stored}");
    assert!(client.text("git_status", &json!({})).contains("working tree clean"));
    // Switched away and back: the file has its content, not the pointer.
    client.text("git_checkout", &json!({"branch_name": "without", "create": true, "start_point": "HEAD~1"}));
    assert!(!fixture.path.join("big.bin").exists());
    client.text("git_checkout", &json!({"branch_name": "main"}));
    assert_eq!(fs::read_to_string(fixture.path.join("big.bin"))?, content);
    assert!(client.text("git_status", &json!({})).contains("working tree clean"));
    Ok(())
}

#[test]
fn the_documented_nginx_configuration_terminates_tls() -> Outcome {
    let [Some(nginx), Some(curl), Some(_)] = ["nginx", "curl", "openssl"].map(found) else { return Ok(()) };
    let fixture = Fixture::new();
    let home = fs::canonicalize(fixture.home.path())?;
    let token = String::from_utf8(program().args(["token", "all"]).output()?.stdout)?;
    let secret = token.lines().next().and_then(|line| line.rsplit(' ').next()).ok_or("no token")?.to_owned();
    fs::write(home.join("config.toml"), format!("{token}\n[http]\nallowed_hosts = [\"git.example\"]\n"))?;
    let server = Served::start(&fixture, &["--config", &home.join("config.toml").display().to_string()], &[]);
    shell(
        &home,
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=git.example -addext subjectAltName=DNS:git.example -keyout key.pem -out \
         cert.pem 2>/dev/null && mkdir -p logs",
    );
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr())?.port();
    let mut site = fs::read_to_string(root().join("docs/nginx.conf"))?;
    for (from, to) in [
        ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
        ("/etc/ssl/git.example.pem", home.join("cert.pem").display().to_string()),
        ("/etc/ssl/git.example.key", home.join("key.pem").display().to_string()),
        ("127.0.0.1:8080", format!("127.0.0.1:{}", server.port)),
    ] {
        assert!(site.contains(from), "the documented file has no `{from}`");
        site = site.replace(from, &to);
    }
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .fold(String::new(), |all, one| all + &format!("{one}_temp_path {}/{one};\n", home.display()));
    let whole = format!(
        "daemon off;\nmaster_process off;\npid {0}/nginx.pid;\nerror_log stderr notice;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n",
        home.display()
    );
    fs::write(home.join("nginx.conf"), whole)?;
    let mut command = Command::new(nginx);
    command.args(["-p", &home.display().to_string(), "-c", &home.join("nginx.conf").display().to_string()]);
    let mut nginx = Running(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?);
    // It writes this once it listens.
    let mut said = BufReader::new(nginx.0.stderr.take().ok_or("its errors")?).lines();
    assert!(said.any(|line| line.is_ok_and(|line| line.contains("event method"))), "nginx does not start");
    let curl = |path: &str, more: &[&str]| {
        let mut command = Command::new(&curl);
        command.args(["--silent", "--include", "--http1.1", "--max-time", "5", "--cacert", &home.join("cert.pem").display().to_string()]);
        command.args(["--resolve", &format!("git.example:{port}:127.0.0.1"), &format!("https://git.example:{port}{path}")]);
        String::from_utf8_lossy(&command.args(more).output().expect("curl").stdout).into_owned()
    };
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "git_status", "arguments": {}, "_meta": meta(&json!({}))}});
    let (message, version) = (message.to_string(), format!("MCP-Protocol-Version: {NEWEST}"));
    let asked = [
        "--data",
        &message,
        "-H",
        "Content-Type: application/json",
        "-H",
        "Accept: application/json, text/event-stream",
        "-H",
        &version,
        "-H",
        "Mcp-Method: tools/call",
        "-H",
        "Mcp-Name: git_status",
    ];
    let refused = curl("/mcp", &asked);
    assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("resource_metadata=\"https://git.example"), "{refused}");
    let bearer = format!("Authorization: Bearer {secret}");
    let answered = curl("/mcp", &[&asked[..], &["-H", &bearer]].concat());
    let reply: Value = serde_json::from_str(answered.split("\r\n\r\n").nth(1).ok_or("no body")?)?;
    assert!(reply["result"]["isError"] != true && reply["id"] == 1, "{answered}");
    let upgrade = [
        "-H",
        "Connection: Upgrade",
        "-H",
        "Upgrade: websocket",
        "-H",
        "Sec-WebSocket-Version: 13",
        "-H",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let upgraded = curl("/ws", &[&upgrade[..], &["-H", &bearer, "--max-time", "1"]].concat());
    assert!(upgraded.starts_with("HTTP/1.1 101"), "{upgraded}");
    Ok(())
}

//! With operators' programs: an ssh server, git-lfs, proxies, systemd; and the manifests for Kubernetes.
//!
//! Without the program a test reports that and ends; where `CI` is set it fails.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests start programs and fail loudly")]

#[path = "installed/kubernetes.rs"]
mod kubernetes;
#[path = "installed/proxies.rs"]
mod proxies;
mod support;
#[path = "installed/systemd.rs"]
mod systemd;

use serde_json::json;
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};
use support::{
    Fixture, Outcome, git_in,
    programs::{Running, found, node},
    root, shell,
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

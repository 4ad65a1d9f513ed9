//! The documented manifests: their arguments, configuration, probes and stop, as a cluster uses them. `cargo xtask test`
//! compares them with the schema of Kubernetes.

use crate::support::{Fixture, Outcome, program, root, signal, wire::Served};
use std::fs;

/// The list behind a key, which the file writes as JSON in one line.
fn list(manifests: &str, key: &str) -> Vec<String> {
    let line = manifests.lines().filter_map(|line| line.trim().strip_prefix(key)).find(|rest| rest.contains(", "));
    serde_json::from_str(line.expect("the key").trim()).expect("a list")
}

/// The configuration file in the secret, with the entry of a new token.
fn configuration(manifests: &str) -> String {
    let text = manifests.lines().skip_while(|line| !line.contains("config.toml: |")).skip(1);
    let text: String = text.take_while(|line| *line != "---").map(|line| line.trim_start().to_owned() + "\n").collect();
    let printed = program().args(["token", "ci"]).output().expect("a token").stdout;
    let printed = String::from_utf8(printed).expect("text");
    let hash = printed.lines().find(|line| line.starts_with("sha256")).expect("a hash");
    let placeholder = format!("sha256 = \"{}\"", "0".repeat(64));
    assert!(text.contains(&placeholder), "{text}");
    text.replace(&placeholder, hash)
}

/// Paths of this machine in place of the container's, and the loopback in place of all addresses.
fn here(args: Vec<String>, fixture: &Fixture) -> Vec<String> {
    let home = fixture.home.path();
    let at = |name: &str| home.join(name).display().to_string();
    let changes = [
        ("0.0.0.0", "127.0.0.1".to_owned()),
        ("8080", "0".to_owned()),
        ("/etc/mcp-server-git", at("")),
        ("/var/lib/mcp-server-git", at("")),
        ("/run/mcp-server-git", at("")),
        ("/srv/git", fixture.path.display().to_string()),
    ];
    args.into_iter().map(|arg| changes.iter().fold(arg, |arg, (from, to)| arg.replace(*from, to))).collect()
}

#[test]
fn the_documented_manifests_start_probe_and_stop_a_server() -> Outcome {
    let manifests = fs::read_to_string(root().join("docs/kubernetes.yaml"))?;
    let fixture = Fixture::new();
    fs::write(fixture.home.path().join("config.toml"), configuration(&manifests))?;
    let mut server = Served::spawn(program().args(here(list(&manifests, "args:"), &fixture)));
    let probes: Vec<&str> = manifests.lines().filter_map(|line| line.trim().strip_prefix("httpGet: {path: ")?.split(',').next()).collect();
    assert_eq!(probes, ["/startupz", "/livez", "/readyz"]);
    // The kubelet uses the address of the pod.
    let probe = |path: &str| server.send("GET", path, &[("Host", "10.1.2.3:8080")], b"").status;
    assert!(probes.iter().all(|path| probe(path) == 200));
    let stop = here(list(&manifests, "command:"), &fixture);
    let (name, args) = stop.split_first().ok_or("a command")?;
    assert_eq!(name, "mcp-server-git");
    let stopped = program().args(args).output()?;
    assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    // Calls have ended: no new ones come, and the pod is not restarted.
    assert_eq!(probes.iter().map(|path| probe(path)).collect::<Vec<_>>(), [200, 200, 503]);
    signal(&server.child.id(), "TERM");
    assert!(server.child.wait()?.success());
    Ok(())
}

//! A concurrent writer in the repository; the programs that run.

use super::scene::*;
use crate::support::{self, Client, shell};
use rustix::fs::{CWD, RenameFlags};
use serde_json::json;
use std::{fs, os::unix::fs::symlink};

/// Swaps parts of a repository until dropped.
struct Swapper {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<u64>>,
}

impl Swapper {
    fn start(scene: &Scene) -> Self {
        let stop: std::sync::Arc<std::sync::atomic::AtomicBool> = std::sync::Arc::default();
        let (ends, repo, outside, trap) =
            (std::sync::Arc::clone(&stop), scene.fixture.path.clone(), scene.outside.path().to_owned(), scene.trap.clone());
        shell(
            &outside,
            "git init -q other && cd other && git config user.name S && git config user.email s@s && echo TOP-SECRET >a.txt && mkdir dir && echo TOP-SECRET >dir/b.rs && git add . && git commit -q -m TOP-SECRET",
        );
        let config = fs::read_to_string(repo.join(".git/config")).expect("the configuration");
        let evil = format!(
            "{config}[core]\nfsmonitor={trap}\n[filter \"e\"]\nclean={trap}\nsmudge={trap}\nprocess={trap}\n[diff]\nexternal={trap}\n[diff \"e\"]\ntextconv={trap}\ncommand={trap}\n[gpg]\nprogram={trap}\n[include]\npath={}\n",
            outside.join("secret").display()
        );
        fs::write(repo.join(".git/info/attributes"), "* filter=e diff=e merge=e\n").expect("a file");
        let work = move || {
            let mut swaps = 0;
            let scratch = repo.with_file_name("scratch");
            // An atomic exchange, there and back: git could fill a gap, because it creates missing folders.
            let mut exchange = |name: &str| {
                rustix::fs::renameat_with(CWD, &scratch, CWD, repo.join(name), RenameFlags::EXCHANGE).expect("an exchange");
                swaps += 1;
            };
            while !ends.load(std::sync::atomic::Ordering::Relaxed) {
                for (name, target) in [
                    (".git", "other/.git"),
                    ("dir", "other/dir"),
                    ("a.txt", "secret"),
                    (".git/refs", "other/.git/refs"),
                    (".git/objects", "other/.git/objects"),
                ] {
                    symlink(outside.join(target), &scratch).expect("a link");
                    exchange(name);
                    exchange(name);
                    fs::remove_file(&scratch).expect("the link");
                }
                fs::write(&scratch, &evil).expect("a file");
                exchange(".git/config");
                exchange(".git/config");
                fs::remove_file(&scratch).expect("the file");
            }
            swaps
        };
        Self { stop, thread: Some(std::thread::spawn(work)) }
    }

    fn end(mut self) -> u64 {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.take().expect("it runs").join().expect("it ends")
    }
}

#[test]
fn a_concurrent_writer_gets_nothing_run_and_nothing_shown() {
    let rounds = std::env::var("SWAP_CALLS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let scene = Scene::new();
    let mut client = scene.serve();
    let swapper = Swapper::start(&scene);
    let tools = [
        ("git_status", json!({})),
        ("git_log", json!({"max_count": 3})),
        ("git_show", json!({"revision": "HEAD"})),
        ("git_diff", json!({})),
        ("git_show", json!({"revision": "HEAD:a.txt"})),
        ("git_grep", json!({"pattern": "."})),
        ("git_blame", json!({"path": "a.txt"})),
        ("git_add", json!({"files": ["a.txt"]})),
        ("git_branch", json!({})),
        ("git_stash", json!({"action": "list"})),
    ];
    let outside = || shell(scene.outside.path(), "find other -type f | sort | xargs cksum");
    let before = outside();
    let (mut answered, mut refused) = (0, 0);
    for round in 0..rounds {
        let (tool, args) = &tools[round % tools.len()];
        let result = client.result(tool, &scene.here(args.clone()));
        assert!(!result.to_string().contains(SECRET), "{tool}, call {round}: {result}");
        // A lock stays if the folder is exchanged before git removes it: the operator removes it.
        fs::remove_file(scene.fixture.path.join(".git/index.lock")).ok();
        if result["isError"] == true { refused += 1 } else { answered += 1 }
    }
    let swaps = swapper.end();
    scene.unharmed("a writer");
    assert_eq!(outside(), before, "nothing is written outside the roots");
    assert!(answered > 0 && refused > 0 && swaps > 0, "{answered} answered, {refused} refused, {swaps} swaps");
}

/// The programs that git itself consists of, by name.
fn is_gits(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "git" || name.starts_with("git-remote-http")
}

#[test]
fn only_gits_own_programs_are_executed() {
    let scene = Scene::new();
    let fixture = &scene.fixture;
    fixture.write(".gitattributes", "* filter=trap diff=trap merge=trap\n").commit("attributes");
    for hook in
        ["pre-commit", "commit-msg", "post-checkout", "post-merge", "pre-rebase", "reference-transaction", "post-index-change", "pre-push"]
    {
        fs::copy(&scene.trap, fixture.path.join(".git/hooks").join(hook)).expect("a hook");
    }
    let clean = fs::read(fixture.path.join(".git/config")).expect("the configuration");
    let trace = scene.outside.path().join("trace");
    let mut command = support::traced(&trace, &["execve"]);
    command.args(["-r", &scene.above(), "--toolsets", "all"]).current_dir("/");
    let mut client = Client::spawn(&mut command);
    client.initialize();
    // Each key is tried with a quarter of the tools, and each tool with a quarter of the keys, unless all are requested.
    let share = if std::env::var_os("ATTACK_ALL").is_some() { 1 } else { 4 };
    for (at, (key, is_program)) in support::keys::NAMING.iter().enumerate() {
        let (section, name) = key.rsplit_once('.').expect("a key");
        let section = match section.split_once('.') {
            Some((section, sub)) => format!("{section} \"{sub}\""),
            None => section.to_owned(),
        };
        let value = if *is_program { scene.trap.clone() } else { scene.secret().display().to_string() };
        let text = [clean.as_slice(), format!("[{section}]\n\t{name} = {value}\n").as_bytes()].concat();
        fs::write(fixture.path.join(".git/config"), text).expect("the configuration");
        for (tool, args) in every_tool().into_iter().skip(at % share).step_by(share) {
            let result = client.result(tool, &scene.here(args));
            assert!(!result.to_string().contains(SECRET), "{key}: {tool}: {result}");
        }
        scene.unharmed(key);
    }
    drop(client);
    let trace = fs::read_to_string(&trace).expect("a trace");
    let started: Vec<&str> =
        trace.lines().filter(|line| line.contains(") = 0")).filter_map(|line| line.split("execve(\"").nth(1)?.split('"').next()).collect();
    assert!(started.len() > 10, "{trace}");
    // The first is the server itself.
    let others: Vec<&&str> = started.iter().skip(1).filter(|path| !is_gits(path) && !path.contains("/ld-")).collect();
    assert!(others.is_empty(), "{others:?}");
}

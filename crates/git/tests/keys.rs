//! Configuration keys allowed in an untrusted repository, checked against git itself.

#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::panic, reason = "tests run git and strace, and fail loudly")]

#[allow(dead_code, reason = "the tests of the server use the rest")]
#[path = "../../server/tests/support/programs.rs"]
mod programs;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The result of a test.
type Outcome = Result<(), Box<dyn std::error::Error>>;

const HARMLESS: &str = include_str!("keys/harmless.txt");
const REFUSED: &str = include_str!("keys/refused.txt");
/// Effects of refused keys, the worst first.
const EFFECTS: [&str; 8] = ["program", "file", "network", "moves refs", "destroys", "resources", "output", "unassessed"];
/// git programs to check the lists against, if installed.
const GITS: [&str; 3] = ["git", "/usr/bin/git", "/usr/local/bin/git"];

fn rows(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split_once('\t').unwrap_or_else(|| panic!("no tab: {line}")))
}

/// Splits a key into section, subsection and name; section and name in lower case.
fn parts(name: &str) -> (String, Option<&str>, String) {
    let (section, rest) = name.split_once('.').unwrap_or((name, ""));
    let (subsection, key) = rest.rsplit_once('.').map_or((None, rest), |(middle, last)| (Some(middle), last));
    (section.to_ascii_lowercase(), subsection, key.to_ascii_lowercase())
}

fn is_harmless(name: &str, value: &str) -> bool {
    let (section, subsection, key) = parts(name);
    git::is_harmless(&section, subsection, &key, value.as_bytes())
}

fn command(program: &str, home: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    command.env("HOME", home).env("XDG_CONFIG_HOME", home).env("LC_ALL", "C").envs([
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_ALLOW_PROTOCOL", "file"),
        ("GIT_EDITOR", ":"),
        ("GIT_TERMINAL_PROMPT", "0"),
    ]);
    command
}

#[track_caller]
fn ok(mut command: Command) -> Output {
    let output = command.output().expect("a program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The installed git programs, one per version.
fn gits() -> Vec<&'static str> {
    let mut seen = BTreeSet::new();
    let version = |program: &str| Command::new(program).arg("--version").output().ok().map(|output| output.stdout);
    GITS.into_iter().filter(|program| version(program).is_some_and(|version| seen.insert(version))).collect()
}

#[test]
fn every_key_that_git_lists_is_classified() {
    let home = tempfile::tempdir().expect("a folder");
    let refused: BTreeSet<String> = rows(REFUSED).map(|(name, _)| name.to_ascii_lowercase()).collect();
    assert!(gits().contains(&"git"));
    for program in gits() {
        let mut list = command(program, home.path());
        list.args(["help", "--config"]);
        let listed = String::from_utf8(ok(list).stdout).expect("text");
        // The hint at the end contains spaces, and so does one name, in angle brackets.
        let names: Vec<&str> = listed.lines().filter(|line| line.contains('.') && !line.starts_with('\'')).collect();
        assert!(names.len() > 500, "{program}: {} keys", names.len());
        for name in names {
            let (section, subsection, key) = parts(name);
            let examples = rows(HARMLESS).filter(|(example, _)| parts(example).0 == section);
            let harmless = examples.chain([(name, "true")]).any(|(example, value)| {
                let subsection = subsection.map(|own| parts(example).1.unwrap_or(own));
                git::is_harmless(&section, subsection, &key, value.as_bytes())
            });
            let is_refused = refused.contains(&name.to_ascii_lowercase());
            assert!(harmless || is_refused, "{program} has a new key {name}: add it to src/harmless.rs or tests/keys/refused.txt");
            assert!(!(harmless && is_refused), "{name} is in both lists");
        }
    }
}

#[test]
fn refused_keys_have_an_effect_and_a_reason() {
    let mut seen = BTreeSet::new();
    for (name, text) in rows(REFUSED) {
        assert!(seen.insert(name.to_ascii_lowercase()), "{name} is listed twice");
        let (effect, reason) = text.split_once(": ").unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(EFFECTS.contains(&effect) && !reason.is_empty(), "{name}: {text}");
        for value in ["true", "false", "1", "x", "/x"] {
            assert!(!is_harmless(name, value), "{name} = {value}");
        }
    }
}

/// Collects the configuration files of every repository below `dir`.
fn configurations(dir: &Path, found: &mut Vec<PathBuf>) {
    let is_git_dir = dir.join("HEAD").is_file() && dir.join("objects").is_dir() || dir.join("commondir").is_file();
    if is_git_dir {
        found.extend(["config", "config.worktree"].map(|name| dir.join(name)).into_iter().filter(|path| path.is_file()));
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            configurations(&entry.path(), found);
        }
    }
}

#[test]
fn keys_written_by_git_are_harmless() -> Outcome {
    const SCRIPT: &str = r#"
        git() { command "$GIT" -c protocol.file.allow=always "$@" || echo "failed: $*" >&2; }
        git config --global user.name A; git config --global user.email a@a
        git init -q -b main plain; git init -q --bare bare; git init -q --shared shared; git init -q --shared=0640 shared2
        git init -q --object-format=sha256 sha256; git init -q --separate-git-dir=apart separate
        command "$GIT" init -q --ref-format=reftable reftable 2>/dev/null
        git init -q -b main lib; cd lib; git commit -q --allow-empty -m l; cd ..
        cd plain; mkdir d; echo 1 >d/a; git add .; git commit -qm 1; git tag v1; git branch side
        git submodule --quiet add ../lib lib; git commit -qm 2; git config uploadpack.allowFilter true; cd ..
        from="file://$PWD/plain"; command "$GIT" -C plain config --unset uploadpack.allowFilter
        git clone -q plain c1; git clone -q --depth 1 "$from" c2; git clone -q --filter=blob:none "$from" c3; git clone -q --sparse plain c4
        git clone -q --shared plain c5; git clone -q --single-branch --branch side plain c6; git clone -q --depth 1 --branch v1 "$from" c7
        git clone -q --recurse-submodules plain c8; git clone -q -o upstream --no-tags plain c9; git clone -q --bare plain c10
        git clone -q --filter=tree:0 --no-checkout "$from" c11; git clone -q --filter=blob:limit=1k --recurse-submodules "$from" c12
        cd c1; git submodule --quiet init; git submodule --quiet update; git submodule --quiet sync; git submodule --quiet absorbgitdirs
        git submodule --quiet deinit -f lib; git branch -q a; git branch -q -u origin/main a; git checkout -q -b b --track a; git checkout -q side
        git remote add -t main --tags other ../plain; git remote add --no-tags third ../plain; git remote set-branches --add other side
        git remote set-head origin main; git remote rename third fourth; git remote set-url --push fourth ../bare; git push -q -u fourth a
        git worktree add -q ../w1 -b w1 origin/main; cd ../w1; git sparse-checkout set d; git sparse-checkout disable
        git sparse-checkout set --cone --sparse-index d; git sparse-checkout reapply --no-sparse-index; git config --worktree user.name W
        cd ../c4; git sparse-checkout add d; git worktree add -q --detach ../w2; git config user.name N; git config user.email e@e
        git update-index --untracked-cache --index-version 4; git maintenance register; git bisect start; git bisect reset
        GIT_EDITOR="echo text >" git branch --edit-description main; git fetch -q --prune; git gc -q
    "#;
    for program in gits() {
        let home = tempfile::tempdir()?;
        let mut run = command("sh", home.path());
        run.env_remove("GIT_ALLOW_PROTOCOL");
        run.args(["-c", SCRIPT]).env("GIT", program).current_dir(home.path());
        let output = ok(run);
        let failed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!failed.contains("failed:"), "{program}: {failed}");
        let mut files = Vec::new();
        configurations(home.path(), &mut files);
        assert!(files.len() > 20, "{files:?}");
        let mut written = BTreeMap::new();
        for file in files {
            let mut list = command(program, home.path());
            list.args(["config", "--list", "--null", "--file"]).arg(&file);
            for entry in String::from_utf8(ok(list).stdout)?.split_terminator('\0') {
                let (name, value) = entry.split_once('\n').unwrap_or((entry, "true"));
                written.insert(name.to_owned(), file.clone());
                assert!(is_harmless(name, value), "{program} wrote {name} = {value} into {}", file.display());
            }
        }
        for name in ["remote.origin.partialclonefilter", "index.sparse", "submodule.lib.url", "branch.a.merge", "maintenance.strategy"] {
            assert!(written.contains_key(name), "{program} did not write {name}: {:?}", written.keys());
        }
    }
    Ok(())
}

#[test]
fn keys_written_by_the_server_are_harmless() {
    for name in git::WRITABLE {
        let (section, _, key) = parts(name);
        let example = rows(HARMLESS).find(|(example, _)| parts(example) == (section.clone(), None, key.clone()));
        let (_, value) = example.unwrap_or_else(|| panic!("{name} is not in tests/keys/harmless.txt"));
        assert!(is_harmless(name, value), "{name} = {value}");
    }
}

/// A repository, its remote, and a marker program that must not be started.
struct Scene {
    home: tempfile::TempDir,
    marker: String,
}

/// The programs that a list of git commands started, and their exit codes.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    programs: BTreeSet<String>,
    codes: String,
}

/// One command of each kind that the server runs; all succeed in a plain repository.
const COMMANDS: &str = r#"
    s() { git "$@" >>../out 2>&1; echo "$1 $?" >>../codes; }
    s status; echo x >>a; s add a; s commit -m one; s merge -m m side; s diff HEAD~1
    s checkout -q topic; s rebase main; echo y >>a; s stash; s stash pop; s apply --check ../patch; s checkout -q -- a; s tag -a v2 -m t
    s notes add -m n; s cherry-pick picked; s revert --no-edit HEAD; s reset -q --hard HEAD~1
    s fetch --upload-pack git-upload-pack ../remote main; s fetch origin; s push origin main:refs/heads/pushed; s worktree add -b linked ../linked
    s bisect start; s bisect reset; s clean -f -q; s submodule status; s branch -q -D side; s mv b c; s log -1; s blame a; s gc -q
"#;

impl Scene {
    fn new() -> Self {
        const SETUP: &str = r"
            git config --global user.name A; git config --global user.email a@a; git config --global init.defaultBranch main
            git init -q repo; cd repo; seq 1 50 >a; echo b >b; git add .; git commit -qm first; git branch side; git branch topic; git branch picked
            echo main >>b; git commit -qam main; git checkout -q side; echo s >s; git add s; git commit -qm side
            git checkout -q topic; echo t >t; git add t; git commit -qm topic; git checkout -q picked; echo p >p; git add p; git commit -qm picked
            git checkout -q main; sed -i 's/^25$/changed/' a; git diff >../patch; git checkout -q -- a; git clone -q --bare . ../remote
            git remote add origin ../remote; git fetch -q origin; git branch -q -u origin/main main
        ";
        let home = tempfile::tempdir().expect("a folder");
        let marker = fs::canonicalize(home.path()).expect("a path").join("marker");
        fs::write(&marker, "#!/bin/sh\ntouch \"$0.was-run\"\ncat\n").expect("a file");
        fs::set_permissions(&marker, fs::Permissions::from_mode(0o755)).expect("its mode");
        let mut run = command("sh", home.path());
        run.args(["-ec", SETUP]).current_dir(home.path());
        ok(run);
        Self { home, marker: marker.display().to_string() }
    }

    /// Adds keys to the repository's configuration.
    fn configure(&self, keys: &[(String, String)]) {
        let path = self.home.path().join("repo/.git/config");
        let mut text = fs::read_to_string(&path).expect("a configuration");
        for (name, value) in keys {
            let (section, subsection, key) = parts(name);
            let subsection = subsection.map(|name| format!(" \"{name}\"")).unwrap_or_default();
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            writeln!(text, "[{section}{subsection}]\n\t{key} = \"{value}\"").expect("text");
        }
        fs::write(&path, text).expect("a configuration");
    }

    fn is_accepted(&self) -> bool {
        let mut status = command("git", self.home.path());
        status.arg("status").current_dir(self.home.path().join("repo"));
        status.output().is_ok_and(|output| output.status.success())
    }

    fn run(&self) -> Ran {
        let (trace, repo) = (self.home.path().join("trace"), self.home.path().join("repo"));
        let strace = programs::found("strace").expect("strace");
        let mut run = command(&strace.display().to_string(), self.home.path());
        run.args(["-f", "--seccomp-bpf", "-qq", "-e", "trace=execve", "-s", "200", "-o"])
            .arg(&trace)
            .args(["sh", "-c", COMMANDS])
            .current_dir(repo);
        ok(run);
        assert!(!Path::new(&format!("{}.was-run", self.marker)).exists() || self.home.path().join("expected").exists());
        let codes = fs::read_to_string(self.home.path().join("codes")).expect("exit codes");
        Ran { programs: started(&fs::read_to_string(trace).expect("a trace")), codes }
    }
}

/// The programs started in a trace.
fn started(trace: &str) -> BTreeSet<String> {
    let mut begun = HashMap::new();
    let mut found = BTreeSet::new();
    for line in trace.lines() {
        let (pid, call) = line.split_once(' ').unwrap_or_default();
        let call = call.trim_start();
        let path = call.strip_prefix("execve(\"").and_then(|rest| rest.split_once('"')).map(|(path, _)| path.to_owned());
        if call.ends_with("<unfinished ...>") {
            begun.extend(path.map(|path| (pid, path)));
        } else if call.ends_with(" = 0") {
            found.extend(path.or_else(|| begun.remove(pid)));
        }
    }
    found
}

fn can_trace() -> bool {
    let Some(strace) = programs::found("strace") else { return false };
    let works = Command::new(strace)
        .args(["-f", "--seccomp-bpf", "-e", "trace=execve", "-o", "/dev/null", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        programs::missing("strace", "may not trace here");
    }
    works
}

/// Runs the commands with `keys`. Panics with the responsible keys if the result differs from `plain`.
#[track_caller]
fn assert_same(plain: &Ran, keys: &[(String, String)], what: &str) {
    let ran = |keys: &[(String, String)]| {
        let scene = Scene::new();
        scene.configure(keys);
        scene.run()
    };
    let with = ran(keys);
    if with != *plain {
        // The first key is the repository format that extensions require.
        let differs = |key: &&(String, String)| ran(&[keys[0].clone(), (*key).clone()]) != *plain;
        let guilty: Vec<_> = keys.iter().filter(differs).collect();
        panic!("{what}: {guilty:?} make a difference: {with:?}, {plain:?}");
    }
}

#[test]
fn harmless_keys_start_no_program() {
    if !can_trace() {
        return;
    }
    let plain = Scene::new().run();
    assert!(plain.codes.lines().count() > 25 && plain.codes.lines().all(|line| line.ends_with(" 0")), "{}", plain.codes);
    assert!(plain.programs.iter().any(|program| program.ends_with("/git")), "{:?}", plain.programs);
    // These change the remote or the working tree. They are tested below.
    let elsewhere = |name: &str| name.ends_with("url") || name == "core.worktree";
    let mut plausible: Vec<(String, String)> = vec![("core.repositoryformatversion".to_owned(), "1".to_owned())];
    let scene = Scene::new();
    scene.configure(&plausible);
    let config = scene.home.path().join("repo/.git/config");
    let text = fs::read_to_string(&config).expect("a configuration");
    for (name, value) in rows(HARMLESS).filter(|(name, _)| !elsewhere(name)) {
        let key = (name.to_owned(), value.to_owned());
        scene.configure(std::slice::from_ref(&key));
        if scene.is_accepted() {
            plausible.push(key);
        } else {
            assert!(name.starts_with("extensions."), "git refuses {name} = {value}");
        }
        fs::write(&config, &text).expect("a configuration");
    }
    assert_same(&plain, &plausible, "plausible values");
    for form in ["{}", "!{}", "$({})"] {
        let odd = form.replace("{}", &scene.marker);
        let loose = rows(HARMLESS).filter(|(name, _)| is_harmless(name, &odd) && !elsewhere(name));
        let keys: Vec<(String, String)> =
            plausible[..1].iter().cloned().chain(loose.map(|(name, _)| (name.to_owned(), odd.clone()))).collect();
        assert!(keys.len() > 10, "{keys:?}");
        assert_same(&plain, &keys, form);
    }
    for names in [&["core.worktree"][..], &["remote.origin.url", "remote.origin.pushurl", "submodule.lib.url"]] {
        let scene = Scene::new();
        assert!(names.iter().all(|name| elsewhere(name) && is_harmless(name, &scene.marker)));
        scene.configure(&names.iter().map(|name| ((*name).to_owned(), scene.marker.clone())).collect::<Vec<_>>());
        let ran = scene.run();
        let more: Vec<_> = ran.programs.difference(&plain.programs).collect();
        assert!(more.is_empty(), "{names:?}: {more:?}");
    }
}

#[test]
fn keys_that_start_programs_are_detected() {
    if !can_trace() {
        return;
    }
    let scene = Scene::new();
    fs::write(scene.home.path().join("expected"), "").expect("a file");
    let hooks = scene.home.path().join("hooks");
    fs::create_dir(&hooks).expect("a folder");
    let hook = hooks.join("post-checkout").display().to_string();
    fs::copy(&scene.marker, &hook).expect("a hook");
    let keys = [("core.hooksPath", hooks.display().to_string()), ("diff.external", scene.marker.clone())];
    assert!(keys.iter().all(|(name, value)| !is_harmless(name, value)));
    scene.configure(&keys.map(|(name, value)| (name.to_owned(), value)));
    let ran = scene.run();
    for program in [&hook, &scene.marker] {
        assert!(ran.programs.contains(program), "{program}: {:?}", ran.programs);
    }
}

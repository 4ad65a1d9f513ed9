//! Repositories that are untrusted, damaged, or unreadable because of a filter, a size or a concurrent writer.

use super::row::{Row, elsewhere, followed};
use crate::support::{
    Client, Fixture,
    hooks::{SIGNS, script},
    program,
    programs::not_tried,
    shell, without_landlock,
};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

const BROKEN: (&str, &str) = ("answers/broken.rs", "advice_for_a_broken_repository_repairs_it");

/// A client whose root is the folder above the repository, which is therefore untrusted.
fn unnamed(fixture: &Fixture, args: &[&str]) -> Client {
    let above = fixture.path.parent().expect("a parent").display().to_string();
    let mut client = Client::start(&[&["-r", &above], args].concat(), &[]);
    client.initialize();
    client
}

/// The arguments of a call in this repository.
fn here(fixture: &Fixture, mut args: Value) -> Value {
    args["repo_path"] = json!(fixture.path);
    args
}

/// A client started with the additional option that an error names.
fn named(error: &str) -> Client {
    let option = error.split('`').find(|part| part.starts_with("-r ")).expect("an option");
    let mut client = Client::start(&option.split(' ').collect::<Vec<_>>(), &[]);
    client.initialize();
    client
}

pub(crate) const ROWS: &[Row] = &[
    followed("error/advice/mod.rs", "If you trust it, ask the operator to name it with `-r {}`.", |it| {
        let fixture = Fixture::new();
        fixture.git(&["clone", "-q", "--bare", ".", "inner.git"]);
        let log = ("git_log", json!({"repo_path": fixture.path.join("inner.git")}));
        let (error, _) = it.printed(&mut fixture.serve(), log.clone());
        named(&error).text(log.0, &log.1);
    }),
    followed("error/advice/mod.rs", "If you trust this repository, ask the operator to name it with `-r {}`.", |it| {
        let fixture = Fixture::new();
        let tag = here(&fixture, json!({"action": "create", "name": "v1", "message": "m", "sign": true}));
        let signs = fixture.home.path().join("signs");
        script(&signs, SIGNS);
        let error = unnamed(&fixture, &[]).error("git_tag", &tag);
        it.read(&error);
        fixture.git(&["config", "gpg.program", &signs.display().to_string()]);
        named(&error).text("git_tag", &tag);
        assert!(fixture.text(&["cat-file", "-p", "v1"]).contains("BEGIN PGP SIGNATURE"));
    }),
    followed("error/advice/mod.rs", "If you trust this repository, ask the operator to name it with `-r {}`. Or remove", |it| {
        let fixture = Fixture::new();
        fixture.git(&["config", "a.key.nobody.knows", "1"]);
        fixture.write("a.txt", "edited\n");
        let add = here(&fixture, json!({"files": ["a.txt"]}));
        let error = unnamed(&fixture, &[]).error("git_add", &add);
        it.read(&error);
        named(&error).text("git_add", &add);
        fixture.git(&["config", "--unset", "a.key.nobody.knows"]);
        unnamed(&fixture, &[]).text("git_add", &add);
    }),
    followed("error/advice/mod.rs", "If you trust this repository, ask the operator to name it with `-r {}`, or to allow", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "edited\n");
        let add = here(&fixture, json!({"files": ["a.txt"]}));
        let config = fixture.home.path().join("config.toml");
        fs::write(&config, "").expect("a file");
        let without = |args: &[&str], variable: &str| {
            let mut command = program();
            command.args(["--config", &config.display().to_string()]).args(args).current_dir("/");
            command.envs(variable.split_once('='));
            without_landlock(&mut command);
            let mut client = Client::spawn(&mut command);
            client.initialize();
            client
        };
        let above = fixture.path.parent().expect("a parent").display().to_string();
        let error = without(&["-r", &above], "").error("git_add", &add);
        let filled = it.read(&error);
        let quoted = |start: &str| error.split('`').find(|part| part.starts_with(start)).expect("a quotation");
        let (option, setting) = (quoted("-r "), quoted("sandbox"));
        assert!(filled[1].contains(&config.display().to_string()), "{filled:?}");
        without(&option.split(' ').collect::<Vec<_>>(), "").text("git_add", &add);
        let variable = error.rsplit("or ").next().expect("a variable").trim_end_matches('.');
        without(&["-r", &above], variable).text("git_add", &add);
        fs::write(&config, setting).expect("a file");
        without(&["-r", &above], "").text("git_add", &add);
    }),
    followed("error/advice/mod.rs", "Only regular files of a reasonable size", |it| {
        let fixture = Fixture::new();
        let log = fixture.path.join(".git/logs/HEAD");
        let kept = fs::read(&log).expect("a reflog");
        fs::File::options().append(true).open(&log).and_then(|file| file.set_len(6 << 30)).expect("a sparse file");
        let mut client = unnamed(&fixture, &["--toolsets", "all"]);
        let reflog = here(&fixture, json!({}));
        let error = client.error("git_reflog", &reflog);
        it.read(&error);
        let file = error.split_whitespace().find(|word| word.ends_with("logs/HEAD")).expect("a file");
        assert!(String::from_utf8_lossy(&shell(Path::new("/"), &format!("ls -l '{file}'"))).contains("6442450944"));
        fs::write(file, kept).expect("a reflog");
        client.text("git_reflog", &reflog);
    }),
    followed("error/advice/mod.rs", "No data was returned from it.", |it| {
        let fixture = Fixture::new().by_git();
        let git = fixture.home.path().join("git");
        let (seen, config) = (fixture.home.path().join("seen"), fixture.path.join(".git/config"));
        // Another process changes the configuration during a call.
        script(
            &git,
            &format!(
                "[ \"$1\" = blame ] && [ ! -e '{0}' ] && {{ touch '{0}'; printf '[new]\\nkey = 1\\n' >> '{1}'; }}; exec git \"$@\"",
                seen.display(),
                config.display()
            ),
        );
        let mut client = unnamed(&fixture, &["--sandbox", "off", "--git", &git.display().to_string()]);
        let blame = here(&fixture, json!({"path": "a.txt"}));
        it.printed(&mut client, ("git_blame", blame.clone()));
        client.text("git_blame", &blame);
    }),
    elsewhere("error/advice/damage.rs", "If git names a version or an extension", BROKEN),
    elsewhere("error/advice/damage.rs", "`git fsck` lists what is missing or damaged", BROKEN),
    elsewhere(
        "error/advice/mod.rs",
        "`git fsck` lists missing objects",
        ("answers/lost_content.rs", "missing_content_stops_a_change_before_it_starts"),
    ),
    elsewhere(
        "error/advice/damage.rs",
        "The program of that filter has to work",
        ("answers/lost_content.rs", "a_failing_filter_stops_a_change_before_it_starts"),
    ),
    followed("error/advice/mod.rs", "git_log lists commits. If a commit or a branch", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_show", json!({"revision": "0123456789012345678901234567890123456789"})));
        let listed = client.result("git_log", &json!({}));
        client.text("git_show", &json!({"revision": listed["structuredContent"]["commits"][0]["id"]}));
        // A branch names a commit that is missing.
        let id = fixture.text(&["rev-parse", "HEAD~1"]);
        fs::remove_file(fixture.path.join(format!(".git/objects/{}/{}", &id[..2], &id[2..]))).expect("an object");
        assert!(String::from_utf8_lossy(&fixture.try_git(&["fsck"]).stdout).contains(&format!("missing commit {id}")));
    }),
    followed("error/advice/mod.rs", "Name a revision, such as HEAD", |it| {
        let fixture = Fixture::new();
        fixture.git(&["config", "filter.up.clean", "tr a-z A-Z"]);
        fixture.write(".gitattributes", "*.up filter=up\n").write("a.up", "one\n").commit("filtered").write("a.up", "one\nmore\n");
        let mut client = fixture.serve();
        let blame = json!({"path": "a.up"});
        let (error, _) = it.printed(&mut client, ("git_blame", blame));
        it.printed(&mut client, ("git_diff", json!({"paths": ["a.up"], "byte_range": "0-400"})));
        client.text("git_blame", &json!({"path": "a.up", "rev": "HEAD"}));
        client.text("git_add", &json!({"files": ["a.up"]}));
        let (tool, mut staged) = super::row::named(&error, "git_diff");
        let shown = client.text(tool, &staged);
        assert!(shown.contains("+MORE"), "{shown}");
        staged["byte_range"] = json!("0-400");
        client.text(tool, &staged);
    }),
    followed("error/advice/mod.rs", "Ask for less: a path", |it| {
        let fixture = Fixture::new();
        let nested = format!(
            "commit refs/heads/nested\ncommitter A <a@b> 0 +0000\ndata 1\nx\nfrom main^0\nM 100644 inline a.txt\ndata 1\nx\nM 100644 inline {}f\ndata 1\nx\n",
            "d/".repeat(600)
        );
        fixture.write("../nested", nested);
        shell(&fixture.path, "git fast-import --quiet < ../nested");
        let mut client = fixture.serve();
        let diff = json!({"base": "main~1", "target": "nested"});
        it.printed(&mut client, ("git_diff", diff.clone()));
        client.text("git_diff", &json!({"base": "main~1", "target": "nested", "paths": ["a.txt"]}));
    }),
    followed("error/advice/locks.rs", "Try again. If no git of another user", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "edited\n");
        // A server run as the user `nobody`; only root can start one.
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let server = program();
        let runs = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        if !runs(Command::new("setpriv").args(nobody).arg(server.get_program()).arg("--version")) {
            not_tried("a server of another user, which only root can start");
            it.was_read.set(true);
            return;
        }
        shell(&fixture.path, "chown -R 65534:65534 ..");
        fixture.write(".git/index.lock", "");
        let mut command = Command::new("setpriv");
        command
            .args(nobody)
            .arg(server.get_program())
            .arg("-r")
            .arg(&fixture.path)
            .arg("--state-dir")
            .arg(fixture.home.path().join("state"));
        command.env_clear().envs(server.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir("/");
        let mut client = Client::spawn(&mut command);
        client.initialize();
        let add = json!({"files": ["a.txt"]});
        it.printed(&mut client, ("git_add", add.clone()));
        fs::remove_file(fixture.path.join(".git/index.lock")).expect("a lock");
        client.text("git_add", &add);
    }),
];

//! Every tool in every state that can fail a change: errors use the server's own words, name a reason, and advise only existing tools
//! and arguments.

use crate::support::{Client, Fixture, parameters::valid, shell, text_of};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// States of a repository with two commits on `main`, a conflicting branch `other`, and an unreachable remote.
const STATES: [(&str, &str); 20] = [
    ("plain", ""),
    ("no commit", "rm -rf .git; git init -q -b main"),
    ("bare checkout", "git config core.bare true"),
    ("bare", "git clone -q --bare . ../bare.git; rm -rf .git a.txt b.txt; mv ../bare.git/* ."),
    ("detached", "git checkout -q --detach"),
    ("edited", "echo edited > a.txt; echo new > new.txt"),
    ("staged", "echo edited > a.txt; git add a.txt; echo more >> a.txt"),
    ("merging", "git merge -q other"),
    ("rebasing", "git rebase -q other"),
    ("picking", "git cherry-pick other"),
    ("reverting", "git revert --no-edit HEAD~1"),
    ("bisecting", "git bisect start HEAD HEAD~1"),
    ("stash in conflict", "echo edited > a.txt; git stash -q; git reset -q --hard other; git stash pop -q"),
    ("configuration locked", ": > .git/config.lock"),
    ("no identity", "git config --unset user.name; git config --unset user.email; git config user.useConfigOnly true"),
    ("commits missing", "rm -f .git/objects/$(git rev-parse HEAD | sed 's|^..|&/|')"),
    (
        "content missing",
        "rm -f .git/objects/$(git rev-parse HEAD:a.txt | sed 's|^..|&/|') .git/objects/$(git rev-parse HEAD~1:a.txt | sed 's|^..|&/|'); git checkout -q other",
    ),
    (
        "filter fails",
        "git config filter.x.smudge false; git config filter.x.clean false; git config filter.x.required true; echo 'a.txt filter=x' > .git/info/attributes; echo edited > a.txt",
    ),
    ("worktree gone", "git worktree add -q -b x ../gone-$$; rm -rf ../gone-$$"),
    (
        "hooks refuse",
        "for h in pre-commit commit-msg pre-merge-commit pre-rebase post-checkout reference-transaction pre-push; do printf '#!/bin/sh\\nexit 1\\n' > .git/hooks/$h; chmod +x .git/hooks/$h; done; echo edited > a.txt; git add a.txt",
    ),
];

fn template() -> Fixture {
    let fixture = Fixture::empty();
    fixture.write("a.txt", "one\n").write("b.txt", "b\n").commit("one");
    fixture.git(&["checkout", "-q", "-b", "other"]);
    fixture.write("a.txt", "other\n").commit("other").git(&["checkout", "-q", "main"]);
    fixture.write("a.txt", "two\n").commit("two");
    fixture.git(&["remote", "add", "o", &fixture.home.path().join("nowhere.git").display().to_string()]);
    fixture
}

/// What follows the names that a text has after a certain phrase.
struct Known {
    /// The arguments of each tool.
    arguments: BTreeMap<String, BTreeSet<String>>,
}

impl Known {
    fn of(client: &mut Client) -> Self {
        let listed = client.request("tools/list", &json!({}));
        let tools = listed["result"]["tools"].as_array().expect("tools").iter();
        let arguments = tools.map(|tool| {
            let properties = tool["inputSchema"]["properties"].as_object().expect("properties");
            (tool["name"].as_str().expect("a name").to_owned(), properties.keys().cloned().chain(["confirm".to_owned()]).collect())
        });
        Self { arguments: arguments.collect() }
    }

    /// The faults of an error of `tool`: it must be in our own words, have a reason, and name only existing things.
    fn fault(&self, tool: &str, error: &str) -> Option<String> {
        let head = error.lines().next().unwrap_or_default();
        if head.trim().is_empty() || error.contains("it gave no reason") {
            return Some("no reason".to_owned());
        }
        if error.contains("usage:") || error.contains("hint: ") || error.len() >= 2000 {
            return Some("raw text".to_owned());
        }
        if head.contains("exit status") && !Self::is_known(head) {
            return Some("git's words alone".to_owned());
        }
        for (at, _) in error.match_indices("git_") {
            if error[..at].ends_with(|before: char| before.is_alphanumeric() || "./_".contains(before)) {
                continue;
            }
            let name: String = error[at..].chars().take_while(|char| char.is_ascii_lowercase() || *char == '_').collect();
            let Some(arguments) = self.arguments.get(&name) else { return Some(format!("there is no {name}")) };
            if let Some(wrong) = named_behind(&error[at + name.len()..]).iter().find(|argument| !arguments.contains(*argument)) {
                return Some(format!("{name} has no {wrong}"));
            }
        }
        let repeated = error.split("repeat the call").skip(1).flat_map(named_behind);
        let wrong = repeated.into_iter().find(|argument| !self.arguments[tool].contains(argument));
        wrong.map(|wrong| format!("{tool} has no {wrong}"))
    }

    /// Errors for which git's own line is best.
    fn is_known(head: &str) -> bool {
        ["unable to read "].iter().any(|words| head.contains(words))
    }
}

/// The arguments that follow a name: `{"a":1}`, or `a` and `b`.
fn named_behind(rest: &str) -> Vec<String> {
    if let Some(object) = rest.strip_prefix(" {").and_then(|rest| rest.split_once('}')) {
        let object: Value = serde_json::from_str(&format!("{{{}}}", object.0)).expect("JSON");
        return object.as_object().expect("an object").keys().cloned().collect();
    }
    let Some(rest) = rest.strip_prefix(" with ").or_else(|| rest.strip_prefix(" with these ")) else { return Vec::new() };
    let quoted: Vec<&str> = rest.split('.').next().unwrap_or_default().split('`').collect();
    // The middle one of three pieces is quoted.
    let first = quoted.get(1).filter(|_| quoted.first().is_some_and(|before| before.is_empty()));
    let is_name = |name: &&&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    first.filter(is_name).into_iter().map(|name| (*name).to_owned()).collect()
}

/// Calls every tool in each of these states, each time in a fresh repository that is named.
fn every_tool_in(states: &[(&str, &str)]) {
    let fixture = template();
    let [made, copy] = ["made", "repo-copy"].map(|name| fixture.home.path().join(name));
    fs::create_dir(&copy).expect("a folder");
    let variables = [("MCP_GIT_PROTOCOLS", "https,file")];
    let mut client = Client::start(&["-r", &copy.display().to_string(), "--toolsets", "all"], &variables);
    client.initialize();
    let known = Known::of(&mut client);
    let (mut failed, mut faults) = (0, Vec::new());
    for (state, script) in states {
        let prepare = format!("rm -rf '{1}'; cp -a '{0}' '{1}'; cd '{1}'; {script}", fixture.path.display(), made.display());
        shell(fixture.home.path(), &format!("({prepare}) > /dev/null 2>&1; true"));
        for entry in mcp_server_git::tools::ALL {
            shell(fixture.home.path(), &format!("rm -rf '{1}'; cp -a '{0}' '{1}'", made.display(), copy.display()));
            let mut args = valid(entry.name, &copy);
            args.as_object_mut().expect("arguments").entry("repo_path").or_insert(json!(copy));
            let result = client.result(entry.name, &args);
            if result["isError"] == true {
                failed += 1;
                let error = text_of(&result);
                faults.extend(known.fault(entry.name, &error).map(|fault| format!("{state}: {}: {fault}: {error}", entry.name)));
            }
        }
    }
    assert!(failed > 30, "{failed}");
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[test]
fn errors_of_every_tool_are_valid_before_the_first_commit_and_without_a_working_tree_21() {
    every_tool_in(&STATES[..5]);
}

#[test]
fn errors_of_every_tool_are_valid_with_changes_and_operations_in_progress_21() {
    every_tool_in(&STATES[5..10]);
}

#[test]
fn errors_of_every_tool_are_valid_in_a_bisect_and_after_a_stash_21() {
    every_tool_in(&STATES[10..15]);
}

#[test]
fn errors_of_every_tool_are_valid_with_missing_objects_and_refusing_hooks_21() {
    every_tool_in(&STATES[15..]);
}

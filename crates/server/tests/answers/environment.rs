//! git's variables in the server's environment, such as a hook passes on.

use crate::support::{Fixture, Outcome};
use serde_json::json;
use std::{collections::BTreeSet, fs};

/// Variables in git's manual beyond `git rev-parse --local-env-vars` that the server ignores.
const OF_THE_MANUAL: [&str; 24] = [
    "GIT_ATTR_SOURCE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DEFAULT_HASH",
    "GIT_DEFAULT_REF_FORMAT",
    "GIT_DIFF_OPTS",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EDITOR",
    "GIT_EXTERNAL_DIFF",
    "GIT_FLUSH",
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_INDEX_VERSION",
    "GIT_LITERAL_PATHSPECS",
    "GIT_MERGE_VERBOSITY",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_NO_LAZY_FETCH",
    "GIT_OPTIONAL_LOCKS",
    "GIT_PAGER",
    "GIT_QUARANTINE_PATH",
    "GIT_REDIRECT_STDERR",
    "GIT_REFLOG_ACTION",
    "GIT_TRACE",
    "GIT_TRACE2",
    "GIT_TRACE_SETUP",
];

/// A text without the marks of the server's own lines, which differ from call to call.
fn without_marks(text: &str) -> String {
    let mut parts = text.split("[git:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "[git:" + part.get(6..).unwrap_or_default())
}

/// The tools' view of the repository and of a change in it.
fn answers(fixture: &Fixture, variables: &[(&str, &str)]) -> Vec<String> {
    let mut client = fixture.serve_with(&[], variables);
    let mut answers: Vec<String> = [
        ("git_status", json!({})),
        ("git_log", json!({"max_count": 3})),
        ("git_diff", json!({})),
        ("git_show", json!({"revision": "HEAD"})),
        ("git_blame", json!({"path": "a.txt"})),
        ("git_branch", json!({})),
        ("git_grep", json!({"pattern": "e"})),
        ("git_ls_tree", json!({})),
        ("git_add", json!({"files": ["*.txt", "new.txt"]})),
        ("git_add", json!({"files": ["new.txt"]})),
        ("git_diff", json!({"scope": "staged"})),
        ("git_reset", json!({})),
        ("git_status", json!({})),
    ]
    .iter()
    .map(|(tool, args)| without_marks(&client.result(tool, args)["content"].to_string()))
    .collect();
    client.end();
    answers.push(fixture.text(&["status", "--porcelain=v2"]));
    answers
}

#[test]
fn inherited_git_variables_change_no_answer() -> Outcome {
    let fixture = Fixture::new();
    fixture.write("a.txt", "edited\n").write("new.txt", "new\n");
    let other = Fixture::new();
    other.write("secret.txt", "of the other\n").commit("of the other");
    other.write("a.txt", "edited elsewhere\n");
    let of_other = |path: &str| other.path.join(path).display().to_string();
    let state = || Ok::<_, std::io::Error>((fs::read(other.path.join(".git/index"))?, other.text(&["status", "--porcelain=v2"])));
    let before = state()?;
    let expected = answers(&fixture, &[]);
    let listed = fixture.text(&["rev-parse", "--local-env-vars"]);
    let names: BTreeSet<&str> = listed.lines().chain(OF_THE_MANUAL).collect();
    assert!(names.len() > 30 && names.contains("GIT_INDEX_FILE"), "{names:?}");
    let values = [of_other(".git/index"), of_other(""), "1".to_owned()];
    for name in names {
        for value in &values {
            assert_eq!(answers(&fixture, &[(name, value)]), expected, "{name}={value}");
        }
    }
    // All variables of a hook at once, and settings from the environment.
    let (git_dir, top, index) = (of_other(".git"), of_other(""), of_other(".git/index"));
    for variables in [
        &[("GIT_DIR", git_dir.as_str()), ("GIT_WORK_TREE", &top), ("GIT_INDEX_FILE", &index), ("GIT_PREFIX", "sub/")][..],
        &[("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "core.worktree"), ("GIT_CONFIG_VALUE_0", &top)],
        &[("GIT_CONFIG_PARAMETERS", "'core.bare'='true'")],
    ] {
        assert_eq!(answers(&fixture, variables), expected, "{variables:?}");
    }
    assert_eq!(state()?, before, "nothing is written to the other one");
    Ok(())
}

//! Dates: git accepts any text, so misread texts are refused, and the others pass unchanged.

use crate::support::{Client, Fixture, Outcome, shell};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

const DAY: u64 = 24 * 60 * 60;

/// Dates that git reads as intended.
const DATES: [&str; 43] = [
    "2024-03-01",
    "2024-3-1",
    "2024/03/01",
    "2024.03.01",
    "03/01/2024",
    "31.01.2024",
    "20240301T120000",
    "20240301T1200",
    "2024-03-01T10:00:00Z",
    "2024-03-01T10:00Z",
    "2024-03-01t10:00:00z",
    "2024-03-01T10:00:00.123Z",
    "2024-03-01T10:00:00+01:00",
    "2024-03-01T10:00:00-0830",
    "2024-03-01 10:00",
    "2024-03-01 10:00:00 EST",
    "2024-03-01 10:00:00 PDT",
    "2024-03-01 10:00:00 CEST",
    "2024-03-01 01:00 PM",
    "2024-03-01T24:00:00",
    "@1700000000",
    "@1700000000 +0100",
    "1700000000",
    "Jan 15 2024",
    "March 1, 2024",
    "1st March 2024",
    "7 Apr",
    "Dec 25",
    "Thu, 7 Apr 2005 22:13:13 +0200",
    "Thu Apr 7 22:13:13 2005 +0200",
    "yesterday",
    "noon yesterday",
    "yesterday at 17:30",
    "5pm yesterday",
    "2 weeks ago",
    "2.weeks.ago",
    "three days",
    "1 year 2 months ago",
    "1 day and 2 hours ago",
    "last month",
    "last friday",
    "midnight",
    "never",
];

/// Texts that git misreads, mostly as the current time.
const NO_DATES: [&str; 38] = [
    "2024-13-01",
    "2024-02-30",
    "2023-02-29",
    "2024-00-10",
    "20240301",
    "2024",
    "2024-03",
    "March",
    "March 2024",
    "24-03-01",
    "13/01/2024",
    "01.31.2024",
    "1969-12-31",
    "2100-01-01",
    "2024-W10",
    "2024-03-01T25:00:00Z",
    "2024-03-01T10:61:00Z",
    "2024-03-01T10:00:00+9999",
    "2024-03-01T10:00:00 FOO",
    "2024-03-01T10:00:00Z[UTC]",
    "2024-03-01Z",
    "1700000000000",
    "today",
    "tomorrow",
    "soonish",
    "monday",
    "next friday",
    "this week",
    "a week ago",
    "week ago",
    "2 hrs ago",
    "2d",
    "in 2 weeks",
    "2 weeks from now",
    "-2 days",
    "1.5 days ago",
    "60 years ago",
    "25:00",
];

/// Commits of every age: before and after each date, and in each second of delay on a slow machine.
fn repository() -> Fixture {
    let fixture = Fixture::empty();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let ages = (0..20).map(|at| now - at * DAY - 12 * 60 * 60).chain((1..20).map(|at| now - at * 31 * DAY));
    let days = (0..30).map(|at| 1_709_200_800 + at * 60 * 60).chain((0..20).map(|at| 1_112_000_000 + at * DAY));
    let times: BTreeSet<u64> = ages.chain(days).chain([1_000, 1_111_111_111, 1_699_999_999, 1_700_000_001, 1_705_000_000]).collect();
    let commit =
        |time: u64| format!("GIT_AUTHOR_DATE='@{time} +0000' GIT_COMMITTER_DATE='@{time} +0000' git commit -q --allow-empty -m {time}\n");
    shell(&fixture.path, &times.into_iter().map(commit).collect::<String>());
    fixture
}

/// Abbreviated ids of the commits in an answer.
fn ids(answer: &str) -> Vec<String> {
    answer.lines().filter(|line| !line.starts_with("[git:")).filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Compares a log since and until `date` with git's own.
fn compare(fixture: &Fixture, client: &mut Client, date: &str) {
    for (argument, option) in [("start_timestamp", "--since"), ("end_timestamp", "--until")] {
        let ours = client.text("git_log", &json!({"max_count": 500, argument: date}));
        let of_git = String::from_utf8_lossy(&shell(&fixture.path, &format!("git log --format=%h '{option}={date}'"))).into_owned();
        let expected: Vec<String> = of_git.lines().map(str::to_owned).collect();
        let ours: Vec<String> = ids(&ours);
        assert_eq!(ours, expected, "{option}={date}");
    }
}

#[test]
fn the_noon_of_a_day_is_on_that_day() {
    // Before noon git 2.47.3 reads it as the day before, likewise with tea: findings/git_noon_of_a_date.sh.
    let fixture = repository();
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_MAX_OUTPUT_TOKENS", "0")]);
    for (named, time) in [("noon", "12:00:00"), ("tea", "17:00:00"), ("midnight", "00:00:00")] {
        let mut log = |date: String| ids(&client.text("git_log", &json!({"max_count": 500, "start_timestamp": date})));
        assert_eq!(log(format!("2024-03-01 {named}")), log(format!("2024-03-01 {time}")), "{named}");
    }
}

#[test]
fn dates_that_git_reads_are_read_alike() {
    let fixture = repository();
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_MAX_OUTPUT_TOKENS", "0")]);
    for date in DATES {
        compare(&fixture, &mut client, date);
    }
}

#[test]
fn dates_that_git_would_misread_are_refused_with_valid_forms() -> Outcome {
    let fixture = repository();
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_MAX_OUTPUT_TOKENS", "0")]);
    let mut forms = BTreeSet::new();
    for date in NO_DATES {
        // git accepts it.
        fixture.git(&["log", "-1", "--format=%h", &format!("--since={date}")]);
        for argument in ["start_timestamp", "end_timestamp"] {
            let refused = client.error("git_log", &json!({argument: date}));
            let advice = refused.split_once("use a form such as ").ok_or_else(|| format!("{date}: {refused}"))?.1;
            let advice = advice.lines().next().unwrap_or_default().replace(" or ", ", ");
            forms.extend(advice.split(", ").map(|form| form.trim_matches(['`', '.']).to_owned()));
        }
    }
    assert!(forms.len() > 4, "{forms:?}");
    for form in forms {
        compare(&fixture, &mut client, &form);
    }
    Ok(())
}

#[test]
fn a_date_in_a_revision_is_checked_alike() {
    let fixture = Fixture::new();
    let at = |date: &str, message: &str| {
        shell(&fixture.path, &format!("GIT_COMMITTER_DATE='{date}' git commit -q --allow-empty -m {message}"));
    };
    at("2024-01-10T00:00:00Z", "third");
    at("2024-03-01T00:00:00Z", "fourth");
    at("2024-03-20T00:00:00Z", "fifth");
    let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
    for date in ["2024-13-01", "tomorrow", "2024-02-30", "2 hrs ago", "March"] {
        let revision = format!("HEAD@{{{date}}}");
        let range = format!("{revision}..HEAD");
        let calls: [(&str, Value); 6] = [
            ("git_show", json!({"revision": revision})),
            ("git_diff", json!({"target": revision})),
            ("git_diff", json!({"target": range})),
            ("git_log", json!({"rev": format!("HEAD~1..{revision}")})),
            ("git_blame", json!({"path": "a.txt", "rev": revision})),
            ("git_branch", json!({"contains": revision})),
        ];
        for (tool, args) in calls {
            let refused = client.error(tool, &args);
            assert!(refused.contains("use a form such as 2026-01-31"), "{tool} {args}: {refused}");
        }
    }
    for selector in ["2024-03-10", "2024-01-20T00:00:00Z", "@1705000000", "yesterday", "2 weeks ago", "0", "1"] {
        let revision = format!("HEAD@{{{selector}}}");
        let shown = client.text("git_show", &json!({"revision": revision}));
        let expected = fixture.text(&["rev-parse", &revision]);
        assert!(shown.contains(&expected), "{revision}: {shown}");
    }
    // Words in a message are no date.
    client.text("git_show", &json!({"revision": "HEAD^{/fif}"}));
    let unknown = client.error("git_show", &json!({"revision": "HEAD^{/x@{tomorrow}}"}));
    assert!(!unknown.contains("use a form"), "{unknown}");
}

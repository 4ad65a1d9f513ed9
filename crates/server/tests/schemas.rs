//! The `--json` output of sub-commands matches `docs/schemas/`: `cargo xtask bless` adds new fields to the schemas.

#![allow(clippy::expect_used, reason = "tests start the server and fail loudly")]

mod support;

use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, fs, path::PathBuf, process::Output};
use support::{
    Outcome,
    admin::{Administered, tool},
    program,
    remote::{Fault, OPEN, published},
    wire::{session, wait_for},
};

fn file(name: &str) -> PathBuf {
    support::root().join(format!("docs/schemas/{name}.json"))
}

/// The schema of one value.
fn schema(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let properties: Map<String, Value> = fields.iter().map(|(name, value)| (name.clone(), schema(value))).collect();
            json!({"type": "object", "properties": properties, "required": fields.keys().collect::<Vec<_>>()})
        }
        Value::Array(items) => match items.iter().map(schema).reduce(|one, other| merged(&one, &other)) {
            Some(items) => json!({"type": "array", "items": items}),
            None => json!({"type": "array"}),
        },
        Value::String(_) => json!({"type": "string"}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(number) if number.is_f64() => json!({"type": "number"}),
        Value::Number(_) => json!({"type": "integer"}),
        Value::Null => json!({"type": "null"}),
    }
}

fn types(schema: &Value) -> BTreeSet<String> {
    let named = schema["type"].as_str().map(str::to_owned);
    named.into_iter().chain(schema["type"].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned))).collect()
}

/// The union of two schemas.
fn merged(one: &Value, other: &Value) -> Value {
    let mut types: BTreeSet<String> = types(one).union(&types(other)).cloned().collect();
    if types.contains("number") {
        types.remove("integer");
    }
    let types: Vec<String> = types.into_iter().collect();
    let mut all = Map::new();
    all.insert("type".to_owned(), if let [only] = types.as_slice() { json!(only) } else { json!(types) });
    let both = |key: &str| [one, other].map(|schema| schema.get(key).cloned());
    match both("items") {
        [Some(one), Some(other)] => drop(all.insert("items".to_owned(), merged(&one, &other))),
        [one, other] => all.extend(one.or(other).map(|items| ("items".to_owned(), items))),
    }
    all.extend(one.get("additionalProperties").map(|open| ("additionalProperties".to_owned(), open.clone())));
    match both("properties") {
        [Some(Value::Object(mut properties)), Some(Value::Object(more))] => {
            for (name, new) in more {
                let known = properties.get(&name).map_or(new.clone(), |known| merged(known, &new));
                properties.insert(name, known);
            }
            let required = |schema: &Value| -> BTreeSet<String> { serde_json::from_value(schema["required"].clone()).unwrap_or_default() };
            all.insert("required".to_owned(), json!(required(one).intersection(&required(other)).collect::<Vec<_>>()));
            all.insert("properties".to_owned(), properties.into());
        }
        [properties, more] => {
            let of = if properties.is_some() { one } else { other };
            all.extend(properties.or(more).map(|properties| ("properties".to_owned(), properties)));
            all.extend(of.get("required").map(|required| ("required".to_owned(), required.clone())));
        }
    }
    all.into()
}

/// Violations of a schema: every required field must be present, and unknown ones only if the schema allows
/// them.
fn faults(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let kind = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
    };
    let types = types(schema);
    let fits = types.contains(kind) || kind == "integer" && types.contains("number");
    if !fits {
        found.push(format!("{at} is {kind}, not {types:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate().filter(|_| schema["items"].is_object()) {
        faults(&schema["items"], item, &format!("{at}[{index}]"), found);
    }
    let Some(fields) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).filter(|name| !fields.contains_key(*name)) {
        found.push(format!("{at}.{name} is missing"));
    }
    for (name, field) in fields {
        match schema["properties"].get(name) {
            Some(known) => faults(known, field, &format!("{at}.{name}"), found),
            None if schema["additionalProperties"] == true => {}
            None => found.push(format!("{at}.{name} is new")),
        }
    }
}

/// Compares a value with the named schema, or adds it there.
fn hold(name: &str, value: &Value) -> Outcome {
    let known: Option<Value> = fs::read_to_string(file(name)).ok().map(|text| serde_json::from_str(&text)).transpose()?;
    if std::env::var_os("BLESS").is_some() {
        let new = schema(value);
        let all = known.map_or_else(|| new.clone(), |known| merged(&known, &new));
        fs::create_dir_all(file(name).parent().ok_or("a folder")?)?;
        return Ok(fs::write(file(name), format!("{all:#}\n"))?);
    }
    let mut found = Vec::new();
    faults(&known.ok_or(format!("docs/schemas/{name}.json is missing: run `cargo xtask bless`"))?, value, name, &mut found);
    assert!(found.is_empty(), "run `cargo xtask bless` and read the difference: {found:#?}\n{value:#}");
    Ok(())
}

fn answer(output: &Output) -> Result<Value, Box<dyn std::error::Error>> {
    serde_json::from_slice(&output.stdout).map_err(|err| format!("{err}: {output:?}").into())
}

/// Commands that can run at any time.
const ANYTIME: [(&str, &[&str]); 18] = [
    ("status", &["status"]),
    ("status-memory", &["status", "memory"]),
    ("status-heartbeats", &["status", "heartbeats"]),
    ("status-resources", &["status", "resources"]),
    ("calls-list", &["calls", "list"]),
    ("dashboard", &["dashboard"]),
    ("top", &["top"]),
    ("sessions-list", &["sessions", "list"]),
    ("sessions-reap", &["sessions", "reap", "--idle", "1h"]),
    ("circuits-list", &["circuits", "list"]),
    ("errors", &["errors"]),
    ("logs", &["logs"]),
    ("cache-stats", &["cache", "stats"]),
    ("cache-clear", &["cache", "clear"]),
    ("debug-level", &["debug", "level"]),
    ("debug-held", &["debug", "held"]),
    ("operations", &["operations", "--repository", "."]),
    ("reap", &["reap", "--age", "1h"]),
];

#[test]
fn the_json_of_sub_commands_matches_the_schemas() -> Outcome {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &[&OPEN[..], &[("MCP_DEBUG_BREAKPOINT", "git_tag")]].concat());
    let folder = fixture.home.path().join("profiles").display().to_string();
    let repo = fixture.path.display().to_string();
    let message = fixture.home.path().join("message.json").display().to_string();
    let call =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "git_log", "arguments": {"max_count": "5", "x": 1}}});
    fs::write(&message, call.to_string())?;
    let look = |of: &[(&str, &[&str])]| -> Outcome {
        for (name, args) in of {
            let mut command = program();
            command.args(*args).arg("--json").arg("--socket").arg(&server.socket).current_dir(&fixture.path);
            hold(name, &answer(&command.output()?)?)?;
        }
        Ok(())
    };
    look(&ANYTIME)?;
    let id = session(&server.server, &[]);
    fixture.write("a.txt", "more\n");
    for (name, args) in
        [("git_add", json!({"files": ["a.txt"]})), ("git_commit", json!({"message": "more"})), ("git_show", json!({"revision": "no"}))]
    {
        tool(&server, name, args);
    }
    remote.breaks(Fault::Status(503));
    (0..6).for_each(|_| drop(tool(&server, "git_fetch", json!({}))));
    look(&ANYTIME)?;
    std::thread::scope(|scope| -> Outcome {
        scope.spawn(|| tool(&server, "git_tag", json!({})));
        wait_for("the hold", || server.get("/debug/held")["held"].as_array().is_some_and(|held| held.len() == 1));
        let seen = look(&[ANYTIME[0], ("debug-held", &["debug", "held"]), ("debug-held-show", &["debug", "held", "show", "hold_1"])]);
        look(&[("debug-resume", &["debug", "resume"])])?;
        seen
    })?;
    look(&[
        ("sessions-show", &["sessions", "show", &id]),
        ("sessions-touch", &["sessions", "touch", &id]),
        ("sessions-close", &["sessions", "close", &id]),
        ("failure", &["sessions", "show", "nobody"]),
        ("circuits-reset", &["circuits", "reset", "--all"]),
        ("debug-on", &["debug", "on"]),
        ("debug-off", &["debug", "off"]),
        ("drain", &["drain", "--timeout", "1s"]),
        ("resume", &["resume"]),
        ("profile-heap--track", &["profile", "heap", "--track", "on"]),
        ("profile-heap", &["profile", "heap", "--out", &folder]),
        ("profile-heap--diff", &["profile", "heap", "--diff", "1", "2", "--out", &folder]),
        ("profile-cpu", &["profile", "cpu", "--seconds", "1", "--out", &folder]),
        ("recover", &["recover", "--emergency"]),
    ])?;
    let alone: [(&str, &[&str]); 3] = [
        ("profile-op", &["profile", "op", "git_log", "--runs", "5", "--out", &folder, "--repo", &repo]),
        ("doctor", &["doctor"]),
        ("validate", &["validate", &message]),
    ];
    for (name, args) in alone {
        hold(name, &answer(&program().args(args).arg("--json").current_dir(&fixture.path).output()?)?)?;
    }
    Ok(())
}

#[test]
fn each_schema_belongs_to_a_sub_command() -> Outcome {
    let names: Vec<String> = fs::read_dir(file("x").parent().ok_or("a folder")?)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().trim_end_matches(".json").to_owned()))
        .collect::<Result<_, std::io::Error>>()?;
    assert!(names.len() > 25, "{names:?}");
    for name in names.iter().filter(|name| *name != "failure") {
        let mut help = program();
        // Text after two hyphens is an option of the sub-command.
        help.args(name.split("--").next().unwrap_or_default().split('-')).arg("--help");
        let text = String::from_utf8_lossy(&help.output()?.stdout).into_owned();
        assert!(text.contains("--json"), "{name}: {text}");
    }
    Ok(())
}

//! The committed results, and the files that are made from them.

use super::{
    growth,
    page::{self, PLOTS},
    results::{Results, Run},
};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{fs, path::Path};

/// The committed results, by path from the root.
const COMMITTED: &str = "docs/bench/results.json";

/// Replaces the committed results by those in `files`: the runs if one of them is a run, the growth if one of them is that.
/// Then writes the page and its plots.
pub(super) fn publish(root: &Path, files: &[&str]) -> Result<()> {
    let mut results = if root.join(COMMITTED).exists() { committed(root)? } else { Results::default() };
    let mut runs = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| (*file).to_owned())?;
        add(serde_json::from_str(&text).with_context(|| (*file).to_owned())?, &mut runs, &mut results)
            .with_context(|| (*file).to_owned())?;
    }
    if !runs.is_empty() {
        // The newest run is the last one: its repositories and versions are shown.
        runs.sort_by(|one, other| one.date.cmp(&other.date));
        results.runs = runs;
    }
    if results.runs.is_empty() {
        bail!("no run of the harness is published: name its result files");
    }
    let plots = root.join(PLOTS);
    if plots.exists() {
        for entry in fs::read_dir(&plots)?.flatten().filter(|entry| entry.path().extension().is_some_and(|extension| extension == "svg")) {
            fs::remove_file(entry.path())?;
        }
    }
    fs::create_dir_all(&plots)?;
    fs::write(root.join(COMMITTED), serde_json::to_string(&results)? + "\n")?;
    for (name, content) in page::files(&results)? {
        fs::write(root.join(&name), content).with_context(|| name)?;
    }
    Ok(())
}

fn add(report: Value, runs: &mut Vec<Run>, results: &mut Results) -> Result<()> {
    if report["schema"] == growth::SCHEMA {
        results.growth = Some(serde_json::from_value(report)?);
    } else {
        runs.push(Run::of(&report)?);
    }
    Ok(())
}

fn committed(root: &Path) -> Result<Results> {
    let text = fs::read_to_string(root.join(COMMITTED)).context(COMMITTED)?;
    serde_json::from_str(&text).context(COMMITTED)
}

#[cfg(test)]
mod tests {
    use super::{PLOTS, Results, add, committed, page};
    use crate::run;
    use std::{collections::BTreeSet, fs, path::Path};

    const RUNS: [&str; 2] = [include_str!("../../fixtures/run1.json"), include_str!("../../fixtures/run2.json")];
    const GROWTH: &str = include_str!("../../fixtures/growth.json");

    fn fixture() -> Results {
        let (mut runs, mut results) = (Vec::new(), Results::default());
        for text in RUNS.into_iter().chain([GROWTH]) {
            add(serde_json::from_str(text).unwrap(), &mut runs, &mut results).unwrap();
        }
        results.runs = runs;
        results
    }

    #[test]
    fn a_small_result_gives_the_expected_page() {
        let files = page::files(&fixture()).unwrap();
        let (name, text) = files.first().unwrap();
        assert_eq!(name, "BENCHMARKS.md");
        let expected = run::root().join("xtask/fixtures/page.md");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, text).unwrap();
        }
        assert_eq!(*text, fs::read_to_string(expected).unwrap());
        let linked: BTreeSet<&str> = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link).collect();
        let plots: BTreeSet<&str> = files.iter().skip(1).map(|(name, _)| name.as_str()).collect();
        assert_eq!(linked, plots);
    }

    #[test]
    fn a_plot_has_a_mark_for_each_figure() {
        let files = page::files(&fixture()).unwrap();
        let (_, plot) = files.iter().find(|(name, _)| name == "docs/bench/small.svg").unwrap();
        // In the fixture `cli` and `ours` answer four operations, `peer` two; the legend has no titles.
        assert_eq!(plot.matches("><title>").count(), 10, "{plot}");
        assert!(plot.contains("<title>peer, status: 0.50×</title>"), "{plot}");
        assert!(plot.contains("prefers-color-scheme:dark"), "{plot}");
    }

    #[test]
    fn a_result_of_another_schema_is_refused() {
        let error = add(serde_json::json!({"schema": "other/1"}), &mut Vec::new(), &mut Results::default()).unwrap_err();
        assert!(error.to_string().contains("other/1"), "{error}");
    }

    /// `cargo xtask bless` writes them anew.
    #[test]
    fn the_page_and_its_plots_are_those_of_the_committed_results() {
        let files = page::files(&committed(&run::root()).unwrap()).unwrap();
        for (name, content) in &files {
            let found = fs::read_to_string(run::root().join(name)).unwrap_or_default();
            assert!(found == *content, "{name} is not what `cargo xtask bench --publish` writes");
        }
        let is_plot = |name: &String| Path::new(name).extension().is_some_and(|extension| extension == "svg");
        let found = fs::read_dir(run::root().join(PLOTS)).unwrap().flatten();
        let found: BTreeSet<String> =
            found.map(|entry| format!("{PLOTS}/{}", entry.file_name().to_string_lossy())).filter(is_plot).collect();
        let expected: BTreeSet<String> = files.into_iter().map(|(name, _)| name).filter(is_plot).collect();
        assert_eq!(found, expected);
    }
}

//! Plain English: phrases that the project does not use, in sources and documents, each with a better form.

use crate::run;
use anyhow::{Context, Result, bail};
use regex::Regex;
use std::{fs, path::Path};

/// Lines of a pattern, a tab, and the better form.
const PATTERNS: &str = include_str!("../wording.tsv");

/// Finds the phrases in every file that git tracks, but for test data and what others have written.
pub(crate) fn check() -> Result<()> {
    let mut patterns = Vec::new();
    for line in PATTERNS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (pattern, better) = line.split_once('\t').with_context(|| format!("wording.tsv: no tab in `{line}`"))?;
        patterns.push((Regex::new(pattern).with_context(|| format!("wording.tsv: `{pattern}`"))?, better));
    }
    let mut found = Vec::new();
    for file in run::tracked()?.iter().filter(|file| is_ours(file)) {
        let text = fs::read_to_string(run::root().join(file)).with_context(|| file.clone())?;
        for (number, line) in text.lines().enumerate() {
            for (pattern, better) in &patterns {
                if let Some(phrase) = pattern.find(line) {
                    found.push(format!("{file}:{}: `{}`: {better}", number + 1, phrase.as_str()));
                }
            }
        }
    }
    if found.is_empty() { Ok(()) } else { bail!("phrases with a better form:\n{}", found.join("\n")) }
}

fn is_ours(file: &str) -> bool {
    let is_text = Path::new(file).extension().is_some_and(|extension| ["rs", "md", "sh", "toml"].iter().any(|one| extension == *one));
    // The glossary names what is not said.
    is_text && file != "docs/GLOSSARY.md"
}

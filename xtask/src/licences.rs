//! The licences of all linked packages.

use crate::run;
use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;
use spdx::{Expression, Licensee, ParseMode};
use std::fs;

/// The supported platforms.
const PLATFORMS: [&str; 3] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"];
pub(crate) fn check() -> Result<()> {
    let platforms = PLATFORMS.iter().flat_map(|platform| ["--filter-platform".to_owned(), (*platform).to_owned()]).collect::<Vec<_>>();
    let metadata = MetadataCommand::new().manifest_path(run::root().join("Cargo.toml")).other_options(platforms).exec()?;
    let allowed = allowed()?;
    let refused: Vec<String> = metadata
        .packages
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(|licence| is_allowed(licence, &allowed)))
        .map(|package| format!("{} {}: {}", package.name, package.version, package.license.as_deref().unwrap_or("none")))
        .collect();
    if !refused.is_empty() {
        bail!("licence not allowed:\n  {}", refused.join("\n  "));
    }
    println!("{} packages", metadata.packages.len());
    if run::exists("cargo-deny") {
        run::cargo(&["deny", "--workspace", "check", "licenses", "bans", "sources"], &[])?;
    }
    Ok(())
}

/// The licences that deny.toml allows.
fn allowed() -> Result<Vec<Licensee>> {
    let config: toml::Table = toml::from_str(&fs::read_to_string(run::root().join("deny.toml"))?)?;
    let allowed = config.get("licenses").and_then(|licences| licences.get("allow")?.as_array()).context("deny.toml: no licences")?;
    let names = allowed.iter().filter_map(toml::Value::as_str);
    names.map(|name| Licensee::parse(name).with_context(|| format!("deny.toml: {name}"))).collect()
}

/// Whether a package with this SPDX expression may be linked. Cargo also accepts `/` for `OR`.
fn is_allowed(expression: &str, allowed: &[Licensee]) -> bool {
    let expression = Expression::parse_mode(expression, ParseMode::LAX);
    expression.is_ok_and(|expression| expression.evaluate(|wanted| allowed.iter().any(|licence| licence.satisfies(wanted))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_allowed_alternative_suffices_and_each_part_is_needed() -> Result<()> {
        let allowed = allowed()?;
        for (expression, expect) in [
            ("MIT OR GPL-3.0-only", true),
            ("MIT/Apache-2.0", true),
            ("(MIT OR GPL-2.0-only) AND Unicode-3.0", true),
            ("MIT AND GPL-3.0-only", false),
            ("GPL-3.0-only", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(expression, &allowed), expect, "{expression}");
        }
        Ok(())
    }
}

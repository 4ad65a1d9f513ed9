//! The licences of all linked packages.

use crate::run;
use anyhow::{Result, bail};
use cargo_metadata::MetadataCommand;

/// The supported platforms.
const PLATFORMS: [&str; 3] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"];
/// Permissive licences, as in deny.toml.
const ALLOWED: [&str; 10] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "CC0-1.0",
];

pub(crate) fn check() -> Result<()> {
    let platforms = PLATFORMS.iter().flat_map(|platform| ["--filter-platform".to_owned(), (*platform).to_owned()]).collect::<Vec<_>>();
    let metadata = MetadataCommand::new().manifest_path(run::root().join("Cargo.toml")).other_options(platforms).exec()?;
    let refused: Vec<String> = metadata
        .packages
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(is_allowed))
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

/// Evaluates an SPDX expression: every part of an `AND`, one of an `OR`.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let expression = expression.trim();
    if let Some(inner) = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))
        && !inner.contains(['(', ')'])
    {
        return is_allowed(inner);
    }
    if let Some(parts) = split(expression, " AND ") {
        return parts.into_iter().all(is_allowed);
    }
    if let Some(parts) = split(expression, " OR ") {
        return parts.into_iter().any(is_allowed);
    }
    ALLOWED.contains(&expression)
}

/// Splits at `operator` outside parentheses; `None` if it does not occur there.
fn split<'a>(text: &'a str, operator: &str) -> Option<Vec<&'a str>> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && text[at..].starts_with(operator) => {
                parts.push(text[start..at].trim());
                start = at + operator.len();
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    (parts.len() > 1).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn expressions_are_evaluated() {
        for allowed in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0", "Apache-2.0 WITH LLVM-exception"]
        {
            assert!(is_allowed(allowed), "{allowed}");
        }
        for refused in ["GPL-3.0", "MIT AND GPL-3.0", "", "(MIT OR GPL-3.0) AND LGPL-2.1"] {
            assert!(!is_allowed(refused), "{refused}");
        }
    }
}

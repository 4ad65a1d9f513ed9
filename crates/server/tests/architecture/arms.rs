//! Arms of a `match` that take whatever the other arms leave.

use std::collections::BTreeMap;
use syn::{
    Arm, ItemMod, Pat,
    spanned::Spanned,
    visit::{self, Visit},
};

/// Collects the lines of these arms, except in tests.
#[derive(Default)]
struct CatchAll(Vec<usize>);

impl<'ast> Visit<'ast> for CatchAll {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        // An arm with a condition leaves values to other arms, which must name them.
        if arm.guard.is_none() && takes_all(&arm.pat) {
            self.0.push(arm.pat.span().start().line);
        }
        visit::visit_arm(self, arm);
    }
}

/// Whether the pattern matches every value: `_`, a variable, or a combination of them.
fn takes_all(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) => true,
        // The name of a constant or a variant starts with a capital.
        Pat::Ident(name) => match &name.subpat {
            Some((_, inner)) => takes_all(inner),
            None => !name.ident.to_string().starts_with(char::is_uppercase),
        },
        Pat::Or(one) => one.cases.iter().any(takes_all),
        Pat::Tuple(each) => each.elems.iter().all(takes_all),
        Pat::Paren(inner) => takes_all(&inner.pat),
        Pat::Reference(inner) => takes_all(&inner.pat),
        _ => false,
    }
}

/// Every such arm, as file and line.
pub(crate) fn catching_all(files: &BTreeMap<String, String>) -> syn::Result<Vec<String>> {
    let mut found = Vec::new();
    for (file, text) in files {
        let mut arms = CatchAll::default();
        arms.visit_file(&syn::parse_file(text)?);
        found.extend(arms.0.into_iter().map(|line| format!("{file}:{line}")));
    }
    Ok(found)
}

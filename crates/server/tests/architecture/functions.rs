//! Lengths of functions, as parsed: from the signature to the closing brace.

use std::collections::BTreeMap;
use syn::{
    Block, ImplItemFn, ItemFn, ItemMod, Signature, TraitItemFn,
    spanned::Spanned,
    visit::{self, Visit},
};

/// Collects functions and their lengths in lines, except tests.
#[derive(Default)]
struct Lengths(Vec<(String, usize)>);

impl Lengths {
    fn add(&mut self, signature: &Signature, block: &Block) {
        let lines = block.span().end().line - signature.span().start().line + 1;
        self.0.push((signature.ident.to_string(), lines));
    }
}

impl<'ast> Visit<'ast> for Lengths {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block);
        }
    }
}

/// The functions of more than `limit` lines: file, name, lines.
pub(crate) fn longer_than(limit: usize, files: &BTreeMap<String, String>) -> syn::Result<Vec<(String, String, usize)>> {
    let mut found = Vec::new();
    for (file, text) in files {
        let mut lengths = Lengths::default();
        lengths.visit_file(&syn::parse_file(text)?);
        found.extend(lengths.0.into_iter().filter(|(_, lines)| *lines > limit).map(|(name, lines)| (file.clone(), name, lines)));
    }
    Ok(found)
}

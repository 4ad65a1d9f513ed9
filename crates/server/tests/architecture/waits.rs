//! Calls that wait for a time instead of an event, as parsed.

use syn::{
    Macro, Path,
    visit::{self, Visit},
};

const CALLS: [&str; 2] = ["sleep", "yield_now"];

/// Whether one of the calls was seen.
#[derive(Default)]
struct Seen(bool);

impl<'ast> Visit<'ast> for Seen {
    fn visit_path(&mut self, path: &'ast Path) {
        self.0 |= path.segments.last().is_some_and(|last| CALLS.iter().any(|call| last.ident == *call));
        visit::visit_path(self, path);
    }

    /// Macro arguments are tokens: calls are found by text, outside of string literals.
    fn visit_macro(&mut self, item: &'ast Macro) {
        let text: String = item.tokens.to_string().replace("\\\"", "").split('"').step_by(2).collect();
        let text = text.replace(' ', "");
        self.0 |= CALLS.iter().any(|call| text.contains(&format!("{call}(")));
    }
}

/// Whether a file has such a call.
pub(crate) fn for_a_time(text: &str) -> syn::Result<bool> {
    let mut seen = Seen::default();
    seen.visit_file(&syn::parse_file(text)?);
    Ok(seen.0)
}

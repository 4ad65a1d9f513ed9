//! Imports between the modules of a crate, as parsed: `use` items and paths from `crate`, `super` and `self`.
//! Tests are excluded; a re-exported name counts as an import of the module that defines it.

use std::collections::{BTreeMap, BTreeSet};
use syn::{
    Attribute, Item, ItemUse, Macro, UseTree,
    visit::{self, Visit},
};

/// A module by its path from the crate root: `["pipeline", "run"]`; the root itself is empty.
pub(crate) type Name = Vec<String>;

/// The imports of each module of a crate.
pub(crate) struct Graph {
    edges: BTreeMap<Name, BTreeSet<Name>>,
    /// The crates used by each module.
    foreign: BTreeMap<Name, BTreeSet<String>>,
}

/// The names in one module.
#[derive(Default)]
struct Paths {
    used: Vec<Vec<String>>,
    /// Public `use` items by the name that they define.
    exported: BTreeMap<String, Vec<String>>,
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg_test = attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"));
        attribute.path().is_ident("test") || attribute.path().is_ident("cfg") && is_cfg_test
    })
}

impl Paths {
    fn add_tree(&mut self, tree: &UseTree, before: &[String], is_public: bool) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident), is_public),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, before, is_public)),
            UseTree::Name(name) => self.add(with(&name.ident), &name.ident, is_public),
            UseTree::Rename(name) => self.add(with(&name.ident), &name.rename, is_public),
            UseTree::Glob(_) => self.used.push(before.to_vec()),
        }
    }

    fn add(&mut self, path: Vec<String>, name: &syn::Ident, is_public: bool) {
        if is_public {
            self.exported.insert(name.to_string(), path.clone());
        }
        self.used.push(path);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_tree(&item.tree, &[], !matches!(item.vis, syn::Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.used.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    /// Macro arguments are tokens: paths from `crate` are found by text.
    fn visit_macro(&mut self, item: &'ast Macro) {
        let text = item.tokens.to_string().replace(' ', "");
        for (at, _) in text.match_indices("crate::") {
            let path: String = text[at..].chars().take_while(|char| char.is_alphanumeric() || "_:".contains(*char)).collect();
            self.used.push(path.split("::").map(str::to_owned).collect());
        }
    }
}

impl Graph {
    /// Reads the modules of a crate: the text of each by its path below `src/`.
    pub(crate) fn of(files: &BTreeMap<String, String>) -> syn::Result<Self> {
        let mut modules = BTreeMap::new();
        for (file, text) in files {
            let mut name: Name = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if name.len() == 1 && matches!(name[0].as_str(), "lib" | "main") || name.last().is_some_and(|last| last == "mod") {
                name.pop();
            }
            let paths: &mut Paths = modules.entry(name).or_default();
            paths.visit_file(&syn::parse_file(text)?);
        }
        let edges = modules.iter().map(|(name, paths)| {
            let targets = paths.used.iter().filter_map(|path| resolved(&modules, name, path, 0));
            (name.clone(), targets.filter(|target| target != name).collect())
        });
        let foreign = modules.iter().map(|(name, paths)| {
            let outside = paths.used.iter().filter(|path| path.len() > 1 && resolved(&modules, name, path, 0).is_none());
            (name.clone(), outside.map(|path| path[0].clone()).collect())
        });
        Ok(Self { edges: edges.collect(), foreign: foreign.collect() })
    }

    /// The modules, and the modules that each imports.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (&Name, &Name)> {
        self.edges.iter().flat_map(|(from, targets)| targets.iter().map(move |to| (from, to)))
    }

    /// The modules, and the crates that each names, with the first parts of other paths.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = (&Name, &BTreeSet<String>)> {
        self.foreign.iter()
    }

    /// Every import cycle between modules. A module and its children count as one.
    pub(crate) fn circles(&self) -> Vec<String> {
        let beside = |from: &Name| self.edges[from].iter().filter(|to| !are_nested(from, to)).cloned().collect::<Vec<_>>();
        let reach = |from: &Name| {
            let (mut seen, mut queue) = (BTreeSet::new(), beside(from));
            while let Some(next) = queue.pop() {
                if self.edges.contains_key(&next) && seen.insert(next.clone()) {
                    queue.extend(beside(&next));
                }
            }
            seen
        };
        let reached: BTreeMap<&Name, BTreeSet<Name>> = self.edges.keys().map(|module| (module, reach(module))).collect();
        let mut found = BTreeSet::new();
        for (module, targets) in reached.iter().filter(|(module, targets)| targets.contains(**module)) {
            let circle = targets.iter().filter(|target| reached[target].contains(*module));
            found.insert(circle.map(|module| module.join("/")).collect::<Vec<_>>().join(", "));
        }
        found.into_iter().collect()
    }

    /// Every import of a module that is later in `order`, or missing there. A line lists modules by path, including
    /// their children unless these are listed themselves.
    pub(crate) fn upward(&self, order: &[&str]) -> Vec<String> {
        let lines: Vec<Vec<Name>> =
            order.iter().map(|line| line.split_whitespace().map(|name| name.split('/').map(str::to_owned).collect()).collect()).collect();
        let line_of = |module: &Name| {
            let listed = |length: &usize| lines.iter().position(|line| line.iter().any(|name| name[..] == module[..*length]));
            (1..=module.len()).rev().find_map(|length| listed(&length))
        };
        let unlisted = self.edges.keys().filter(|module| !module.is_empty() && line_of(module).is_none());
        let mut found: Vec<String> = unlisted.map(|module| format!("{} is in no line of the order", module.join("/"))).collect();
        let across = self.edges().filter(|(from, to)| !from.is_empty() && from[0] != to[0]);
        let upward = across.filter(|(from, to)| line_of(to) > line_of(from));
        found.extend(upward.map(|(from, to)| format!("{} imports {}", from.join("/"), to.join("/"))));
        found
    }
}

fn are_nested(one: &Name, other: &Name) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// The module that a path leads to from `module`; `None` outside of the crate.
fn resolved(modules: &BTreeMap<Name, Paths>, module: &Name, path: &[String], depth: usize) -> Option<Name> {
    let mut base = match path.first()?.as_str() {
        "crate" => Name::new(),
        "self" | "super" => module.clone(),
        first if modules.contains_key(&[module.as_slice(), &[first.to_owned()]].concat()) => module.clone(),
        _ => return None,
    };
    let mut rest = path;
    while let Some((first, after)) = rest.split_first().filter(|(first, _)| matches!(first.as_str(), "crate" | "self" | "super")) {
        if first == "super" {
            base.pop();
        }
        rest = after;
    }
    for (at, part) in rest.iter().enumerate() {
        let inner = [base.as_slice(), std::slice::from_ref(part)].concat();
        if modules.contains_key(&inner) {
            base = inner;
            continue;
        }
        let exported = modules.get(&base).and_then(|paths| paths.exported.get(part)).filter(|_| depth < 5);
        let onward = exported.and_then(|path| resolved(modules, &base, &[path.as_slice(), &rest[at + 1..]].concat(), depth + 1));
        return Some(onward.unwrap_or(base)).filter(|found| !found.is_empty());
    }
    Some(base).filter(|found| !found.is_empty())
}

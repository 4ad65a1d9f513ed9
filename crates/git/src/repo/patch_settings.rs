//! Settings that change how patches look.

use gix::config::File;

/// The settings below `diff.` that patches rendered in-process obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one setting")]
pub(crate) struct PatchSettings {
    /// `diff.context`.
    pub(crate) context: u32,
    /// `diff.interHunkContext`.
    pub(crate) between: u32,
    /// `diff.suppressBlankEmpty`.
    pub(crate) bare_empty_lines: bool,
    /// `diff.indentHeuristic`.
    pub(crate) indent_heuristic: bool,
    /// `diff.algorithm` is `minimal`.
    pub(crate) minimal: bool,
    /// `diff.renames`.
    pub(crate) renames: bool,
    /// `diff.renameLimit`.
    pub(crate) rename_limit: usize,
}

/// Keys below `diff.` that do not affect rendered patches.
const HARMLESS: [&str; 13] = [
    "tool",
    "guitool",
    "external",
    "trustexitcode",
    "colormoved",
    "colormovedws",
    "wserrorhighlight",
    "wordregex",
    "autorefreshindex",
    "statnamewidth",
    "statgraphwidth",
    "submodule",
    "dirstat",
];
/// Keys below `diff.` that are obeyed.
const OBEYED: [&str; 12] = [
    "context",
    "interhunkcontext",
    "suppressblankempty",
    "indentheuristic",
    "algorithm",
    "renames",
    "renamelimit",
    "noprefix",
    "mnemonicprefix",
    "srcprefix",
    "dstprefix",
    "ignoresubmodules",
];

/// The drivers of `diff` attributes that git has built in.
const DRIVERS: &str = "ada bash bibtex cpp csharp css default dts elixir fortran fountain golang html java kotlin markdown matlab objc \
     pascal perl php python ruby rust scheme tex";

/// Whether git knows a driver without any configuration.
pub(crate) fn is_built_in(driver: &[u8]) -> bool {
    DRIVERS.split(' ').any(|name| name.as_bytes() == driver)
}

/// Below this size no file counts as big (`core.bigFileThreshold`): larger ones are left to git.
const SMALL: i64 = 8 << 20;

impl Default for PatchSettings {
    fn default() -> Self {
        Self { context: 3, between: 0, bare_empty_lines: false, indent_heuristic: true, minimal: false, renames: true, rename_limit: 1000 }
    }
}

impl PatchSettings {
    /// Whether patches are rendered in-process although the key `diff.KEY` is set.
    pub(crate) fn supports(key: &str) -> bool {
        HARMLESS.contains(&key) || OBEYED.contains(&key)
    }

    /// Reads the settings; `None` if only git interprets one of them.
    pub(crate) fn of(file: &File) -> Option<Self> {
        let usual = Self::default();
        let boolean = |key: &str, usual: bool| match file.boolean(key) {
            Ok(found) => Some(found.unwrap_or(usual)),
            Err(_) => None,
        };
        let number = |key: &str, usual: u32| match file.string(key) {
            None => Some(usual),
            // git also accepts units and signs.
            Some(text) => text.to_string().parse().ok().filter(|number| *number < 1 << 20),
        };
        if file.string("attr.tree").is_some() || !matches!(file.boolean("core.ignoreCase"), Ok(None | Some(false))) {
            return None;
        }
        let threshold = file.integer("core.bigFileThreshold").ok()?;
        if threshold.is_some_and(|bytes| bytes < SMALL) {
            return None;
        }
        let prefixes = ["diff.srcPrefix", "diff.dstPrefix"].map(|key| file.string(key));
        let is_plain = |prefix: &[u8]| prefix.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        if !prefixes.iter().flatten().all(|prefix| is_plain(prefix)) {
            return None;
        }
        let minimal = match file.string("diff.algorithm").map(|name| name.to_string().to_ascii_lowercase()).as_deref() {
            None | Some("default" | "myers") => false,
            Some("minimal") => true,
            Some(_) => return None,
        };
        let rename_limit = number("diff.renameLimit", 1000).filter(|limit| *limit > 0)?;
        Some(Self {
            context: number("diff.context", usual.context)?,
            between: number("diff.interHunkContext", usual.between)?,
            bare_empty_lines: boolean("diff.suppressBlankEmpty", usual.bare_empty_lines)?,
            indent_heuristic: boolean("diff.indentHeuristic", usual.indent_heuristic)?,
            minimal,
            renames: boolean("diff.renames", usual.renames)?,
            rename_limit: usize::try_from(rename_limit).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<PatchSettings> {
        let meta = gix::config::file::Metadata::api();
        PatchSettings::of(&File::from_bytes_no_includes(text.as_bytes(), meta, gix::config::file::init::Options::default()).unwrap())
    }

    #[test]
    fn values_that_only_git_interprets_are_left_to_git() {
        let usual = PatchSettings::default();
        assert_eq!(read(""), Some(usual));
        let text =
            "[diff]\ncontext = 1\ninterHunkContext = 4\nalgorithm = minimal\nrenames = false\nindentHeuristic = off\nsuppressBlankEmpty\n";
        let expect = PatchSettings {
            context: 1,
            between: 4,
            bare_empty_lines: true,
            indent_heuristic: false,
            minimal: true,
            renames: false,
            ..usual
        };
        assert_eq!(read(text), Some(expect));
        for odd in ["context = -1", "context = 1k", "renames = copies", "algorithm = patience", "renameLimit = 0", "srcPrefix = \"\\\"\""] {
            assert_eq!(read(&format!("[diff]\n{odd}\n")), None, "{odd}");
        }
    }
}

//! Settings of the comparison of a working tree with its index.

use engine::{
    rules::{self, AutoCrlf},
    worktree::{Comparison, Untracked},
};
use gix::config::File;

/// Keys below `status.` that do not affect the listing, and those read here.
const KNOWN: [&str; 9] = [
    "relativepaths",
    "short",
    "branch",
    "showstash",
    "displaycommentprefix",
    "aheadbehind",
    "renames",
    "renamelimit",
    "showuntrackedfiles",
];
/// Those that git requires to be boolean.
const BOOLEANS: [&str; 6] =
    ["status.relativePaths", "status.short", "status.branch", "status.showStash", "status.displayCommentPrefix", "status.aheadBehind"];

/// How a status is computed.
#[derive(Debug)]
pub(crate) struct StatusSettings {
    /// Why only git computes it, if so.
    pub(crate) odd: Option<&'static str>,
    /// The untracked files to list.
    pub(crate) untracked: Untracked,
    /// The metadata that counts.
    pub(crate) comparison: Comparison,
    /// Renames are detected.
    pub(crate) renames: bool,
    /// Files outside of the sparse working tree count if they exist.
    pub(crate) sparse: bool,
    /// The conversion of content.
    pub(crate) conversion: rules::Settings,
}

impl Default for StatusSettings {
    fn default() -> Self {
        let (comparison, conversion) = (Comparison::default(), rules::Settings::default());
        Self { odd: None, untracked: Untracked::Normal, comparison, renames: true, sparse: false, conversion }
    }
}

impl StatusSettings {
    pub(crate) fn of(file: &File) -> Self {
        let is = |key: &str| matches!(file.boolean(key), Ok(Some(true)));
        let is_not = |key: &str| matches!(file.boolean(key), Ok(Some(false)));
        let mut settings = Self {
            comparison: Comparison { trust_ctime: !is_not("core.trustCtime"), file_mode: !is_not("core.fileMode"), whole_stat: true },
            sparse: is("core.sparseCheckout") && !is("sparse.expectFilesOutsideOfPatterns"),
            ..Self::default()
        };
        if is("core.ignoreCase") || is_not("core.symlinks") || is("core.precomposeUnicode") {
            settings.leave("a file system with other rules for names");
        }
        if file.string("core.checkStat").is_some_and(|value| {
            settings.comparison.whole_stat = !value.eq_ignore_ascii_case(b"minimal");
            settings.comparison.whole_stat && !value.eq_ignore_ascii_case(b"default")
        }) {
            settings.leave("core.checkStat");
        }
        if file.string("attr.tree").is_some() {
            settings.leave("attributes of a tree");
        }
        settings.note_conversion(file);
        settings.note_renames(file);
        settings.note_status(file);
        settings
    }

    /// Leaves each status to git.
    pub(crate) fn leave(&mut self, why: &'static str) {
        self.odd.get_or_insert(why);
    }

    fn note_conversion(&mut self, file: &File) {
        self.conversion.auto_crlf = match (file.boolean("core.autocrlf"), file.string("core.autocrlf")) {
            (Ok(Some(true)), _) => AutoCrlf::Yes,
            (Ok(_), _) => AutoCrlf::No,
            (Err(_), Some(word)) if word.eq_ignore_ascii_case(b"input") => AutoCrlf::Input,
            (Err(_), _) => {
                self.leave("core.autocrlf");
                AutoCrlf::No
            }
        };
        if let Some(word) = file.string("core.eol").map(|word| word.to_ascii_lowercase()) {
            self.conversion.eol_is_crlf = word == b"crlf";
            if !matches!(word.as_slice(), b"lf" | b"crlf" | b"native") {
                self.leave("core.eol");
            }
        }
        let drivers = file.sections_by_name("filter").into_iter().flatten();
        self.conversion.filters = drivers.filter_map(|section| section.header().subsection_name().map(|name| name.to_vec())).collect();
    }

    /// Of `diff.renames`, git uses the first value here, and of `status.renames` the last.
    fn note_renames(&mut self, file: &File) {
        if file.string("status.renameLimit").is_some() {
            self.leave("status.renameLimit");
        }
        let own = file.strings("status.renames").and_then(|values| values.last().cloned());
        let general = || file.strings("diff.renames").and_then(|values| values.first().cloned());
        match own.or_else(general).map(|value| value.to_ascii_lowercase()).as_deref() {
            None => {}
            Some(value) => match word(value) {
                Some(on) => self.renames = on,
                None => self.leave("status.renames"),
            },
        }
    }

    fn note_status(&mut self, file: &File) {
        let sections = file.sections_by_name("status").into_iter().flatten();
        let mut keys = sections.filter(|section| section.header().subsection_name().is_none()).flat_map(|section| {
            let keys: Vec<String> = section.body().value_names().map(|key| key.to_ascii_lowercase()).collect();
            keys
        });
        let has_unknown = keys.any(|key| !KNOWN.contains(&key.as_str()));
        if has_unknown || BOOLEANS.iter().any(|key| file.boolean(key).is_err()) {
            self.leave("status.*");
        }
        if matches!(file.boolean("status.aheadBehind"), Ok(Some(false))) {
            self.leave("status.aheadBehind");
        }
        let Some(value) = file.string("status.showUntrackedFiles") else { return };
        match (word(&value.to_ascii_lowercase()), value.as_slice()) {
            (Some(false), _) | (_, b"no") => self.untracked = Untracked::No,
            (Some(true), _) | (_, b"normal") => self.untracked = Untracked::Normal,
            (_, b"all") => self.untracked = Untracked::All,
            _ => self.leave("status.showUntrackedFiles"),
        }
    }
}

/// A boolean in lower case.
fn word(value: &[u8]) -> Option<bool> {
    match value {
        b"true" | b"yes" | b"on" | b"1" => Some(true),
        b"false" | b"no" | b"off" | b"0" | b"" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_has_its_effect() -> Result<(), Box<dyn std::error::Error>> {
        let of = |text: &str| File::try_from(text).map(|file| StatusSettings::of(&file));
        assert!(of("")?.renames && of("")?.odd.is_none() && of("")?.untracked == Untracked::Normal);
        assert!(!of("[diff]\nrenames = false\nrenames = true")?.renames);
        assert!(of("[status]\nrenames = false\nrenames = true\n[diff]\nrenames = false")?.renames);
        assert!(of("[diff]\nrenames = copies")?.odd.is_some());
        for (value, expect) in [("no", Untracked::No), ("off", Untracked::No), ("true", Untracked::Normal), ("all", Untracked::All)] {
            assert_eq!(of(&format!("[status]\nshowUntrackedFiles = {value}"))?.untracked, expect);
        }
        for odd in ["[status]\nshowUntrackedFiles = ALL", "[status]\nx = 1", "[status]\nshort = maybe", "[core]\ncheckStat = some"] {
            assert!(of(odd)?.odd.is_some(), "{odd}");
        }
        assert!(!of("[core]\ncheckStat = Minimal")?.comparison.whole_stat);
        assert_eq!(of("[core]\nautocrlf = Input")?.conversion.auto_crlf, AutoCrlf::Input);
        assert!(of("[core]\neol = CRLF")?.conversion.eol_is_crlf && of("[core]\neol = cr")?.odd.is_some());
        assert_eq!(of("[filter \"x\"]\nrequired")?.conversion.filters, [b"x"]);
        assert!(of("[core]\nsparseCheckout")?.sparse);
        assert!(!of("[core]\nsparseCheckout\n[sparse]\nexpectFilesOutsideOfPatterns = true")?.sparse);
        Ok(())
    }
}

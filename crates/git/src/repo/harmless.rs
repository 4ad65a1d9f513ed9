//! Allowlist of configuration keys for untrusted repositories.
//!
//! git has too many keys that run programs, read files, contact hosts or move references to list them all, and each
//! release adds some. So this is an allowlist: keys that do none of this in any command of this server. A change
//! refuses every other key and names it.
//!
//! A row must hold for every command the server runs, and for git-lfs, which operators install as a filter. When in
//! doubt, leave a key out: an operator who needs it names the repository.

use Value::{Any, Fetched, Filter, Flag, FlagOr, Number, Off, On, Paths, Ref, Remote, RemoteOrUrl, Url, Word};

/// The harmless values of a key.
#[derive(Clone, Copy, Debug)]
enum Value {
    /// Any value.
    Any,
    /// A boolean.
    Flag,
    /// Only `true`.
    On,
    /// Only `false`.
    Off,
    /// A boolean or one of these words.
    FlagOr(&'static [&'static str]),
    /// One of these words.
    Word(&'static [&'static str]),
    /// An integer in this range, without a unit, or one of these words.
    Number(i64, i64, &'static [&'static str]),
    /// The name of a remote, or `.` for the repository itself.
    Remote,
    /// As `Remote`, or a URL.
    RemoteOrUrl,
    /// A URL or path that starts no remote helper.
    Url,
    /// The full name of a reference.
    Ref,
    /// A refspec that writes only below `refs/remotes/NAME/`, or one tag under its own name.
    Fetched,
    /// A partial clone filter that names no object and no file.
    Filter,
    /// A pathspec without magic.
    Paths,
}

/// Pattern, harmless values, reason. `*` matches any subsection, or the rest of the key.
type Row = (&'static str, Value, &'static str);

const TABLE: &[Row] = &[
    // The repository's format, as `git init` and `git clone` write it.
    ("core.repositoryformatversion", Number(0, 1, &[]), "git refuses unknown formats"),
    ("core.bare", Flag, "whether there is a working tree"),
    ("core.worktree", Any, "a repository opens only if this is where it was found"),
    ("core.logallrefupdates", Word(&["true", "yes", "on", "1", "always"]), "reflogs keep from `gc` what undo needs"),
    ("core.sharedrepository", FlagOr(&["umask", "group", "0600", "0640", "0660"]), "modes of git's own files, never world-accessible"),
    ("receive.denynonfastforwards", On, "refuses more pushes into this repository; `git init --shared` writes it"),
    ("extensions.noop", Any, "git ignores it"),
    ("extensions.noop-v1", Any, "git ignores it"),
    ("extensions.objectformat", Word(&["sha1", "sha256"]), "the hash of the objects"),
    ("extensions.refstorage", Word(&["files", "reftable"]), "the format of the references; a URL would name a directory"),
    ("extensions.partialclone", Remote, "the source of missing objects; an untrusted repository fetches none on demand"),
    ("extensions.preciousobjects", Flag, "git deletes no objects"),
    ("extensions.worktreeconfig", Flag, "adds `config.worktree`, whose keys are checked as well"),
    ("extensions.relativeworktrees", Flag, "links of worktrees are relative; the roots are checked after resolving them"),
    // The file system.
    ("core.filemode", Flag, "whether the executable bit counts"),
    ("core.ignorecase", Flag, "whether names are case-insensitive; git compares the files before overwriting one"),
    ("core.precomposeunicode", Flag, "the form of names on macOS"),
    ("core.symlinks", Flag, "`false` checks out symbolic links as plain files"),
    ("core.hidedotfiles", FlagOr(&["dotgitonly"]), "an attribute of files on Windows"),
    ("core.longpaths", Flag, "the length of paths on Windows"),
    ("core.fscache", Flag, "a cache of file times on Windows, for one process"),
    ("core.trustctime", Flag, "which times indicate a change; the modification time always counts"),
    ("core.checkstat", Word(&["default", "minimal"]), "which times indicate a change; the modification time always counts"),
    ("core.preloadindex", Flag, "at most 20 threads read file times"),
    ("core.untrackedcache", FlagOr(&["keep"]), "a part of the index, which git validates with directory times"),
    ("core.commitgraph", Flag, "whether an accelerator is read"),
    ("core.multipackindex", Flag, "whether an accelerator is read"),
    ("core.compression", Number(-1, 9, &[]), "zlib's level"),
    ("core.loosecompression", Number(-1, 9, &[]), "zlib's level"),
    ("core.quotepath", Flag, "how paths are printed"),
    ("core.abbrev", Number(4, 64, &["auto", "no", "false", "off"]), "the length of abbreviated ids"),
    ("index.version", Number(2, 4, &[]), "the format of the index"),
    ("index.sparse", Flag, "whether the index has entries for directories outside the sparse checkout"),
    // Line endings: conversions built into git.
    ("core.autocrlf", FlagOr(&["input"]), "a conversion built into git"),
    ("core.eol", Word(&["lf", "crlf", "native"]), "a conversion built into git"),
    ("core.safecrlf", FlagOr(&["warn"]), "refuses lossy conversions"),
    // `git sparse-checkout`.
    ("core.sparsecheckout", Flag, "whether `info/sparse-checkout` is used; modified files stay"),
    ("core.sparsecheckoutcone", Flag, "the form of its patterns"),
    // Identity.
    ("user.name", Any, "recorded in commits"),
    ("user.email", Any, "recorded in commits"),
    ("user.useconfigonly", Flag, "refuses to guess an identity"),
    ("author.name", Any, "recorded in commits"),
    ("author.email", Any, "recorded in commits"),
    ("committer.name", Any, "recorded in commits"),
    ("committer.email", Any, "recorded in commits"),
    // Remotes. Each transfer checks whether its remote is allowed.
    ("remote.pushdefault", RemoteOrUrl, "each push checks its destination, as for `remote.*.url`"),
    ("remote.*.url", Url, "each transfer checks it"),
    ("remote.*.pushurl", Url, "each push checks it"),
    ("remote.*.fetch", Fetched, "updates the remote's own tracking branches, or one tag that was cloned"),
    ("remote.*.tagopt", Word(&["--tags", "--no-tags"]), "whether new tags are fetched; existing ones stay"),
    ("remote.*.prune", Flag, "deletes what `remote.*.fetch` may write"),
    ("remote.*.promisor", Flag, "the source of missing objects; an untrusted repository fetches none on demand"),
    ("remote.*.partialclonefilter", Filter, "which objects a fetch omits"),
    ("remote.*.skipdefaultupdate", Flag, "each fetch of the server names its remote"),
    ("remote.*.skipfetchall", Flag, "each fetch of the server names its remote"),
    ("remote.*.followremotehead", Word(&["create", "always", "warn", "never"]), "moves `refs/remotes/NAME/HEAD`"),
    ("remote.*.gh-resolved", Any, "unknown to git; set by the GitHub CLI default repository"),
    ("remote.*.github-pr-remote", Any, "unknown to git; set by an editor"),
    // Branches.
    ("branch.*.remote", RemoteOrUrl, "the upstream's remote; each transfer checks its destination"),
    ("branch.*.pushremote", RemoteOrUrl, "each push checks its destination, as for `remote.*.url`"),
    ("branch.*.merge", Ref, "the upstream's name"),
    ("branch.*.rebase", FlagOr(&["merges", "m", "interactive", "i"]), "whether a pull that rebases keeps merge commits"),
    ("branch.*.description", Any, "text for people"),
    ("branch.*.vscode-*", Any, "unknown to git; set by an editor"),
    ("branch.*.github-pr-*", Any, "unknown to git; set by an editor"),
    ("branch.*.gk-*", Any, "unknown to git; set by an editor"),
    ("branch.*.gh-merge-base", Any, "unknown to git; set by the GitHub CLI"),
    ("branch.autosetupmerge", FlagOr(&["always", "inherit", "simple"]), "writes `branch.*.remote` and `branch.*.merge`"),
    ("branch.autosetuprebase", Word(&["never", "local", "remote", "always"]), "writes `branch.*.rebase`"),
    ("checkout.defaultremote", Remote, "the upstream of a new branch"),
    ("checkout.guess", Flag, "whether a new branch tracks a remote branch of its name"),
    ("worktree.guessremote", Flag, "whether a new branch tracks a remote branch of its name"),
    ("worktree.userelativepaths", Flag, "links of worktrees are relative; the roots are checked after resolving them"),
    // Submodules.
    ("submodule.*.url", Url, "each update checks it"),
    ("submodule.*.active", Flag, "whether an update includes it"),
    (
        "submodule.*.update",
        Word(&["checkout", "rebase", "merge", "none"]),
        "the server passes the mode itself; `!COMMAND` is not in the list",
    ),
    ("submodule.*.ignore", Word(&["none", "untracked", "dirty", "all"]), "what status shows; `.gitmodules` can set it as well"),
    ("submodule.active", Paths, "which submodules an update includes"),
    ("submodule.recurse", Flag, "each change of the server passes `false`"),
    // Settings that the server's own tools write, and related ones.
    ("pull.rebase", FlagOr(&["merges", "m", "interactive", "i"]), "whether a pull that rebases keeps merge commits"),
    ("pull.ff", FlagOr(&["only"]), "whether a pull makes a merge commit"),
    (
        "push.default",
        Word(&["nothing", "current", "upstream", "tracking", "simple", "matching"]),
        "the remote name of the one branch of a push",
    ),
    ("push.autosetupremote", Flag, "writes `branch.*.remote` and `branch.*.merge`"),
    ("merge.conflictstyle", Word(&["merge", "diff3", "zdiff3"]), "the form of conflict markers"),
    ("merge.ff", FlagOr(&["only"]), "whether a merge commit is made"),
    ("merge.autostash", Flag, "the server passes the option itself"),
    ("rebase.autostash", Flag, "the server passes the option itself"),
    ("rerere.enabled", Flag, "replays resolutions into files and leaves them unstaged"),
    ("fetch.prune", Flag, "deletes what `remote.*.fetch` may write"),
    ("diff.algorithm", Word(&["default", "myers", "minimal", "patience", "histogram"]), "one of git's own algorithms"),
    // Background work, which the server disables for each process.
    ("maintenance.auto", Off, "the server disables it as well"),
    ("maintenance.strategy", Word(&["none", "incremental"]), "read only by `git maintenance`, which the server does not run"),
    // Messages and colours.
    ("advice.*", Flag, "hints, which the server disables"),
    ("color.ui", FlagOr(&["auto"]), "no colours unless the output is a terminal"),
    // Sections unknown to git.
    ("gui.*", Any, "read only by git-gui and gitk"),
    ("gitbutler.*", Any, "unknown to git and git-lfs"),
    ("gitbutler.*.*", Any, "unknown to git and git-lfs"),
    ("gitflow.branch.*", Any, "unknown to git and git-lfs; names of branches"),
    ("gitflow.prefix.*", Any, "unknown to git and git-lfs; names of branches"),
    ("lfs.repositoryformatversion", Number(0, 0, &[]), "the format of git-lfs's directory"),
    ("lfs.*.access", Word(&["none", "basic", "private", "negotiate"]), "how git-lfs authenticates at a URL configured elsewhere"),
    ("lfs.*.locksverify", Flag, "read only by git-lfs's push hook, which does not run"),
];

/// Whether this entry of a repository's configuration is harmless for every command of this server.
///
/// `section` and `key` are lower case, `subsection` is as written, `value` is unquoted; `true` for a key without a value.
pub fn is_harmless(section: &str, subsection: Option<&str>, key: &str, value: &[u8]) -> bool {
    TABLE
        .iter()
        .any(|(pattern, values, _)| matches(pattern, section, subsection, key) && values.allow(subsection.unwrap_or_default(), value))
}

fn matches(pattern: &str, section: &str, subsection: Option<&str>, key: &str) -> bool {
    let Some(rest) = pattern.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')) else { return false };
    let (middle, last) = rest.rsplit_once('.').map_or((None, rest), |(middle, last)| (Some(middle), last));
    let middle_fits = match (middle, subsection) {
        (None, None) => true,
        (Some(wanted), Some(name)) => wanted == "*" || wanted == name,
        _ => false,
    };
    let key_fits = last.strip_suffix('*').map_or(key == last, |start| key.starts_with(start));
    middle_fits && key_fits
}

impl Value {
    fn allow(self, subsection: &str, value: &[u8]) -> bool {
        let is = |words: &[&str]| words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(value));
        let (on, off) = (["true", "yes", "on", "1"], ["false", "no", "off", "0"]);
        let is_flag = is(&on) || is(&off) || value.is_empty();
        match self {
            Any => true,
            Flag => is_flag,
            On => is(&on),
            // git reads an empty value as false, but a parser may return it for a key without a value, which is true.
            Off => is(&off),
            FlagOr(words) => is_flag || is(words),
            Word(words) => is(words),
            Number(low, high, words) => is(words) || number(value).is_some_and(|number| (low..=high).contains(&number)),
            Remote => value == b"." || is_remote_name(value),
            RemoteOrUrl => value == b"." || is_remote_name(value) || is_address(value),
            Url => is_plain_url(value),
            Ref => is_ref(value),
            Fetched => stays_in_tracking_branches(subsection, value),
            Filter => is_simple_filter(value),
            Paths => !value.is_empty() && !value.starts_with(b":"),
        }
    }
}

fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn is_remote_name(value: &[u8]) -> bool {
    !value.starts_with(b"-") && !value.starts_with(b"/") && !value.starts_with(b".") && is_ref_text(value)
}

fn is_ref(value: &[u8]) -> bool {
    value.starts_with(b"refs/") && is_ref_text(value)
}

/// Characters that git allows in reference names, without `..`.
fn is_ref_text(value: &[u8]) -> bool {
    let fine = |byte: &u8| *byte > b' ' && *byte != 0x7f && !b"~^:?*[\\".contains(byte);
    !value.is_empty() && value.iter().all(fine) && !has_dots(value)
}

fn has_dots(value: &[u8]) -> bool {
    value.windows(2).any(|pair| pair == b"..")
}

/// A URL with a host, which tools write in place of a remote's name.
fn is_address(value: &[u8]) -> bool {
    let schemes: [&[u8]; 3] = [b"https://", b"http://", b"ssh://"];
    let has_scheme = schemes.iter().any(|scheme| value.starts_with(scheme));
    // `user@host:path`
    let at = value.iter().position(|&byte| byte == b'@');
    let colon = value.iter().position(|&byte| byte == b':');
    let is_short = at.zip(colon).is_some_and(|(at, colon)| at < colon && !value[..colon].contains(&b'/'));
    (has_scheme || is_short) && is_plain_url(value)
}

fn is_plain_url(value: &[u8]) -> bool {
    let helper = value.windows(2).position(|pair| pair == b"::").map(|at| &value[..at]);
    let names_helper = helper.is_some_and(|name| name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-+.".contains(byte)));
    !value.is_empty() && !value.starts_with(b"-") && !value.iter().any(u8::is_ascii_control) && !names_helper
}

fn stays_in_tracking_branches(remote: &str, spec: &[u8]) -> bool {
    if let Some(excluded) = spec.strip_prefix(b"^") {
        return !excluded.contains(&b':');
    }
    let spec = spec.strip_prefix(b"+").unwrap_or(spec);
    let mut parts = spec.split(|&byte| byte == b':');
    let (Some(from), to, None) = (parts.next(), parts.next().unwrap_or_default(), parts.next()) else { return false };
    let own = format!("refs/remotes/{remote}/");
    // Without a destination a fetch writes only `FETCH_HEAD`.
    let is_fetched_only = to.is_empty() && (from == b"HEAD" || is_ref(from));
    let is_own = !remote.is_empty() && to.starts_with(own.as_bytes()) && !has_dots(to);
    let is_one_tag = to == from && to.starts_with(b"refs/tags/") && is_ref_text(to);
    is_fetched_only || is_own || is_one_tag
}

fn is_simple_filter(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once(':') {
        Some(("blob", "none")) => true,
        Some(("blob", rest)) => rest.strip_prefix("limit=").is_some_and(|size| digits(size.strip_suffix(['k', 'm', 'g']).unwrap_or(size))),
        Some(("tree", depth)) => digits(depth),
        Some(("object", rest)) => rest.strip_prefix("type=").is_some_and(|kind| ["blob", "tree", "commit", "tag"].contains(&kind)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Example keys with a plausible value each: `key<TAB>value`.
    const EXAMPLES: &str = include_str!("../../tests/keys/harmless.txt");

    /// `section.subsection.key` as git prints it.
    fn judge(name: &str, value: &str) -> bool {
        let (section, rest) = name.split_once('.').unwrap_or_default();
        let (subsection, key) = rest.rsplit_once('.').map_or((None, rest), |(middle, last)| (Some(middle), last));
        is_harmless(&section.to_ascii_lowercase(), subsection, &key.to_ascii_lowercase(), value.as_bytes())
    }

    fn examples() -> impl Iterator<Item = (&'static str, &'static str)> {
        EXAMPLES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'))
    }

    #[test]
    fn each_example_is_harmless_and_each_row_has_one() {
        for (name, value) in examples() {
            assert!(judge(name, value), "{name} = {value}");
        }
        for (pattern, ..) in TABLE {
            let has_example = examples().any(|(name, _)| {
                let (section, rest) = name.split_once('.').unwrap_or_default();
                let (subsection, key) = rest.rsplit_once('.').map_or((None, rest), |(middle, last)| (Some(middle), last));
                matches(pattern, &section.to_ascii_lowercase(), subsection, &key.to_ascii_lowercase())
            });
            assert!(has_example, "{pattern} has no example in tests/keys/harmless.txt");
        }
    }

    #[test]
    fn rows_are_lower_case_unique_and_give_a_reason() {
        let mut seen = BTreeSet::new();
        for (pattern, _, reason) in TABLE {
            assert!(seen.insert(pattern), "{pattern} twice");
            assert_eq!(*pattern, pattern.to_ascii_lowercase());
            assert!(reason.len() > 5, "{pattern}");
        }
    }

    #[test]
    fn harmful_values_and_sections_are_refused() {
        for (name, value) in [
            // A listed key in another section or subsection.
            ("core.x.filemode", "true"),
            ("user.x.name", "n"),
            ("url", "x"),
            ("remote.url", "https://host/x"),
            ("branch.merge", "refs/heads/main"),
            ("gitflow.path.hooks", "/hooks"),
            ("lfs.access", "basic"),
            ("lfs.customtransfer.x.path", "/program"),
            // Invalid values.
            ("core.filemode", "/program"),
            ("core.bare", "maybe"),
            ("core.logallrefupdates", "false"),
            ("receive.denynonfastforwards", "false"),
            ("maintenance.auto", "true"),
            ("maintenance.auto", ""),
            ("color.ui", "always"),
            ("core.sharedrepository", "all"),
            ("core.sharedrepository", "2"),
            ("core.sharedrepository", "0666"),
            ("core.repositoryformatversion", "2"),
            ("core.compression", "9k"),
            ("core.abbrev", "3"),
            ("extensions.refstorage", "files:///elsewhere"),
            ("extensions.refstorage", "reftable://../elsewhere"),
            ("extensions.objectformat", "md5"),
            ("extensions.partialclone", "ext::program"),
            ("extensions.partialclone", ""),
            ("extensions.submodulepathconfig", "true"),
            // Forbidden destinations of a fetch.
            ("remote.origin.fetch", "+refs/*:refs/*"),
            ("remote.origin.fetch", "+refs/heads/*:refs/heads/*"),
            ("remote.origin.fetch", "refs/heads/x:refs/heads/x"),
            ("remote.origin.fetch", "+refs/heads/*:refs/remotes/upstream/*"),
            ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin"),
            ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/../../heads/*"),
            ("remote.origin.fetch", "+refs/heads/*:heads/*"),
            ("remote.origin.fetch", "refs/remotes/origin/x:refs/heads/x:refs/remotes/origin/x"),
            ("remote.origin.fetch", "+refs/tags/*:refs/tags/*"),
            ("remote.origin.fetch", "+refs/heads/x:refs/tags/v1"),
            ("remote.origin.fetch", "^refs/heads/x:refs/heads/x"),
            ("remote.origin.fetch", ":"),
            ("remote.origin.fetch", "/program"),
            ("remote.origin.fetch", ""),
            ("remote..fetch", "+refs/heads/*:refs/remotes//*"),
            ("remote.origin.mirror", "true"),
            ("remote.origin.mirror", "false"),
            ("remote.origin.push", "+refs/heads/*:refs/heads/*"),
            ("remote.origin.prunetags", "true"),
            ("remote.origin.uploadpack", "/program"),
            ("remote.origin.vcs", "ext"),
            ("remote.origin.proxy", "http://host"),
            ("remote.origin.tagopt", "--upload-pack=/program"),
            ("remote.origin.partialclonefilter", "sparse:oid=HEAD:x"),
            ("remote.origin.partialclonefilter", "combine:blob:none+sparse:oid=x"),
            ("remote.origin.partialclonefilter", "blob:limit="),
            // URLs that start a helper, or look like an option.
            ("remote.origin.url", "ext::sh -c program"),
            ("remote.origin.url", "EXT::program"),
            ("remote.origin.url", "fd::17"),
            ("remote.origin.url", "--upload-pack=program"),
            ("remote.origin.url", "https://host/\nx"),
            ("remote.origin.url", ""),
            ("remote.origin.pushurl", "ext::program"),
            ("submodule.lib.url", "ext::program"),
            ("branch.main.remote", "ext::program"),
            ("branch.main.remote", "-x"),
            ("branch.main.remote", "/elsewhere"),
            ("branch.main.remote", "../elsewhere"),
            ("branch.main.pushremote", "fd::17"),
            ("remote.pushdefault", "ext::program"),
            ("branch.main.merge", "main"),
            ("branch.main.merge", "refs/heads/../x"),
            ("branch.main.merge", "refs/heads/a b"),
            ("branch.main.mergeoptions", "--strategy=x"),
            ("branch.main.rebase", "/program"),
            ("submodule.lib.update", "!program"),
            ("submodule.lib.ignore", "!program"),
            ("submodule.active", ":(attr:x)"),
            ("lfs.https://host/x.access", "/program"),
            ("lfs.repositoryformatversion", "1"),
            ("push.default", "everything"),
            ("rebase.updaterefs", "true"),
            ("rebase.instructionformat", "%s"),
            ("include.path", "x"),
            ("includeif.gitdir:/x.path", "x"),
            ("nobody.knows", "true"),
            ("nobody.knows.it", "true"),
        ] {
            assert!(!judge(name, value), "{name} = {value:?}");
        }
    }

    #[test]
    fn forms_that_git_and_tools_write_are_allowed() {
        for (name, value) in [
            ("core.Bare", "FALSE"),
            ("core.filemode", ""),
            ("remote.a.b/c.url", "https://host/x"),
            ("remote.a.b/c.fetch", "+refs/heads/*:refs/remotes/a.b/c/*"),
            ("remote.origin.fetch", "+refs/pull/*/head:refs/remotes/origin/pr/*"),
            ("remote.origin.fetch", "+refs/heads/main:refs/remotes/origin/main"),
            ("remote.origin.fetch", "+refs/tags/v1.0:refs/tags/v1.0"),
            ("remote.origin.fetch", "^refs/heads/old/*"),
            ("remote.origin.fetch", "refs/heads/main"),
            ("remote.origin.url", "git@host:group/x.git"),
            ("remote.origin.url", "ssh://git@[::1]:22/x"),
            ("remote.origin.url", "/folder with spaces/x"),
            ("remote.origin.url", "../x"),
            ("remote.origin.partialclonefilter", "blob:limit=1m"),
            ("remote.origin.partialclonefilter", "tree:0"),
            ("branch.a.b.remote", "."),
            ("branch.main.remote", "https://github.com/x/y"),
            ("branch.main.remote", "git@github.com:x/y.git"),
            ("branch.main.merge", "refs/pull/7/head"),
            ("core.sharedrepository", "1"),
            ("core.abbrev", "auto"),
            ("advice.keysToCome", "false"),
            ("gitbutler.project.a.b", "x"),
        ] {
            assert!(judge(name, value), "{name} = {value:?}");
        }
    }
}

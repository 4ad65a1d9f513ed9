//! Facts from a repository's configuration that determine how it is read, collected once when it is opened.

use crate::{
    beneath,
    error::{Error, Result},
    repo::{
        patch_settings::PatchSettings,
        roots::{Location, Roots, read_within},
        status_settings::StatusSettings,
    },
};
use gix::config::{
    File, Source,
    file::{
        Metadata,
        includes::{self, conditional::Context},
        init::Options,
    },
    path::interpolate,
    source::Kind,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::{Path, PathBuf},
};

/// Extensions the in-process engine supports. A repository with another one is read by git.
const KNOWN_EXTENSIONS: [&str; 7] =
    ["objectformat", "worktreeconfig", "partialclone", "noop", "preciousobjects", "relativeworktrees", "compatobjectformat"];

/// Extensions that do not affect the format of the index and of new objects.
const PLAIN_EXTENSIONS: [&str; 3] = ["objectformat", "noop", "relativeworktrees"];

/// Extensions every version of git supports, whatever the format version.
const OLD_EXTENSIONS: [&str; 4] = ["noop", "partialclone", "preciousobjects", "worktreeconfig"];

/// Settings that git validates before every command, and that must be boolean.
const BOOLEANS: [&str; 19] = [
    "core.bare",
    "core.filemode",
    "core.symlinks",
    "core.ignorecase",
    "core.trustctime",
    "core.quotepath",
    "core.precomposeunicode",
    "core.protecthfs",
    "core.protectntfs",
    "core.prefersymlinkrefs",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "core.multipackindex",
    "core.commitgraph",
    "core.logallrefupdates",
    "core.autocrlf",
    "core.safecrlf",
    "core.fsyncobjectfiles",
    "extensions.worktreeconfig",
];
/// Accepted values of these settings; `core.autocrlf` and `core.safecrlf` accept more than true and false.
const WORDS: [&str; 9] = ["true", "yes", "on", "false", "no", "off", "always", "input", "warn"];
/// Settings that git validates before every command, and that must be numbers.
const NUMBERS: [&str; 6] = [
    "core.compression",
    "core.loosecompression",
    "core.bigfilethreshold",
    "core.packedgitwindowsize",
    "core.packedgitlimit",
    "core.deltabasecachelimit",
];
/// Sections without a subsection in which git usually rejects a key without a value.
const CHECKED: [&str; 5] = ["core", "extensions", "user", "author", "committer"];

/// Keys below `core.` that do not affect the index and new objects, or are checked separately.
const PLAIN_CORE: [&str; 21] = [
    "repositoryformatversion",
    "filemode",
    "bare",
    "logallrefupdates",
    "worktree",
    "autocrlf",
    "eol",
    "safecrlf",
    "attributesfile",
    "excludesfile",
    "quotepath",
    "abbrev",
    "editor",
    "pager",
    "askpass",
    "sshcommand",
    "gitproxy",
    "notesref",
    "commentchar",
    "whitespace",
    "preloadindex",
];

/// Keys below `index.` that only decide about the format of the file.
const INDEX_FORMAT: [&str; 5] = ["version", "threads", "skiphash", "recordendofindexentries", "recordoffsettable"];

/// The relevant facts of a configuration.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact of the configuration")]
pub(crate) struct Settings {
    /// The engine may not support this repository's format.
    pub(crate) foreign_format: bool,
    /// Some settings may keep git from opening the repository.
    pub(crate) is_doubtful: bool,
    /// Replacements of objects are used.
    pub(crate) replaces_objects: bool,
    /// The working tree is sparse.
    pub(crate) sparse: bool,
    /// How patches are rendered; `None` if only git supports it.
    pub(crate) patch: Option<PatchSettings>,
    /// A setting may change patches in ways that only git supports.
    odd_patch: bool,
    /// The index and objects are written with git's defaults.
    pub(crate) plain_index: bool,
    /// How a status is computed.
    pub(crate) status: StatusSettings,
    /// Commits are shown with git's defaults.
    pub(crate) plain_log: bool,
    /// Line endings may be converted.
    pub(crate) converts_text: bool,
    /// The comment character is configured.
    pub(crate) comment_sign: bool,
    /// Paths are quoted as ASCII in patches (`core.quotePath`).
    pub(crate) quote_ascii: bool,
    /// Object ids are abbreviated to git's default length.
    pub(crate) default_abbrev: bool,
    /// Filter drivers in the repository's own configuration. Reads never run them.
    pub(crate) local_filters: BTreeSet<String>,
    /// Filter drivers of the operator's configuration.
    pub(crate) operator_filters: BTreeSet<String>,
    /// Merge drivers in the repository's own configuration.
    pub(crate) local_merge_drivers: BTreeSet<String>,
    /// The repository's own configuration includes files, so only git knows the effective values.
    pub(crate) conditional: bool,
    /// Some files are included under conditions that the engine does not support.
    conditions: bool,
    /// The repository's own configuration names a file of ignore rules or of attributes.
    names_rules: bool,
    /// Remotes that are local paths, such as the clone's origin.
    pub(crate) local_origins: Vec<PathBuf>,
    /// The repository's own configuration names a `blame.ignoreRevsFile`.
    pub(crate) local_ignore_revs: bool,
    /// The configuration names a mailmap.
    pub(crate) names_mailmap: bool,
    /// The repository's own configuration names one.
    pub(crate) local_mailmap: bool,
    /// `core.worktree`, as written.
    pub(crate) worktree: Option<PathBuf>,
    /// The repository's own configuration names an fsmonitor program.
    pub(crate) local_fsmonitor: bool,
    /// Diff drivers that are configured.
    pub(crate) diff_drivers: BTreeSet<String>,
    /// Diff drivers of the repository's own configuration that run programs.
    pub(crate) local_diff_drivers: BTreeSet<String>,
    /// The repository's own configuration names a gc hook.
    pub(crate) local_gc_hook: bool,
    /// The configuration names hooks or their directory.
    pub(crate) names_hooks: bool,
    /// Commits are signed by default.
    pub(crate) signs: bool,
    /// Annotated tags are signed by default.
    pub(crate) signs_tags: bool,
    /// Pushes are signed by default.
    pub(crate) signs_pushes: bool,
    /// Keys of the repository's own configuration that affect how remotes are contacted.
    pub(crate) local_transport: Vec<String>,
    /// Promisor remotes of a partial clone.
    pub(crate) promisors: Vec<String>,
    /// Notes are copied to rewritten commits.
    pub(crate) rewrites_notes: bool,
    /// A rebase moves other branches.
    pub(crate) updates_refs: bool,
    /// The configured hooks directory.
    pub(crate) hooks_path: Option<PathBuf>,
    /// `submodule.NAME.ignore`, by name.
    pub(crate) submodules_ignore: BTreeMap<String, String>,
    /// `diff.ignoreSubmodules`.
    pub(crate) ignored_submodules: Option<String>,
    /// Path prefixes in patches; `None` with `diff.mnemonicPrefix`.
    pub(crate) prefixes: Option<[String; 2]>,
    /// Untracked files are not shown (`status.showUntrackedFiles`).
    pub(crate) hides_untracked: bool,
    /// The repository is configured as bare.
    pub(crate) bare: bool,
    /// Files the configuration was read from.
    pub(crate) files: Vec<PathBuf>,
    /// The operator's ignore file.
    pub(crate) ignore_file: Option<PathBuf>,
    /// Further attributes files.
    pub(crate) attribute_files: Vec<PathBuf>,
    /// Files named in the operator's configuration.
    pub(crate) named_files: Vec<PathBuf>,
    /// Files of the operator's configuration.
    own_files: Vec<PathBuf>,
}

impl Settings {
    /// Reads the configuration of the repository at `location`, without opening it. Skips files that an untrusted
    /// repository includes.
    ///
    /// # Errors
    ///
    /// [`Error::NotReadable`], [`Error::OutsideRoots`], [`Error::Engine`].
    pub(crate) fn read(location: &Location, roots: &Roots) -> Result<Self> {
        let bad = |err: &dyn std::fmt::Display| Error::Engine(format!("its configuration: {err}"));
        let home = env::home_dir();
        let interpolated = interpolate::Context { home_dir: home.as_deref(), ..Default::default() };
        let context = Context { git_dir: Some(&location.git_dir), branch_name: None };
        let options = Options { includes: includes::Options::follow(interpolated, context), ..Default::default() };
        let mut file = File::from_globals().map_err(|err| bad(&err))?;
        let mut unread_includes = file.resolve_includes(options).is_err();
        let mut append = |dir: &Path, name: &str, source: Source| -> Result<bool> {
            let Some(text) = read_within(dir, name, beneath::Kind::Config, roots)? else { return Ok(false) };
            let meta = Metadata::from(source).at(dir.join(name));
            let mut own = File::from_bytes_no_includes(&text, meta, options).map_err(|err| bad(&err))?;
            unread_includes |= location.trusted && own.resolve_includes(options).is_err();
            let per_worktree = matches!(own.boolean("extensions.worktreeConfig"), Ok(Some(true)));
            file.append(own).map_err(|err| bad(&err))?;
            Ok(per_worktree)
        };
        if append(&location.common_dir, "config", Source::Local)? {
            append(&location.common_dir, "config.worktree", Source::Worktree)?;
            if location.git_dir != location.common_dir {
                append(&location.git_dir, "config.worktree", Source::Worktree)?;
            }
        }
        let mut settings = Self::from_file(&file);
        settings.conditional |= unread_includes;
        settings.is_doubtful |= unread_includes;
        if unread_includes || settings.conditions || settings.conditional && !location.trusted {
            settings.status.leave("included configuration");
        }
        // git would read any file that the repository names.
        if settings.names_rules && !location.trusted {
            settings.status.leave("core.excludesFile or core.attributesFile");
            settings.patch = None;
        }
        Ok(settings)
    }

    fn from_file(file: &File) -> Self {
        let mut settings = Self { plain_index: true, plain_log: true, quote_ascii: true, default_abbrev: true, ..Self::default() };
        for section in file.sections() {
            let meta = section.meta();
            if let Some(path) = &meta.path
                && !settings.files.contains(path)
            {
                settings.files.push(path.clone());
            }
            let local = meta.source.kind() == Kind::Repository;
            settings.own_files.extend(meta.path.clone().filter(|_| !local));
            let name = section.header().name().to_string().to_ascii_lowercase();
            let subsection = section.header().subsection_name().map(ToString::to_string);
            if name == "remote"
                && let Some(url) = section.body().value("url").map(|url| url.to_string())
            {
                let path = PathBuf::from(url.strip_prefix("file://").unwrap_or(&url));
                settings.local_origins.extend(path.is_absolute().then_some(path));
            }
            if let ("submodule", Some(name), Some(word)) = (name.as_str(), &subsection, section.body().value("ignore")) {
                settings.submodules_ignore.insert(name.clone(), word.to_string());
            }
            let keys: Vec<String> = section.body().value_names().map(|key| key.to_ascii_lowercase()).collect();
            let value = |key: &str| section.body().value(key).map(|value| value.to_string());
            if let Some(remote) = promisor(&name, subsection.as_deref(), &keys, value)
                && !settings.promisors.contains(&remote)
            {
                settings.promisors.push(remote);
            }
            if local {
                settings.note_transport(&name, subsection.as_deref(), &keys);
                let is_checked = subsection.is_none() && CHECKED.contains(&name.as_str());
                let has_doubtful = |key: &String| section.body().values(key).iter().any(|value| is_doubtful(&name, key, value));
                settings.is_doubtful |= is_checked && keys.iter().any(has_doubtful);
            }
            if !local {
                let values = keys.iter().flat_map(|key| section.body().values(key));
                settings.named_files.extend(values.filter_map(|value| expand_home(&value)));
            }
            settings.note(&name, subsection.as_deref(), &keys, local);
        }
        settings.note_values(file);
        settings
    }

    /// The operator's files that git reads: its configuration, and files named in it.
    pub(crate) fn operator_files(&self) -> Vec<PathBuf> {
        let beside = user_config().into_iter().flat_map(|dir| ["config", "ignore", "attributes"].map(|name| dir.join(name)));
        let system = [env::var_os("GIT_CONFIG_SYSTEM").map(PathBuf::from), Some(PathBuf::from("/usr/local/etc/gitconfig"))];
        let own = self.own_files.iter().chain(&self.named_files).cloned();
        let all = own.chain(beside).chain(system.into_iter().flatten()).chain(["/etc/gitconfig", "/etc/gitattributes"].map(PathBuf::from));
        // A directory would allow everything below it.
        all.filter(|path| path.is_file()).collect()
    }

    /// Collects keys that could run a program or redirect a transfer: all that are not known to be harmless.
    fn note_transport(&mut self, section: &str, subsection: Option<&str>, keys: &[String]) {
        let dangerous = |key: &str| match section {
            "bundle" | "remotes" | "http" | "url" | "credential" | "protocol" | "ssh" | "remote-curl" | "uploadpack" | "receive"
            | "gitproxy" | "lfs" => true,
            "fetch" | "transfer" => matches!(key, "bundleuri" | "uriprotocols" | "advertisebundleuri"),
            "core" => matches!(key, "sshcommand" | "gitproxy" | "askpass" | "alternaterefscommand"),
            "remote" => !matches!(
                key,
                "url"
                    | "pushurl"
                    | "fetch"
                    | "push"
                    | "tagopt"
                    | "prune"
                    | "prunetags"
                    | "promisor"
                    | "partialclonefilter"
                    | "mirror"
                    | "skipdefaultupdate"
                    | "skipfetchall"
                    | "followremotehead"
            ),
            _ => false,
        };
        let found = keys.iter().filter(|key| dangerous(key)).map(|key| match subsection {
            Some(name) => format!("{section}.{name}.{key}"),
            None => format!("{section}.{key}"),
        });
        self.local_transport.extend(found);
    }

    fn note(&mut self, section: &str, subsection: Option<&str>, keys: &[String], local: bool) {
        self.local_fsmonitor |= local && section == "core" && keys.iter().any(|key| key == "fsmonitor");
        self.names_hooks |= section == "hook" || section == "core" && keys.iter().any(|key| key == "hookspath");
        if let ("diff", Some(driver)) = (section, subsection) {
            self.diff_drivers.insert(driver.to_owned());
        }
        if let ("diff", Some(driver), true) = (section, subsection, local)
            && keys.iter().any(|key| matches!(key.as_str(), "textconv" | "command"))
        {
            self.local_diff_drivers.insert(driver.to_owned());
        }
        match (section, subsection) {
            ("filter", Some(driver)) if keys.iter().any(|key| matches!(key.as_str(), "clean" | "smudge" | "process")) => {
                let set = if local { &mut self.local_filters } else { &mut self.operator_filters };
                set.insert(driver.to_owned());
            }
            ("merge", Some(driver)) if local && keys.iter().any(|key| key == "driver") => {
                self.local_merge_drivers.insert(driver.to_owned());
            }
            ("gc", None) if local && keys.iter().any(|key| key == "recentobjectshook") => self.local_gc_hook = true,
            ("blame", None) if local && keys.iter().any(|key| key == "ignorerevsfile") => self.local_ignore_revs = true,
            ("mailmap", None) => {
                self.plain_log = false;
                self.names_mailmap = true;
                self.local_mailmap |= local;
            }
            ("extensions", None) => {
                self.foreign_format |= keys.iter().any(|key| !KNOWN_EXTENSIONS.contains(&key.as_str()));
                self.plain_index &= keys.iter().all(|key| PLAIN_EXTENSIONS.contains(&key.as_str()));
            }
            ("index", None) => self.plain_index &= keys.iter().all(|key| INDEX_FORMAT.contains(&key.as_str())),
            ("index" | "feature" | "add" | "attr" | "hook" | "fsmonitor", _) => self.plain_index = false,
            ("diff", None) => self.odd_patch |= !keys.iter().all(|key| PatchSettings::supports(key)),
            // Its settings apply to files without an attribute.
            ("diff", Some("default")) => self.odd_patch = true,
            ("log" | "format" | "notes" | "i18n" | "pretty", None) => self.plain_log = false,
            ("core", None) => {
                self.comment_sign |= keys.iter().any(|key| matches!(key.as_str(), "commentchar" | "commentstring"));
                self.plain_log &= keys.iter().all(|key| key != "notesref");
                self.plain_index &= keys.iter().all(|key| PLAIN_CORE.contains(&key.as_str()));
                // The engine reads only the operator's.
                self.plain_index &= !local || keys.iter().all(|key| key != "excludesfile");
                self.names_rules |= local && keys.iter().any(|key| matches!(key.as_str(), "excludesfile" | "attributesfile"));
            }
            ("include" | "includeif", _) => {
                self.conditional |= local;
                self.is_doubtful |= local;
                // The engine supports no other conditions.
                if subsection.is_some_and(|condition| !(condition.starts_with("gitdir:") || condition.starts_with("gitdir/i:"))) {
                    self.plain_index = false;
                    self.conditions = true;
                }
            }
            _ => {}
        }
    }

    fn note_values(&mut self, file: &File) {
        let is = |key: &str| matches!(file.boolean(key), Ok(Some(true)));
        let text = |key: &str| file.string(key).map(|value| value.to_string().to_ascii_lowercase());
        self.sparse = is("core.sparseCheckout") || is("index.sparse");
        self.patch = PatchSettings::of(file).filter(|_| !self.odd_patch);
        self.replaces_objects = !matches!(file.boolean("core.useReplaceRefs"), Ok(Some(false)));
        self.quote_ascii = !matches!(file.boolean("core.quotePath"), Ok(Some(false)));
        self.default_abbrev = text("core.abbrev").is_none_or(|value| value == "auto");
        // A key without a value is true.
        self.converts_text = is("core.autocrlf")
            || text("core.autocrlf").is_some_and(|value| !matches!(value.as_str(), "false" | "no" | "off" | "0" | ""))
            || text("core.eol").is_some_and(|value| value == "crlf");
        self.status = StatusSettings::of(file);
        self.plain_index &= !matches!(file.boolean("core.fileMode"), Ok(Some(false)));
        let is_whole = |key: &str| file.string(key).is_none_or(|path| path.starts_with(b"/") || path.starts_with(b"~/"));
        self.plain_index &= is_whole("core.excludesFile") && is_whole("core.attributesFile");
        let prefix = |key: &str, usual: &str| file.string(key).map_or_else(|| usual.to_owned(), |value| value.to_string());
        self.prefixes = if is("diff.noPrefix") {
            Some(Default::default())
        } else {
            (!is("diff.mnemonicPrefix")).then(|| [prefix("diff.srcPrefix", "a/"), prefix("diff.dstPrefix", "b/")])
        };
        self.ignored_submodules = text("diff.ignoreSubmodules");
        self.hides_untracked =
            text("status.showUntrackedFiles").is_some_and(|value| matches!(value.as_str(), "no" | "false" | "off" | "0"));
        let is_repository_source = |meta: &Metadata| matches!(meta.source, Source::Local | Source::Worktree);
        self.bare = matches!(file.boolean_filter("core.bare", is_repository_source), Ok(Some(true)));
        self.signs = is("commit.gpgSign");
        self.signs_tags = is("tag.gpgSign") || is("tag.forceSignAnnotated");
        self.signs_pushes = text("push.gpgSign").is_some_and(|value| !matches!(value.as_str(), "false" | "no" | "off" | "0" | ""));
        self.rewrites_notes = file.string("notes.rewriteRef").is_some();
        self.updates_refs = is("rebase.updateRefs");
        self.hooks_path = file.string("core.hooksPath").map(|path| expand_home(&path).unwrap_or_else(|| PathBuf::from(path.to_string())));
        self.worktree = file.string("core.worktree").map(|path| PathBuf::from(path.to_string()));
        self.ignore_file = match file.string("core.excludesFile") {
            Some(path) => Some(expand_home(&path).unwrap_or_else(|| PathBuf::from(path.to_string()))),
            None => user_config().map(|config| config.join("ignore")),
        };
        if let Some(path) = file.string("core.attributesFile") {
            let path = path.to_string();
            let home = env::home_dir().unwrap_or_default();
            self.attribute_files.push(match path.strip_prefix("~/") {
                Some(rest) => home.join(rest),
                None => PathBuf::from(path),
            });
        } else if let Some(config) = user_config() {
            self.attribute_files.push(config.join("attributes"));
        }
        self.attribute_files.push(PathBuf::from("/etc/gitattributes"));
        // git ignores an empty variable, the engine uses it as the directory.
        self.plain_index &= env::var_os("XDG_CONFIG_HOME").is_none_or(|config| !config.is_empty());
        // Missing files may be created later.
        let global = match env::var_os("GIT_CONFIG_GLOBAL") {
            Some(global) => vec![PathBuf::from(global)],
            None => {
                env::home_dir().map(|home| home.join(".gitconfig")).into_iter().chain(user_config().map(|dir| dir.join("config"))).collect()
            }
        };
        self.own_files.extend(global.iter().cloned());
        for path in global.into_iter().chain([PathBuf::from("/etc/gitconfig")]) {
            if !self.files.contains(&path) {
                self.files.push(path);
            }
        }
    }
}

/// The promisor remote that a section defines.
fn promisor(section: &str, subsection: Option<&str>, keys: &[String], value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let is_off = |value: &str| ["", "false", "no", "off", "0"].iter().any(|off| value.eq_ignore_ascii_case(off));
    match (section, subsection) {
        ("extensions", None) => value("partialclone"),
        ("remote", Some(remote)) => {
            let has = |key: &str| keys.iter().any(|name| name == key);
            // A key without a value is true.
            let is_promisor = has("promisor") && value("promisor").is_none_or(|value| !is_off(&value));
            (is_promisor || has("partialclonefilter")).then(|| remote.to_owned())
        }
        _ => None,
    }
}

/// Whether git may refuse a setting, so that git has to check it.
fn is_doubtful(section: &str, key: &str, value: &[u8]) -> bool {
    let name = format!("{section}.{key}");
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    let is_number = || !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match name.as_str() {
        "core.repositoryformatversion" => !matches!(text.as_str(), "0" | "1"),
        // A key without a value is true, and an empty value false.
        name if BOOLEANS.contains(&name) => !(text.is_empty() || is_number() || WORDS.contains(&text.as_str())),
        name if NUMBERS.contains(&name) => !is_number(),
        _ if section == "extensions" => !OLD_EXTENSIONS.contains(&key),
        "core.abbrev" => !matches!(text.as_str(), "auto" | "no") && !is_number(),
        _ => text.is_empty(),
    }
}

/// A value that is an absolute path, or one below the home directory.
fn expand_home(value: &[u8]) -> Option<PathBuf> {
    match value.strip_prefix(b"~/") {
        Some(rest) => env::home_dir().map(|home| home.join(beneath::to_path(rest))),
        None => value.starts_with(b"/").then(|| beneath::to_path(value).to_owned()),
    }
}

/// git's user configuration directory besides `~/.gitconfig`.
fn user_config() -> Option<PathBuf> {
    let config = env::var_os("XDG_CONFIG_HOME").filter(|config| !config.is_empty()).map(PathBuf::from);
    config.or_else(|| env::home_dir().map(|home| home.join(".config"))).map(|config| config.join("git"))
}

/// Whether sections of this source may name programs that a read runs.
pub(crate) fn operator_only(meta: &gix::config::file::Metadata) -> bool {
    !matches!(meta.source, Source::Local | Source::Worktree)
}

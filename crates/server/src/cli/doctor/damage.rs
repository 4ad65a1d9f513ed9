//! Repositories that git cannot use: the damaged part of each, and the fix.

use super::{
    Finding, Patient,
    files::{files_below, line_of, linked_worktrees, tail_of, text_of},
    finding::{can_be_typed, command_on, free_name, out_of_the_way, word},
    patience,
};
use git::{Location, ObjectId, Repo};
use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

/// Maximum number of references searched for a branch.
const MAX_BRANCHES: usize = 10_000;
/// Maximum bytes read of the packed references.
const MAX_PACKED: u64 = 16 << 20;
/// Bytes read from the end of a reflog.
const MAX_LOG: u64 = 64 << 10;
/// Maximum number of commits of a reflog looked up.
const MAX_COMMITS: usize = 10;
/// Maximum number of folders below a root checked for bare repositories.
const MAX_FOLDERS: usize = 1000;

/// The damage and its fix.
type Damage = (String, String);

/// What a `HEAD` names.
enum Named {
    /// The full name of a reference.
    Reference(String),
    /// A commit.
    Commit,
}

/// The damage of the directory `top`, which git does not recognise as a repository.
pub(super) fn unrecognised(patient: &Patient<'_>, top: &Path) -> Damage {
    let dot_git = top.join(".git");
    let is_empty = || fs::read_dir(&dot_git).is_ok_and(|mut entries| entries.next().is_none());
    match fs::metadata(&dot_git) {
        Ok(meta) if meta.is_file() => pointer(patient, top, &dot_git),
        Ok(meta) if !meta.is_dir() => ("`.git` is neither a directory nor a regular file".to_owned(), out_of_the_way(&dot_git)),
        Ok(_) if is_empty() => ("`.git` is an empty directory".to_owned(), out_of_the_way(&dot_git)),
        Ok(_) => part(&dot_git, &dot_git).unwrap_or_else(|| unknown(top)),
        Err(_) => part(top, top).unwrap_or_else(|| unknown(top)),
    }
}

fn unknown(top: &Path) -> Damage {
    let fix = format!("Compare the git directory of {} with that of a repository that works, or clone it again.", top.display());
    ("git does not recognise its git directory".to_owned(), fix)
}

/// The damage of a `.git` file, which names the git directory of a linked worktree or a submodule.
fn pointer(patient: &Patient<'_>, top: &Path, file: &Path) -> Damage {
    let target = line_of(file).and_then(|line| Some(top.join(line.strip_prefix("gitdir: ")?)));
    if let Some(found) = target.as_ref().and_then(|target| fs::canonicalize(target).ok()) {
        return inside(top, &found);
    }
    let detail = match &target {
        Some(target) => format!("its `.git` file names {}, which does not exist", target.display()),
        None => "its `.git` file does not name a git directory".to_owned(),
    };
    if let Some(main) = registered_in(patient, file) {
        return (detail, command_on(&main, |main| format!("git -C {main} worktree repair")));
    }
    let common = target.as_deref().and_then(Path::parent).filter(|folder| folder.ends_with("worktrees")).and_then(Path::parent);
    let fix = match (common, &target) {
        (Some(common), _) if common.join("HEAD").is_file() => {
            let main = word(main_of(common));
            format!(
                "Create the worktree again at another path with `git -C {main} worktree add PATH BRANCH`, and copy what you need from {}.",
                top.display()
            )
        }
        (None, Some(target)) => {
            format!("Put the directory {} back; without it, move {} away and clone the repository again.", target.display(), top.display())
        }
        _ => format!("Run `git worktree repair {}` in the main working tree of its repository.", word(top)),
    };
    (detail, fix)
}

/// The damage of a git directory that a `.git` file names.
fn inside(top: &Path, git_dir: &Path) -> Damage {
    if git_dir.parent().is_none_or(|folder| !folder.ends_with("worktrees")) {
        return part(git_dir, git_dir).unwrap_or_else(|| unknown(top));
    }
    let pointer = git_dir.join("commondir");
    let Some(common) = line_of(&pointer) else {
        let fix = command_on(&pointer, |path| format!("echo ../.. > {path}"));
        return (format!("{} is missing", pointer.display()), fix);
    };
    let common = git_dir.join(common);
    part(git_dir, &fs::canonicalize(&common).unwrap_or(common)).unwrap_or_else(|| unknown(top))
}

/// The main working tree, or else the bare repository, whose list of linked worktrees has this `.git` file.
fn registered_in(patient: &Patient<'_>, file: &Path) -> Option<PathBuf> {
    let file = fs::canonicalize(file).ok()?;
    patient.usable().find_map(|repo| {
        let common = &repo.location().common_dir;
        let mut listed = linked_worktrees(common).into_iter();
        listed.find(|(_, dot_git)| fs::canonicalize(dot_git).is_ok_and(|dot_git| dot_git == file)).map(|_| main_of(common).to_owned())
    })
}

/// The directory to run git in, for the repository with this common directory.
fn main_of(common_dir: &Path) -> &Path {
    common_dir.parent().filter(|_| common_dir.ends_with(".git")).unwrap_or(common_dir)
}

/// The first missing or invalid part that git needs to recognise a repository.
fn part(git_dir: &Path, common_dir: &Path) -> Option<Damage> {
    for name in ["objects", "refs"] {
        let path = common_dir.join(name);
        if path.is_dir() {
            continue;
        }
        return Some(match path.symlink_metadata() {
            Err(_) => (format!("{} is missing", path.display()), command_on(&path, |path| format!("mkdir {path}"))),
            Ok(meta) if meta.is_symlink() => (
                format!("{} is a dangling link", path.display()),
                format!("Restore the target of the link {}, for example by mounting its file system.", path.display()),
            ),
            Ok(_) => (
                format!("{} is not a directory", path.display()),
                command_on(&path, |shown| format!("{} && mkdir {shown}", removal(&path, shown))),
            ),
        });
    }
    let head = git_dir.join("HEAD");
    if head.is_file() && named(&head).is_some() {
        return None;
    }
    let what = if head.symlink_metadata().is_err() {
        "is missing"
    } else if head.is_file() {
        "names neither a branch nor a commit"
    } else {
        "is not a regular file"
    };
    Some((format!("{} {what}", head.display()), new_head(git_dir, common_dir)))
}

/// Whether it is a pipe, a socket or a device, which holds no data that could be lost.
pub(super) fn is_special(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir() && !meta.is_symlink())
}

/// The command that clears `path`: renames what may hold data, and removes special files, which would still block git.
fn removal(path: &Path, shown: &str) -> String {
    if is_special(path) { format!("rm {shown}") } else { format!("mv {shown} {}", word(free_name(path))) }
}

/// The fix that points `HEAD` at a branch again.
fn new_head(git_dir: &Path, common_dir: &Path) -> String {
    let head = git_dir.join("HEAD");
    let Some(branch) = likely_branch(git_dir, common_dir).filter(|branch| can_be_typed(Path::new(branch))) else {
        return format!("Write `ref: refs/heads/BRANCH` into {}, where BRANCH is the branch that was checked out.", head.display());
    };
    command_on(&head, |shown| {
        let is_there = head.symlink_metadata().is_ok();
        let aside = if is_there { format!("{} && ", removal(&head, shown)) } else { String::new() };
        format!("{aside}echo {} > {shown}", word(format!("ref: {branch}")))
    })
}

/// The full name of the branch that `HEAD` probably named: the last one checked out, the only one, or the usual one.
fn likely_branch(git_dir: &Path, common_dir: &Path) -> Option<String> {
    if common_dir.join("reftable").is_dir() {
        // git keeps `HEAD` in the reftable, and this placeholder in the file.
        return Some("refs/heads/.invalid".to_owned());
    }
    let link = fs::read_link(git_dir.join("HEAD")).ok().and_then(|link| link.to_str().map(str::to_owned));
    if let Some(name) = link.filter(|link| link.starts_with("refs/heads/")) {
        return Some(name);
    }
    let branches = branches(common_dir);
    let last = last_checkout(git_dir).filter(|name| branches.contains(name));
    if last.is_some() || git_dir != common_dir {
        // The usual branch belongs to the main working tree.
        return last;
    }
    let usual = ["refs/heads/main", "refs/heads/master"].into_iter().find(|name| branches.contains(*name));
    match branches.len() {
        0 => Some("refs/heads/main".to_owned()),
        1 => branches.into_iter().next(),
        _ => usual.map(str::to_owned),
    }
}

/// The full names of the branches.
fn branches(common_dir: &Path) -> BTreeSet<String> {
    let loose = files_below(&common_dir.join("refs/heads"), MAX_BRANCHES).into_iter().filter_map(|file| {
        let name = file.strip_prefix(common_dir).ok()?.to_str()?.to_owned();
        file.extension().is_none_or(|extension| extension != "lock").then_some(name)
    });
    let packed = text_of(&common_dir.join("packed-refs"), MAX_PACKED).unwrap_or_default();
    let packed = packed.lines().filter_map(|line| line.split(' ').nth(1)).filter(|name| name.starts_with("refs/heads/"));
    loose.chain(packed.map(str::to_owned)).collect()
}

/// The full name of the branch checked out last.
fn last_checkout(git_dir: &Path) -> Option<String> {
    let log = tail_of(&git_dir.join("logs/HEAD"), MAX_LOG)?;
    let line = log.lines().rev().find(|line| line.contains("\tcheckout: moving from "))?;
    Some(format!("refs/heads/{}", line.rsplit_once(" to ")?.1))
}

/// What `HEAD` names, as git reads it; `None` if it is invalid.
fn named(head: &Path) -> Option<Named> {
    let text = match fs::read_link(head) {
        Ok(link) => format!("ref: {}", link.display()),
        Err(_) => line_of(head)?,
    };
    match text.strip_prefix("ref:").map(str::trim_start) {
        Some(name) => name.starts_with("refs/").then(|| Named::Reference(name.to_owned())),
        None => is_id(&text).then_some(Named::Commit),
    }
}

fn is_id(text: &str) -> bool {
    text.get(..40).is_some_and(|start| start.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The damage of bare repositories at a root and directly below it. No other check lists them.
pub(super) fn bare(root: &Path) -> Vec<Finding> {
    if root.join(".git").exists() {
        return Vec::new();
    }
    let below = fs::read_dir(root).into_iter().flatten().flatten().take(MAX_FOLDERS).map(|entry| entry.path());
    let looks_bare = |folder: &PathBuf| {
        let parts = [folder.join("HEAD").is_file(), folder.join("objects").is_dir(), folder.join("refs").is_dir()];
        // With all three it is listed as a repository.
        parts.iter().filter(|is_there| **is_there).count() == 2 && folder.join("config").is_file() && !folder.join(".git").exists()
    };
    let damaged = std::iter::once(root.to_owned()).chain(below).filter(looks_bare).filter_map(|folder| {
        let (what, fix) = part(&folder, &folder)?;
        Some(Finding::problem(format!("the bare repository {} is damaged: {what}", folder.display()), fix))
    });
    damaged.collect()
}

/// Why the commit that is checked out cannot be read. A branch without commits is not damaged.
pub(super) fn head(repo: &Repo) -> Option<Finding> {
    let location = repo.location();
    let damaged = |what: String, fix: String| Finding::problem(format!("the repository {} is damaged: {what}", repo.top().display()), fix);
    let Some(named) = named(&location.git_dir.join("HEAD")) else {
        return part(&location.git_dir, &location.common_dir).map(|(what, fix)| damaged(what, fix));
    };
    let cancel = patience();
    let err = repo.head(&cancel).err()?;
    let reference = match named {
        Named::Reference(name) => Some(name),
        Named::Commit => None,
    };
    if let Some(id) = id_of(location, reference.as_deref()) {
        return Some(damaged(
            format!("the commit {id}, which is checked out, is missing or damaged"),
            recovery(repo, reference.as_deref()),
        ));
    }
    let is_plain = |name: &String| Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let file = reference.filter(is_plain).map(|name| (location.common_dir.join(&name), name));
    let is_broken = |file: &Path| {
        let line = line_of(file).unwrap_or_default();
        file.symlink_metadata().is_ok_and(|meta| meta.is_file()) && !is_id(&line) && !line.starts_with("ref:")
    };
    Some(match file.filter(|(file, _)| is_broken(file)) {
        Some((file, name)) => damaged(format!("{} does not name a commit", file.display()), new_branch(repo, &name, &file)),
        None => damaged(err.to_string(), command_on(repo.top(), |top| format!("git -C {top} fsck"))),
    })
}

/// The damage that keeps git from opening a repository, other than its configuration.
pub(super) fn unopened(location: &Location) -> Option<Damage> {
    part(&location.git_dir, &location.common_dir)
}

/// The commit that a reference, or else `HEAD`, names. It may be missing.
fn id_of(location: &Location, reference: Option<&str>) -> Option<String> {
    let file = reference.map_or_else(|| location.git_dir.join("HEAD"), |name| location.common_dir.join(name));
    let packed = || {
        let text = text_of(&location.common_dir.join("packed-refs"), MAX_PACKED)?;
        let found = text.lines().find_map(|line| line.split_once(' ').filter(|(_, name)| Some(*name) == reference));
        found.map(|(id, _)| id.to_owned())
    };
    line_of(&file).or_else(packed).filter(|line| is_id(line))
}

/// The recovery steps for a missing commit.
fn recovery(repo: &Repo, reference: Option<&str>) -> String {
    let top = word(repo.top());
    let mut steps = vec![format!("`git -C {top} fsck` lists what is missing.")];
    let has_remote = repo.remotes(&patience()).is_ok_and(|remotes| !remotes.is_empty());
    if has_remote {
        steps.push(format!("`git -C {top} fetch --refetch` downloads again what was pushed."));
    }
    let older = reference.and_then(|name| Some((word(name), last_commit(repo, name)?)));
    if let Some((name, id)) = older {
        steps.push(format!("`git -C {top} update-ref {name} {id}` resets it to the last intact commit."));
    }
    steps.push("The rest is only in a backup or another clone.".to_owned());
    steps.join(" ")
}

/// The fix that gives a branch its last commit again. Its old file is kept in the git directory.
fn new_branch(repo: &Repo, reference: &str, file: &Path) -> String {
    let common = &repo.location().common_dir;
    let name = file.file_name().unwrap_or_default();
    let aside = |shown: &str| format!("mv {shown} {}", word(free_name(&common.join(name))));
    let top = word(repo.top());
    match last_commit(repo, reference) {
        Some(id) => command_on(file, |shown| format!("{} && git -C {top} update-ref {} {id}", aside(shown), word(reference))),
        None => command_on(file, |shown| {
            format!(
                "Find the last commit with `git -C {top} fsck --lost-found`, then run `{}` and `git -C {top} update-ref {} COMMIT`.",
                aside(shown),
                word(reference)
            )
        }),
    }
}

/// The last commit of a reference's log that exists.
fn last_commit(repo: &Repo, reference: &str) -> Option<ObjectId> {
    let log = tail_of(&repo.location().common_dir.join("logs").join(reference), MAX_LOG)?;
    let cancel = patience();
    let ids = log.lines().rev().filter_map(|line| ObjectId::from_hex(line.split(' ').nth(1)?.as_bytes()).ok());
    ids.take(MAX_COMMITS).find(|id| repo.object(*id, &cancel).is_ok())
}

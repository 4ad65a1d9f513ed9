//! Random trees, merges, indexes, working trees, attributes and settings; each patch equals git's.
//!
//! `PATCH_ROUNDS` is the number of repositories, `PATCH_SEED` repeats a run.

use super::{LINES, Random};
use crate::odd_repositories::{self, Outcome};
use git::{Cancel, DiffQuery, Git, Keep, ObjectId, Repo, Repositories, Roots, Route, Sides};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

const NAMES: [&str; 12] =
    ["a.rs", "b.rs", "main.c", "sp ace", "ü.txt", "dir/a.rs", "dir/b.rs", "dir/deep/x", "lib/a.rs", "lib/y", "a.rs/in", "q\"t"];
const SETTINGS: [&str; 18] = [
    "diff.context=1",
    "diff.context=0",
    "diff.context=3",
    "diff.interHunkContext=4",
    "diff.interHunkContext=0",
    "diff.algorithm=minimal",
    "diff.algorithm=myers",
    "diff.renames=false",
    "diff.renames=true",
    "diff.renameLimit=1",
    "diff.renameLimit=100",
    "diff.mnemonicPrefix=true",
    "diff.srcPrefix=old/",
    "diff.noprefix=true",
    "diff.noprefix=false",
    "diff.suppressBlankEmpty=true",
    "diff.indentHeuristic=false",
    "core.quotePath=false",
];
const ATTRIBUTES: [&str; 8] =
    ["* diff=unknown", "*.rs -diff", "*.rs diff", "* binary", "*.c diff=cpp", "lib/* !diff", "* text=auto", "[attr]mine -diff"];

struct Maker {
    random: Random,
    top: PathBuf,
    compared: usize,
    in_process: usize,
    log: Vec<String>,
}

impl Maker {
    fn git(&mut self, args: &[&str]) -> Vec<u8> {
        self.log.push(format!("git {args:?}"));
        odd_repositories::git(&self.top, args).stdout
    }

    fn files(&self) -> Vec<PathBuf> {
        let (mut found, mut pending) = (Vec::new(), vec![self.top.clone()]);
        while let Some(dir) = pending.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.file_name() != ".git") {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    pending.push(entry.path());
                } else {
                    found.push(entry.path());
                }
            }
        }
        found.sort();
        found
    }

    fn text(&mut self) -> Vec<u8> {
        let mut text = String::new();
        for _ in 0..self.random.below(40) {
            text.push_str(LINES[self.random.below(LINES.len())]);
            text.push_str(&format!(" {}", self.random.below(4)).repeat(self.random.below(3)));
            text.push('\n');
        }
        match self.random.below(12) {
            0 => drop(text.pop()),
            1 => text.insert(0, '\0'),
            2 => text = text.replace('\n', "\r\n"),
            3 => text = text.replace("fn next", &format!("fn {}ä", "n".repeat(75))),
            _ => {}
        }
        text.into_bytes()
    }

    fn write(&mut self, path: &Path, content: &[u8]) {
        self.log.push(format!("write {} {:?}", path.display(), String::from_utf8_lossy(content)));
        // A file may be in place of a directory, or the other way round.
        let above: Vec<PathBuf> = path.ancestors().skip(1).take_while(|dir| *dir != self.top).map(Path::to_owned).collect();
        for dir in above {
            if dir.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
                fs::remove_file(&dir).ok();
            }
        }
        fs::create_dir_all(path.parent().unwrap_or(&self.top)).ok();
        fs::remove_dir_all(path).ok();
        fs::remove_file(path).ok();
        fs::write(path, content).ok();
    }

    fn edited(&mut self, content: &[u8]) -> Vec<u8> {
        let mut lines: Vec<String> = String::from_utf8_lossy(content).split_inclusive('\n').map(str::to_owned).collect();
        for _ in 0..=self.random.below(4) {
            let at = self.random.below(lines.len() + 1);
            let line = format!("{}\n", LINES[self.random.below(LINES.len())]);
            match self.random.below(3) {
                0 if at < lines.len() => drop(lines.remove(at)),
                1 if at < lines.len() => lines[at] = line,
                _ => lines.insert(at, line),
            }
        }
        lines.concat().into_bytes()
    }

    fn edit(&mut self) {
        let files = self.files();
        let name = self.top.join(NAMES[self.random.below(NAMES.len())]);
        let known = if files.is_empty() { name.clone() } else { files[self.random.below(files.len())].clone() };
        let content = fs::read(&known).unwrap_or_default();
        match self.random.below(12) {
            0 | 1 => {
                let text = self.text();
                self.write(&name, &text);
            }
            2 => {
                self.log.push(format!("remove {}", known.display()));
                fs::remove_file(&known).ok();
            }
            3..=5 => {
                let changed = self.random.below(3) > 0;
                let content = if changed { self.edited(&content) } else { content };
                fs::remove_file(&known).ok();
                self.write(&name, &content);
            }
            6 => {
                fs::set_permissions(&known, fs::Permissions::from_mode([0o644, 0o755][self.random.below(2)])).ok();
            }
            7 => {
                fs::remove_file(&known).ok();
                symlink(["nowhere", "a.rs", "dir"][self.random.below(3)], &known).ok();
            }
            8 if self.random.below(3) == 0 => {
                let line = ATTRIBUTES[self.random.below(ATTRIBUTES.len())];
                let file = self.top.join(["", "lib/"][self.random.below(2)]).join(".gitattributes");
                self.write(&file, format!("{line}\n").as_bytes());
            }
            _ => {
                let content = self.edited(&content);
                self.write(&known, &content);
            }
        }
    }

    fn open(&self) -> Result<Arc<Repo>, git::Error> {
        Repositories::new(Git::new(None), Roots::new([self.top.clone()])?).open(&self.top)
    }

    fn compare(&mut self, sides: Option<Sides>, commit: Option<ObjectId>, args: &[&str]) -> Outcome {
        let repo = self.open()?;
        let sides = sides.unwrap_or(Sides::Unstaged);
        let query = DiffQuery { sides, paths: Vec::new(), exclude: Vec::new(), context: None, keep: Keep::up_to(1 << 20) };
        let (patch, route) = match commit {
            Some(id) => repo.show(id, &query, &Cancel::never())?,
            None => repo.diff(&query, &Cancel::never())?,
        };
        let mut ours = patch.prelude.clone();
        ours.extend(patch.files.iter().flat_map(|file| file.text.clone()));
        let gits = odd_repositories::git(&self.top, args).stdout;
        assert!(
            ours == gits,
            "{args:?}\n{}\n--- git\n{}\n--- ours ({route:?})\n{}",
            self.log.join("\n"),
            String::from_utf8_lossy(&gits),
            String::from_utf8_lossy(&ours)
        );
        self.compared += 1;
        self.in_process += usize::from(route == Route::Engine);
        Ok(())
    }

    fn compare_all(&mut self) -> Outcome {
        const DIFF: [&str; 3] = ["diff", "--no-ext-diff", "--no-textconv"];
        self.compare(Some(Sides::Unstaged), None, &DIFF)?;
        self.compare(Some(Sides::Staged), None, &[&DIFF[..], &["--cached"]].concat())?;
        let all = String::from_utf8(self.git(&["rev-list", "--all"]))?;
        let all: Vec<&str> = all.lines().collect();
        if all.is_empty() {
            return Ok(());
        }
        let id = |name: &str| ObjectId::from_hex(name.as_bytes());
        self.compare(None, Some(id(all[0])?), &["show", "--no-ext-diff", "--no-textconv", all[0]])?;
        let other = all[self.random.below(all.len())];
        self.compare(Some(Sides::Worktree(id(other)?)), None, &[&DIFF[..], &[other]].concat())?;
        self.compare(Some(Sides::Trees(Some(id(other)?), id(all[0])?)), None, &[&DIFF[..], &[other, all[0]]].concat())
    }

    /// A merge whose result is edited by hand.
    fn merge(&mut self) {
        self.git(&["stash", "-q", "--include-untracked"]);
        self.git(&["checkout", "-q", "-B", "side", "HEAD~1"]);
        for _ in 0..4 {
            self.edit();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "-qm", "side"]);
        self.git(&["checkout", "-q", "-f", "main"]);
        self.git(&["merge", "-q", "--no-commit", "--no-ff", "-s", "ours", "side"]);
        let part = ["a.rs", "dir", "lib", "."][self.random.below(4)];
        self.git(&["checkout", "side", "--", part]);
        for _ in 0..self.random.below(4) {
            self.edit();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "-qm", "merge"]);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn patches_of_random_repositories_match_git() -> Outcome {
    let seed = number("PATCH_SEED").unwrap_or_else(|| u64::from(std::process::id()) * 7919 + 1);
    println!("PATCH_SEED={seed}");
    let (mut compared, mut in_process) = (0, 0);
    for round in 0..number("PATCH_ROUNDS").unwrap_or(6) {
        let home = tempfile::tempdir()?;
        let top = fs::canonicalize(home.path())?;
        let random = Random(seed.wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
        let mut maker = Maker { random, top, compared: 0, in_process: 0, log: Vec::new() };
        maker.git(&["init", "--quiet", "--initial-branch=main"]);
        for step in 0..8 {
            for _ in 0..=maker.random.below(8) {
                maker.edit();
            }
            if maker.random.below(3) == 0 {
                let setting = SETTINGS[maker.random.below(SETTINGS.len())].split_once('=').unwrap_or_default();
                maker.git(&["config", setting.0, setting.1]);
            }
            maker.compare_all()?;
            let part = [".", "dir"][maker.random.below(2)];
            maker.git(&["add", "--all", part]);
            maker.compare_all()?;
            maker.git(&["add", "--all"]);
            maker.git(&["commit", "-qm", "step"]);
            if step > 2 && maker.random.below(2) == 0 {
                maker.merge();
            }
        }
        compared += maker.compared;
        in_process += maker.in_process;
    }
    println!("{compared} patches compared, {in_process} in process");
    assert!(in_process * 10 > compared * 6, "too few in process: {in_process} of {compared}");
    Ok(())
}

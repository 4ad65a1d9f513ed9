//! Unusual repositories, each created by a few git commands.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::too_many_lines,
    clippy::format_collect,
    reason = "tests create their repositories with git itself"
)]

mod maker;

pub(crate) use maker::{Odd, git};
use std::fs;

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

pub(crate) fn plain() -> Odd {
    Odd::new("plain", |maker| {
        maker.init(&[]).write("a", "a\n").write("dir/b", "b\n").commit("first");
    })
}

pub(crate) fn all() -> Vec<Odd> {
    let mut all = vec![
        Odd::new("plain history, clean", |m| {
            m.history();
        }),
        Odd::new("plain history, dirty in every way", |m| {
            m.history().write("a.rs", "short\n").write("staged.txt", "s\n").run(&["add", "staged.txt"]).remove("dir/b.txt");
            m.write("untracked/x", "x").write("untracked/y", "y").write(".gitignore", "ignored\n").write("ignored", "i").write("zz", "z");
        }),
        Odd::new("exact renames, staged and committed", |m| {
            m.history().run(&["mv", "a.rs", "moved.rs"]).commit("move").run(&["mv", "moved.rs", "again.rs"]);
        }),
        Odd::new("inexact renames", |m| {
            m.history()
                .run(&["mv", "a.rs", "lib/a.rs"])
                .write("lib/x", "")
                .run(&["mv", "dir/b.txt", "dir/c.txt"])
                .write("dir/c.txt", "one\n2\nthree\nfour\nfive\n")
                .commit("moved with changes");
            m.run(&["mv", "dir/c.txt", "d.txt"]).write("d.txt", "one\n2\nthree\nfour\nfive\nsix\n").run(&["add", "d.txt"]);
        }),
        Odd::new("two renamed files with equal content", |m| {
            m.history().write("p", "same\n").write("q", "same\n").commit("twins").run(&["mv", "p", "p2"]).run(&["mv", "q", "q2"]).run(&[
                "commit",
                "-qm",
                "both moved",
            ]);
        }),
        Odd::new("modes", |m| {
            m.history().mode("a.rs", 0o755).commit("executable").mode("dir/b.txt", 0o755).mode("a.rs", 0o644).write("a.rs", "x\n");
        }),
        Odd::new("CRLF with text attributes", |m| {
            m.init(&[])
                .write(".gitattributes", "*.txt text\n*.bat eol=crlf\n")
                .write("a.txt", "one\r\ntwo\r\n")
                .write("b.bat", "x\r\n")
                .commit("crlf");
            m.write("a.txt", "one\r\n2\r\n").write("b.bat", "y\r\nx\r\n").write("c.txt", "u\r\n");
        }),
        Odd::new("autocrlf", |m| {
            m.init(&[]).write("a.txt", "one\ntwo\n").commit("lf").run(&["config", "core.autocrlf", "true"]).write("a.txt", "one\r\n2\r\n");
        }),
        Odd::new("working-tree-encoding", |m| {
            let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
            m.init(&[])
                .write(".gitattributes", "*.u16 working-tree-encoding=UTF-16LE\n")
                .write("t.u16", utf16("one\ntwo\n"))
                .commit("encoded");
            m.write("t.u16", utf16("one\n2\n"));
        }),
        Odd::new("ident", |m| {
            m.init(&[])
                .write(".gitattributes", "*.c ident\n")
                .write("x.c", "/* $Id$ */\nint a;\n")
                .commit("ident")
                .write("x.c", "/* $Id$ */\nint b;\n");
        }),
        Odd::new("diff attributes", |m| {
            m.init(&[])
                .write(".gitattributes", "*.lock -diff\n*.py diff=python\nx.bin diff\n")
                .write("a.lock", "1\n")
                .write("m.py", "class A:\n    def f(self):\n        a\n        b\n        c\n        d\n")
                .write("x.bin", b"a\0b\n")
                .commit("attributes");
            m.write("a.lock", "2\n")
                .write("m.py", "class A:\n    def f(self):\n        a\n        b\n        c\n        e\n")
                .write("x.bin", b"a\0c\n")
                .commit("change")
                .write("a.lock", "3\n");
        }),
        Odd::new("an untracked attributes file in a directory", |m| {
            m.history()
                .write("dir/b.txt", "one\n2\n3\n")
                .commit("one more")
                .write("dir/.gitattributes", "b.txt -diff\n")
                .write("dir/b.txt", "9\n");
        }),
        Odd::new("symbolic links", |m| {
            m.history().link("a.rs", "link").link("nowhere", "dangling").commit("links").link("dir", "link").remove("dangling");
        }),
        Odd::new("a link in place of a directory", |m| {
            m.history().remove("dir").link("/etc", "dir");
        }),
        Odd::new("a file and a directory swapped", |m| {
            m.history().remove("dir").write("dir", "now a file\n").remove("a.rs").write("a.rs/inner", "now a directory\n").commit("swap");
            m.remove("dir").write("dir/back", "x\n");
        }),
        Odd::new("a file becomes a link", |m| {
            m.history().link("dir/b.txt", "a.rs").commit("type change").remove("a.rs").write("a.rs", "a file again\n");
        }),
        Odd::new("intent to add", |m| {
            m.history().write("later.txt", "later\n").run(&["add", "--intent-to-add", "later.txt"]);
        }),
        Odd::new("conflicts", |m| {
            m.history()
                .run(&["checkout", "-q", "-b", "side", "HEAD~1"])
                .write("dir/b.txt", "one\nside\nthree\n")
                .write("both", "s\n")
                .commit("side");
            m.run(&["checkout", "-q", "main"])
                .write("both", "m\n")
                .remove("dir/new.txt")
                .commit("main")
                .run(&["merge", "side"])
                .write("other", "x");
        }),
        Odd::new("a merge and its sides", |m| {
            m.history()
                .run(&["checkout", "-q", "-b", "side", "HEAD~2"])
                .write("side", "s\n")
                .commit("side 1")
                .write("side", "s2\n")
                .commit("side 2");
            m.run(&["checkout", "-q", "main"]).run(&["merge", "-q", "--no-ff", "-m", "merge side", "side"]);
        }),
        Odd::new("equal dates", |m| {
            m.init(&[]);
            for branch in 0..6 {
                m.run(&["checkout", "-q", "--orphan", &format!("o{branch}")]).write(&format!("f{branch}"), "x\n").run(&["add", "."]);
                m.clock.set(1_700_000_000);
                m.run(&["commit", "-qm", &format!("root {branch}")]);
            }
            m.clock.set(1_700_000_000);
            m.run(&["merge", "-q", "--allow-unrelated-histories", "-m", "octopus", "o0", "o1", "o2", "o3"]);
        }),
        Odd::new("skewed dates", |m| {
            m.history();
            m.clock.set(1_500_000_000);
            m.commit("from the past").run(&["checkout", "-q", "-b", "side", "HEAD~2"]);
            m.clock.set(1_800_000_000);
            m.commit("from the future").run(&["checkout", "-q", "main"]).run(&["merge", "-q", "--no-ff", "-m", "m", "side"]);
        }),
        Odd::new("unborn", |m| {
            m.init(&[]).write("a", "a\n").run(&["add", "a"]).write("b", "b\n");
        }),
        Odd::new("detached", |m| {
            m.history().run(&["checkout", "-q", "HEAD~1"]);
        }),
        Odd::new("index version 4", |m| {
            m.history().run(&["update-index", "--index-version", "4"]).write("dir/b.txt", "v4\n");
        }),
        Odd::new("split index", |m| {
            m.history().run(&["update-index", "--split-index"]).write("s", "s\n").run(&["add", "s"]).write("dir/b.txt", "x\n");
        }),
        Odd::new("assume unchanged and skip worktree", |m| {
            m.history().run(&["update-index", "--assume-unchanged", "a.rs"]).run(&["update-index", "--skip-worktree", "dir/b.txt"]);
            m.write("a.rs", "hidden\n").write("dir/b.txt", "hidden\n");
        }),
        Odd::new("sparse checkout", |m| {
            m.history().write("other/x", "x\n").commit("other").run(&["sparse-checkout", "set", "dir"]).write("dir/b.txt", "x\n");
        }),
        Odd::new("sparse index", |m| {
            m.history()
                .write("other/deep/x", "x\n")
                .commit("other")
                .run(&["sparse-checkout", "set", "--sparse-index", "dir"])
                .write("dir/b.txt", "x\n");
        }),
        Odd::new("sha256", |m| {
            m.init(&["--object-format=sha256"])
                .write("a", "a\n")
                .commit("a")
                .write("a", "b\n")
                .commit("b")
                .write("a", "c\n")
                .write("u", "u\n");
        }),
        Odd::new("reftable", |m| {
            m.init(&["--ref-format=reftable"])
                .write("a", "a\n")
                .commit("a")
                .write("a", "b\n")
                .commit("b")
                .write("a", "c\n")
                .run(&["branch", "other"]);
        }),
        Odd::new("non-UTF-8, space and quote paths", |m| {
            m.history()
                .write_bytes(b"bad\xff.txt", "x\n")
                .write("sp ace.txt", "s\n")
                .write("q\"uote\t.txt", "q\n")
                .write("ünï.txt", "u\n")
                .commit("names");
            m.write_bytes(b"bad\xff.txt", "y\n")
                .write("sp ace.txt", "t\n")
                .write("ünï.txt", "v\n")
                .write("new ünï", "n\n")
                .write_bytes(b"new\xfe", "n\n");
        }),
        Odd::new("core.quotePath off", |m| {
            m.history()
                .run(&["config", "core.quotePath", "false"])
                .write("ünï.txt", "u\n")
                .commit("names")
                .write("ünï.txt", "v\n")
                .commit("again");
        }),
        Odd::new("binary", |m| {
            m.history()
                .write("b.bin", b"a\0b\n")
                .commit("binary")
                .write("b.bin", b"a\0c\n")
                .commit("binary changes")
                .write("b.bin", b"d\0")
                .write("n.bin", b"\0\0");
        }),
        Odd::new("no final newline", |m| {
            m.init(&[])
                .write("a", "x\ny")
                .write("b", "x\ny\n")
                .commit("a")
                .write("a", "x\ny\n")
                .write("b", "x\ny")
                .commit("b")
                .write("a", "x\nz")
                .write("b", "");
        }),
        Odd::new("tag, tree and unusual commits", |m| {
            m.history()
                .run(&["tag", "-a", "v1", "-m", "version 1"])
                .run(&["tag", "light", "HEAD~1"])
                .commit("tabs\tin\n\n\tindented\tbody\n");
            m.run(&["-c", "i18n.commitEncoding=ISO-8859-1", "commit", "--allow-empty", "-qm", "latin"]);
        }),
        Odd::new("a log that follows renames", |m| {
            m.history().remove("dir/b.txt").run(&["mv", "a.rs", "dir/b.txt"]).commit("move").run(&["config", "log.follow", "true"]);
        }),
        Odd::new("mailmap", |m| {
            m.history().write(".mailmap", "Other Name <other@example.com> <author@example.com>\n").commit("mailmap");
        }),
        Odd::new("diff configuration", |m| {
            m.history().run(&["config", "diff.noprefix", "true"]).run(&["config", "diff.context", "1"]).write("a.rs", "x\n").run(&[
                "config",
                "core.abbrev",
                "12",
            ]);
        }),
        Odd::new("settings of patches", |m| {
            m.history()
                .write(".gitattributes", "*.rs diff=unknown\n*.txt diff\n")
                .write("dir/b.txt", "one\n\ntwo\n\n\nthree\n")
                .commit("attributes")
                .run(&["config", "diff.suppressBlankEmpty", "true"])
                .run(&["config", "diff.interHunkContext", "8"])
                .run(&["config", "diff.mnemonicPrefix", "true"])
                .run(&["config", "diff.algorithm", "minimal"]);
            m.write("dir/b.txt", "one\n\n2\n\n\nthree\n").write("a.rs", "x\n").run(&["add", "a.rs"]).write("a.rs", "y\n");
        }),
        Odd::new("a merge edited by hand", |m| {
            m.history().run(&["checkout", "-q", "-b", "side", "HEAD~1"]).run(&["mv", "a.rs", "dir/a.rs"]).commit("moved");
            m.write("dir/b.txt", "one\nside\nthree\n").mode("dir/b.txt", 0o755).commit("side").run(&["checkout", "-q", "main"]);
            m.run(&["merge", "-q", "--no-commit", "--no-ff", "side"]).write("dir/b.txt", "one\nboth\nthree\nfour\nfive\n");
            m.write("new/file", "in the merge only\n").write("bin", b"\0\x01").commit("merge");
        }),
        Odd::new("ignore rules", |m| {
            m.history()
                .write(".gitignore", "*.log\n/build/\n!keep.log\n")
                .write("dir/.gitignore", "local\n")
                .write("x.log", "")
                .write("keep.log", "");
            m.write("build/out", "").write("dir/local", "").write("deep/x.log", "").write("deep/y", "");
        }),
        Odd::new("nested repository", |m| {
            m.history().write("inner/file", "x\n").run_in(&m.path.join("inner"), &["init", "-q"]);
        }),
        Odd::new("many staged additions and deletions", |m| {
            m.history();
            for n in 0..40 {
                m.write(&format!("many/{n:02}.txt"), format!("content {n}\n").repeat(n + 1));
            }
            m.commit("many").remove("many").write("fewer/x", "y\n".repeat(500)).run(&["add", "--all"]);
        }),
        Odd::new("many directories, read by several threads", |m| {
            m.init(&[]);
            for n in 0..2_400 {
                m.write(&format!("d{:02}/e{}/f{n}", n % 60, n % 7), format!("{n}\n"));
            }
            m.commit("many").write("d03/e3/f3", "changed\n").remove("d04/e4").write("d05/new/x", "x").write("d06/e6/new", "new");
        }),
        Odd::new("a status without untracked files", |m| {
            m.history().run(&["config", "status.showUntrackedFiles", "no"]).write("dir/b.txt", "x\n").write("new", "x").remove("a.rs");
        }),
        Odd::new("a status with all untracked files", |m| {
            m.history().run(&["config", "status.showUntrackedFiles", "all"]).write("new/deep/x", "x").write("new/y", "y").remove("a.rs");
            m.write("a.rs/inner", "x").run_in(&m.path.join("new/deep"), &["init", "-q"]);
        }),
        Odd::new("an ignore file of its own configuration", |m| {
            m.history().run(&["config", "core.excludesFile", ".git/more"]).write(".git/more", "x*\n!x.txt\n");
            m.write("x", "").write("x.txt", "").write("dir/x", "");
        }),
        Odd::new("included settings", |m| {
            m.history().write(".git/own", "[status]\n\tshowUntrackedFiles = no\n").run(&["config", "include.path", "own"]).write("x", "");
        }),
        Odd::new("replaced and grafted", |m| {
            m.history().run(&["replace", "--graft", "HEAD", "HEAD~2"]);
        }),
        Odd::new("replaced, and its own configuration ignores that", |m| {
            m.history().run(&["replace", "HEAD:a.rs", "HEAD:dir/b.txt"]).run(&["config", "core.useReplaceRefs", "false"]);
        }),
    ];
    all.push(bare());
    all.push(shallow());
    all.push(linked_worktree());
    all.push(alternates());
    all.push(submodule());
    all.push(submodule_elsewhere());
    all.extend(upstreams());
    all
}

fn bare() -> Odd {
    let mut odd = Odd::new("bare", |m| {
        m.history();
    });
    git(odd.home.path(), &["clone", "--quiet", "--bare", "repo", "bare.git"]);
    odd.path = odd.path.with_file_name("bare.git");
    odd
}

fn shallow() -> Odd {
    let mut odd = Odd::new("shallow", |m| {
        m.history();
    });
    git(odd.home.path(), &["clone", "--quiet", "--depth", "2", &format!("file://{}", odd.path.display()), "shallow"]);
    odd.path = odd.path.with_file_name("shallow");
    odd
}

fn linked_worktree() -> Odd {
    let mut odd = Odd::new("linked worktree", |m| {
        m.history();
    });
    odd.git(&["worktree", "add", "--quiet", "-b", "linked", "../linked"]);
    odd.path = odd.path.with_file_name("linked");
    fs::write(odd.path.join("dir/b.txt"), "in the worktree\n").unwrap_or_default();
    odd
}

fn alternates() -> Odd {
    let mut odd = Odd::new("alternates", |m| {
        m.history();
    });
    git(odd.home.path(), &["clone", "--quiet", "--shared", "repo", "borrower"]);
    odd.path = odd.path.with_file_name("borrower");
    fs::write(odd.path.join("empty"), "no more\n").unwrap_or_default();
    odd
}

fn submodule() -> Odd {
    let odd = Odd::new("submodule", |m| {
        m.history();
    });
    git(odd.home.path(), &["clone", "--quiet", "repo", "library"]);
    odd.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library", "lib"]);
    odd.git(&["-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "-m", "submodule"]);
    fs::write(odd.path.join("lib/empty"), "dirty\n").unwrap_or_default();
    fs::write(odd.path.join("lib/untracked"), "u\n").unwrap_or_default();
    odd
}

/// A submodule at another commit, and one that is not checked out.
fn submodule_elsewhere() -> Odd {
    let odd = Odd::new("submodules at another commit and not checked out", |m| {
        m.history();
    });
    git(odd.home.path(), &["clone", "--quiet", "repo", "library"]);
    for path in ["lib", "absent"] {
        odd.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library", path]);
    }
    odd.git(&["-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "-m", "submodules"]);
    odd.git(&["-C", "lib", "checkout", "--quiet", "HEAD~1"]);
    odd.git(&["submodule", "--quiet", "deinit", "--force", "absent"]);
    odd
}

/// Clones whose branch has various upstreams.
fn upstreams() -> Vec<Odd> {
    let settings: [(&str, &[&[&str]]); 8] = [
        (CLONE, &[]),
        ("an upstream among the local branches", &[&["branch", "--quiet", "side", "HEAD~1"], &["branch", "--set-upstream-to=side"]]),
        ("an upstream that is gone", &[&["update-ref", "-d", "refs/remotes/origin/main"]]),
        ("an upstream whose short name is also a local branch", &[&["branch", "--quiet", "origin/main", "HEAD~1"]]),
        ("two upstreams", &[&["config", "--add", "branch.main.merge", "refs/heads/other"]]),
        ("an upstream under another name", &[&["config", "remote.origin.fetch", "+refs/heads/main:refs/remotes/elsewhere/trunk"]]),
        ("an upstream that is not fetched", &[&["config", "--add", "remote.origin.fetch", "^refs/heads/main"]]),
        ("an upstream at an address", &[&["config", "branch.main.remote", "https://example.com/it.git"]]),
    ];
    settings.into_iter().map(|(name, settings)| clone(name, settings)).collect()
}

/// The name of an ordinary clone.
pub(crate) const CLONE: &str = "behind and ahead of an upstream";

fn clone(name: &'static str, settings: &[&[&str]]) -> Odd {
    let mut odd = Odd::new(name, |m| {
        m.history();
    });
    git(odd.home.path(), &["clone", "--quiet", "repo", "clone"]);
    odd.path = odd.path.with_file_name("clone");
    odd.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    odd.git(&["-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "ahead"]);
    for setting in settings {
        odd.git(setting);
    }
    odd
}

//! Records the commit that is built, for `--version`, and links for a fast start.
#![expect(clippy::disallowed_methods, reason = "a build script has no other way to ask")]

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../.git/HEAD");
    println!("cargo::rerun-if-changed=../../.git/logs/HEAD");
    println!("cargo::rustc-env=BUILD_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        // A program at a fixed address needs no relocations at its start, which were a fifth of the time to the first
        // answer. Stack, heap and mappings stay at random addresses.
        println!("cargo::rustc-link-arg-bins=-no-pie");
        link_statically();
    }
}

/// Links the C library and the unwinder from their archives, if the machine has them.
///
/// Loading and binding them took a third of the time to the first answer. Rust's own switch for this, `crt-static`, also
/// reaches procedural macros, which then cannot be built; so the names that rustc gives to the linker lead to the
/// archives here, for the program alone.
fn link_statically() {
    const LIBRARIES: [(&str, &[&str]); 7] = [
        ("gcc_s", &["gcc_eh", "gcc"]),
        ("util", &["util"]),
        ("rt", &["rt"]),
        ("pthread", &["pthread"]),
        ("m", &["m"]),
        ("dl", &["dl"]),
        ("c", &["c", "gcc", "gcc_eh"]),
    ];
    let (true, Ok(out)) = (env::var("TARGET").ok() == env::var("HOST").ok(), env::var("OUT_DIR")) else { return };
    // If the archive is missing, the compiler prints only its name.
    let archive = |name: &&str| output("cc", &[&format!("-print-file-name=lib{name}.a")]).filter(|path| Path::new(path).is_absolute());
    for (name, archives) in LIBRARIES {
        let Some(archives) = archives.iter().map(archive).collect::<Option<Vec<_>>>() else { return };
        let script = format!("GROUP ( \"{}\" )\n", archives.join("\" \""));
        if fs::write(Path::new(&out).join(format!("lib{name}.so")), script).is_err() {
            return;
        }
    }
    println!("cargo::rustc-link-arg-bins=-L{out}");
    println!("cargo::rustc-link-arg-bins=-static");
    // The standard library starts a process in another folder without copying its own page tables where the C library
    // has this, which it asks for in a way that takes nothing out of an archive.
    println!("cargo::rustc-link-arg-bins=-Wl,-u,posix_spawn_file_actions_addchdir_np");
}

fn commit() -> Option<String> {
    output("git", &["rev-parse", "--short=12", "HEAD"])
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}

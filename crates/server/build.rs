//! Records the commit that is built, for `--version`, and links for a fast start.
#![expect(clippy::disallowed_methods, reason = "a build script has no other way to ask")]

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../.git/HEAD");
    println!("cargo::rerun-if-changed=../../.git/logs/HEAD");
    println!("cargo::rustc-env=BUILD_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        // A program at a fixed address needs no relocations at its start, which were a fifth of the time to the first answer.
        // Libraries, stack and heap stay at random addresses.
        println!("cargo::rustc-link-arg-bins=-no-pie");
        link_the_unwinder();
    }
}

/// Takes the unwinder from the compiler's archive instead of its library.
///
/// Once loaded, `libgcc_s` asks the processor for its features; on virtual machines each such question traps to the
/// hypervisor, and together they took a tenth of the time to the first answer.
fn link_the_unwinder() {
    let native = env::var("TARGET").ok() == env::var("HOST").ok();
    let (true, Ok(out), Some(archive)) = (native, env::var("OUT_DIR"), output("cc", &["-print-file-name=libgcc_eh.a"])) else {
        return;
    };
    // Where there is none, only the name comes back.
    if Path::new(&archive).is_absolute() && fs::write(Path::new(&out).join("libgcc_s.so"), format!("INPUT ( \"{archive}\" )\n")).is_ok() {
        println!("cargo::rustc-link-search=native={out}");
    }
}

fn commit() -> Option<String> {
    output("git", &["rev-parse", "--short=12", "HEAD"])
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| output.status.success() && !text.is_empty())
}

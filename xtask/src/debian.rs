//! Debian programs that a few tests need, downloaded and unpacked under `target/`. Nothing is installed or configured, no
//! service is enabled, and root is not needed.

use crate::run::{self, folder};
use anyhow::{Result, bail};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

/// The programs and the packages that contain them.
const PROGRAMS: [(&str, &str); 16] = [
    ("postgres", "postgresql"),
    ("initdb", "postgresql"),
    ("git-lfs", "git-lfs"),
    ("nginx", "nginx-light"),
    ("caddy", "caddy"),
    ("haproxy", "haproxy"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("strace", "strace"),
    ("chromium", "chromium"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("systemd-analyze", "systemd"),
    ("systemd-socket-activate", "systemd"),
];
/// Program folders that may not be on a user's `PATH`.
const PLACES: [&str; 3] = ["/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// The folder where the tests find them.
fn bin() -> PathBuf {
    folder().join("bin")
}

/// Unpacks the missing programs. If that fails, the tests report what they skip, and fail where `CI` is set.
pub(crate) fn prepare() {
    let missing: Vec<_> = PROGRAMS.into_iter().filter(|(program, _)| !is_there(program)).collect();
    if missing.is_empty() || !run::exists("apt-get") || !run::exists("dpkg-deb") {
        return;
    }
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    println!("unpacking {} under {}", packages.join(", "), folder().display());
    if let Err(err) = unpack(&packages).and_then(|root| missing.iter().try_for_each(|(program, _)| link(&root, program))) {
        println!("not unpacked: {err:#}");
    }
}

fn is_there(program: &str) -> bool {
    let places = PLACES.iter().map(PathBuf::from).chain([bin()]).chain(postgres(Path::new("/")));
    run::exists(program) || places.into_iter().any(|place| place.join(program).exists())
}

/// The path of a program, on the machine or unpacked.
pub(crate) fn found(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([bin()]);
    places.map(|place| place.join(program)).find(|path| path.is_file()).map(|path| path.display().to_string())
}

/// The program folders of `PostgreSQL`, which are not on `PATH`.
fn postgres(root: &Path) -> Vec<PathBuf> {
    let versions = fs::read_dir(root.join("usr/lib/postgresql")).into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin")).collect()
}

/// Downloads and unpacks packages and their missing dependencies. The package lists come from the machine's apt sources, but
/// are kept apart from its own.
fn unpack(packages: &[&str]) -> Result<PathBuf> {
    let (home, root) = (folder().join("apt"), folder().join("debian"));
    for folder in ["lists/partial", "archives/partial"] {
        fs::create_dir_all(home.join(folder))?;
    }
    fs::create_dir_all(&root)?;
    let option = |name: &str, value: &str| ["-o".to_owned(), format!("{name}={value}")];
    let options = [
        option("Dir::State::lists", &home.join("lists").display().to_string()),
        option("Dir::State::extended_states", &home.join("extended_states").display().to_string()),
        option("Dir::Cache", &home.display().to_string()),
        option("Debug::NoLocking", "1"),
        option("APT::Sandbox::User", ""),
    ];
    let options: Vec<&str> = options.iter().flatten().map(String::as_str).collect();
    run::program("apt-get", &[&options[..], &["update", "--quiet=2"]].concat(), &[])?;
    let download = ["install", "--download-only", "--yes", "--no-install-recommends", "--quiet=2"];
    run::program("apt-get", &[&options[..], &download, packages].concat(), &[])?;
    let archives = fs::read_dir(home.join("archives"))?.flatten().map(|entry| entry.path());
    for archive in archives.filter(|path| path.extension().is_some_and(|extension| extension == "deb")) {
        run::program("dpkg-deb", &["-x", &archive.display().to_string(), &root.display().to_string()], &[])?;
    }
    Ok(root)
}

/// Puts a program where the tests look, with its bundled libraries if the machine lacks some.
fn link(root: &Path, program: &str) -> Result<()> {
    // The program itself, where `usr/bin` has a script with absolute paths.
    let places = ["usr/lib/chromium", "usr/bin", "usr/sbin", "bin", "sbin"].into_iter().map(|place| root.join(place)).chain(postgres(root));
    let Some(found) = places.map(|place| place.join(program)).find(|path| path.is_file()) else { bail!("no package contains {program}") };
    fs::create_dir_all(bin())?;
    let own = bin().join(program);
    fs::remove_file(&own).ok();
    let lacks = run::command("ldd").arg(&found).output().is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("not found"));
    // A browser needs fonts besides libraries.
    let is_browser = found.starts_with(root.join("usr/lib/chromium"));
    if !lacks && !is_browser {
        return Ok(symlink(&found, &own)?);
    }
    let within = |place: &str| fs::read_dir(root.join(place)).into_iter().flatten().flatten().map(|entry| entry.path());
    let libraries = ["usr/lib", "lib"].into_iter().flat_map(within).filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    // Some packages have a folder of their own for a library that only their programs use.
    let libraries = libraries.flat_map(|path| [path.join("systemd"), path.join("pulseaudio"), path]);
    let libraries: Vec<String> = libraries.map(|path| path.display().to_string()).collect();
    let (libraries, root, found) = (libraries.join(":"), root.display(), found.display());
    let fonts = format!("[ -e /etc/fonts ] || export FONTCONFIG_PATH='{root}/etc/fonts' XDG_DATA_HOME='{root}/usr/share'");
    fs::write(&own, format!("#!/bin/sh\nexport LD_LIBRARY_PATH='{libraries}'\n{fonts}\nexec '{found}' \"$@\"\n"))?;
    Ok(fs::set_permissions(&own, fs::Permissions::from_mode(0o755))?)
}

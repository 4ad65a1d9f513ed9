//! The rules of a domain, and the system files git needs.

use crate::beneath::open_own;
use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::{Path, PathBuf},
};

/// The rules of a domain. Missing paths are skipped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// Programs and directories of programs: execute and read.
    pub(crate) execute: Vec<PathBuf>,
    /// Files and directory trees: read.
    pub(crate) read: Vec<PathBuf>,
    /// Files and directory trees: read, write, create and remove.
    pub(crate) write: Vec<PathBuf>,
    /// Paths of the repository, without symbolic links: read. A link in place of one is an error.
    pub(crate) own_read: Vec<PathBuf>,
    /// Paths of the repository: read, write, create and remove.
    pub(crate) own_write: Vec<PathBuf>,
    /// Devices: read and write.
    pub(crate) devices: Vec<PathBuf>,
    /// TCP ports to connect to.
    pub(crate) ports: Vec<u16>,
}

/// System directories of programs and their files, for the hooks and filters of a named repository.
const SYSTEM: [&str; 12] =
    ["/bin", "/etc", "/lib", "/lib32", "/lib64", "/nix", "/opt", "/proc", "/sbin", "/sys/devices/system", "/usr", "/var/lib/dpkg"];
/// Library directories, for programs that load libraries by name at run time.
const LIBRARIES: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"];
/// Other files git reads: random bytes for temporary file names, and time zones.
const READ: [&str; 6] =
    ["/dev/urandom", "/dev/random", "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/usr/lib/locale/C.utf8"];
/// Files for name resolution and certificate checks.
const NETWORK: [&str; 16] = [
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssh",
    "/etc/ssl",
    "/run/systemd/resolve",
    "/usr/lib/ssl",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
];
/// Variables that name a certificate store.
const CERTIFICATES: [&str; 5] = ["GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "CURL_CA_BUNDLE"];
/// Variables that name a proxy.
const PROXIES: [&str; 6] = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// git's programs and the files their loader reads: the same for every repository.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// git under each of its paths, and its loader.
    programs: Vec<PathBuf>,
    /// Libraries.
    libraries: Vec<PathBuf>,
    /// The directory of git's sub-command programs.
    core: PathBuf,
}

impl Needs {
    /// Inspects `program`, whose sub-command programs are in `core`. `list` returns a loader's listing of a program.
    pub(crate) fn of(program: &Path, core: PathBuf, list: impl Fn(&Path, &Path) -> Option<Vec<u8>>) -> Self {
        let program = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
        // Packages ship these as one file or as two.
        let mut needs = Self { programs: vec![program.clone(), core.join("git")], libraries: Vec::new(), core };
        if let Some(loader) = loader(&program) {
            let listed = list(&loader, &program).map(|text| libraries(&text)).unwrap_or_default();
            needs.libraries = if listed.is_empty() { LIBRARIES.map(PathBuf::from).to_vec() } else { listed };
            needs.programs.push(loader);
        }
        // Modules that convert encodings are loaded by name.
        let modules: Vec<PathBuf> = needs.libraries.iter().filter_map(|library| Some(library.parent()?.join("gconv"))).collect();
        needs.libraries.extend(modules);
        needs.libraries.sort();
        needs.libraries.dedup();
        needs
    }

    /// Rules for every git process, without those for the repository.
    pub(crate) fn rules(&self) -> Rules {
        let read = READ.iter().map(PathBuf::from).chain(self.libraries.iter().cloned()).collect();
        Rules { execute: self.programs.clone(), read, devices: vec![PathBuf::from("/dev/null")], ..Rules::default() }
    }

    /// Adds rules for hooks and filters of a named repository: the system's programs and the files they read.
    pub(crate) fn with_system(&self, rules: &mut Rules) {
        rules.execute.extend(SYSTEM.iter().map(PathBuf::from));
        rules.execute.push(self.core.clone());
        rules.execute.extend(env::var_os("PATH").iter().flat_map(env::split_paths).filter(|dir| dir.is_absolute()));
        rules.read.extend(["/dev/zero", "/dev/fd"].map(PathBuf::from));
        rules.devices.extend(["/dev/full", "/dev/tty"].map(PathBuf::from));
    }

    /// Adds rules for a process that contacts remotes: over HTTP, and over `ssh` if given.
    pub(crate) fn with_network(&self, rules: &mut Rules, ports: impl IntoIterator<Item = u16>, ssh: Option<&Path>) {
        rules.execute.extend(["git-remote-http", "git-remote-https"].map(|name| self.core.join(name)));
        rules.read.extend(NETWORK.iter().chain(&LIBRARIES).map(PathBuf::from));
        rules.read.extend(CERTIFICATES.iter().filter_map(env::var_os).map(PathBuf::from));
        if let Some(ssh) = ssh {
            rules.execute.push(ssh.to_owned());
            rules.read.extend(env::home_dir().map(|home| home.join(".ssh")));
            rules.execute.extend(loader(ssh));
        }
        rules.ports.extend(ports);
        // Long DNS responses use TCP.
        rules.ports.push(53);
        rules.ports.extend(PROXIES.iter().filter_map(|name| env::var(name).ok()).filter_map(|url| proxy_port(&url)));
    }
}

/// `program`, its loader and its libraries. `list` returns a loader's listing of a program.
pub(crate) fn needed_by(program: &Path, list: impl Fn(&Path, &Path) -> Option<Vec<u8>>) -> Vec<PathBuf> {
    let loader = loader(program);
    let listed = loader.as_ref().and_then(|loader| list(loader, program)).map(|text| libraries(&text)).unwrap_or_default();
    [program.to_owned()].into_iter().chain(loader).chain(listed).collect()
}

/// The port of a proxy URL, parsed as curl does.
fn proxy_port(url: &str) -> Option<u16> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split('/').next()?.rsplit('@').next()?;
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    Some(port.unwrap_or(if scheme == "https" { 443 } else { 1080 }))
}

/// The absolute paths in a loader's listing: `name => /path (address)`, or `/path (address)`.
fn libraries(text: &[u8]) -> Vec<PathBuf> {
    let lines = text.split(|&byte| byte == b'\n');
    let words = lines.filter_map(|line| line.split(u8::is_ascii_whitespace).rfind(|word| word.starts_with(b"/")));
    words.map(|word| PathBuf::from(OsStr::from_bytes(word))).collect()
}

/// The program interpreter of an ELF file; `None` if it has none or is not an ELF file.
fn loader(program: &Path) -> Option<PathBuf> {
    const INTERPRETER: u32 = 3;
    let (file, _) = open_own(program).ok()?;
    let bytes = |at: u64, count: usize| -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        file.read_exact_at(&mut bytes, at).ok().map(|()| bytes)
    };
    let header = bytes(0, 64)?;
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    let (wide, little) = (header[4] == 2, header[5] == 1);
    let number = |bytes: &[u8]| {
        let fold = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) }
    };
    let (table, size, count) = if wide {
        (number(&header[32..40]), number(&header[54..56]), number(&header[56..58]))
    } else {
        (number(&header[28..32]), number(&header[42..44]), number(&header[44..46]))
    };
    for at in 0..count.min(128) {
        let entry = bytes(table.checked_add(at * size)?, if wide { 56 } else { 32 })?;
        if number(&entry[0..4]) != u64::from(INTERPRETER) {
            continue;
        }
        let (offset, length) =
            if wide { (number(&entry[8..16]), number(&entry[32..40])) } else { (number(&entry[4..8]), number(&entry[16..20])) };
        let name = bytes(offset, usize::try_from(length.min(4096)).ok()?)?;
        let name = name.split(|&byte| byte == 0).next()?;
        return Some(PathBuf::from(OsStr::from_bytes(name)));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_of_both_loaders_are_parsed() {
        let glibc = b"\tlinux-vdso.so.1 (0x00007ffd)\n\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(libraries(glibc), ["/lib/x86_64-linux-gnu/libz.so.1", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from));
        let musl = b"\t/lib/ld-musl-x86_64.so.1 (0x7f)\n\tlibpcre2-8.so.0 => /usr/lib/libpcre2-8.so.0 (0x7f)\n";
        assert_eq!(libraries(musl), ["/lib/ld-musl-x86_64.so.1", "/usr/lib/libpcre2-8.so.0"].map(PathBuf::from));
    }

    #[test]
    fn proxy_ports_are_parsed_as_curl_does() {
        for (url, port) in [("http://u:p@proxy:3128/", 3128), ("proxy:8080", 8080), ("https://proxy", 443), ("socks5://[::1]:9050", 9050)] {
            assert_eq!(proxy_port(url), Some(port), "{url}");
        }
    }

    #[test]
    fn the_loader_of_a_program_is_found() {
        let own = std::env::current_exe().unwrap_or_default();
        assert!(loader(&own).is_none_or(|loader| loader.is_absolute()));
        assert_eq!(loader(Path::new("/etc/passwd")), None);
    }
}

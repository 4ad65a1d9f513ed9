//! Resource use of this process, as the system reports it. `None` on systems that do not.

use std::fs;

/// Resource use of this process.
#[doc(alias = "MemoryMonitor")]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Resident memory, in bytes.
    pub rss: u64,
    /// Peak resident memory, in bytes.
    pub peak_rss: u64,
    /// Number of threads.
    pub threads: u64,
    /// Number of open file descriptors.
    pub descriptors: u64,
    /// CPU time used so far, in seconds.
    pub cpu_seconds: f64,
}

/// CPU ticks of the machine since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ticks {
    pub(crate) busy: u64,
    pub(crate) all: u64,
}

impl Figures {
    /// Current values; `None` if the system does not report them.
    #[doc(alias = "take_sample")]
    pub fn now() -> Option<Self> {
        let status = read("/proc/self/status")?;
        let kib = |name: &str| field(&status, name).unwrap_or_default() * 1024;
        Some(Self {
            rss: kib("VmRSS:"),
            peak_rss: kib("VmHWM:"),
            threads: field(&status, "Threads:").unwrap_or_default(),
            descriptors: fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as u64),
            cpu_seconds: work().map_or(0.0, |(seconds, _)| seconds),
        })
    }
}

/// Resident memory, in bytes.
pub(crate) fn rss() -> Option<u64> {
    let pages: u64 = read("/proc/self/statm")?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Maximum number of open descriptors.
pub(crate) fn max_descriptors() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Load average of the machine over one, five and fifteen minutes.
pub(crate) fn load_average() -> Option<[f64; 3]> {
    let text = read("/proc/loadavg")?;
    let mut numbers = text.split(' ').map_while(|number| number.parse().ok());
    Some([numbers.next()?, numbers.next()?, numbers.next()?])
}

/// CPU ticks of the machine.
pub(crate) fn ticks() -> Option<Ticks> {
    let text = read("/proc/stat")?;
    let numbers: Vec<u64> = text.lines().next()?.split_whitespace().skip(1).map_while(|number| number.parse().ok()).take(8).collect();
    // The fourth field is idle time, the fifth is I/O wait.
    let idle = numbers.get(3)? + numbers.get(4)?;
    let all = numbers.iter().sum::<u64>();
    Some(Ticks { busy: all - idle, all })
}

/// CPU seconds used so far, and number of threads.
pub(crate) fn work() -> Option<(f64, u64)> {
    let stat = read("/proc/self/stat")?;
    // The process name before it may contain spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let per_second = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    // The number of threads is four fields further on.
    let threads = fields.nth(4)?.parse().ok()?;
    Some(((f64::from(user) + f64::from(system)) / f64::from(per_second.max(1)), threads))
}

/// Memory limit of this process's control group, and its use without the page cache.
pub(crate) fn control_group() -> Option<(u64, u64)> {
    let own = read("/proc/self/cgroup")?;
    let version_2 = own.lines().find_map(|line| line.strip_prefix("0::"));
    let text = |folder: &str, path: &str, name: &str| {
        let place = format!("/sys/fs/cgroup{folder}{}/{name}", path.trim_end_matches('/'));
        // In a container, the group's own directory is at the root.
        read(&place).or_else(|| read(&format!("/sys/fs/cgroup{folder}/{name}")))
    };
    let number = |folder: &str, path: &str, name: &str| text(folder, path, name)?.trim().parse::<u64>().ok();
    let used = |folder: &str, path: &str, name: &str, fields: [&str; 2]| {
        let stat = text(folder, path, "memory.stat").unwrap_or_default();
        Some(without_files(number(folder, path, name)?, &stat, fields))
    };
    if let Some(path) = version_2
        && let Some(limit) = number("", path, "memory.max")
    {
        return Some((limit, used("", path, "memory.current", ["active_file ", "inactive_file "])?));
    }
    let path = own.lines().find_map(|line| line.split_once(":memory:").map(|(_, path)| path))?;
    // Without a limit, the value is larger than any machine's memory.
    let limit = number("/memory", path, "memory.limit_in_bytes").filter(|limit| *limit < 1 << 60)?;
    Some((limit, used("/memory", path, "memory.usage_in_bytes", ["total_active_file ", "total_inactive_file "])?))
}

/// Use without file pages, which the kernel reclaims under memory pressure.
fn without_files(used: u64, stat: &str, fields: [&str; 2]) -> u64 {
    fields.iter().fold(used, |used, name| used.saturating_sub(field(stat, name).unwrap_or_default()))
}

fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn process_figures_are_read_from_the_system() {
        let figures = Figures::now().unwrap_or_default();
        assert!(
            figures.rss > 1 << 20 && figures.peak_rss >= figures.rss && figures.threads >= 1 && figures.descriptors >= 3,
            "{figures:?}"
        );
        assert!(rss().is_some() && load_average().is_some() && max_descriptors() > Some(3));
        assert!(work().is_some_and(|(_, threads)| threads >= 1));
        let stat = "anon 10\nfile 90\nactive_file 30\ninactive_file 50\n";
        assert_eq!(without_files(100, stat, ["active_file ", "inactive_file "]), 20);
        assert_eq!(without_files(100, "", ["active_file ", "inactive_file "]), 100);
        assert!(ticks().is_some_and(|ticks| ticks.all >= ticks.busy && ticks.busy > 0));
    }
}

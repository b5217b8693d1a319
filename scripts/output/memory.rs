//! Memory of this machine: what a command is going to need is compared with what is left before it is allocated.

use std::{fs, path::Path};

use anyhow::ensure;

/// Share of the free memory that one allocation may take, in per cent: files in the cache and other programs need some.
const USABLE_PERCENT: u64 = 90;

/// Refuses work that needs more bytes than are free; `what` names it, `cure` the settings that make it smaller. Where the system
/// does not report its memory, nothing is refused.
///
/// # Errors
/// A sentence with both sizes and the cure.
pub(crate) fn require(bytes: u64, what: &str, cure: &str) -> anyhow::Result<()> {
    let Some(free) = free_bytes() else { return Ok(()) };
    ensure!(
        bytes <= free / 100 * USABLE_PERCENT,
        "{what} needs about {}, but {} of memory are free; {cure}",
        size(bytes),
        size(free)
    );
    Ok(())
}

/// Returns the bytes that this process can still take: what the system has available, or what its group of processes may still
/// use, if that is less.
fn free_bytes() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let available = available(&meminfo)?;
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let left = group_folders(&group).iter().filter_map(|folder| left_in_group(Path::new(folder))).min();
    Some(left.map_or(available, |left| left.min(available)))
}

/// Reads the line `MemAvailable` of `/proc/meminfo`.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns the folders of the control groups of a process, the whole system's included, from `/proc/self/cgroup`.
fn group_folders(cgroup: &str) -> Vec<String> {
    let groups = cgroup.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let root = match controllers {
            "" => "/sys/fs/cgroup",
            list if list.split(',').any(|name| name == "memory") => "/sys/fs/cgroup/memory",
            _ => return None,
        };
        Some([format!("{root}{path}"), root.to_owned()])
    });
    groups.flatten().collect()
}

/// Returns the bytes that a control group may still use, for both versions of the interface; `None` without a limit.
fn left_in_group(folder: &Path) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit_and_use = |limit, used| Some((number(limit)?, number(used)?));
    let (limit, used) = limit_and_use("memory.max", "memory.current")
        .or_else(|| limit_and_use("memory.limit_in_bytes", "memory.usage_in_bytes"))?;
    // Pages of files that were read count as used, but are given back.
    let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let cached = statistics.lines().find_map(|line| line.strip_prefix("inactive_file "));
    let cached = cached.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

/// Formats bytes in the largest unit that fits.
fn size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB")];
    let found = units.into_iter().find(|(shift, _)| bytes >> shift > 0);
    found.map_or_else(
        || format!("{bytes} bytes"),
        |(shift, unit)| format!("{:.1} {unit}", bytes as f64 / f64::from(1 << (shift - 10)) / 1024.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_free_memory_is_refused_with_both_sizes() {
        require(1, "A byte", "spare it").unwrap();
        let error = require(3 << 50, "The rollout", "lower ppo.n_envs").unwrap_err().to_string();
        assert!(error.starts_with("The rollout needs about 3072.0 TiB, but "), "{error}");
        assert!(error.ends_with(" of memory are free; lower ppo.n_envs"), "{error}");
    }

    #[test]
    fn the_limit_of_a_group_counts() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   24 kB\n"), Some(24 << 10));
        let folders = group_folders("4:cpu,cpuacct:/a\n3:memory:/docker/x\n0::/user.slice\n");
        let expected =
            ["/sys/fs/cgroup/memory/docker/x", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup"];
        assert_eq!(folders, expected);
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(left_in_group(folder.path()), None);
        write("memory.max", "max\n");
        write("memory.current", "600\n");
        assert_eq!(left_in_group(folder.path()), None, "no limit");
        write("memory.max", "1000\n");
        write("memory.stat", "anon 500\ninactive_file 100\n");
        assert_eq!(left_in_group(folder.path()), Some(500));
        assert_eq!([size(512), size(3 << 20), size(5 << 29)], ["512 bytes", "3.0 MiB", "2.5 GiB"]);
    }
}

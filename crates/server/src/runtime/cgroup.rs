//! How much memory the process may have, by its control groups.

use std::path::{Path, PathBuf};

/// A bound on the memory of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryLimit {
    /// In bytes.
    pub bytes: u64,
    /// The file that says so.
    pub file: PathBuf,
}

/// Above this a limit is none: version 1 writes the highest number of pages where there is none.
const NO_LIMIT: u64 = 1 << 60;

/// The lowest limit on the memory of this process, of its control group and those above it; of version 2, of version 1, or of both.
/// `root` is `/`.
#[must_use]
pub fn memory_limit(root: &Path) -> Option<MemoryLimit> {
    // hierarchy-ID:controllers:path (cgroups(7)); version 2 has no controllers there.
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = root.join("sys/fs/cgroup");
    let mut lowest: Option<MemoryLimit> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (mount, name) = if controllers.is_empty() {
            (mounts.clone(), "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (mounts.join("memory"), "memory.limit_in_bytes")
        } else {
            continue;
        };
        // In a container the path may be the host's, and what is mounted the container's own group: it is the last that is tried.
        for above in Path::new(group.trim_start_matches('/')).ancestors() {
            let file = mount.join(above).join(name);
            let bytes = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
            let Some(bytes) = bytes.filter(|bytes| *bytes < NO_LIMIT) else { continue };
            if lowest.as_ref().is_none_or(|lowest| bytes < lowest.bytes) {
                lowest = Some(MemoryLimit { bytes, file });
            }
        }
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        root
    }

    fn limit(files: &[(&str, &str)]) -> Option<(u64, String)> {
        let root = root(files);
        let limit = memory_limit(root.path())?;
        let file = limit.file.strip_prefix(root.path()).expect("below the root").display().to_string();
        Some((limit.bytes, file))
    }

    #[test]
    fn lowest_limit_of_a_group_and_those_above_it_counts() {
        let files = [
            ("proc/self/cgroup", "0::/system.slice/upbeat.service\n"),
            ("sys/fs/cgroup/system.slice/upbeat.service/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "268435456\n"),
        ];
        let above = "sys/fs/cgroup/system.slice/memory.max".to_owned();
        assert_eq!(limit(&files), Some((256 << 20, above.clone())));
        let own = [files[0], ("sys/fs/cgroup/system.slice/upbeat.service/memory.max", "1048576\n"), files[2]];
        let own_file = "sys/fs/cgroup/system.slice/upbeat.service/memory.max".to_owned();
        assert_eq!(limit(&own), Some((1 << 20, own_file)));
        let greater =
            [files[0], ("sys/fs/cgroup/system.slice/upbeat.service/memory.max", "1073741824\n"), files[2]];
        assert_eq!(limit(&greater), Some((256 << 20, above)));
    }

    #[test]
    fn limit_of_a_container_is_found_with_and_without_a_namespace_of_its_own() {
        let own = ("sys/fs/cgroup/memory.max", "268435456");
        let expected = Some((256 << 20, "sys/fs/cgroup/memory.max".to_owned()));
        assert_eq!(limit(&[("proc/self/cgroup", "0::/\n"), own]), expected);
        assert_eq!(limit(&[("proc/self/cgroup", "0::/docker/0123456789ab\n"), own]), expected);
        let version_1 = "9:name=systemd:/\n4:cpu,memory:/docker/0123456789ab\n0::/\n";
        let file = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n");
        let expected = Some((128 << 20, file.0.to_owned()));
        assert_eq!(limit(&[("proc/self/cgroup", version_1), file]), expected);
    }

    #[test]
    fn where_nothing_says_so_there_is_no_limit() {
        assert_eq!(limit(&[]), None);
        assert_eq!(limit(&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "max")]), None);
        let none = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit(&[("proc/self/cgroup", "4:memory:/\n"), none]), None);
    }
}

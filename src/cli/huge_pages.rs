//! Has the C library's allocator ask for huge pages.
//!
//! Profiles are read in no order, and with pages of 4 KiB the processor misses its table of pages for nearly every one:
//! at a million customers that is a fifth of a decision (docs/decisions/allocator.md). glibc asks for huge pages when
//! a variable of the environment says so at the start of a program, and only then; so the server sets it and starts
//! itself once more, as the same process.

use std::ffi::OsString;

const TUNABLES: &str = "GLIBC_TUNABLES";
/// Huge pages where memory is madvised, from one arena: the allocator asks for them in its main arena only.
const TUNABLE: &str = "glibc.malloc.hugetlb";
const ADDED: &str = "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1";

/// Starts this program once more with the variable set, unless it is. Whoever sets the tunable, to 0 say, has their way.
///
/// Called before there is any other thread. Where the program cannot be started again it goes on as it is.
pub(crate) fn ask_for() {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return;
    }
    let Some(tunables) = tunables(std::env::var_os(TUNABLES)) else {
        return;
    };
    let mut arguments = std::env::args_os();
    let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) else {
        return;
    };
    use std::os::unix::process::CommandExt;
    let mut again = std::process::Command::new(program);
    // Returns only if it failed.
    let _ = again.arg0(name).args(arguments).env(TUNABLES, tunables).exec();
}

/// What the variable should be; `None` where it says something about huge pages already.
fn tunables(present: Option<OsString>) -> Option<OsString> {
    let mut tunables = present.unwrap_or_default();
    if tunables.to_string_lossy().contains(TUNABLE) {
        return None;
    }
    if !tunables.is_empty() {
        tunables.push(":");
    }
    tunables.push(ADDED);
    Some(tunables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tunable_is_added_once_and_others_stay() {
        let after = |present: Option<&str>| tunables(present.map(OsString::from));
        assert_eq!(after(None), Some(ADDED.into()));
        assert_eq!(
            after(Some("glibc.malloc.perturb=1")),
            Some(format!("glibc.malloc.perturb=1:{ADDED}").into())
        );
        assert_eq!(after(Some("glibc.malloc.hugetlb=1")), None);
        assert_eq!(after(Some("glibc.malloc.hugetlb=0:a=1")), None);
    }
}

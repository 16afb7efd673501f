//! What there is on this machine.

use std::io::Write;
use std::path::PathBuf;

use drainit::sys::procfs;

pub(super) const REQUIRE: &str = "DRAINIT_REQUIRE_RUNTIMES";
/// Where the unused cgroup2 of a hybrid host is mounted. crun refuses to run if it sees one.
pub(super) const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// Why containers cannot be made with these programs here, if that can be told without them.
pub(super) fn obstacle_to(programs: &[&str]) -> Option<String> {
    if let Some(program) = programs.iter().find(|program| installed(program).is_none()) {
        return Some(format!("{program} is not installed"));
    }
    if installed("busybox").is_none() {
        return Some("busybox-static is not installed".to_owned());
    }
    (!nix::unistd::geteuid().is_root()).then(|| "only root can start such containers".to_owned())
}

/// Says that the test does not run with this, and why. If it has to run, it fails.
pub(crate) fn not_run(with: &str, obstacle: &str) {
    assert!(std::env::var(REQUIRE).as_deref() != Ok("1"), "{REQUIRE}=1, but {obstacle}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not eprintln, which is only shown for tests that fail.
    let line = format!("{test} with {with}: not run: {obstacle}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

pub(super) fn is_alive(pid: i32) -> bool {
    procfs::stat(pid, &mut procfs::buffer())
        .and_then(drainit::processes::stat::parse)
        .is_some_and(|process| process.is_alive())
}

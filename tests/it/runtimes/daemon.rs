//! A daemon of the tests' own: on a socket of its own, in a folder of its own, and gone with the last test that uses it.

use std::fs;
use std::io::PipeWriter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

use super::{UNIFIED, not_run, obstacle_to};
use crate::harness::{Init, Running, wait_until};

/// Starts the daemon, and waits until the other end of stdin is closed: the test has ended, or has died. Then it ends the
/// daemon and what the daemon made. `$1` is the folder, `$2` what cleans up, and the rest is the daemon.
const KEEPER: &str = r#"
    cd "$1" && clean=$2 && shift 2
    (sh -c 'echo $$ > pid; exec "$@"' sh "$@"; : > ended) < /dev/null &
    cat > /dev/null
    eval "$clean"
    kill "$(cat pid)" 2> /dev/null
    wait
    group=$(basename "$PWD")
    # Made by the runtimes for all containers of this daemon, and left there. Subgroups go first.
    for top in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ ! -d "$top/$group" ] || find "$top/$group" -depth -type d -exec rmdir {} \;
    done
    rm -rf "$PWD"
"#;

/// A daemon that runs. It is stopped when this is dropped, and also when the test program is killed.
#[derive(Debug)]
pub(super) struct Daemon {
    folder: TempDir,
    /// drainit with the keeper in it: the daemon forks and lets go of its children, and all of them are to be found again.
    /// In a mutex, because tests share the daemon.
    keeper: Mutex<Option<Running>>,
    stdin: Option<PipeWriter>,
}

impl Daemon {
    /// A folder for it. Its path is short: the path of a socket may have a hundred bytes.
    pub(super) fn folder() -> TempDir {
        tempfile::Builder::new().prefix("drainit-").tempdir().expect("a scratch folder")
    }

    /// Starts the daemon of these words, and waits until `is_up`.
    pub(super) fn start(
        folder: TempDir,
        words: &[&str],
        clean: &str,
        is_up: impl Fn() -> bool,
    ) -> Result<Self, String> {
        let (stdin, hold) = std::io::pipe().expect("a pipe can be made");
        let path = folder.path().to_str().expect("text").to_owned();
        // Only the daemon has its mounts, and they are gone with it. crun does not run beside an unused cgroup2.
        let private = format!("umount {UNIFIED} 2> /dev/null; exec \"$@\"");
        let private = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", &private, "sh"];
        let line: Vec<&str> = ["sh", "-c", KEEPER, "sh", &path, clean].iter().chain(words).copied().collect();
        let search = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let keeper =
            Init::subreaper().under(&private).env("PATH", search).stdin(stdin).command(&line).start();
        let daemon = Self { folder, keeper: Mutex::new(Some(keeper)), stdin: Some(hold) };
        let ended = daemon.path().join("ended");
        let is_up = wait_until("the daemon is up, or has ended", || {
            let is_up = is_up();
            (is_up || ended.exists()).then_some(is_up)
        });
        if is_up {
            return Ok(daemon);
        }
        let said = daemon.stop().join("\n");
        Err(format!("{} does not start: {said}", words.first().expect("a program")))
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The name of the folder: unique on this machine while the folder is there. Its containers are in a cgroup of this name.
    pub(super) fn name(&self) -> &str {
        self.path().file_name().expect("it has a name").to_str().expect("text")
    }

    /// Stops it, and returns what it said.
    fn stop(mut self) -> Vec<String> {
        self.stdin = None;
        self.take_keeper().expect("it has not ended").finish().stderr
    }

    fn take_keeper(&mut self) -> Option<Running> {
        self.keeper.get_mut().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stdin = None;
        let Some(mut keeper) = self.take_keeper() else { return };
        if std::thread::panicking() {
            // A second panic would hide the first one. What takes too long is killed.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| keeper.ended()));
            return;
        }
        let code = keeper.ended();
        let said = keeper.finish().stderr;
        let killed: Vec<_> = said.iter().filter(|line| line.starts_with("drainit: ")).collect();
        assert!(code == 0 && killed.is_empty(), "it did not end well: {code} {killed:#?}");
        assert!(!self.folder.path().exists(), "the keeper has cleaned up");
    }
}

/// One daemon for all tests that run at the same time.
pub(super) struct Shared<T>(Mutex<State<T>>);

enum State<T> {
    Known(Weak<T>),
    /// Why it cannot be started here.
    Impossible(String),
}

impl<T> Shared<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State::Known(Weak::new())))
    }

    /// The daemon that others use right now, or a new one. If there can be none, the test says that it does not run, and why.
    pub(super) fn get(
        &self,
        name: &str,
        programs: &[&str],
        make: impl FnOnce() -> Result<T, String>,
    ) -> Option<Arc<T>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Known(known) = &*state {
            if let Some(daemon) = known.upgrade() {
                return Some(daemon);
            }
            match obstacle_to(programs).map_or_else(make, Err) {
                Ok(daemon) => {
                    let daemon = Arc::new(daemon);
                    *state = State::Known(Arc::downgrade(&daemon));
                    return Some(daemon);
                }
                Err(obstacle) => *state = State::Impossible(obstacle),
            }
        }
        let State::Impossible(obstacle) = &*state else { unreachable!("it has just been set") };
        let obstacle = obstacle.clone();
        drop(state);
        not_run(name, &obstacle);
        None
    }
}

/// Limits the processes of a container if its runtime has no option for that: the kubelet writes to a pod's cgroup too. Waits until
/// the container's own program runs: the runtime needs more than it.
pub(super) fn limit_pids(parent: &str, container: &str, count: u64) {
    let groups =
        ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(|top| Path::new(top).join(parent).join(container));
    let group = wait_until("drainit is in its cgroup", || {
        let group = groups.iter().find(|group| group.join("pids.max").exists())?;
        let pids = fs::read_to_string(group.join("cgroup.procs")).ok()?;
        let is_drainit = |pid: &str| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name == "drainit\n")
        };
        pids.lines().any(is_drainit).then(|| group.clone())
    });
    fs::write(group.join("pids.max"), count.to_string()).expect("root may");
}

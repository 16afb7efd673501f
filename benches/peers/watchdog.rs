//! The limit of every blocking wait: a thread that kills what is waited for, so that the wait ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

type Watched = Arc<Mutex<Option<(Pid, Instant)>>>;

pub(crate) struct Watchdog(Watched);

impl Watchdog {
    pub(crate) fn start() -> Self {
        let watched = Watched::default();
        let shared = Arc::clone(&watched);
        thread::spawn(move || {
            loop {
                pause(Duration::from_secs(1));
                kill_if_late(&mut lock(&shared));
            }
        });
        Self(watched)
    }

    /// Kills `pid` unless the guard is dropped in time. The caller must not reap it before that.
    pub(crate) fn over(&self, pid: Pid) -> Guard<'_> {
        *lock(&self.0) = Some((pid, Instant::now() + LIMIT));
        Guard(&self.0)
    }
}

pub(crate) struct Guard<'a>(&'a Watched);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        *lock(self.0) = None;
    }
}

fn lock(watched: &Watched) -> MutexGuard<'_, Option<(Pid, Instant)>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill_if_late(watched: &mut Option<(Pid, Instant)>) {
    if let Some((pid, _)) = watched.take_if(|(_, end)| Instant::now() > *end) {
        eprintln!("peers: {pid} is killed, it took longer than {LIMIT:?}");
        // It is still our child, so the number is its own; that it has died meanwhile is fine.
        let _ = kill(pid, Signal::SIGKILL);
    }
}

#[expect(clippy::disallowed_methods, reason = "the pause between two looks; other processes are looked at")]
pub(crate) fn pause(duration: Duration) {
    thread::sleep(duration);
}

//! A cgroup for all that is measured.
//!
//! Outside of any, the scheduler's autogroups (sched(7)) share the processor out by session: the command of an init that starts a
//! session for it (dumb-init) is then scheduled apart from its init, and hears of a signal a tenth sooner. In a container all are in one
//! cgroup, and there are no such groups.

use std::path::{Path, PathBuf};
use std::{fs, io, process};

use crate::process::{SOON, eventually};

const MEMBERS: &str = "cgroup.procs";

/// This process is in a cgroup of the processor's controller, and with it all that it starts.
pub(crate) struct Group {
    /// Made for this run; `None` if there was one.
    made: Option<PathBuf>,
}

impl Group {
    /// Finds or makes it.
    pub(crate) fn enter() -> io::Result<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let parent = parent(&groups).ok_or_else(|| io::Error::other("no cgroup shares out processors"))?;
        if parent.is_inside {
            return Ok(Self { made: None });
        }
        let made = parent.folder.join(format!("peers-{}", process::id()));
        fs::create_dir(&made)?;
        // From here on it is removed again whatever happens.
        let group = Self { made: Some(made.clone()) };
        fs::write(made.join(MEMBERS), process::id().to_string())?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(made) = &self.made {
            // To where it was: an empty cgroup can be removed, and it is empty when the last processes that were killed are gone.
            let left = made.parent().map(|parent| fs::write(parent.join(MEMBERS), process::id().to_string()));
            let is_removed = eventually(SOON, || Ok(fs::remove_dir(made).is_ok()));
            if !matches!((left, is_removed), (Some(Ok(())), Ok(true))) {
                eprintln!("peers: {} is left behind", made.display());
            }
        }
    }
}

struct Parent {
    folder: PathBuf,
    /// It is below the root, so that there are no autogroups.
    is_inside: bool,
}

/// Where this process is in the hierarchy of the processor's controller (cgroups(7)).
fn parent(groups: &str) -> Option<Parent> {
    let root = Path::new("/sys/fs/cgroup");
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_second = number == "0"
            && fs::read_to_string(root.join("cgroup.subtree_control"))
                .ok()?
                .split_whitespace()
                .any(|controller| controller == "cpu");
        let is_first = controllers.split(',').any(|controller| controller == "cpu");
        let hierarchy = if is_first { root.join("cpu") } else { root.to_owned() };
        (is_first || is_second)
            .then(|| Parent { folder: hierarchy.join(path.trim_start_matches('/')), is_inside: path != "/" })
    })
}

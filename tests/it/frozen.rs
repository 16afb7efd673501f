//! A disk that does not answer, under the report and the termination log: a file system that is frozen, as for a snapshot.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use drainit::signal::Signal;
use serde_json::Value;

use crate::harness::{BOTH, Init, Mode, Running, took, wait_until};
use crate::runtimes::not_run;

/// A file system of its own.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// `None` if this machine or this user has none to give.
    fn new() -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().expect("a scratch folder") };
        let image = disk.folder.path().join("image");
        fs::create_dir(disk.root()).expect("our own folder");
        fs::File::create(&image).and_then(|image| image.set_len(16 << 20)).expect("our own folder");
        let image = image.to_str().expect("text");
        let root = disk.root();
        let root = root.to_str().expect("text");
        let is_made = run(&["mkfs.ext4", "-q", image]) && run(&["mount", "-o", "loop", image, root]);
        let can_freeze = is_made && disk.freeze().is_some();
        if !can_freeze {
            not_run("a frozen disk", "no file system can be mounted and frozen");
        }
        can_freeze.then_some(disk)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Freezes it, until what is returned is dropped: `None` if that cannot be done.
    fn freeze(&self) -> Option<Frozen<'_>> {
        run(&["fsfreeze", "--freeze", self.root().to_str().expect("text")]).then_some(Frozen(self))
    }

    fn report(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.root().join("report")).ok()?).ok()
    }

    /// Starts drainit with both files on this disk, freezes the disk when `names` are ready, and begins a stop.
    fn stopped_on(
        &self,
        mode: Mode,
        flags: &[&str],
        workload: &str,
        names: &[&str],
    ) -> (Running, Frozen<'_>, Instant) {
        let report = format!("--report={}", self.root().join("report").display());
        let message = format!("--termination-log={}", self.root().join("message").display());
        let flags = [&[&*report, &*message, "-v"], flags].concat();
        let mut init = Init::new(mode).flags(&flags).workload(workload).start();
        init.ready(names);
        let frozen = self.freeze().expect("it could be done before");
        let begun = Instant::now();
        init.signal(Signal::TERM);
        (init, frozen, begun)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        wait_until("no process writes to it", || {
            let root = self.root();
            let is_mounted = run(&["mountpoint", "-q", root.to_str().expect("text")]);
            (!is_mounted || run(&["umount", root.to_str().expect("text")])).then_some(())
        });
    }
}

/// A file system that does not answer.
struct Frozen<'a>(&'a Disk);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        run(&["fsfreeze", "--unfreeze", self.0.root().to_str().expect("text")]);
    }
}

/// Whether it could be run, and has succeeded.
fn run(line: &[&str]) -> bool {
    Command::new(line[0]).args(&line[1..]).output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_stop_and_its_deadlines_do_not_wait_for_a_disk() {
    let family = "name=main ignore=TERM child{ name=child catch=TERM:1ms ready hold } ready hold";
    for mode in BOTH {
        let Some(disk) = Disk::new() else { return };
        let flags = ["--grace-period=1s", "--ignored-after=never"];
        let (mut init, frozen, begun) = disk.stopped_on(mode, &flags, family, &["main", "child"]);
        init.line("child got TERM");
        took(begun, Duration::ZERO);
        init.says("time is up: killing ");
        took(begun, Duration::from_secs(1));
        init.says("is not written: their disk does not answer yet");
        init.says("exiting with 137");
        // KILL after one second, and two more seconds for the disk.
        took(begun, Duration::from_secs(3));
        if mode == Mode::Subreaper {
            assert_eq!(init.ended(), 137, "the disk is still frozen");
        }
        drop(frozen);
        init.finish().exits(137);
        if mode == Mode::Subreaper {
            let report = wait_until("what was under way is written", || disk.report());
            assert_eq!(report["complete"], false);
        }
    }
}

#[test]
fn a_disk_that_answers_again_has_the_whole_report() {
    for mode in BOTH {
        let Some(disk) = Disk::new() else { return };
        let workload = "name=main catch=TERM:500ms:4 ready hold";
        let (mut init, frozen, _) = disk.stopped_on(mode, &[], workload, &["main"]);
        init.line("main got TERM");
        drop(frozen);
        init.finish().exits(4);
        let report = disk.report().expect("it is written");
        assert_eq!((&report["complete"], &report["exit_code"]), (&true.into(), &4.into()));
        assert!(!disk.root().join("message").exists(), "there is nothing to tell");
        let files = fs::read_dir(disk.root()).expect("it is mounted").flatten();
        let own = files.filter(|file| file.file_name() != "lost+found").count();
        assert_eq!(own, 1, "only the report is left");
    }
}

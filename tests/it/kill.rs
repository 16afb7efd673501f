//! Many processes, those that outrun a look, and those that KILL cannot end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use drainit::signal::Signal;
use drainit::sys::kill;

use crate::drain::MAIN;
use crate::harness::{BOTH, Init, Running, WORKLOAD, stays, took, wait_until};
use crate::runtimes::not_run;
use crate::start::workload_for_all;

#[test]
fn two_thousand_processes_are_signalled_once_each() {
    let family = "child*1000{ name=near once=TERM:300ms ready hold } \
                  session*1000{ name=far once=TERM:300ms ready hold } name=main once=TERM:300ms:4 ready hold";
    for mode in BOTH {
        let mut init = Init::new(mode).workload(family).start();
        let mut missing = 2_001;
        while missing > 0 {
            let _ = init.line_with(" ready ");
            missing -= 1;
        }
        let begun = Instant::now();
        init.signal(Signal::TERM);
        let run = init.finish();
        took(begun, Duration::from_millis(300));
        run.exits(4).silently();
        for name in ["near", "far"] {
            for line in ["got TERM", "finished"] {
                assert_eq!(run.count(&format!("{name} {line}")), 1_000, "{name} {line}");
            }
        }
    }
}

#[test]
fn a_fork_bomb_that_ignores_everything_is_put_out() {
    for mode in BOTH {
        let family = "bomb*300{ ignore=all name=bomb ready hold } name=main ignore=TERM ready hold";
        let mut init = Init::new(mode).flags(&["--grace-period=500ms"]).workload(family).start();
        for _ in 0..301 {
            let _ = init.line_with(" ready ");
        }
        assert_eq!(init.descendants().len(), 301);
        init.signal(Signal::TERM);
        init.finish().exits(137).warns(&["time is up: killing ", " more"]);
    }
}

/// Processes that ignore the signal, each of which starts another one and ends. There are never more of them than at the
/// start, and none without the file that this holds.
struct Runaways {
    folder: tempfile::TempDir,
}

impl Runaways {
    const VARIABLE: &str = "DRAINIT_TEST_RUNAWAYS";

    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let gate = folder.path().join("gate");
        fs::write(&gate, "").expect("our own folder");
        let script = format!("trap '' TERM INT HUP\n[ -e {} ] || exit 0\nsh \"$0\" &\n", gate.display());
        fs::write(folder.path().join("run"), script).expect("our own folder");
        Self { folder }
    }

    /// A command line that starts so many.
    fn start(&self, count: usize) -> String {
        let run = self.folder.path().join("run");
        format!("for each in $(seq {count}); do sh {} & done", run.display())
    }

    /// Which of them are there.
    fn alive(&self) -> usize {
        let mark = format!("{}={}\0", Self::VARIABLE, self.folder.path().display());
        let processes = fs::read_dir("/proc").expect("/proc is there").flatten();
        let environments = processes.filter_map(|process| fs::read(process.path().join("environ")).ok());
        environments.filter(|text| text.windows(mark.len()).any(|part| part == mark.as_bytes())).count()
    }
}

#[test]
fn no_process_outruns_the_kill() {
    for mode in BOTH {
        for main in ["ignore=TERM", "catch=TERM:1ms:4"] {
            let runaways = Runaways::new();
            let script = format!("{}; exec {WORKLOAD} name=main {main} ready hold", runaways.start(12));
            let mut init = Init::new(mode)
                .flags(&["--grace-period=1500ms"])
                .env(Runaways::VARIABLE, runaways.folder.path())
                .command(&["sh", "-c", &script])
                .start();
            init.ready(&["main"]);
            assert!(runaways.alive() > 0, "this test knows how to find them");
            let begun = Instant::now();
            init.signal(Signal::TERM);
            let run = init.finish();
            took(begun, Duration::from_millis(1_500));
            run.exits(if main == "ignore=TERM" { 137 } else { 4 });
            assert!(run.warnings().iter().any(|line| line.contains("time is up: killing ")), "{run:?}");
            stays(Duration::from_millis(200), || runaways.alive() == 0);
        }
    }
}

/// A cgroup in which no more than so many processes can be.
struct Crowd(PathBuf);

impl Crowd {
    fn of_at_most(most: u32) -> Result<Self, String> {
        let name = format!("drainit-test-{}-crowd", std::process::id());
        let version_1 = Path::new("/sys/fs/cgroup/pids");
        let top = if version_1.exists() { version_1 } else { Path::new("/sys/fs/cgroup") };
        let folder = top.join(name);
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let crowd = Self(folder);
        fs::write(crowd.0.join("pids.max"), most.to_string())
            .map_err(|error| format!("pids.max: {error}"))?;
        Ok(crowd)
    }

    fn size(&self) -> Option<u32> {
        fs::read_to_string(self.0.join("pids.current")).ok()?.trim().parse().ok()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        wait_until("its cgroup is empty", || fs::remove_dir(&self.0).is_ok().then_some(()));
    }
}

#[test]
fn a_fork_bomb_that_has_used_up_all_pids_is_put_out_in_time() {
    const MOST: u32 = 300;
    for mode in BOTH {
        let crowd = match Crowd::of_at_most(MOST) {
            Ok(crowd) => crowd,
            Err(obstacle) => return not_run("a fork bomb", &obstacle),
        };
        let join = format!("echo $$ >{}/cgroup.procs && exec \"$@\"", crowd.0.display());
        let bomb = "trap '' TERM HUP INT; bomb() { while :; do bomb & done; }; bomb 2>/dev/null";
        let mut init = Init::new(mode)
            .under(&["sh", "-c", &join, "sh"])
            .flags(&["--grace-period=1s"])
            .command(&["bash", "-c", bomb])
            .start();
        wait_until("no more processes can be started", || (crowd.size() == Some(MOST)).then_some(()));
        let begun = Instant::now();
        init.signal(Signal::TERM);
        let run = init.finish();
        took(begun, Duration::from_secs(1));
        run.exits(137).warns(&["time is up: killing "]);
    }
}

/// The first processor that this process may run on.
fn first_processor() -> String {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is there");
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("Linux tells");
    list.trim().chars().take_while(char::is_ascii_digit).collect()
}

/// They share one processor with drainit, so that the other tests have the rest.
#[test]
fn processes_that_all_want_the_processor_delay_neither_the_signal_nor_kill() {
    let crowd = "trap '' TERM; for _ in {1..60}; do while :; do :; done & done; echo main ready $$; wait";
    for mode in BOTH {
        let mut init = Init::new(mode)
            .under(&["taskset", "--cpu-list", &first_processor()])
            .flags(&["--grace-period=1s"])
            .command(&["bash", "-c", crowd])
            .start();
        init.ready(&["main"]);
        let begun = Instant::now();
        init.signal(Signal::TERM);
        let run = init.finish();
        assert!(begun.elapsed() < Duration::from_millis(3_500), "{:?}", begun.elapsed());
        run.exits(137).warns(&["time is up: killing "]);
    }
}

/// The pid of the one with this name, which is before `main` in the alphabet, when both are ready.
fn first_of_two(init: &mut Running, name: &str) -> i32 {
    let mut lines = [init.line_with(" ready "), init.line_with(" ready ")];
    lines.sort();
    lines[0].trim_start_matches(&format!("{name} ready ")).parse().expect("a pid")
}

/// The folder in which cgroups of the freezer of version 1 can be made: mounted by the system, or by this test.
struct Freezer {
    folder: PathBuf,
    own: Option<tempfile::TempDir>,
}

impl Freezer {
    fn find() -> Result<Self, String> {
        let folder = Path::new("/sys/fs/cgroup/freezer").to_owned();
        if folder.join("cgroup.procs").exists() {
            return Ok(Self { folder, own: None });
        }
        let own = tempfile::tempdir().expect("a scratch folder");
        let mount = ["-t", "cgroup", "-o", "freezer", "cgroup"];
        let mounted = Command::new("mount").args(mount).arg(own.path()).output().expect("mount can be run");
        if !mounted.status.success() {
            return Err(format!("no freezer of version 1 can be had: {mounted:?}"));
        }
        Ok(Self { folder: own.path().to_owned(), own: Some(own) })
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        if self.own.is_some() {
            let _ = Command::new("umount").arg(&self.folder).status();
        }
    }
}

/// A process in a cgroup that is frozen, in version 1: there not even KILL ends it. Let go at the end.
struct Frozen {
    cgroup: PathBuf,
    pid: i32,
    _freezer: Freezer,
}

impl Frozen {
    fn new(pid: i32) -> Result<Self, String> {
        let freezer = Freezer::find()?;
        let cgroup = freezer.folder.join(format!("drainit-test-{}-{pid}", std::process::id()));
        fs::create_dir(&cgroup).map_err(|error| format!("{}: {error}", cgroup.display()))?;
        let frozen = Self { cgroup, pid, _freezer: freezer };
        frozen.write("cgroup.procs", &pid.to_string());
        frozen.write("freezer.state", "FROZEN");
        wait_until("it is frozen", || (frozen.read("freezer.state").trim() == "FROZEN").then_some(()));
        Ok(frozen)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.cgroup.join(file), text).expect("a cgroup of this test");
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.cgroup.join(file)).expect("a cgroup of this test")
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill::send(self.pid, Signal::KILL);
        let _ = fs::write(self.cgroup.join("freezer.state"), "THAWED");
        wait_until("its cgroup is empty", || fs::remove_dir(&self.cgroup).is_ok().then_some(()));
    }
}

#[test]
fn what_even_kill_cannot_end_is_named_and_left_behind() {
    let family = format!("daemon{{ name=daemon ready hold }} {MAIN}");
    let mut init = Init::subreaper().flags(&["--grace-period=2s"]).workload(&family).start();
    let pid = first_of_two(&mut init, "daemon");
    let frozen = match Frozen::new(pid) {
        Ok(frozen) => frozen,
        Err(obstacle) => return not_run("a frozen process", &obstacle),
    };
    let begun = Instant::now();
    init.signal(Signal::TERM);
    assert_eq!(init.ended(), 4);
    took(begun, Duration::from_secs(4));
    drop(frozen);
    let run = init.finish();
    run.in_order(&["main got TERM", "main finished"]);
    let warnings = run.warnings();
    assert!(warnings.last().is_some_and(|line| line.contains(&format!("fake-workload ({pid})"))), "{run:?}");
    assert!(warnings.len() <= 2, "{run:?}");
}

/// A process of root's. Killed at the end.
struct Guest(i32);

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = kill::send(self.0, Signal::KILL);
    }
}

#[test]
fn another_user_s_process_is_named_and_left_behind() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root can be another user");
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let main = workload_for_all(&folder, MAIN);
    let copy = crate::binary::copy_in(folder.path());
    // The shell starts a child as root, and becomes drainit as a user that may not signal it.
    let script = format!(
        "shift; {WORKLOAD} name=guest ready hold & exec setpriv --reuid=64323 --clear-groups {} \"$@\"",
        copy.display()
    );
    let mut init = Init::subreaper()
        .under(&["sh", "-c", &script, "sh"])
        .flags(&["--grace-period=2s"])
        .command(&main)
        .start();
    let pid = first_of_two(&mut init, "guest");
    let guest = Guest(pid);
    let begun = Instant::now();
    init.signal(Signal::TERM);
    let code = init.ended();
    took(begun, Duration::from_secs(4));
    drop(guest);
    let run = init.finish();
    assert_eq!(code, 4, "{run:?}");
    let warnings = run.warnings();
    assert!(warnings.last().is_some_and(|line| line.contains(&format!("fake-workload ({pid})"))), "{run:?}");
}

//! Once the command runs, drainit takes no memory for a signal that it passes on or for a child that it reaps, and goes on whichever
//! allocation fails.
//!
//! This program is its own subject: started again with `drainit` as its first argument it is drainit, with an allocator that counts.
//! Its parent reads the count out of its memory, so that reading changes nothing.

#![expect(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use drainit::outcome::INIT_FAILED;
use drainit::settings::Settings;
use drainit::signal::Signal;
use drainit::supervisor::{self, Supervisor};
use drainit::sys::{kill, process, procfs, signals};
use drainit::{cli, logging};

/// What makes this program drainit.
const AS_DRAINIT: &str = "drainit";
const WORKLOAD: &str = env!("CARGO_BIN_EXE_fake-workload");
/// Only a hang takes so long.
const LIMIT: Duration = Duration::from_secs(60);
/// At how many allocations of a run, evenly spread, they begin to fail.
const MOMENTS: u64 = 24;
const COUNTED: &str = "allocations: ";
/// More than any list in drainit has room for.
const SIGNALS: usize = 1_000;
const ORPHANS: usize = 500;

struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);
/// From this one on they fail.
static FAILS: AtomicU64 = AtomicU64::new(u64::MAX);
/// The variable for that.
const FAILS_AT: &str = "ALLOC_FAILS_AT";

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is the system's allocator; counting touches no memory but the counter.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if FAILS.load(Ordering::Relaxed) <= COUNT.fetch_add(1, Ordering::Relaxed) {
            without_memory();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// As `src/main.rs`.
fn without_memory() -> ! {
    logging::say_without_memory(supervisor::goes_on_without_memory());
    process::exit_now(supervisor::go_on_without_memory().unwrap_or(INIT_FAILED))
}

type Test = fn() -> Result<()>;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == AS_DRAINIT) {
        return ExitCode::from(be_drainit(arguments));
    }
    let tests: [(&str, Test); 5] = [
        ("a_signal_and_an_orphan_take_no_memory", || nothing_is_taken(&[])),
        ("neither_do_they_where_a_report_is_wanted", || nothing_is_taken(&["--report", "-"])),
        ("what_is_logged_is_counted", the_counter_counts),
        ("whichever_allocation_fails_the_stop_goes_on", any_may_fail),
        ("it_works_in_a_cgroup_that_has_no_memory_left", it_works_without_memory),
    ];
    let mut code = ExitCode::SUCCESS;
    for (name, test) in tests {
        match test() {
            Ok(()) => println!("test {name} ... ok"),
            Err(problem) => {
                println!("test {name} ... FAILED: {problem}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// As `src/main.rs`, after a line that says where the count is.
fn be_drainit(arguments: Vec<OsString>) -> u8 {
    let Ok(mask) = signals::block_all() else { return 1 };
    signals::reset_child_signal();
    println!("{}", (&raw const COUNT).addr());
    if let Some(at) = std::env::var(FAILS_AT).ok().and_then(|at| at.parse().ok()) {
        FAILS.store(at, Ordering::Relaxed);
    }
    let Ok(typed) = cli::parse(arguments) else { return 2 };
    let Ok(settings) = Settings::new(typed, |name| std::env::var_os(name)) else { return 3 };
    logging::set_up(settings.log_level, settings.log_format);
    match Supervisor::start(settings, mask) {
        Ok(mut supervisor) => {
            let code = supervisor.run();
            println!("{COUNTED}{}", COUNT.load(Ordering::Relaxed));
            code
        }
        Err(_) => 4,
    }
}

/// A drainit over a workload that takes signals and, when a gate is opened, leaves orphans.
struct Subject {
    child: Child,
    output: BufReader<ChildStdout>,
    /// Where the count is.
    count: u64,
    gate: PathBuf,
    _folder: tempfile::TempDir,
}

impl Subject {
    fn start(flags: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let gate = folder.path().join("gate");
        let workload = format!(
            "{WORKLOAD} take=USR1 ready await={} orphan*{ORPHANS}{{ exit=0 }} say=made hold",
            gate.display()
        );
        let mut child = Command::new(std::env::current_exe()?)
            .arg(AS_DRAINIT)
            // If it is killed for want of memory the workload is too, and its end is seen here.
            .args(["-p", "KILL"])
            .args(flags)
            .arg("--")
            .args(workload.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut subject = Self { child, output, count: 0, gate, _folder: folder };
        subject.count = subject.line()?.parse()?;
        subject.expect("ready ")?;
        subject.rest()?;
        Ok(subject)
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() { Err("it has ended".into()) } else { Ok(line.trim_end().into()) }
    }

    fn expect(&mut self, start: &str) -> Result<()> {
        let line = self.line()?;
        if line.starts_with(start) { Ok(()) } else { Err(format!("{line:?} in place of {start:?}").into()) }
    }

    /// How often it has taken memory, once it has nothing left to do.
    fn rest(&mut self) -> Result<u64> {
        // From its signalfd: it reads nothing else that it would have to wait for.
        let waits = format!("{} ", libc::SYS_read);
        until("drainit is idle", || {
            Ok(fs::read_to_string(format!("/proc/{}/syscall", self.pid()))?.starts_with(&waits))
        })?;
        let mut count = [0; 8];
        File::open(format!("/proc/{}/mem", self.pid()))?.read_exact_at(&mut count, self.count)?;
        Ok(u64::from_ne_bytes(count))
    }

    fn pass_on(&mut self, signals: usize) -> Result<()> {
        for _ in 0..signals {
            kill::send(self.pid(), Signal::USR1)?;
            self.expect("got USR1")?;
        }
        Ok(())
    }

    fn reap_orphans(&mut self) -> Result<()> {
        File::create(&self.gate)?;
        self.expect("made")?;
        until("the orphans are reaped", || Ok(children_of(self.pid()) == 1))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // The command gets KILL and drainit ends with it; if that takes long, drainit gets it too.
        for process in descendants_of(self.pid()) {
            let _ = kill::send(process, Signal::KILL);
        }
        let gone = until("drainit ends", || Ok(self.child.try_wait()?.is_some()));
        if gone.is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn nothing_is_taken(flags: &[&str]) -> Result<()> {
    let mut subject = Subject::start(flags)?;
    let idle = subject.rest()?;
    subject.pass_on(1)?;
    let first = subject.rest()?;
    subject.pass_on(SIGNALS)?;
    let signals = subject.rest()?;
    subject.reap_orphans()?;
    let orphans = subject.rest()?;
    if [first, signals, orphans] == [idle; 3] {
        return Ok(());
    }
    let taken = format!("1 signal: {first}, {SIGNALS} more: {signals}, {ORPHANS} orphans: {orphans}");
    Err(format!("at rest it had taken memory {idle} times; {taken}").into())
}

fn the_counter_counts() -> Result<()> {
    let mut subject = Subject::start(&["-v"])?;
    let idle = subject.rest()?;
    subject.pass_on(SIGNALS)?;
    let logged = subject.rest()?;
    if logged >= idle + SIGNALS as u64 { Ok(()) } else { Err(format!("{idle}, then {logged}").into()) }
}

/// A stop whose processes take their time, one whose processes ignore it, and the command's own end.
fn any_may_fail() -> Result<()> {
    let orderly = "name=main child*5{ name=child catch=TERM:10ms ready hold } catch=TERM:50ms:3 ready hold";
    let stubborn = "name=main child*5{ name=child ignore=TERM ready hold } ignore=TERM ready hold";
    let alone = "name=main child*5{ name=child catch=TERM:10ms ready hold } ready await=GATE exit=4";
    for (workload, grace, code) in [(orderly, "9s", 3), (stubborn, "300ms", 137), (alone, "9s", 4)] {
        for under in [&[][..], &["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]] {
            if !under.is_empty() && !nix::unistd::geteuid().is_root() {
                eprintln!("not tried: only root can be PID 1");
                continue;
            }
            let mut total = MOMENTS;
            // The first one is undisturbed.
            for moment in (0..=MOMENTS).rev() {
                let at = if moment == MOMENTS { u64::MAX } else { total * moment / MOMENTS };
                let stopped = Stopped::run(under, grace, workload, at)?;
                total = stopped.total.unwrap_or(total);
                let is_refused = stopped.code == 125 && !stopped.has_begun;
                let is_good = stopped.code == code || (is_refused && moment < MOMENTS);
                if !is_good || 1 < stopped.terms {
                    return Err(format!("{workload:?} under {under:?}, {at} of {total}: {stopped:?}").into());
                }
            }
        }
    }
    Ok(())
}

/// What came of a stop.
#[derive(Debug)]
struct Stopped {
    code: i32,
    has_begun: bool,
    /// How often memory was taken, if drainit's loop has ended.
    total: Option<u64>,
    /// How often main has got TERM.
    terms: usize,
}

impl Stopped {
    /// Stops the workload when it is ready, or opens the gate that it waits for.
    fn run(under: &[&str], grace: &str, workload: &str, fails_at: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let gate = folder.path().join("gate");
        let own = std::env::current_exe()?;
        let mut line: Vec<OsString> = under.iter().map(OsString::from).collect();
        line.extend([own.into(), AS_DRAINIT.into(), "--report".into(), folder.path().join("report").into()]);
        line.extend(["-v", "--ignored-after=100ms", "--grace-period", grace, "--"].map(OsString::from));
        line.push(WORKLOAD.into());
        line.extend(workload.replace("GATE", gate.to_str().ok_or("no text")?).split(' ').map(OsString::from));
        let mut child = Command::new(line.remove(0))
            .args(line)
            .env(FAILS_AT, fails_at.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pid = child.id().cast_signed();
        let output = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let (over, is_over) = mpsc::channel::<()>();
        let guard = thread::spawn(move || {
            if is_over.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                let _ = kill::send(pid, Signal::KILL);
            }
        });
        let (mut ready, mut total, mut terms) = (0, None, 0);
        for line in output.lines() {
            let line = line?;
            ready += usize::from(line.contains(" ready "));
            terms += usize::from(line.starts_with("main got TERM"));
            if line.contains(" ready ") && ready == 6 {
                let drainit = if under.is_empty() { Some(pid) } else { child_of(pid) };
                if workload.contains("GATE") {
                    File::create(&gate)?;
                } else {
                    kill::send(drainit.ok_or("it has ended")?, Signal::TERM)?;
                }
            }
            total = line.strip_prefix(COUNTED).and_then(|count| count.parse().ok()).or(total);
        }
        let code = child.wait()?.code().unwrap_or(-1);
        drop(over);
        guard.join().map_err(|_| "the guard has panicked")?;
        Ok(Self { code, has_begun: 0 < ready, total, terms })
    }
}

/// A process in it that takes a page is killed, or refused.
fn it_works_without_memory() -> Result<()> {
    let group = match Cgroup::without_memory() {
        Ok(group) => group,
        Err(problem) => {
            let problem = format!("no memory cgroup can be made: {problem}");
            if std::env::var_os("DRAINIT_REQUIRE_RUNTIMES").is_some_and(|value| value == "1") {
                return Err(problem.into());
            }
            eprintln!("not tried: {problem}");
            return Ok(());
        }
    };
    // Target `auto` looks at the command first, and the kernel charges a cgroup for each open file.
    let mut subject = Subject::start(&["--forward-to", "main"])?;
    group.put(subject.pid())?;
    subject.pass_on(SIGNALS)?;
    subject.reap_orphans()?;
    subject.pass_on(1)?;
    // It leaves before the next one comes: if that one is refused memory, the kernel may kill any process in the cgroup for it.
    drop(subject);
    // The same cgroup is the end of a process that takes memory.
    let folder = tempfile::tempdir()?;
    let gate = folder.path().join("gate");
    let wait = format!("ready await={} child{{ exit=0 }} wait", gate.display());
    let mut taker = Command::new(WORKLOAD)
        .args(wait.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    BufReader::new(taker.stdout.take().ok_or("no pipe")?).read_line(&mut String::new())?;
    group.put(taker.id().cast_signed())?;
    File::create(&gate)?;
    let mut status = None;
    let ended = until("the process that takes memory ends", || {
        status = taker.try_wait()?;
        Ok(status.is_some())
    });
    let _ = taker.kill();
    let _ = taker.wait();
    ended?;
    if status.is_some_and(|status| status.success()) { Err("there was memory left".into()) } else { Ok(()) }
}

/// A memory cgroup that is removed again.
struct Cgroup(PathBuf);

impl Cgroup {
    fn without_memory() -> Result<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let root = Path::new("/sys/fs/cgroup");
        let first = groups.lines().find_map(|line| line.split_once(":memory:"));
        let (parent, limit) = match first {
            Some((_, path)) => {
                (root.join("memory").join(path.trim_start_matches('/')), "memory.limit_in_bytes")
            }
            // In the second version only the root may have groups and processes of its own.
            None => (root.to_owned(), "memory.max"),
        };
        let made = parent.join(format!("drainit-alloc-{}", std::process::id()));
        fs::create_dir(&made)?;
        let group = Self(made);
        fs::OpenOptions::new().write(true).open(group.0.join(limit))?.write_all(b"0")?;
        Ok(group)
    }

    fn put(&self, pid: i32) -> Result<()> {
        Ok(fs::write(self.0.join("cgroup.procs"), pid.to_string())?)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if until("the cgroup is empty", || Ok(fs::remove_dir(&self.0).is_ok())).is_err() {
            eprintln!("{} is left behind", self.0.display());
        }
    }
}

/// Looks until `condition` holds.
fn until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !condition()? {
        if begun.elapsed() > LIMIT {
            return Err(format!("waited too long: {what}").into());
        }
        #[expect(clippy::disallowed_methods, reason = "the pause between two looks")]
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn child_of(parent: i32) -> Option<i32> {
    procfs::children(parent)?.first().copied()
}

/// Living or dead.
fn children_of(parent: i32) -> usize {
    let mut count = 0;
    procfs::each_process(|_, stat| {
        count += usize::from(
            drainit::processes::stat::parse(stat).is_some_and(|process| process.parent == parent),
        );
    });
    count
}

fn descendants_of(root: i32) -> Vec<i32> {
    let mut all = Vec::new();
    procfs::each_process(|_, stat| all.extend(drainit::processes::stat::parse(stat)));
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(all.iter().filter(|process| process.parent == parent).map(|process| process.pid));
        at += 1;
    }
    found.split_off(1)
}

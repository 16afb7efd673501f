//! A soak: drainit under random orphans, signals and log lines for a while, and whether it is afterwards what it was before.
//!
//! `cargo bench --bench soak -- 60` takes 60 seconds and a little; `DRAINIT_PROGRAM` names another build. `DRAINIT_SEED` is what the chances are made from.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const WORKLOAD: &str = env!("CARGO_BIN_EXE_fake-workload");
/// At most a day.
const LONGEST: u64 = 86_400;
/// What a stop may take, and what comes to rest.
const LIMIT: Duration = Duration::from_secs(20);
/// An idle drainit is watched for so long.
const QUIET: Duration = Duration::from_secs(2);
/// The allocator may keep so many pages of what was needed at most.
const GROWTH: u64 = 64;

/// Reads how many orphans to make; the main process takes signals, and takes no part in that.
const SCRIPT: &str = r#"exec 3<&0
sh -c 'while read -r count <&3; do
    while [ "$count" -gt 0 ]; do
        (sleep 0.0"$count" &)
        count=$((count - 1))
    done
done' &
exec "$1" take=HUP,USR1,USR2,WINCH ready hold"#;

struct Chance(u64);

impl Chance {
    /// xorshift.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What drainit has and has used.
#[derive(Clone, Copy)]
struct State {
    resident_kib: u64,
    descriptors: usize,
    cpu_ticks: u64,
    wakeups: u64,
    children: usize,
}

impl State {
    fn of(pid: Pid) -> Self {
        let read =
            |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).expect("drainit is there");
        let status = read("status");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.split_ascii_whitespace().next().expect(name).parse::<u64>().expect(name)
        };
        let stat = read("stat");
        let behind_the_name: Vec<&str> =
            stat.rsplit_once(')').expect("a name").1.split_ascii_whitespace().collect();
        let ticks = |at: usize| behind_the_name[at].parse::<u64>().expect("a number");
        Self {
            resident_kib: field("VmRSS:"),
            descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).expect("drainit is there").count(),
            cpu_ticks: ticks(11) + ticks(12),
            wakeups: field("voluntary_ctxt_switches:"),
            children: read(&format!("task/{pid}/children")).split_ascii_whitespace().count(),
        }
    }

    fn print(&self, when: &str) {
        println!(
            "{when:<10} {:>8} KiB {:>12} {:>14} ms {:>9} {:>9}",
            self.resident_kib,
            self.descriptors,
            self.cpu_ticks * 10,
            self.wakeups,
            self.children
        );
    }
}

fn number(text: Option<String>, otherwise: u64) -> u64 {
    text.map_or(otherwise, |text| text.parse().expect("a number"))
}

fn pause(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the pace of a soak; nothing is decided by it")]
    std::thread::sleep(time);
}

/// Waits until this is so; false if it takes too long.
fn until(mut is_so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !is_so() {
        if LIMIT < begun.elapsed() {
            return false;
        }
        pause(Duration::from_millis(5));
    }
    true
}

/// Nothing is left of it, also if the bench fails.
struct Running(Child);

impl Running {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }

    /// Its exit status, if it ends in time.
    fn stop(&mut self) -> Option<ExitStatus> {
        let _ = kill(self.pid(), Signal::SIGTERM);
        let mut status = None;
        until(|| {
            status = self.0.try_wait().expect("our child");
            status.is_some()
        });
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) && self.stop().is_none() {
            let _ = self.0.kill();
        }
    }
}

fn start(program: &PathBuf) -> Child {
    let mut command = Command::new(program);
    command.args(["-vv", "--grace-period=5s", "--", "sh", "-c", SCRIPT, "sh", WORKLOAD]);
    for name in ["DRAINIT_PROGRAM", "DRAINIT_SEED"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("drainit can be started")
}

/// Counts lines; the reader is slow now and then.
fn count(pipe: impl std::io::Read + Send + 'static, is_slow: bool) -> Arc<AtomicU64> {
    let lines = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&lines);
    std::thread::spawn(move || {
        for _ in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let so_far = counted.fetch_add(1, Ordering::Relaxed);
            if is_slow && so_far.is_multiple_of(5_000) {
                pause(Duration::from_millis(200));
            }
        }
    });
    lines
}

fn main() -> ExitCode {
    let seconds = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let time = Duration::from_secs(number(seconds, 60).min(LONGEST));
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    let seed = number(std::env::var("DRAINIT_SEED").ok(), clock).max(1);
    let built = PathBuf::from(env!("CARGO_BIN_EXE_drainit"));
    let program = std::env::var_os("DRAINIT_PROGRAM").map_or(built, PathBuf::from);
    println!("{} for {time:?}, DRAINIT_SEED={seed}", program.display());

    let mut drainit = Running(start(&program));
    let pid = drainit.pid();
    let mut orphans = drainit.0.stdin.take().expect("a pipe");
    let taken = count(drainit.0.stdout.take().expect("a pipe"), false);
    let logged = count(drainit.0.stderr.take().expect("a pipe"), true);
    assert!(until(|| taken.load(Ordering::Relaxed) > 0), "the workload is ready");
    let is_at_rest = |pid| until(|| State::of(pid).children == 1);
    assert!(is_at_rest(pid), "the command is all there is");

    // What a first orphan and a first signal need for good is had by then.
    let mut chance = Chance(seed);
    let (mut made, mut sent) = (0, 0);
    let mut once = |orphans: &mut std::process::ChildStdin, chance: &mut Chance| {
        let count = chance.below(10);
        made += count;
        writeln!(orphans, "{count}").expect("the workload reads");
        for _ in 0..chance.below(20) {
            let signals =
                [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGWINCH, Signal::SIGCHLD];
            let which = usize::try_from(chance.below(5)).expect("small");
            kill(pid, signals[which]).expect("drainit is there");
            sent += 1;
        }
        pause(Duration::from_millis(chance.below(40)));
    };
    (0..20).for_each(|_| once(&mut orphans, &mut chance));
    assert!(is_at_rest(pid), "the orphans are reaped");
    println!(
        "{:<10} {:>12} {:>12} {:>17} {:>9} {:>9}",
        "", "resident", "descriptors", "processor", "wakeups", "children"
    );
    let before = State::of(pid);
    before.print("start");
    let begun = Instant::now();
    while begun.elapsed() < time {
        once(&mut orphans, &mut chance);
    }
    let is_reaped = is_at_rest(pid);
    pause(Duration::from_millis(100));
    let after = State::of(pid);
    after.print("end");
    pause(QUIET);
    let idle = State::of(pid).wakeups - after.wakeups;
    println!(
        "{made} orphans, {sent} signals, {} log lines; {idle} wakeups in {QUIET:?} at rest",
        logged.load(Ordering::Relaxed)
    );

    let stopped = Instant::now();
    let ended = drainit.stop();
    let said = ended.map_or_else(String::new, |status| status.to_string());
    println!("the stop took {:.1?}: {said}", stopped.elapsed());
    let problems = [
        (!is_reaped, "orphans were not reaped"),
        (before.resident_kib + GROWTH < after.resident_kib, "it has grown"),
        (before.descriptors != after.descriptors, "it has other descriptors"),
        (idle > 0, "it wakes up at rest"),
        (ended.is_none(), "it did not stop"),
    ];
    let found: Vec<&str> = problems.into_iter().filter_map(|(is_so, what)| is_so.then_some(what)).collect();
    found.iter().for_each(|what| println!("PROBLEM: {what}"));
    if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

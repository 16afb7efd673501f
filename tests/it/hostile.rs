//! Surroundings that are against it: files that other parties hold, files that grow, memory that is refused, time that was held.

use std::process::Command;
use std::time::{Duration, Instant};

use drainit::signal::Signal;
use drainit::sys::kill;
use serde_json::Value;

use crate::harness::{BOTH, Init, Mode, Running, stays, took, wait_until};

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        assert!(std::env::var_os("DRAINIT_REQUIRE_RUNTIMES").is_none(), "{program} cannot be run");
        eprintln!("not run: {program} is not installed");
    }
    found
}

/// The row of docs/decisions/what-cannot-hang.md that allows this path.
fn is_allowed(path: &str) -> bool {
    let known = ["/", ".", "/proc", "/dev/tty", "/proc/sys/kernel/ns_last_pid", "/proc/thread-self/children"];
    let own = ["", "/exe", "/stat", "/cgroup", "/mountinfo", "/schedstat", "/fd", "/fd/2", "/ns/pid"];
    let of_a_process = [
        "",
        "/stat",
        "/status",
        "/syscall",
        "/io",
        "/exe",
        "/cwd",
        "/fd/0",
        "/fd/1",
        "/fd/2",
        "/fdinfo/0",
        "/task",
    ];
    if let Some(rest) = path.strip_prefix("/proc/self") {
        return own.contains(&rest);
    }
    let Some(rest) = path.strip_prefix("/proc/") else {
        let is_loaders = ["/etc/ld.so", "/lib", "/usr/lib"].iter().any(|start| path.starts_with(start));
        let is_cgroups = path.starts_with("/sys/fs/cgroup/") && path.ends_with("/memory.events");
        return known.contains(&path) || is_loaders || is_cgroups || path.ends_with("/memory.oom_control");
    };
    let name = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    // The kernel makes a list of children from what it has of processes, and asks none.
    let is_of_a_thread =
        name.starts_with("/task/") && (name.ends_with("/status") || name.ends_with("/children"));
    known.contains(&path) || (name.len() < rest.len() && (of_a_process.contains(&name) || is_of_a_thread))
}

#[test]
fn drainit_itself_opens_nothing_that_another_party_can_hold() {
    if !has("strace") {
        return;
    }
    for mode in BOTH {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let traced = folder.path().join("traced");
        // The tracer is a grandchild, and drainit alone is traced.
        let strace =
            ["strace", "-D", "-qq", "-s", "256", "-e", "trace=%file", "-o", traced.to_str().expect("text")];
        // Everything that a stop looks at: a shell with a trap and its job, one that ignores the signal, one that waits for signals.
        let script = "trap 'exit 3' TERM; $W name=job catch=TERM:1ms ready hold & \
                      $W name=deaf ignore=TERM ready hold & $W name=taker take=TERM ready hold & \
                      cat | cat & $W name=main ready hold";
        let script = script.replace("$W", env!("CARGO_BIN_EXE_fake-workload"));
        let mut init = Init::new(mode)
            .under(&strace)
            .flags(&["--grace-period=1s", "--ignored-after=100ms"])
            .command(&["sh", "-c", &script])
            .start();
        init.ready(&["deaf", "job", "main", "taker"]).signal(Signal::TERM);
        let _ = init.finish();
        let text = std::fs::read_to_string(&traced).expect("strace has written it");
        let paths: Vec<&str> = text.lines().filter_map(|line| line.split('"').nth(1)).collect();
        assert!(paths.iter().any(|path| path.ends_with("/stat")), "{text}");
        let is_exec = |path: &str| text.lines().any(|line| line.starts_with("execve") && line.contains(path));
        let odd: Vec<&&str> = paths.iter().filter(|path| !is_allowed(path) && !is_exec(path)).collect();
        assert!(odd.is_empty(), "{odd:?}");
    }
}

/// lxcfs serves it in some containers, and may be gone.
#[test]
fn a_loadavg_that_no_process_serves_holds_nothing_up() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root can set this up");
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let pipe = folder.path().join("pipe");
    let mount = format!("mkfifo {0} && mount --bind {0} /proc/loadavg && exec \"$@\"", pipe.display());
    let mut init = Init::new(Mode::PidOne)
        .under(&["sh", "-c", &mount, "sh"])
        .workload("name=main catch=TERM:1ms:4 ready hold")
        .start();
    let begun = Instant::now();
    init.ready(&["main"]).signal(Signal::TERM);
    init.finish().exits(4).silently();
    took(begun, Duration::ZERO);
}

/// A process may hold the lock that its driver takes to write what it shows there: epoll's, while it waits for a page of memory.
#[test]
fn what_a_driver_says_of_a_descriptor_is_not_read() {
    if !has("strace") || !has("python3") {
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    let traced = folder.path().join("traced");
    let strace = ["strace", "-D", "-qq", "-e", "trace=%file", "-o", traced.to_str().expect("text")];
    let with_epoll = "import os, select; epoll = select.epoll(); os.dup2(epoll.fileno(), 0)
os.execvp('bash', ['bash', '-c', 'trap \"exit 3\" TERM; echo main ready $$; sleep 100; true'])";
    let mut init = Init::pid_one().under(&strace).command(&["python3", "-c", with_epoll]).start();
    init.ready(&["main"]).settled().signal(Signal::TERM);
    init.finish().exits(3);
    let text = std::fs::read_to_string(&traced).expect("strace has written it");
    assert!(text.contains("/fd/0\""), "its stdin is looked at: {text}");
    assert!(!text.contains("fdinfo"), "{text}");
}

#[test]
fn files_that_take_long_to_read_delay_neither_the_signal_nor_kill() {
    if !nix::unistd::geteuid().is_root() || !has("python3") {
        return;
    }
    // The kernel takes milliseconds to write the groups of each into its `status`.
    let crowd = "import os, signal
os.setgroups(range(1 << 31, (1 << 31) + 65536))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if all(os.fork() for _ in range(400)):
    os.write(1, f'main ready {os.getpid()}\\n'.encode())
signal.pause()";
    for mode in BOTH {
        let mut init =
            Init::new(mode).flags(&["--grace-period=1s"]).command(&["python3", "-c", crowd]).start();
        init.ready(&["main"]);
        let begun = Instant::now();
        init.signal(Signal::TERM);
        let run = init.finish();
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        run.exits(137).warns(&["time is up: killing "]);
    }
}

/// Their numbers come before the masks of signals in `/proc/PID/status`.
#[test]
fn six_hundred_groups_hide_no_ignored_signal() {
    if !nix::unistd::geteuid().is_root() || !has("setpriv") {
        return;
    }
    let groups: Vec<String> = (100_000..100_600).map(|group| group.to_string()).collect();
    for mode in BOTH {
        let mut init = Init::new(mode)
            .under(&["setpriv", "--groups", &groups.join(",")])
            .flags(&["--ignored-after=200ms"])
            .workload("name=main ignore=TERM ready hold")
            .start();
        let begun = Instant::now();
        init.ready(&["main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(137).warns(&["TERM is ignored"]);
        took(begun, Duration::from_millis(200));
    }
}

/// drainit keeps the memory that it has, and gets no more.
fn refuse_memory(init: &Running) {
    let limits = ["--as=4096:", "--data=4096:"];
    let limited = Command::new("prlimit").arg(format!("--pid={}", init.pid())).args(limits).status();
    assert!(limited.expect("prlimit runs").success());
}

/// It has noted more processes by then than it can write down.
#[test]
fn a_report_that_there_is_no_memory_for_costs_neither_the_stop_nor_the_status() {
    const CHILDREN: usize = 300;
    if !has("prlimit") {
        return;
    }
    for mode in BOTH {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let report = format!("--report={}", folder.path().join("report").display());
        let family =
            format!("name=main child*{CHILDREN}{{ name=child catch=TERM ready hold }} catch=TERM ready hold");
        let mut init = Init::new(mode).flags(&["--grace-period=2s", &report]).workload(&family).start();
        let ready = vec!["child"; CHILDREN];
        init.ready(&[&ready[..], &["main"]].concat()).signal(Signal::TERM);
        init.begins(&["main got TERM"]);
        refuse_memory(&init);
        let run = init.finish();
        run.exits(137);
        assert!(run.stderr.iter().any(|line| line.contains("time is up: killing ")), "{:#?}", run.stderr);
    }
}

#[test]
fn a_stop_without_memory_is_a_stop() {
    const CHILDREN: usize = 500;
    if !has("prlimit") {
        return;
    }
    for mode in BOTH {
        let family = format!(
            "name=main child*{CHILDREN}{{ name=child catch=TERM:1ms ready hold }} ignore=TERM ready hold"
        );
        let mut init = Init::new(mode).flags(&["--grace-period=1s"]).workload(&family).start();
        let ready = vec!["child"; CHILDREN];
        init.ready(&[&ready[..], &["main"]].concat());
        refuse_memory(&init);
        init.signal(Signal::TERM);
        let run = init.finish();
        run.exits(137);
        assert_eq!(run.count("child got TERM"), CHILDREN, "{:#?}", run.stderr);
        assert!(!run.stderr.iter().any(|line| line.contains("memory")), "{:#?}", run.stderr);
    }
}

#[test]
fn a_stop_that_can_open_no_file_says_so_once() {
    if !has("prlimit") {
        return;
    }
    for mode in BOTH {
        let family = "name=main child{ name=child ignore=TERM ready hold } ignore=TERM ready hold";
        let mut init = Init::new(mode).flags(&["--grace-period=1s"]).workload(family).start();
        init.ready(&["child", "main"]);
        let limited =
            Command::new("prlimit").arg(format!("--pid={}", init.pid())).arg("--nofile=0:").status();
        assert!(limited.expect("prlimit runs").success());
        init.signal(Signal::TERM);
        let run = init.finish();
        run.exits(137);
        let said = run.stderr.iter().filter(|line| line.contains("cannot read /proc: ")).count();
        assert_eq!(said, 1, "{:#?}", run.stderr);
    }
}

/// Both have been told to, and only the outer one does.
#[test]
fn a_drainit_under_drainit_writes_no_report_of_its_own() {
    for mode in BOTH {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (report, message) = (folder.path().join("report"), folder.path().join("message"));
        let inner = format!(
            "echo outer $$; exec {} -- {} env=DRAINIT_REPORT env=DRAINIT_TERMINATION_LOG exit=3",
            *crate::harness::DRAINIT,
            env!("CARGO_BIN_EXE_fake-workload")
        );
        let run = Init::new(mode)
            .env("DRAINIT_REPORT", &report)
            .env("DRAINIT_TERMINATION_LOG", &message)
            .command(&["sh", "-c", &inner])
            .run();
        run.exits(3).in_order(&["env DRAINIT_REPORT unset", "env DRAINIT_TERMINATION_LOG unset"]);
        let main = run.stdout.iter().find_map(|line| line.strip_prefix("outer ")).expect("its pid");
        let report: Value = serde_json::from_slice(&std::fs::read(&report).expect("a report")).expect("JSON");
        assert_eq!(report["main"]["pid"].to_string(), main, "{report:#}");
    }
}

/// The container's processes were frozen, or the machine asleep, past the end of the grace period: they may not even have taken TERM.
#[test]
fn after_a_sleep_past_its_end_the_grace_period_is_two_seconds_more() {
    const GRACE: Duration = Duration::from_secs(1);
    for mode in BOTH {
        let mut init = Init::new(mode)
            .flags(&["-v", "--grace-period=1s", "--ignored-after=never"])
            .workload("name=main ignore=TERM ready hold")
            .start();
        init.ready(&["main"]).signal(Signal::TERM);
        init.says("sending TERM");
        let pid = init.pid();
        kill::send(pid, Signal::STOP).expect("it is there");
        stays(GRACE + Duration::from_millis(1_200), || true);
        let begun = Instant::now();
        kill::send(pid, Signal::CONT).expect("it is there");
        init.finish().exits(137);
        took(begun, Duration::from_secs(2));
    }
}

/// drainit is stopped when it opens its schedstat, which lies between two readings of the clock, in several turns.
#[test]
fn wherever_it_is_held_the_processes_have_two_seconds_more() {
    if !has("strace") {
        return;
    }
    let held = |mode: Mode, when: usize, flags: &[&str]| {
        let inject = format!("inject=openat:signal=SIGSTOP:when={when}");
        let file = ["-P", "/proc/self/schedstat", "-e", "trace=openat", "-e", &inject];
        let folder = tempfile::tempdir().expect("a scratch folder");
        let traced = folder.path().join("traced");
        let strace = [&["strace", "-D", "-o", traced.to_str().expect("text")][..], &file].concat();
        let mut init =
            Init::new(mode).under(&strace).flags(flags).workload("name=main ignore=TERM ready hold").start();
        init.ready(&["main"]).signal(Signal::TERM);
        let pid = init.pid();
        let is_stopped =
            || std::fs::read_to_string(&traced).ok()?.contains("stopped by SIGSTOP").then_some(());
        wait_until("it is stopped", is_stopped);
        stays(Duration::from_millis(5_500), || true);
        let begun = Instant::now();
        kill::send(pid, Signal::CONT).expect("it is there");
        init.finish().exits(137);
        took(begun, Duration::from_secs(2));
    };
    let grace = ["--grace-period=4s", "--ignored-after=never"];
    let drain = ["--pre-stop-sleep=100ms", "--stop-schedule=TERM/4s/KILL", "--ignored-after=never"];
    std::thread::scope(|scope| {
        for mode in BOTH {
            for when in 2..=4 {
                scope.spawn(move || held(mode, when, &grace));
            }
            // The second is in the drain: TERM is sent after it, and its own time begins then.
            for when in 3..=4 {
                scope.spawn(move || held(mode, when, &drain));
            }
        }
    });
}

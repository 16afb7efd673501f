//! Entrypoints as people write them, with real shells: which processes hear TERM, how often, and whether the work is finished.
//!
//! The server is the fake workload: it says `server got TERM` each time, and `server finished` when its work is done.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use drainit::signal::Signal;

use crate::harness::{BOTH, Finished, Init, Mode, WORKLOAD};

/// How a shell is started with a script.
pub(crate) type Shell = &'static [&'static str];

pub(crate) const DASH: Shell = &["dash", "-c"];
pub(crate) const BASH: Shell = &["bash", "-c"];
pub(crate) const ASH: Shell = &["busybox", "sh", "-c"];
pub(crate) const ZSH: Shell = &["zsh", "-c"];
pub(crate) const ALL: [Shell; 4] = [DASH, BASH, ASH, ZSH];

/// Whether the program is on this machine. If it is not, each test that needs it says so once.
pub(crate) fn is_installed(program: &str) -> bool {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let found = crate::runtimes::installed(program).is_some();
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let is_new = || SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("{test} {program}"));
    if !found && is_new() {
        crate::runtimes::not_run(program, &format!("{program} is not installed"));
    }
    found
}

/// A server that needs this long after TERM. It catches INT and QUIT too, as many do.
pub(crate) fn server(needs: &str) -> String {
    format!("{WORKLOAD} name=server catch=TERM:{needs} catch=INT,QUIT ready hold")
}

/// What is tried of one entrypoint.
#[derive(Clone)]
pub(crate) struct Try {
    script: String,
    flags: Vec<&'static str>,
    ready: Vec<&'static str>,
    shells: Vec<Shell>,
    under: Vec<&'static str>,
    /// A program that the shell starts after its server has said that it is ready.
    starts: Option<&'static str>,
    /// It is signalled without waiting until its processes wait.
    is_moving: bool,
    stdin: fn() -> std::process::Stdio,
}

impl Try {
    pub(crate) fn new(script: &str) -> Self {
        Self {
            script: script.to_owned(),
            flags: Vec::new(),
            ready: vec!["server"],
            shells: ALL.to_vec(),
            under: Vec::new(),
            starts: None,
            is_moving: false,
            stdin: std::process::Stdio::null,
        }
    }

    pub(crate) fn shells(mut self, shells: &[Shell]) -> Self {
        self.shells = shells.to_vec();
        self
    }

    /// It is signalled when this program runs, too.
    pub(crate) fn starts(mut self, program: &'static str) -> Self {
        self.starts = Some(program);
        self
    }

    /// Its processes never wait all at once.
    pub(crate) fn moving(mut self) -> Self {
        self.is_moving = true;
        self
    }

    /// What starts drainit.
    pub(crate) fn under(mut self, wrapper: &[&'static str]) -> Self {
        self.under = wrapper.to_vec();
        self
    }

    pub(crate) fn flags(mut self, flags: &[&'static str]) -> Self {
        self.flags = flags.to_vec();
        self
    }

    pub(crate) fn ready(mut self, names: &[&'static str]) -> Self {
        self.ready = names.to_vec();
        self
    }

    pub(crate) fn stdin(mut self, stdin: fn() -> std::process::Stdio) -> Self {
        self.stdin = stdin;
        self
    }

    /// The server hears TERM once, long before drainit would tell a process that may have been told already.
    pub(crate) fn hears_it_once_and_at_once(self) {
        let script = self.script.clone();
        self.flags(&LATER).run(|run, took| {
            once_and_finished(run);
            assert!(took < AT_ONCE, "{script}: {took:?}");
        });
    }

    pub(crate) fn hears_it_once(self) {
        self.run(|run, _| once_and_finished(run));
    }

    /// Runs it with each shell that is installed, in both modes, side by side; `judge` is told how long the stop took.
    pub(crate) fn run(self, judge: impl Fn(&Finished, Duration) + Sync) {
        let shells: Vec<Shell> = self.shells.iter().copied().filter(|shell| is_installed(shell[0])).collect();
        std::thread::scope(|scope| {
            for shell in &shells {
                for mode in BOTH {
                    let (this, judge) = (&self, &judge);
                    let one = move || this.run_one(shell, mode, judge);
                    std::thread::Builder::new()
                        .name(format!("{} as {mode:?}: {}", shell.join(" "), this.script))
                        .spawn_scoped(scope, one)
                        .expect("a thread");
                }
            }
        });
    }

    fn run_one(&self, shell: Shell, mode: Mode, judge: &(impl Fn(&Finished, Duration) + Sync)) {
        let command: Vec<&str> = shell.iter().copied().chain([self.script.as_str()]).collect();
        let mut init = Init::new(mode)
            .under(&self.under)
            .flags(&self.flags)
            .stdin((self.stdin)())
            .command(&command)
            .start();
        init.ready(&self.ready);
        if let Some(program) = self.starts {
            init.has(program);
        }
        if !self.is_moving {
            init.settled();
        }
        let begun = Instant::now();
        init.signal(Signal::TERM);
        let run = init.finish();
        judge(&run, begun.elapsed());
    }
}

#[track_caller]
pub(crate) fn once_and_finished(run: &Finished) {
    assert_eq!(run.count("server got TERM"), 1, "{run:#?}");
    assert_eq!(run.count("server finished"), 1, "{run:#?}");
    assert!(!run.warnings().iter().any(|line| line.contains("killing")), "{run:#?}");
}

/// The server heard it at once: long before anything but the rule would have told it, if `--ignored-after` is [`LATER`].
pub(crate) const AT_ONCE: Duration = Duration::from_secs(15);
/// Before a process that may have been told is signalled.
pub(crate) const LATER: [&str; 2] = ["--ignored-after", "20s"];

#[test]
fn a_server_behind_a_shell_without_a_trap_is_signalled_at_once() {
    let server = server("300ms");
    for script in [
        format!("{server} & wait"),
        format!("{server}; true"),
        format!("setsid {server} & wait"),
        format!("f() {{ {server}; true; }}; f & wait"),
        format!("tail -f /dev/null & {server}; true"),
    ] {
        Try::new(&script).hears_it_once_and_at_once();
    }
}

#[test]
fn su_passes_the_signal_on_to_its_shell_alone() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: su asks others for a password");
        return;
    }
    let script = format!("su -s /bin/sh -c '{}; true' root; true", server("300ms"));
    Try::new(&script).shells(&[DASH, BASH]).run(|run, took| {
        once_and_finished(run);
        // su itself waits two seconds for its shell.
        assert!(took < Duration::from_secs(5), "{took:?}");
    });
}

#[test]
fn timeout_passes_the_signal_on() {
    // coreutils' timeout sends it to its child and to its group, which is mostly one signal and sometimes two.
    let server = server("300ms");
    for script in [format!("timeout 100 {server}; true"), format!("timeout --foreground 100 {server} & wait")]
    {
        Try::new(&script).flags(&LATER).shells(&[DASH, BASH]).run(|run, took| {
            assert!((1..=2).contains(&run.count("server got TERM")), "{run:#?}");
            assert_eq!(run.count("server finished"), 1, "{run:#?}");
            assert!(took < AT_ONCE, "{script}: {took:?}");
        });
    }
}

#[test]
fn a_trap_that_relays_the_signal_is_the_only_one_that_does() {
    let (server, six_seconds) = (server("3s"), server("6s"));
    for script in [
        format!("trap 'kill $p' TERM; {six} & p=$!; wait $p; wait $p", six = six_seconds),
        format!("trap 'kill $p; wait $p' TERM; {server} & p=$!; wait $p"),
        format!(
            "trap 'kill $p; while kill -0 $p 2>/dev/null; do sleep .2; done' TERM; {server} & p=$!; wait $p"
        ),
    ] {
        Try::new(&script).run(|run, took| {
            once_and_finished(run);
            assert!(took >= Duration::from_secs(3), "{script}: {took:?}");
        });
    }
}

#[test]
fn a_trap_with_another_way_to_shut_down_is_left_to_it() {
    let server = format!("{WORKLOAD} name=server catch=TERM:10ms catch=USR1:1s ready hold");
    let script = format!("trap 'sleep 2.5; kill -USR1 $p; wait $p' TERM; {server} & p=$!; wait $p");
    Try::new(&script).run(|run, _| {
        assert_eq!((run.count("server got TERM"), run.count("server got USR1")), (0, 1), "{run:#?}");
        assert_eq!(run.count("server finished"), 1, "{run:#?}");
    });
}

#[test]
fn a_trap_that_leaves_lets_drainit_signal_the_server() {
    let server = server("300ms");
    Try::new(&format!("trap 'exit 0' TERM; {server} & wait")).flags(&LATER).run(|run, took| {
        once_and_finished(run);
        assert!(took < AT_ONCE, "it was told nothing: {took:?}");
    });
}

#[test]
fn a_trap_that_relays_and_leaves_is_followed_by_a_second_signal_late_if_at_all() {
    let server = server("1s");
    Try::new(&format!("trap 'kill $p; exit' TERM; {server} & p=$!; wait")).hears_it_once();
    let given_up = format!("{WORKLOAD} name=server once=TERM:3s ready hold");
    Try::new(&format!("trap 'kill $p; exit' TERM; {given_up} & p=$!; wait")).hears_it_once();
}

#[test]
fn a_busy_server_that_was_told_nothing_is_signalled_within_two_seconds() {
    // It runs all the time, so that nothing tells whether it was told.
    let busy = "$SHELL_OF_TEST -c 'trap \"echo server got TERM; exit 0\" TERM; echo server ready 1; \
                while :; do sleep .02; done'";
    let script = format!("trap 'exit 0' TERM; {} & wait", busy.replace("$SHELL_OF_TEST", "dash"));
    Try::new(&script).run(|run, took| {
        assert_eq!(run.count("server got TERM"), 1, "{run:#?}");
        assert!(took < Duration::from_secs(4), "{took:?}");
    });
}

#[test]
fn a_shell_with_a_trap_does_not_answer_for_its_foreground_command() {
    let server = server("300ms");
    for script in [
        format!("trap 'echo trap' TERM; {server}; true"),
        format!("trap 'echo trap' TERM; {server} | cat; true"),
        format!("trap 'echo trap' TERM; tail -f /dev/null & {server}; kill $!; true"),
    ] {
        Try::new(&script).shells(&[DASH, ASH, ZSH]).hears_it_once_and_at_once();
    }
}

#[test]
fn bash_with_a_terminal_a_pipe_or_a_file_as_stdin_does_not_answer_for_its_foreground_command() {
    let script = format!("trap 'echo trap' TERM; {}; true", server("300ms"));
    let file = || std::fs::File::open("/proc/self/exe").expect("our own program").into();
    let pipe = || {
        let (read, write) = crate::harness::pipe();
        // The other end stays open for as long as the tests run.
        std::mem::forget(write);
        read.into()
    };
    for stdin in [file as fn() -> std::process::Stdio, pipe] {
        Try::new(&script).flags(&LATER).shells(&[BASH]).stdin(stdin).run(|run, took| {
            once_and_finished(run);
            assert_eq!(run.count("trap"), 1, "and then it runs: {run:#?}");
            assert!(took < AT_ONCE, "{took:?}");
        });
    }
    let plain = format!("trap 'echo trap' TERM; {WORKLOAD} name=server catch=TERM:300ms ready hold; true");
    Try::new(&plain).flags(&LATER).shells(&[BASH]).run(|run, took| {
        once_and_finished(run);
        assert!(took < AT_ONCE, "INT and QUIT are at default: {took:?}");
    });
}

#[test]
fn in_doubt_the_shell_answers_until_the_last_call() {
    let script = format!("trap 'echo trap' TERM; {}; true", server("100ms"));
    Try::new(&script).shells(&[BASH]).flags(&["--grace-period", "12s"]).run(|run, took| {
        once_and_finished(run);
        assert!(took >= Duration::from_secs(7) && took < Duration::from_secs(11), "{took:?}");
        let says_exec = |line: &&str| line.contains("waits for fake-workload") && line.contains("with exec");
        assert!(run.warnings().iter().any(says_exec), "{run:#?}");
    });
}

#[test]
fn what_reads_from_a_server_ends_with_it() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for (at, start) in ["", "trap : TERM; "].into_iter().enumerate() {
        let log = folder.path().join(format!("log-{at}"));
        let server = format!("{WORKLOAD} name=server catch=TERM:500ms ready hold");
        let script = format!("{start}{server} | tee {}.$$; true", log.display());
        Try::new(&script).hears_it_once();
    }
    for entry in std::fs::read_dir(folder.path()).expect("our own folder") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
        assert!(text.contains("server finished"), "the log is whole: {text}");
    }
}

#[test]
fn what_reads_goes_on_when_its_writer_has_ended() {
    let server = format!("{WORKLOAD} name=server catch=TERM:300ms ready hold");
    let reader = "while read -r line; do echo \"$line\"; sleep .3; done; sleep .5; echo reader finished";
    // zsh runs the loop itself.
    let script = format!("{server} 2>&1 | {{ {reader}; }}; true");
    Try::new(&script).shells(&[DASH, BASH, ASH]).run(|run, _| {
        assert_eq!(run.count("reader finished"), 1, "{run:#?}");
    });
}

#[test]
fn two_that_read_from_each_other_do_not_wait_for_ever() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let pipe = folder.path().join("pipe");
    let script =
        format!("p={}.$$; mkfifo $p; cat < $p | cat > $p & {} & wait", pipe.display(), server("100ms"));
    Try::new(&script).run(|run, took| {
        once_and_finished(run);
        assert!(took < Duration::from_secs(5), "{took:?}");
    });
}

#[test]
fn a_shell_that_reads_its_input_answers_for_its_background_command() {
    let input = || {
        let (read, write) = crate::harness::pipe();
        std::mem::forget(write);
        read.into()
    };
    let script =
        format!("trap 'kill $p; wait $p; exit' TERM; {} & p=$!; read -r line; wait", server("300ms"));
    Try::new(&script).shells(&[DASH, ASH]).stdin(input).hears_it_once();
}

#[test]
fn a_server_whose_threads_take_the_signal_is_not_told_twice() {
    if !is_installed("python3") {
        return;
    }
    let server = "import signal, sys, threading, time
TERM = {signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, TERM)
def serve():
    print('server ready', 1, flush=True)
    signal.sigwait(TERM)
    print('server got TERM', flush=True)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        if signal.sigtimedwait(TERM, .05):
            print('server got TERM', flush=True)
    print('server finished', flush=True)
thread = threading.Thread(target=serve)
thread.start()
thread.join()";
    let folder = tempfile::tempdir().expect("a scratch folder");
    let program = folder.path().join("server.py");
    std::fs::write(&program, server).expect("our own folder");
    let script = format!("trap 'kill $p; exit' TERM; python3 {} & p=$!; wait", program.display());
    Try::new(&script).shells(&[DASH]).hears_it_once();
}

#[test]
fn a_master_ends_its_own_workers() {
    let master = format!(
        "{WORKLOAD} name=master catch=TERM:1s 'child{{' name=worker ready hold '}}' 'child{{' name=worker ready hold '}}' \
         ready hold"
    );
    for script in [
        format!("exec {master}"),
        format!("{master}; true"),
        format!("{master} & wait"),
        format!("trap 'kill $p; wait $p' TERM; {master} & p=$!; wait $p"),
    ] {
        Try::new(&script).ready(&["worker", "worker", "master"]).run(|run, _| {
            assert_eq!(
                (run.count("master got TERM"), run.count("master finished")),
                (1, 1),
                "{script}: {run:#?}"
            );
        });
    }
}

#[test]
fn a_master_that_does_nothing_leaves_its_worker_to_the_last_call() {
    for mode in BOTH {
        let workload = "name=master catch=TERM child{ name=worker catch=TERM:100ms ready hold } ready hold";
        let mut init = Init::new(mode).flags(&["--grace-period", "6s"]).workload(workload).start();
        init.ready(&["worker", "master"]);
        let begun = Instant::now();
        init.signal(Signal::TERM).line("master got TERM").line("worker got TERM");
        let called = begun.elapsed();
        assert!(called >= Duration::from_secs(3) && called < Duration::from_secs(5), "{called:?}");
        let run = init.finish();
        run.exits(137).in_order(&["worker got TERM", "worker finished"]);
    }
}

#[test]
fn a_nested_init_passes_the_signal_on_once() {
    let server = server("300ms");
    for nested in ["tini-static -s --", "tini-static -s -g --", "dumb-init", "dumb-init -c", "catatonit --"] {
        if !nested.split(' ').next().is_some_and(is_installed) {
            continue;
        }
        for script in [
            format!("exec {nested} {server}"),
            format!("{nested} {server} & wait"),
            format!("{nested} sh -c '{server} & wait'"),
        ] {
            Try::new(&script).shells(&[DASH, BASH]).run(|run, _| {
                // dumb-init sends its group another one when its own child has ended.
                let at_most = if nested == "dumb-init" && script.contains("sh -c") { 2 } else { 1 };
                assert!((1..=at_most).contains(&run.count("server got TERM")), "{script}: {run:#?}");
            });
        }
    }
}

#[test]
fn a_nested_drainit_drains_once_and_writes_no_report_of_its_own() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let report = folder.path().join("report");
    for mode in BOTH {
        let script = format!("{} -- {} & wait", *crate::harness::DRAINIT, server("300ms"));
        let mut init = Init::new(mode)
            .env("DRAINIT_REPORT", &report)
            .env("DRAINIT_PRE_STOP", "echo drained")
            .command(&["dash", "-c", &script])
            .start();
        init.ready(&["server"]).settled();
        init.signal(Signal::TERM);
        let run = init.finish();
        once_and_finished(&run);
        assert_eq!(run.count("drained"), 1, "{run:#?}");
        let text = std::fs::read_to_string(&report).expect("the outer one wrote it");
        assert!(text.contains("\"command\":\"dash\""), "{text}");
    }
}

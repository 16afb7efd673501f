//! Draining: the steps that run when a stop is requested, before any process is signalled.

use std::io::Write;
use std::time::{Duration, Instant};

use drainit::signal::Signal;

use crate::harness::{BOTH, Gate, Init, Mode, WORKLOAD, pipe, stays, took, wait_until};
use crate::server::{Connection, Order, Server, listen, note};
use crate::start::{field, mask, workload_for_all};

/// A command that ends at once when it is signalled, with a code of its own.
pub(crate) const MAIN: &str = "name=main catch=TERM:1ms:4 ready hold";

/// A step that does this.
pub(crate) fn hook(directives: &str) -> String {
    format!("{WORKLOAD} name=hook {directives}")
}

/// Starts [`MAIN`] and requests a stop; it has ended as it wants to.
pub(crate) fn stopped(init: Init) -> crate::harness::Finished {
    let mut init = init.workload(MAIN).start();
    init.ready(&["main"]).signal(Signal::TERM);
    let run = init.finish();
    run.exits(4).in_order(&["main got TERM", "main finished"]);
    run
}

/// What the steps of the order tests work with.
struct Scene {
    order: Order,
    server: Server,
    connection: Connection,
}

impl Scene {
    fn new() -> Self {
        let order = Order::new();
        let path = order.path();
        let server = Server::start(listen("127.0.0.1").expect("the loopback is there"), move |stream| {
            note(&path, "http");
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let connection = Connection::open(listen("127.0.0.1").expect("the loopback is there"), "127.0.0.1");
        Self { order, server, connection }
    }

    /// Asks for a stop and closes the connection when what comes before `closed` has happened.
    fn goes(mut self, init: Init, expected: &[&str]) {
        let script = format!(
            "trap '{}; exit 4' TERM; echo ready; while :; do sleep 1 & wait $!; done",
            self.order.noting("main")
        );
        let mut init = init.command(&["sh", "-c", &script]).start();
        init.line("ready");
        let asked = Instant::now();
        init.signal(Signal::TERM);
        let before: Vec<&str> = expected.iter().copied().take_while(|line| *line != "closed").collect();
        self.order.wait_for(&before);
        stays(Duration::from_millis(300), || self.order.lines() == before);
        self.order.note("closed");
        self.connection.close();
        // Its shell may have a word about the job that the signal ends.
        let run = init.finish();
        assert!(run.exits(4).warnings().is_empty(), "{run:?}");
        assert_eq!(self.order.lines(), expected);
        let request = self.server.request();
        assert!(request.at >= asked + Duration::from_millis(200), "the step before it sleeps");
    }
}

#[test]
fn steps_run_in_the_order_in_which_they_were_typed() {
    for mode in BOTH {
        let scene = Scene::new();
        let (first, last) = (scene.order.command("first"), scene.order.command("last"));
        let (url, port) = (scene.server.url("/"), scene.connection.port().to_string());
        let flags = [
            "--pre-stop",
            &first,
            "--pre-stop-sleep",
            "200ms",
            "--pre-stop-http",
            &url,
            "--pre-stop-idle",
            &port,
            "--pre-stop",
            &last,
            "--pre-stop-timeout",
            "1m",
        ];
        scene.goes(Init::new(mode).flags(&flags), &["first", "http", "closed", "last", "main"]);
    }
}

#[test]
fn another_order_is_another_order() {
    for mode in BOTH {
        let scene = Scene::new();
        let command = scene.order.command("command");
        let (url, port) = (scene.server.url("/"), scene.connection.port().to_string());
        let flags = [
            "--pre-stop-timeout=1m",
            "--pre-stop-idle",
            &port,
            "--pre-stop-sleep=200ms",
            "--pre-stop-http",
            &url,
            "--pre-stop",
            &command,
        ];
        scene.goes(Init::new(mode).flags(&flags), &["closed", "http", "command", "main"]);
    }
}

#[test]
fn the_environment_s_steps_are_sleep_command_http_and_idle() {
    for mode in BOTH {
        let scene = Scene::new();
        let commands = format!("{}\n{}\n", scene.order.command("one"), scene.order.command("two"));
        let other = listen("127.0.0.1").expect("the loopback is there");
        let idle = other.local_addr().expect("it is bound").port();
        let init = Init::new(mode)
            .env("DRAINIT_PRE_STOP_IDLE", format!("{idle},{}", scene.connection.port()))
            .env("DRAINIT_PRE_STOP_HTTP", format!("{0}\nPOST {0}", scene.server.url("/")))
            .env("DRAINIT_PRE_STOP", commands)
            .env("DRAINIT_PRE_STOP_SLEEP", "100ms, 100ms")
            .env("DRAINIT_PRE_STOP_TIMEOUT", "1m");
        scene.goes(init, &["one", "two", "http", "http", "closed", "main"]);
    }
}

#[test]
fn what_was_typed_replaces_the_variable_of_its_kind() {
    for mode in BOTH {
        let (typed, variable) = (hook("say=typed"), hook("say=variable"));
        let run = stopped(Init::new(mode).env("DRAINIT_PRE_STOP", variable).flags(&["--pre-stop", &typed]));
        run.in_order(&["hook typed", "main got TERM"]).silently();
        assert_eq!(run.count("hook variable"), 0, "{run:?}");
    }
}

#[test]
fn the_command_is_signalled_when_the_steps_are_done() {
    for mode in BOTH {
        let (slow, quick) = (hook("sleep=200ms say=slow"), hook("say=quick"));
        let run = stopped(Init::new(mode).flags(&["--pre-stop", &slow, "--pre-stop", &quick]));
        run.in_order(&["hook slow", "hook quick", "main got TERM"]).silently();
        let asked = Instant::now();
        stopped(Init::new(mode).flags(&["--pre-stop-sleep", "300ms", "--pre-stop-sleep", "200ms"]))
            .silently();
        took(asked, Duration::from_millis(500));
    }
}

#[test]
fn a_command_is_split_as_a_shell_does_and_nothing_is_expanded() {
    for mode in BOTH {
        let line = format!(r#""{WORKLOAD}" 'name=a  b' "say=$HOME * \"x\"" say=c\ d say='' argv '' e"#);
        let run = stopped(Init::new(mode).flags(&["--pre-stop", &line]));
        run.in_order(&[r#"a  b $HOME * "x""#, "a  b c d", "a  b ", r#"a  b argv ["", "e"]"#]).silently();
    }
}

#[test]
fn a_hook_has_the_command_s_directory_environment_and_mask_and_a_group_of_its_own() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let place = folder.path().canonicalize().expect("it is there");
    let here = format!("hook cwd {}", place.display());
    let odd = ["env", "--ignore-signal=PIPE,INT", "--block-signal=USR1,RTMAX"];
    for mode in BOTH {
        let look = hook("state cwd env=SOME_NAME");
        let mut init = Init::new(mode)
            .under(&odd)
            .in_directory(&place)
            .env("SOME_NAME", "a value")
            .flags(&["--pre-stop", &look])
            .workload("name=main catch=TERM:1ms:4 state ready hold")
            .start();
        let main = init.line_after("main state");
        init.ready(&["main"]).signal(Signal::TERM);
        let state = init.line_after("hook state");
        init.finish().exits(4).in_order(&[&here, "hook env SOME_NAME=a value"]).silently();
        for name in ["SigBlk", "SigIgn"] {
            assert_eq!(mask(&state, name), mask(&main, name), "{state}");
            assert_ne!(mask(&state, name), 0, "{state}");
        }
        assert_eq!(mask(&state, "SigCgt"), 0, "{state}");
        assert_eq!(field(&state, "pid"), field(&state, "pgrp"));
        assert_ne!(field(&state, "pgrp"), field(&main, "pgrp"));
        assert_eq!(field(&state, "ppid"), field(&main, "ppid"), "both are drainit's");
    }
}

#[test]
fn a_hook_runs_in_the_working_directory_that_was_chosen() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let place = folder.path().canonicalize().expect("it is there");
    let place = place.to_str().expect("text");
    for mode in BOTH {
        let run = stopped(Init::new(mode).flags(&["--workdir", place, "--pre-stop", &hook("cwd")]));
        run.in_order(&[&format!("hook cwd {place}"), "main got TERM"]).silently();
    }
}

#[test]
fn a_hook_runs_as_the_command_s_user() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root can change users");
        return;
    }
    let folder = tempfile::tempdir().expect("a scratch folder");
    for mode in BOTH {
        let look = workload_for_all(&folder, "name=hook ids").join(" ");
        let mut init = Init::new(mode)
            .in_directory("/")
            .flags(&["--user", "1234:4321", "--pre-stop", &look])
            .command(&workload_for_all(&folder, MAIN))
            .start();
        init.ready(&["main"]).signal(Signal::TERM);
        init.finish().exits(4).in_order(&["hook ids uid=1234 gid=4321 groups=", "main got TERM"]).silently();
    }
}

#[test]
fn a_hook_reads_nothing() {
    for mode in BOTH {
        let (reader, writer) = pipe();
        std::fs::File::from(writer).write_all(b"for the command\n").expect("a pipe takes a line");
        let look = "sh -c 'readlink /proc/self/fd/0; cat; echo hook read everything'";
        let run = stopped(Init::new(mode).stdin(reader).flags(&["--pre-stop", look]));
        run.in_order(&["/dev/null", "hook read everything", "main got TERM"]).silently();
        assert_eq!(run.count("for the command"), 0, "{run:?}");
    }
}

#[test]
fn a_hook_finds_out_what_the_stop_is_about() {
    for mode in BOTH {
        for signal in [Signal::TERM, Signal::QUIT] {
            let look = hook("env=DRAINIT_MAIN_PID env=DRAINIT_RECEIVED_SIGNAL env=DRAINIT_DEADLINE_MS");
            let flags = [
                "--stop-signal=TERM,QUIT",
                "--pre-stop-timeout=20s",
                "--pre-stop",
                &look,
                "--pre-stop-sleep=300ms",
                "--pre-stop",
                &look,
            ];
            let mut init =
                Init::new(mode).flags(&flags).workload("name=main catch=TERM,QUIT:1ms:4 ready hold").start();
            let main = init.line_after("main ready");
            init.signal(signal);
            let mut left = [0_u64; 2];
            for milliseconds in &mut left {
                init.line(&format!("hook env DRAINIT_MAIN_PID={main}"));
                init.line(&format!("hook env DRAINIT_RECEIVED_SIGNAL={signal}"));
                *milliseconds = init
                    .line_after("hook env DRAINIT_DEADLINE_MS=")
                    .parse()
                    .expect("a number of milliseconds");
            }
            init.finish().exits(4).in_order(&[&format!("main got {signal}")]).silently();
            assert!((5_001..=20_000).contains(&left[0]), "{left:?}");
            assert!(left[1] <= left[0] - 300, "{left:?}");
        }
    }
}

#[test]
fn the_command_knows_nothing_of_it() {
    for mode in BOTH {
        let names = "env=DRAINIT_MAIN_PID env=DRAINIT_RECEIVED_SIGNAL env=DRAINIT_DEADLINE_MS exit=3";
        let run = Init::new(mode).flags(&["--pre-stop-sleep=1s"]).workload(names).run();
        run.exits(3).silently();
        assert!(run.stdout.iter().all(|line| line.ends_with(" unset")), "{run:?}");
    }
}

#[test]
fn nothing_is_drained_when_the_command_ends_by_itself() {
    for mode in BOTH {
        let family = "daemon{ name=daemon catch=TERM:100ms ready hold } await=GATE exit=3";
        let gate = Gate::closed();
        let mut init = Init::new(mode)
            .flags(&["--pre-stop", &hook("say=ran"), "--pre-stop-sleep=1h", "--pre-stop-timeout=1h"])
            .workload(&family.replace("GATE", &gate.path()))
            .start();
        init.ready(&["daemon"]);
        gate.open();
        let run = init.finish();
        run.exits(3).in_order(&["daemon got TERM", "daemon finished"]).silently();
        assert_eq!(run.count("hook ran"), 0, "{run:?}");
    }
}

#[test]
fn a_signal_that_is_no_request_drains_nothing() {
    for mode in BOTH {
        let flags = ["--stop-signal=QUIT", "--pre-stop", &hook("say=ran")];
        let mut init = Init::new(mode).flags(&flags).workload(MAIN).start();
        init.ready(&["main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(4).in_order(&["main got TERM", "main finished"]);
        assert_eq!(run.count("hook ran"), 0, "{run:?}");
        // Only there it is certain that the signal came from outside.
        assert_eq!(run.warnings().len(), usize::from(mode == Mode::PidOne), "{run:?}");
    }
}

#[test]
fn every_stop_signal_drains_and_is_the_one_that_is_sent() {
    for mode in BOTH {
        let flags = ["--stop-signal=QUIT,INT", "--pre-stop", &hook("sleep=100ms say=done")];
        let family = "name=main catch=QUIT:1ms:5 catch=INT:1ms:4 ready hold";
        let mut init = Init::new(mode).flags(&flags).workload(family).start();
        init.ready(&["main"]).signal(Signal::INT);
        init.finish().exits(4).in_order(&["hook done", "main got INT", "main finished"]).silently();
    }
}

#[test]
fn the_rest_is_dropped_when_the_command_ends_meanwhile() {
    for mode in BOTH {
        let gate = Gate::closed();
        let flags = [
            "--pre-stop-timeout=1h",
            "--pre-stop",
            &hook("catch=TERM:1ms ready hold"),
            "--pre-stop",
            &hook("say=next"),
        ];
        let family = format!("name=main ready await={} exit=7", gate.path());
        let mut init = Init::new(mode).flags(&flags).workload(&family).start();
        init.ready(&["main"]).signal(Signal::TERM).ready(&["hook"]);
        let begun = Instant::now();
        gate.open();
        let run = init.finish();
        run.exits(7).silently();
        took(begun, Duration::ZERO);
        assert_eq!((run.count("hook got TERM"), run.count("hook next")), (1, 0), "{run:?}");
    }
}

#[test]
fn a_sleep_is_dropped_when_the_command_ends_meanwhile() {
    for mode in BOTH {
        let gate = Gate::closed();
        let family = format!("name=main catch=USR1 ready await={} exit=7", gate.path());
        let mut init = Init::new(mode)
            .flags(&["--pre-stop-timeout=1h", "--pre-stop-sleep=1h"])
            .workload(&family)
            .start();
        init.ready(&["main"]).signal(Signal::TERM).idle();
        let begun = Instant::now();
        gate.open();
        init.finish().exits(7).silently();
        took(begun, Duration::ZERO);
    }
}

#[test]
fn a_repeated_request_changes_nothing() {
    for mode in BOTH {
        let gate = Gate::closed();
        let flags = [
            "--stop-signal=TERM,INT",
            "--pre-stop-timeout=1h",
            "--pre-stop",
            &hook(&format!("ready await={} say=done", gate.path())),
        ];
        let family = "name=main catch=INT catch=TERM:300ms:4 ready hold";
        let mut init = Init::new(mode).flags(&flags).workload(family).start();
        init.ready(&["main"]).signal(Signal::TERM).ready(&["hook"]);
        for again in [Signal::TERM, Signal::TERM, Signal::INT] {
            init.idle().signal(again).idle();
        }
        gate.open();
        let run = init.finish();
        run.exits(4).in_order(&["hook done", "main got TERM", "main finished"]).silently();
        let counts = ["hook ready", "main got TERM", "main got INT"]
            .map(|start| run.stdout.iter().filter(|line| line.starts_with(start)).count());
        assert_eq!(counts, [1, 1, 0], "{run:?}");
    }
}

#[test]
fn other_signals_are_forwarded_while_it_drains() {
    for mode in BOTH {
        let gate = Gate::closed();
        let wait = hook(&format!("catch=USR1,WINCH ready await={}", gate.path()));
        let flags = ["--pre-stop-timeout=1h", "--pre-stop", &wait];
        let family = "name=main catch=USR1,WINCH catch=TERM:1ms:4 ready hold";
        let mut init = Init::new(mode).flags(&flags).workload(family).start();
        init.ready(&["main"]).signal(Signal::TERM).ready(&["hook"]);
        init.signal(Signal::USR1).line("main got USR1");
        init.signal(Signal::WINCH).line("main got WINCH");
        gate.open();
        let run = init.finish();
        run.exits(4).in_order(&["main got USR1", "main got WINCH", "main got TERM"]).silently();
        assert_eq!(run.count("hook got USR1") + run.count("hook got WINCH"), 0, "it is not in that group");
    }
}

#[test]
fn orphans_are_reaped_while_it_drains() {
    for mode in BOTH {
        let (born, gate) = (Gate::closed(), Gate::closed());
        let flags = ["--pre-stop-timeout=1h", "--pre-stop", &hook(&format!("ready await={}", gate.path()))];
        let family = format!(
            "name=main catch=TERM:1ms:4 ready await={} orphan*20{{ exit=1 }} say=orphans hold",
            born.path()
        );
        let mut init = Init::new(mode).flags(&flags).workload(&family).start();
        init.ready(&["main"]).signal(Signal::TERM).ready(&["hook"]);
        born.open();
        init.line("main orphans");
        wait_until("all orphans are reaped", || (init.descendants().len() == 2).then_some(()));
        gate.open();
        init.finish().exits(4).silently();
    }
}

#[test]
fn with_wait_for_all_it_drains_when_the_command_is_gone() {
    for mode in BOTH {
        let flags = ["--wait-for-all", "--pre-stop", &hook("sleep=100ms say=done")];
        let family = "daemon{ name=daemon catch=TERM:1ms ready hold } exit=6";
        let mut init = Init::new(mode).flags(&flags).workload(family).start();
        init.ready(&["daemon"]);
        wait_until("the command is gone", || (init.descendants().len() == 1).then_some(()));
        init.idle().signal(Signal::TERM);
        init.finish().exits(6).in_order(&["hook done", "daemon got TERM", "daemon finished"]).silently();
    }
}

#[test]
fn a_stop_after_a_time_drains_too() {
    for mode in BOTH {
        let look = hook("env=DRAINIT_RECEIVED_SIGNAL sleep=100ms say=done");
        for init in [
            Init::new(mode).flags(&["--stop-after=300ms"]),
            Init::new(mode).env("DRAINIT_STOP_AFTER", "300ms"),
        ] {
            let begun = Instant::now();
            let run = init.flags(&["--pre-stop", &look]).workload(MAIN).run();
            run.exits(4)
                .in_order(&["hook env DRAINIT_RECEIVED_SIGNAL=TERM", "hook done", "main got TERM"])
                .silently();
            took(begun, Duration::from_millis(400));
        }
        // A command that is done before has nothing to do with it.
        Init::new(mode)
            .flags(&["--stop-after=1h", "--pre-stop", &look])
            .workload("exit=3")
            .run()
            .exits(3)
            .silently();
    }
}

#[test]
fn a_foreign_proc_does_not_keep_it_from_draining() {
    let run =
        stopped(Init::new(Mode::PidOneForeignProc).flags(&["--pre-stop", &hook("sleep=100ms say=done")]));
    run.in_order(&["hook done", "main got TERM"]).silently();
}

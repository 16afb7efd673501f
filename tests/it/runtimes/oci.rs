//! runc and crun as engines: what holds in every runtime, and what can be tested only if the runtime is called directly.

use std::fs;
use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::cases::tests_of_every_case;
use super::engine::{Contained, Engine, NOBODY, StopSignal, Wish, swap_can_be_limited};
use super::{Bundle, Container, Runtime, installed, not_run, runtimes};
use crate::harness::{Finished, Init, Running, stays};

mod runc {
    super::tests_of_every_case!(|case| super::with(crate::runtimes::Runtime::Runc, case));
}

mod crun {
    super::tests_of_every_case!(|case| super::with(crate::runtimes::Runtime::Crun, case));
}

fn with(runtime: Runtime, case: fn(&dyn Engine)) {
    if runtime.is_usable() {
        case(&runtime);
    }
}

impl Engine for Runtime {
    fn start(&self, wish: Wish) -> Box<dyn Contained> {
        let stop_signal = wish.stop_signal;
        Box::new(Bundled { container: bundle(*self, wish).start(), stop_signal })
    }
}

/// The configuration that a wish comes to.
fn bundle(runtime: Runtime, wish: Wish) -> Bundle {
    let mut bundle = wish.words.iter().fold(Bundle::new(runtime, ""), |bundle, word| bundle.word(word));
    let linux = bundle.setting("/linux");
    linux["resources"] = json!({});
    if let Some(bytes) = wish.memory {
        linux["resources"]["memory"] = json!({ "limit": bytes });
        if swap_can_be_limited() {
            // Together.
            linux["resources"]["memory"]["swap"] = json!(bytes);
        }
    }
    if let Some(count) = wish.pids {
        linux["resources"]["pids"] = json!({ "limit": count });
    }
    if wish.locked_down {
        bundle = bundle
            .with("/root/readonly", json!(true))
            .with("/process/user", json!({ "uid": NOBODY, "gid": NOBODY }));
        bundle.setting("/process")["capabilities"] =
            json!({ "bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": [] });
    }
    if let Some(terminal) = wish.terminal {
        bundle = bundle.with_terminal();
        bundle.terminal = Some(terminal);
    }
    bundle
}

/// A container, and the signal that an image of it would name.
struct Bundled {
    container: Container,
    stop_signal: StopSignal,
}

impl Contained for Bundled {
    fn running(&mut self) -> &mut Running {
        self.container.running()
    }

    fn stop(&mut self) {
        self.container.kill(self.stop_signal.number());
    }

    fn finish(self: Box<Self>) -> Finished {
        self.container.finish()
    }
}

/// Runs nothing for a while.
const FROZEN: Duration = Duration::from_millis(300);

#[test]
fn a_stop_that_is_frozen_goes_on_when_it_is_thawed() {
    for runtime in runtimes() {
        let words = "drainit -- fake-workload name=main catch=TERM:500ms:4 ready hold";
        // First the signal comes while all are frozen, then it is the stop that is interrupted.
        for before in [true, false] {
            let mut container = Bundle::new(runtime, words).start();
            container.ready(&["main"]);
            if before {
                container.ask_well("pause").kill("TERM");
                stays(FROZEN, || !container.running().try_line("main got TERM"));
            } else {
                container.kill("TERM").running().line("main got TERM");
                container.ask_well("pause");
                // Longer than the workload needs to finish.
                stays(2 * FROZEN, || !container.running().try_line("main finished"));
            }
            container.ask_well("resume");
            container.finish().exits(4).in_order(&["main got TERM", "main finished"]).silently();
        }
    }
}

#[test]
fn a_terminal_that_is_passed_through_a_console_socket_works_as_well() {
    let Some(python) = installed("python3") else {
        not_run("a console socket", "python3 is not installed");
        return;
    };
    let python = python.to_str().expect("text");
    for runtime in runtimes() {
        // Its path is short: that of a socket may have a hundred bytes.
        let folder = tempfile::tempdir().expect("a scratch folder");
        let socket = folder.path().join("socket").to_str().expect("text").to_owned();
        let (typed, mut keyboard) = std::io::pipe().expect("a pipe can be made");
        let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/runtimes/console.py");
        let mut console = Init::subreaper().stdin(typed).command(&[python, client, &socket]).start();
        console.line("listening");
        let words = "drainit --report /report -- fake-workload name=main catch=INT:1ms:5 state ready hold";
        let container = Bundle::new(runtime, words).with_terminal().start_detached(&socket);
        console.ready(&["main"]);
        keyboard.write_all(b"\x03").expect("a reader");
        let said = console.finish();
        said.exits(0).silently();
        assert!(said.stdout.iter().any(|line| line.contains("main got INT")), "{said:#?}");
        let report = fs::read_to_string(container.root().join("report")).expect("it has ended");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(report["exit_code"], 5, "{report:#}");
    }
}

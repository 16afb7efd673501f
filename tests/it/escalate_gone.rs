//! Escalation when the command is gone: the stages that follow are for every process that is left.

use std::io::Write;
use std::time::Duration;

use drainit::signal::Signal;

use crate::harness::{BOTH, Gate, Init, pipe, stays, took};

#[test]
fn a_later_stage_reaches_processes_signalled_before() {
    let family = "daemon{ name=daemon catch=TERM catch=QUIT:100ms:2 ready hold } name=main catch=TERM:1ms:4 ready hold";
    for mode in BOTH {
        let flags = ["--stop-schedule=TERM/3s/QUIT/1h/KILL"];
        let mut init = Init::new(mode).flags(&flags).workload(family).start();
        init.ready(&["daemon", "main"]).signal(Signal::TERM);
        let run = init.finish();
        run.exits(4).in_order(&["daemon got TERM", "daemon got QUIT", "daemon finished"]);
        run.warns(&["going on to QUIT", "fake-workload ("]);
    }
}

#[test]
fn after_the_command_s_own_exit_too() {
    let family = "daemon{ name=daemon catch=TERM catch=QUIT:100ms:2 ready hold } await=GATE exit=5";
    for mode in BOTH {
        let gate = Gate::closed();
        let mut init = Init::new(mode)
            .flags(&["--stop-schedule=TERM/3s/QUIT/1h/KILL"])
            .workload(&family.replace("GATE", &gate.path()))
            .start();
        init.ready(&["daemon"]);
        gate.open();
        let run = init.finish();
        run.exits(5).in_order(&["daemon got TERM", "daemon got QUIT", "daemon finished"]);
    }
}

#[test]
fn jobs_of_a_shell_that_ignore_another_stop_signal_get_term() {
    // Background jobs of sh ignore INT.
    for mode in BOTH {
        let script =
            format!("{} name=job ready hold & exec {0} name=main ready hold", crate::harness::WORKLOAD);
        let mut init = Init::new(mode).flags(&["--stop-signal=INT"]).command(&["sh", "-c", &script]).start();
        init.ready(&["job", "main"]);
        let begun = std::time::Instant::now();
        init.signal(Signal::INT);
        let run = init.finish();
        took(begun, Duration::from_secs(2));
        run.exits(130).warns(&["going on to TERM", "fake-workload ("]);
    }
}

/// Longer than an idle process that ignores the signal is given.
const WORK: Duration = Duration::from_secs(4);

#[test]
fn a_process_that_uses_the_processor_is_waited_for_although_it_ignores_the_signal() {
    for mode in BOTH {
        let gate = Gate::closed();
        let script = format!(
            "trap '' TERM; echo main ready $$; while [ ! -e {} ]; do :; done; echo main done",
            gate.path()
        );
        let mut init =
            Init::new(mode).flags(&["--grace-period=1m"]).command(&["dash", "-c", &script]).start();
        init.ready(&["main"]).signal(Signal::TERM);
        stays(WORK, || !init.descendants().is_empty());
        gate.open();
        init.line("main done");
        init.finish().exits(0).silently();
    }
}

#[test]
fn a_process_that_moves_data_is_waited_for_although_it_ignores_the_signal() {
    for mode in BOTH {
        let (read, write) = pipe();
        let script = "trap '' TERM; echo main ready $$; exec cat >/dev/null";
        let init = Init::new(mode).flags(&["--grace-period=1m"]).stdin(read);
        let mut init = init.command(&["dash", "-c", script]).start();
        init.ready(&["main"]).signal(Signal::TERM);
        let mut upload = std::fs::File::from(write);
        // As much as the pipe holds: if the processor is given to others between two looks, one turn of the reader is enough.
        stays(WORK, || upload.write_all(&[0; 64 * 1024]).is_ok());
        drop(upload);
        init.finish().exits(0).silently();
    }
}

#[test]
fn an_exec_gives_no_handler_up() {
    let server = format!("{} name=server ready hold", crate::harness::WORKLOAD);
    let shell = format!("trap \"echo got\" TERM; echo daemon ready $$; read line < PIPE; exec {server}");
    for mode in BOTH {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let pipe = folder.path().join("pipe");
        let pipe = pipe.to_str().expect("text");
        nix::unistd::mkfifo(pipe, nix::sys::stat::Mode::S_IRWXU).expect("our own folder");
        // The daemon execs its server while the stop is under way: main writes to the pipe when it is signalled.
        let shell = shell.replace("PIPE", pipe);
        let script = format!(
            "setsid sh -c '{shell}' & trap 'echo go > {pipe}; {} await={pipe}.open; exit 4' TERM; \
             echo main ready $$; while :; do sleep 0.1; done",
            crate::harness::WORKLOAD
        );
        let mut init =
            Init::new(mode).flags(&["--grace-period=1m"]).command(&["bash", "-c", &script]).start();
        init.ready(&["daemon", "main"]).signal(Signal::TERM);
        init.ready(&["server"]);
        std::fs::write(format!("{pipe}.open"), "").expect("our own folder");
        let begun = std::time::Instant::now();
        init.finish().exits(4);
        took(begun, Duration::ZERO);
    }
}

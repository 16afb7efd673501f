//! Draining until no connection is left.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use drainit::signal::Signal;

use crate::drain::stopped;
use crate::harness::{BOTH, Init, Mode, Running, stays, took, wait_until};
use crate::server::{Connection, closed_port, listen};

/// Long enough for a step that is wrong about the connection to have ended.
const A_WHILE: Duration = Duration::from_millis(600);

fn local() -> TcpListener {
    listen("127.0.0.1").expect("the loopback is there")
}

/// Asked to stop, and waiting for this port.
fn draining(mode: Mode, port: u16) -> Running {
    let flags = ["--pre-stop-timeout=1h", "--pre-stop-idle", &port.to_string()];
    let family = "name=main catch=USR1 catch=TERM:1ms:4 ready hold";
    let mut init = Init::new(mode).flags(&flags).workload(family).start();
    init.ready(&["main"]).signal(Signal::TERM);
    init
}

/// The command has not been signalled and is not signalled for a while.
fn it_waits(init: &mut Running) {
    stays(A_WHILE, || !init.try_line("main got TERM"));
    init.signal(Signal::USR1).line("main got USR1");
}

/// Now the command is signalled.
fn it_ends(init: Running) {
    let run = init.finish();
    run.exits(4).in_order(&["main got USR1", "main got TERM", "main finished"]).silently();
}

#[test]
fn it_waits_until_the_last_connection_is_closed() {
    for (listening, connecting) in
        [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")]
    {
        for mode in BOTH {
            let Some(listener) = listen(listening) else { continue };
            let mut connection = Connection::open(listener, connecting);
            let mut init = draining(mode, connection.port());
            it_waits(&mut init);
            connection.close();
            it_ends(init);
        }
    }
}

#[test]
fn a_connection_that_only_the_client_has_closed_is_one() {
    for mode in BOTH {
        let mut connection = Connection::open(local(), "127.0.0.1");
        // The server has not read to the end: it may be at work.
        connection.leave();
        let mut init = draining(mode, connection.port());
        it_waits(&mut init);
        connection.close();
        it_ends(init);
    }
}

#[test]
fn one_of_several_connections_is_enough_to_wait_for() {
    for mode in BOTH {
        let mut first = Connection::open(local(), "127.0.0.1");
        let second = first.another();
        let mut init = draining(mode, first.port());
        first.close();
        it_waits(&mut init);
        drop(second);
        it_ends(init);
    }
}

#[test]
fn a_port_that_is_only_listened_on_is_idle() {
    for mode in BOTH {
        for address in ["127.0.0.1", "::1", "::"] {
            let Some(listener) = listen(address) else { continue };
            let port = listener.local_addr().expect("it is bound").port();
            let begun = Instant::now();
            stopped(Init::new(mode).flags(&["--pre-stop-timeout=1h", "--pre-stop-idle", &port.to_string()]))
                .silently();
            took(begun, Duration::ZERO);
        }
    }
}

#[test]
fn a_port_without_a_listener_is_idle() {
    for mode in BOTH {
        let flags = ["--pre-stop-timeout=1h", "--pre-stop-idle", &closed_port().to_string()];
        stopped(Init::new(mode).flags(&flags)).silently();
    }
}

#[test]
fn what_is_left_of_a_closed_connection_is_none() {
    for mode in BOTH {
        let mut connection = Connection::open(local(), "127.0.0.1");
        // The side that closes first, here the client, keeps its port in TIME_WAIT for a minute.
        let mut init = draining(mode, connection.client_port());
        it_waits(&mut init);
        connection.close();
        it_ends(init);
    }
}

#[test]
fn a_connection_that_stays_takes_no_more_than_the_time() {
    for mode in BOTH {
        let connection = Connection::open(local(), "127.0.0.1");
        let port = connection.port().to_string();
        let begun = Instant::now();
        let run = stopped(Init::new(mode).flags(&["--pre-stop-timeout=500ms", "--pre-stop-idle", &port]));
        took(begun, Duration::from_millis(500));
        let [timed_out, left] = run.warnings().try_into().expect("two lines");
        assert!(timed_out.contains(&format!("pre-stop idle {port} timed out")), "{run:?}");
        let idle =
            format!("1 connection was left: 127.0.0.1:{} idle. Nothing was sent", connection.client_port());
        assert!(left.contains(&idle), "{run:?}");
    }
}

#[test]
fn connections_that_are_only_kept_alive_lead_to_advice_in_the_report_and_in_a_rehearsal() {
    for mode in BOTH {
        let connection = Connection::open(local(), "127.0.0.1");
        let port = connection.port().to_string();
        let flags = ["--pre-stop-timeout=500ms", "--pre-stop-idle", &port];
        let advice = [
            format!("the pre-stop step 'idle {port}' used up the drain's time"),
            "nothing was sent on the connections".to_owned(),
        ];
        let tells = |line: &str| advice.iter().all(|part| line.contains(part));
        let run = stopped(Init::new(mode).flags(&["--report=-"]).flags(&flags));
        let report = run.stderr.iter().find(|line| line.starts_with("{\"schema\"")).expect("a report");
        assert!(tells(report), "{run:#?}");
        let run = Init::new(mode)
            .flags(&["--rehearse=200ms"])
            .flags(&flags)
            .workload("name=main catch=TERM:1ms ready hold")
            .run();
        run.exits(124);
        assert!(run.stderr.iter().any(|line| line.starts_with("advice: ") && tells(line)), "{run:#?}");
    }
}

#[test]
fn it_is_dropped_when_the_command_ends_meanwhile() {
    for mode in BOTH {
        let connection = Connection::open(local(), "127.0.0.1");
        let flags = ["--pre-stop-timeout=1h", "--pre-stop-idle", &connection.port().to_string()];
        let mut init =
            Init::new(mode).flags(&flags).workload("name=main catch=USR1:1ms:7 ready hold").start();
        init.ready(&["main"]).signal(Signal::TERM);
        wait_until("the step runs", || (init.descendants().len() == 2).then_some(()));
        let begun = Instant::now();
        init.signal(Signal::USR1);
        init.finish().exits(7).silently();
        took(begun, Duration::ZERO);
    }
}

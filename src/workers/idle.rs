//! Waiting until no TCP connection on a local port is left.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::time::Duration;

use crate::signal::SignalSet;
use crate::sys::signals;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// So many looks in a row must find none: a connection may be on its way from the queue of one that listens.
const LOOKS: u32 = 2;
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// Waits, for ever if need be: the plan ends this child.
///
/// # Errors
/// The tables of the connections cannot be read.
pub fn wait(port: u16) -> Result<(), String> {
    let mut found_none = 0;
    loop {
        found_none = if has_connection(port)? { 0 } else { found_none + 1 };
        if found_none == LOOKS {
            return Ok(());
        }
        let _ = signals::wait(SignalSet::default(), Some(PAUSE));
    }
}

/// Without IPv6 there is no table of it, but one there must be.
fn has_connection(port: u16) -> Result<bool, String> {
    let mut tables = 0;
    let mut problem = String::new();
    for table in TABLES {
        match File::open(table).and_then(|file| lists(BufReader::new(file), port)) {
            Ok(true) => return Ok(true),
            Ok(false) => tables += 1,
            Err(error) => problem = format!("{table}: {error}"),
        }
    }
    if tables == 0 { Err(problem) } else { Ok(false) }
}

/// Whether the kernel's table has a connection on this local port.
///
/// # Errors
/// It cannot be read.
pub fn lists(table: impl BufRead, port: u16) -> io::Result<bool> {
    for line in table.split(b'\n') {
        if std::str::from_utf8(&line?).ok().and_then(connection).is_some_and(|local| local == port) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The local port of a line of `/proc/net/tcp` (proc_pid_net(5)) that is a connection that may still be served, or one with bytes
/// that have not been sent: `sl local_address rem_address st ...`, in hexadecimal.
fn connection(line: &str) -> Option<u16> {
    let mut fields = line.split_ascii_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let state = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
    // The kernel's numbers (include/net/tcp_states.h).
    let counts = match state {
        // ESTABLISHED, SYN_RECV, FIN_WAIT1, CLOSE_WAIT, LAST_ACK, CLOSING.
        1 | 3 | 4 | 8 | 9 | 11 => true,
        // SYN_SENT, FIN_WAIT2, TIME_WAIT, CLOSE, LISTEN and what may come.
        _ => false,
    };
    counts.then(|| u16::from_str_radix(port, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(state: &str) -> String {
        format!(
            "   3: 0100007F:1F90 0100007F:C350 {state} 00000000:00000000 00:00000000 00000000  0  0 12345 1"
        )
    }

    #[test]
    fn connections_that_may_still_be_served_count() {
        for state in ["01", "03", "04", "08", "09", "0B"] {
            assert_eq!(connection(&line(state)), Some(8080), "{state}");
        }
        for state in ["02", "05", "06", "07", "0A", "0C"] {
            assert_eq!(connection(&line(state)), None, "{state}");
        }
    }

    #[test]
    fn both_families_are_read_and_the_head_of_the_table_is_not() {
        let ipv6 = "   0: 00000000000000000000000001000000:0050 00000000000000000000000001000000:A000 01 0:0";
        assert_eq!(connection(ipv6), Some(80));
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt";
        assert_eq!(connection(head), None);
        let table = format!("{head}\n{}\n{ipv6}\n", line("0A"));
        assert_eq!(lists(table.as_bytes(), 80).ok(), Some(true));
        assert_eq!(lists(table.as_bytes(), 8080).ok(), Some(false));
        assert_eq!(lists(table.as_bytes(), 0xA000).ok(), Some(false), "a port of the other side");
    }
}

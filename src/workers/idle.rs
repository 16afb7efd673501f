//! Waiting until no TCP connection on a local port is left.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::signal::{Signal, SignalSet};
use crate::sys::clock::Clock;
use crate::sys::signals;
use crate::text::plain;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// This many looks in a row must find none: a connection may still be in the queue of a listening socket.
const LOOKS: u32 = 2;
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// How many connections are named.
const NAMED: usize = 5;
/// A TERM that comes this shortly before the time is up counts as the end of the time.
const EARLY: Duration = Duration::from_millis(100);

/// The text for connections on which nothing was seen to happen.
const KEPT_ALIVE: &str = ". Nothing was sent on them while drainit looked, as on connections that are kept alive: \
    have the server close those when it drains";

/// Why the wait failed.
#[derive(Debug)]
pub struct NotIdle {
    /// In words.
    pub why: String,
    /// Nothing was seen to happen on any connection that was left.
    pub only_kept_alive: bool,
}

impl From<String> for NotIdle {
    fn from(why: String) -> Self {
        Self { why, only_kept_alive: false }
    }
}

/// A connection on the port, in one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    remote: SocketAddr,
    state: TcpState,
    /// Whether bytes wait to be sent or read.
    has_bytes: bool,
}

/// A state in which a client may still be served, or bytes have not been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TcpState {
    Established,
    /// The client has closed it, the server has not.
    ClosedByClient,
    /// Any other.
    Closing,
}

/// Waits until no connection is left, for ever if need be: drainit ends this process when the time is up.
///
/// # Errors
/// The tables of connections cannot be read, or the time is up: then the error names the connections that are left.
pub fn wait(port: u16, time: Duration) -> Result<(), NotIdle> {
    let told_to_end = SignalSet::default().with(Signal::TERM);
    signals::block(told_to_end);
    let clock = Clock::start();
    // Connections that were there all the time, and on which nothing was seen to happen.
    let mut unused: Option<Vec<SocketAddr>> = None;
    let mut found_none = 0;
    loop {
        let found = connections(port)?;
        found_none = if found.is_empty() { found_none + 1 } else { 0 };
        if found_none == LOOKS {
            return Ok(());
        }
        let is_unused = |one: &Connection| one.state == TcpState::Established && !one.has_bytes;
        let now: Vec<SocketAddr> = found.iter().filter(|one| is_unused(one)).map(|one| one.remote).collect();
        let unused = unused.get_or_insert_with(|| now.clone());
        unused.retain(|remote| now.contains(remote));
        if signals::wait(told_to_end, Some(PAUSE)).is_some() {
            let is_over = time <= clock.now().saturating_add(EARLY);
            return if is_over && !found.is_empty() { Err(left(&found, unused)) } else { Ok(()) };
        }
    }
}

/// The error: which connections are left, and what that means.
fn left(found: &[Connection], unused: &[SocketAddr]) -> NotIdle {
    let describe = |one: &Connection| {
        let state = match one.state {
            TcpState::Established if unused.contains(&one.remote) => "idle",
            TcpState::Established => "in use",
            TcpState::ClosedByClient => "closed by the client only",
            TcpState::Closing => "closing",
        };
        format!("{} {state}", one.remote)
    };
    let mut named: Vec<String> = found.iter().take(NAMED).map(describe).collect();
    let more = found.len().saturating_sub(NAMED);
    named.extend((more > 0).then(|| format!("{more} more")));
    let named = named.join(", ");
    let are = if found.len() == 1 { "connection was" } else { "connections were" };
    let only_kept_alive = found.iter().all(|one| unused.contains(&one.remote));
    let end = if only_kept_alive { KEPT_ALIVE } else { "" };
    NotIdle { why: format!("{} {are} left: {named}{end}", found.len()), only_kept_alive }
}

/// Without IPv6 its table is missing, but at least one table must exist.
fn connections(port: u16) -> Result<Vec<Connection>, String> {
    let mut found = Vec::new();
    let mut tables = 0;
    let mut problem = String::new();
    for table in TABLES {
        match File::open(table).and_then(|file| listed(BufReader::new(file), port)) {
            Ok(listed) => {
                found.extend(listed);
                tables += 1;
            }
            Err(error) => problem = format!("{table}: {}", plain(&error)),
        }
    }
    if tables == 0 { Err(problem) } else { Ok(found) }
}

/// The connections on this local port in one of the kernel's tables.
///
/// # Errors
/// The table cannot be read.
pub fn listed(table: impl BufRead, port: u16) -> io::Result<Vec<Connection>> {
    let mut found = Vec::new();
    for line in table.split(b'\n') {
        let line = line?;
        let one = std::str::from_utf8(&line).ok().and_then(connection);
        found.extend(one.filter(|(local, _)| *local == port).map(|(_, connection)| connection));
    }
    Ok(found)
}

/// The local port in a line of `/proc/net/tcp` (proc_pid_net(5)), and the connection, if its client may still be served or it has bytes
/// that were not sent: `sl local_address rem_address st tx_queue:rx_queue ...`, in hexadecimal.
fn connection(line: &str) -> Option<(u16, Connection)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote, state, queues) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    // The kernel's numbers (include/net/tcp_states.h).
    let state = match u8::from_str_radix(state, 16).ok()? {
        1 => TcpState::Established,
        8 => TcpState::ClosedByClient,
        // SYN_RECV, FIN_WAIT1, LAST_ACK, CLOSING.
        3 | 4 | 9 | 11 => TcpState::Closing,
        // SYN_SENT, FIN_WAIT2, TIME_WAIT, CLOSE, LISTEN and any that may be added.
        _ => return None,
    };
    let has_bytes = queues.chars().any(|digit| !matches!(digit, '0' | ':'));
    Some((address(local)?.port(), Connection { remote: address(remote)?, state, has_bytes }))
}

/// `0100007F:1F90`, or the same with 32 digits: the words of the address as the machine has them.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.rsplit_once(':')?;
    let word =
        |at: usize| address.get(8 * at..8 * at + 8).and_then(|word| u32::from_str_radix(word, 16).ok());
    let ip = if address.len() == 8 {
        IpAddr::V4(word(0)?.to_ne_bytes().into())
    } else {
        let mut bytes = [0; 16];
        for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
            chunk.copy_from_slice(&word(at)?.to_ne_bytes());
        }
        IpAddr::V6(bytes.into()).to_canonical()
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(state: &str) -> String {
        format!(
            "   3: 0100007F:1F90 0100007F:C350 {state} 00000000:00000000 00:00000000 00000000  0  0 12345 1"
        )
    }

    fn local_port(line: &str) -> Option<u16> {
        connection(line).map(|(port, _)| port)
    }

    #[test]
    fn connections_that_may_still_be_served_count() {
        for state in ["01", "03", "04", "08", "09", "0B"] {
            assert_eq!(local_port(&line(state)), Some(8080), "{state}");
        }
        for state in ["02", "05", "06", "07", "0A", "0C"] {
            assert_eq!(local_port(&line(state)), None, "{state}");
        }
    }

    #[test]
    fn both_families_are_read_and_the_head_of_the_table_is_not() {
        let ipv6 = "   0: 00000000000000000000000001000000:0050 00000000000000000000000001000000:A000 01 0:0";
        assert_eq!(local_port(ipv6), Some(80));
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt";
        assert_eq!(local_port(head), None);
        let table = format!("{head}\n{}\n{ipv6}\n", line("0A"));
        let found = |port| listed(table.as_bytes(), port).map(|found| found.len()).ok();
        assert_eq!(found(80), Some(1));
        assert_eq!(found(8080), Some(0));
        assert_eq!(found(0xA000), Some(0), "a port of the other side");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn an_address_is_read() {
        for (text, shown) in [
            ("0100007F:1F90", "127.0.0.1:8080"),
            ("00000000000000000000000001000000:0050", "[::1]:80"),
            ("0000000000000000FFFF00000100007F:0001", "127.0.0.1:1"),
        ] {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), Some(shown));
        }
        assert_eq!(["", "0100007F", "01:0050", "x:1"].map(address), [None; 4]);
    }

    #[test]
    fn what_was_left_is_said_with_what_was_seen_of_it() {
        let (_, idle) = connection(&line("01")).expect("a connection");
        let other = Connection { remote: SocketAddr::from(([10, 0, 0, 7], 5)), ..idle.clone() };
        let closed = Connection { state: TcpState::ClosedByClient, ..other.clone() };
        let unused = [idle.remote];
        let NotIdle { why: said, only_kept_alive } = left(std::slice::from_ref(&idle), &unused);
        assert!(only_kept_alive && said.starts_with("1 connection was left: "), "{said}");
        assert!(said.contains("idle. Nothing was sent"), "{said}");
        let NotIdle { why: said, only_kept_alive } = left(&[idle.clone(), other], &unused);
        assert!(
            !only_kept_alive
                && said.contains("2 connections were left")
                && said.ends_with("10.0.0.7:5 in use"),
            "{said}"
        );
        let said = left(&[idle, closed], &unused).why;
        assert!(said.ends_with("10.0.0.7:5 closed by the client only"), "{said}");
        let busy = line("01").replace("00000000:00000000 00:", "00000000:00000010 00:");
        assert!(connection(&busy).is_some_and(|(_, one)| one.has_bytes));
    }
}

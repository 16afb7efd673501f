//! What runs before the processes are signalled, and after the last one has gone.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Run this program; at least one word.
    Command(Vec<OsString>),
    /// Let this much time pass.
    Sleep(Duration),
    /// Send this request.
    Http(Request),
    /// Wait until no TCP connection on this local port is left.
    Idle(u16),
}

/// A plain HTTP request to this machine or to an address: no name is looked up, which could take for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// The server's name in the request: `127.0.0.1:8080`, `[::1]:8080`, `localhost`.
    pub host: String,
    /// The addresses to try, in this order.
    pub addresses: Vec<SocketAddr>,
    /// The path and the query.
    pub path: String,
}

impl fmt::Display for Step {
    /// Without arguments and paths, which may contain secrets. Not escaped: the log and the report do that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(words) => {
                write!(f, "command {}", words.first().map(OsString::as_os_str).unwrap_or_default().display())
            }
            Self::Sleep(_) => f.write_str("sleep"),
            Self::Http(request) => write!(f, "http {}", request.host),
            Self::Idle(port) => write!(f, "idle {port}"),
        }
    }
}

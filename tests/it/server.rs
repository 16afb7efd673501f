//! Servers and connections of the tests, on this machine's loopback, and the order in which things happened.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use nix::sys::socket::{self, SockFlag, SockType, SockaddrLike, SockaddrStorage};

use crate::harness::wait_until;

/// A listener on a free port of this address; `None`, with a word about it, if the machine has no such address.
pub(crate) fn listen(address: &str) -> Option<TcpListener> {
    TcpListener::bind((address, 0)).inspect_err(|error| eprintln!("not run for {address}: {error}")).ok()
}

/// A listener on a port of this family, and the other family's port of the same number, on which no other may listen.
pub(crate) fn listen_on_one_of_both(address: &str) -> Option<(TcpListener, OwnedFd)> {
    // Another program may have that port of the other family already.
    (0..100).find_map(|_| {
        let listener = listen(address)?;
        let port = listener.local_addr().expect("it is bound").port();
        let other = if address == "::1" {
            SockaddrStorage::from(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        } else {
            SockaddrStorage::from(SocketAddr::from((Ipv6Addr::LOCALHOST, port)))
        };
        let family = other.family().expect("an address has one");
        let socket = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
        // Without the family there is nothing to keep.
        let reserved = socket.or_else(|_| nix::unistd::pipe().map(|(one, _)| one)).expect("a descriptor");
        let bound = socket::bind(reserved.as_raw_fd(), &other);
        (bound != Err(nix::Error::EADDRINUSE)).then_some((listener, reserved))
    })
}

/// A port without a listener.
pub(crate) fn closed_port() -> u16 {
    let listener = listen("127.0.0.1").expect("the loopback is there");
    listener.local_addr().expect("it is bound").port()
}

/// An HTTP server that notes what it is asked.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    requests: Receiver<Request>,
    over: Arc<AtomicBool>,
}

/// What a client sent, as far as the empty line.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) lines: Vec<String>,
}

impl Request {
    /// What stands behind this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.lines.iter().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl Server {
    /// `answer` gets each connection when its request has come.
    pub(crate) fn start(
        listener: TcpListener,
        answer: impl Fn(&mut TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let over = Arc::new(AtomicBool::new(false));
        let (sender, requests) = mpsc::channel();
        let answer = Arc::new(answer);
        let is_over = Arc::clone(&over);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (sender, answer) = (sender.clone(), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let at = Instant::now();
                    let lines = head(&stream);
                    let _ = sender.send(Request { at, lines });
                    answer(&mut stream);
                });
            }
        });
        Self { address, requests, over }
    }

    /// A server that says this, whatever it is asked, and closes the connection.
    pub(crate) fn saying(listener: TcpListener, text: &'static str) -> Self {
        Self::start(listener, move |stream| {
            let _ = stream.write_all(text.as_bytes());
        })
    }

    /// `127.0.0.1:8080`, `[::1]:8080`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address of this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits for the next request.
    pub(crate) fn request(&self) -> Request {
        self.requests.recv_timeout(Duration::from_secs(30)).expect("a request comes")
    }

    /// Whether there is a request that was not looked at.
    pub(crate) fn was_requested(&self) -> bool {
        self.requests.try_recv().is_ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its thread looks when the next connection comes.
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn head(stream: &TcpStream) -> Vec<String> {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).collect()
}

/// Returns when the other side has closed the connection.
pub(crate) fn until_closed(stream: &mut TcpStream) {
    while let Ok(1..) = stream.read(&mut [0; 512]) {}
}

/// A connection to a port of this test, both ends of it.
#[derive(Debug)]
pub(crate) struct Connection {
    listener: TcpListener,
    client: Option<TcpStream>,
    served: Option<TcpStream>,
}

impl Connection {
    /// To this listener, by this address of its port.
    pub(crate) fn open(listener: TcpListener, address: &str) -> Self {
        let port = listener.local_addr().expect("it is bound").port();
        let client = TcpStream::connect((address, port)).expect("there is a listener");
        let (served, _) = listener.accept().expect("a client has come");
        Self { listener, client: Some(client), served: Some(served) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().expect("it is bound").port()
    }

    /// The port of the client's end.
    pub(crate) fn client_port(&self) -> u16 {
        let client = self.client.as_ref().expect("it is open");
        client.local_addr().expect("it is connected").port()
    }

    /// One more to the same port: the client's end and the server's.
    pub(crate) fn another(&self) -> (TcpStream, TcpStream) {
        let there = self.client.as_ref().and_then(|client| client.peer_addr().ok()).expect("it is open");
        let client = TcpStream::connect(there).expect("there is a listener");
        let (served, _) = self.listener.accept().expect("a client has come");
        (client, served)
    }

    /// Closes the client's end. The server's end is in state CLOSE_WAIT then.
    pub(crate) fn leave(&mut self) {
        self.client = None;
        // The last byte has come when the end of them is read.
        self.served.as_mut().into_iter().for_each(until_closed);
    }

    /// Closes both ends, the client's first; the listener stays.
    pub(crate) fn close(&mut self) {
        self.leave();
        self.served = None;
    }
}

/// A file to which all that take part in a test add a line: one order for processes, servers and the test.
#[derive(Debug)]
pub(crate) struct Order(tempfile::TempDir);

impl Order {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a scratch folder"))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("order")
    }

    /// What a shell runs to add this line.
    pub(crate) fn noting(&self, line: &str) -> String {
        format!("echo {line} >> {}", self.path().display())
    }

    /// The same, as a command without a shell around it.
    pub(crate) fn command(&self, line: &str) -> String {
        format!("sh -c '{}'", self.noting(line))
    }

    pub(crate) fn note(&self, line: &str) {
        note(&self.path(), line);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until these and no others have been added.
    pub(crate) fn wait_for(&self, lines: &[&str]) {
        wait_until(&format!("{lines:?}, and there are {:?}", self.lines()), || {
            (self.lines() == lines).then_some(())
        });
    }
}

/// Adds a line in one write, as `echo` does.
pub(crate) fn note(path: &std::path::Path, line: &str) {
    let mut file = std::fs::File::options().create(true).append(true).open(path).expect("our own folder");
    file.write_all(format!("{line}\n").as_bytes()).expect("our own file");
}

//! Debian's nginx in the middle of a download: does the client get the rest?
//!
//! To nginx QUIT means "finish what you are at", and TERM means "drop everything". The runtimes send TERM.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use super::{Bundle, Container, Runtime, installed, is_alive, not_run, runtimes};
use crate::harness::{Finished, wait_until};

/// Its place in the container.
const CONFIGURATION: &str = "/nginx.conf";
/// The file to be downloaded: far more than what fits into the sockets' buffers of both sides.
const BYTES: u64 = 64 << 20;
/// At this pace the rest takes longer than drainit waits for processes that ignore the signal.
const PACE: &str = "16m";
/// Only a hang takes so long.
const LIMIT: Duration = Duration::from_secs(30);

/// It is asked to stop in the middle of a download, which arrives whole.
#[track_caller]
fn finishes_its_download(runtime: Runtime, mut server: Server) {
    let download = server.begin_download();
    server.container.kill("TERM");
    server.closes();
    assert_eq!(download.rest(), BYTES, "{runtime:?}");
    unremarkable(&server.container.finish());
}

#[test]
fn a_term_that_is_rewritten_to_quit_lets_the_download_finish() {
    for runtime in servers("nginx") {
        let server = Server::start(runtime, free_port(), &["drainit", "--rewrite", "TERM:QUIT", "--"]);
        finishes_its_download(runtime, server);
    }
}

#[test]
fn a_drain_that_waits_for_the_port_to_be_idle_lets_the_download_finish() {
    let quit = format!("nginx -s quit -c {CONFIGURATION}");
    for runtime in servers("nginx") {
        let port = free_port();
        let idle = ["--pre-stop-idle", &port.to_string(), "--pre-stop-timeout", "60s", "--"];
        let under = [&["drainit", "--pre-stop", &quit], &idle[..]].concat();
        finishes_its_download(runtime, Server::start(runtime, port, &under));
    }
}

#[test]
fn term_as_it_is_cuts_the_download_short() {
    for runtime in servers("nginx") {
        let mut server = Server::start(runtime, free_port(), &["drainit", "--"]);
        let download = server.begin_download();
        server.container.kill("TERM");
        unremarkable(&server.container.finish());
        assert!(download.rest() < BYTES, "{runtime:?}");
    }
}

#[test]
fn under_tini_the_download_is_cut_short() {
    for runtime in servers("tini-static") {
        let mut server = Server::start(runtime, free_port(), &["tini-static", "--"]);
        let download = server.begin_download();
        server.container.kill("TERM");
        server.container.finish().exits(0);
        assert!(download.rest() < BYTES, "{runtime:?}");
    }
}

/// The runtimes to test with, if nginx and this program are installed.
fn servers(program: &str) -> Vec<Runtime> {
    for needed in ["nginx", program] {
        if installed(needed).is_none() {
            not_run(needed, &format!("{needed} is not installed"));
            return Vec::new();
        }
    }
    runtimes()
}

/// nginx ended by itself, and drainit had nothing to say about it.
#[track_caller]
fn unremarkable(run: &Finished) {
    run.exits(0);
    // A slow machine takes more than the five seconds after which that is said.
    let is_slow = |line: &str| line.contains("waiting for") || line.contains("the stop is over");
    assert!(run.warnings().into_iter().all(is_slow), "{run:#?}");
}

/// An nginx that serves one file, in a container with the host's network.
struct Server {
    container: Container,
    port: u16,
}

impl Server {
    /// Starts nginx under the program of these words, and waits until it listens.
    fn start(runtime: Runtime, port: u16, under: &[&str]) -> Self {
        let words = under.iter().chain(&["nginx", "-c", CONFIGURATION]);
        let bundle = words.fold(Bundle::new(runtime, ""), |bundle, word| bundle.word(word));
        let root = bundle.folder.path().join("rootfs");
        let configuration = root.join(CONFIGURATION.trim_start_matches('/'));
        fs::write(configuration, configured(port)).expect("our own folder");
        let file = File::create(root.join("file")).expect("our own folder");
        file.set_len(BYTES).expect("it takes no space");
        let mut bundle = bundle
            .with("/process/env", json!(["PATH=/bin:/usr/sbin:/usr/bin"]))
            // As root it would need capabilities to run its workers as another user.
            .with("/process/user", json!({ "uid": 65534, "gid": 65534 }));
        let mounts = bundle.setting("/mounts").as_array_mut().expect("a list");
        mounts.push(json!({
            "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"],
        }));
        for folder in ["/usr", "/lib", "/lib64"].into_iter().filter(|folder| Path::new(folder).exists()) {
            mounts.push(json!({
                "destination": folder, "type": "none", "source": folder, "options": ["bind", "ro"],
            }));
        }
        let mut server = Self { container: bundle.start(), port };
        let is_up = wait_until("nginx listens, or has ended", || {
            let ended = !is_alive(server.container.running().pid());
            (ended || is_listening(port)).then_some(!ended)
        });
        if !is_up {
            panic!("nginx does not start: {:#?}", server.container.finish());
        }
        server
    }

    fn begin_download(&self) -> Download {
        Download::begin(self.port)
    }

    /// Waits until nginx takes no new connections: the stop is under way. It has not ended, as the download has not.
    fn closes(&mut self) {
        wait_until("nginx listens no more", || (!is_listening(self.port)).then_some(()));
        assert!(
            is_alive(self.container.running().pid()),
            "the container has ended, and the download has not"
        );
    }
}

fn configured(port: u16) -> String {
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path /tmp/{kind};\n"))
        .collect();
    format!(
        "daemon off;\n\
         worker_processes 1;\n\
         pid /tmp/nginx.pid;\n\
         error_log stderr;\n\
         events {{}}\n\
         http {{\n\
         access_log off;\n\
         sendfile off;\n\
         limit_rate {PACE};\n\
         {paths}\
         server {{ listen 127.0.0.1:{port}; root /; }}\n\
         }}\n"
    )
}

/// A port that is not in use, and that no other test here is given.
fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        if GIVEN.lock().expect("no thread panics in there").insert(port) {
            return port;
        }
    }
}

/// Whether a process listens there. Trying to connect would disturb a server that counts connections, or connect to itself.
fn is_listening(port: u16) -> bool {
    let address = format!(":{port:04X}");
    let sockets = fs::read_to_string("/proc/net/tcp").expect("/proc is there");
    sockets.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|local| local.ends_with(&address)) && words.nth(1) == Some("0A")
    })
}

/// A client that has read the start of the file, and nothing since.
struct Download {
    stream: BufReader<TcpStream>,
    received: u64,
}

impl Download {
    fn begin(port: u16) -> Self {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("nginx listens");
        stream.set_read_timeout(Some(LIMIT)).expect("not zero");
        stream
            .write_all(b"GET /file HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("sent");
        let mut stream = BufReader::new(stream);
        let head: Vec<String> = stream
            .by_ref()
            .lines()
            .map(|line| line.expect("a head"))
            .take_while(|line| !line.is_empty())
            .collect();
        assert!(head.contains(&format!("Content-Length: {BYTES}")), "{head:#?}");
        let mut start = [0; 100_000];
        stream.read_exact(&mut start).expect("the start of the file");
        Self { stream, received: start.len() as u64 }
    }

    /// Reads on until the end, and returns how many bytes there were in all.
    fn rest(mut self) -> u64 {
        let mut part = [0; 65536];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) => return self.received,
                Ok(count) => self.received += count as u64,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return self.received,
                // A socket with a timeout says so after a stop and a continue, too (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("after {} bytes: {error}", self.received),
            }
        }
    }
}

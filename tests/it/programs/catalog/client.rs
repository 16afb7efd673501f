//! The other side of the work: what sends a request, and the server behind a proxy.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use super::place::{BEGUN, Place, free_port};
use super::tools;

/// Does its part until the work is over, and says what came of it.
pub(crate) type Client = Box<dyn FnOnce() -> Result<(), String> + Send>;

/// An answer that takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a piece of work takes: longer than drainit's patience with processes that ignore a signal.
pub(crate) const WORK: Duration = Duration::from_secs(3);

/// What a whole answer ends with.
const DONE: &str = "done\n";

/// A program whose work begins by itself has no client.
pub(crate) fn none() -> Client {
    Box::new(|| Ok(()))
}

/// Nothing is in flight but the program itself.
pub(crate) fn idle(place: &Place) -> Client {
    let begun = place.path(BEGUN);
    Box::new(move || fs::write(begun, "").map_err(failed("the mark")))
}

/// Gets a page over TCP. Its answer has to end with `done`.
pub(crate) fn get(place: &Place, path: &str) -> Client {
    let (port, path, begun) = (place.port(), path.to_owned(), place.path(BEGUN));
    Box::new(move || {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed("the connection"))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed("the connection"))?;
        fetch(stream, &path, &begun)
    })
}

/// The same over a Unix socket.
pub(crate) fn get_by_socket(place: &Place, socket: &str) -> Client {
    let (socket, begun) = (place.path(socket), place.path(BEGUN));
    Box::new(move || {
        let stream = UnixStream::connect(socket).map_err(failed("the connection"))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed("the connection"))?;
        fetch(stream, "/", &begun)
    })
}

fn fetch(mut stream: impl Read + Write, path: &str, begun: &PathBuf) -> Result<(), String> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").map_err(failed("the request"))?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        let length = stream.read(&mut part).map_err(failed("the answer"))?;
        if length == 0 {
            return whole(&answer);
        }
        if answer.is_empty() {
            fs::write(begun, "").map_err(failed("the mark"))?;
        }
        answer.extend_from_slice(&part[..length]);
    }
}

fn whole(answer: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    if text.ends_with(DONE) {
        return Ok(());
    }
    let shown: String = text.chars().take(200).collect();
    Err(format!("the answer is cut short after {} bytes: {shown:?}", answer.len()))
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> String {
    move |error| format!("{what} failed: {error}")
}

/// Whether there is an answer over this Unix socket.
pub(crate) fn answers(place: &Place, socket: &str, question: &str) -> bool {
    let ask = || -> io::Result<usize> {
        let mut stream = UnixStream::connect(place.path(socket))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(question.as_bytes())?;
        stream.read(&mut [0; 4096])
    };
    ask().is_ok_and(|length| length > 0)
}

/// Asks a FastCGI server to run this script. What it says has to end with `done`.
pub(crate) fn fastcgi(place: &Place, socket: &str, script: &str) -> Client {
    let (socket, script) = (place.path(socket), place.path(script).display().to_string());
    Box::new(move || {
        let mut stream = UnixStream::connect(socket).map_err(failed("the connection"))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed("the connection"))?;
        let mut parameters = Vec::new();
        for (name, value) in
            [("SCRIPT_FILENAME", script.as_str()), ("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/")]
        {
            let lengths = [name.len(), value.len()].map(|length| u8::try_from(length).unwrap_or(127));
            parameters.extend_from_slice(&lengths);
            parameters.extend_from_slice(name.as_bytes());
            parameters.extend_from_slice(value.as_bytes());
        }
        let (begin, parameter, input, output) = (1, 4, 5, 6);
        let responder = [0, 1, 0, 0, 0, 0, 0, 0];
        for (kind, content) in
            [(begin, &responder[..]), (parameter, &parameters[..]), (parameter, &[]), (input, &[])]
        {
            let [high, low] = u16::try_from(content.len()).unwrap_or(0).to_be_bytes();
            let header = [1, kind, 0, 1, high, low, 0, 0];
            stream.write_all(&[&header[..], content].concat()).map_err(failed("the request"))?;
        }
        let mut answer = Vec::new();
        let mut header = [0; 8];
        while stream.read_exact(&mut header).is_ok() {
            let [_, kind, _, _, high, low, padding, _] = header;
            let length = usize::from(u16::from_be_bytes([high, low]));
            let mut content = vec![0; length + usize::from(padding)];
            stream.read_exact(&mut content).map_err(failed("the answer"))?;
            if kind == output {
                answer.extend_from_slice(&content[..length]);
            }
        }
        whole(&answer)
    })
}

/// No name is the beginning of another one.
pub(crate) fn key(number: usize) -> String {
    format!("key:{number:06}")
}

/// Has redis keep this many keys.
pub(crate) fn set_keys(place: &Place, socket: &str, count: usize) -> Client {
    let (socket, begun) = (place.path(socket), place.path(BEGUN));
    Box::new(move || {
        let mut stream = UnixStream::connect(socket).map_err(failed("the connection"))?;
        let commands: String = (0..count).map(|number| format!("SET {} value\r\n", key(number))).collect();
        stream.write_all(commands.as_bytes()).map_err(failed("the request"))?;
        stream.shutdown(Shutdown::Write).map_err(failed("the request"))?;
        let answers = BufReader::new(stream).lines().map_while(Result::ok);
        let kept = answers.filter(|line| line == "+OK").count();
        if kept != count {
            return Err(format!("{kept} of {count} keys were set"));
        }
        fs::write(begun, "").map_err(failed("the mark"))
    })
}

/// Runs a program that is a client, and has to succeed.
pub(crate) fn command(mut command: Command) -> Client {
    Box::new(move || {
        let output = command.output().map_err(failed("the client"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("the client failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
    })
}

/// The command line of a program that is not the one under test.
pub(crate) fn plain(program: &str) -> Command {
    let mut command = Command::new(tools::path(program));
    command.env("PATH", tools::search_path()).stdin(Stdio::null());
    command
}

/// Runs something to its end that has to succeed.
pub(crate) fn succeed(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?} failed: {}", said.trim())))
}

/// A process beside the program under test. Dropping it kills it.
pub(crate) struct Companion(Child);

impl Companion {
    /// It ends with this thread, whatever happens.
    pub(crate) fn start(program: &str, arguments: &[String]) -> io::Result<Self> {
        let mut command = plain("setpriv");
        command.args(["--pdeathsig", "KILL", &tools::path(program)]).args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Self)
    }

    pub(crate) fn of(child: Child) -> Self {
        Self(child)
    }

    /// Waits until it has ended, however.
    pub(crate) fn ends(&mut self) {
        let _ = self.0.wait();
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A web server that takes its time. Dropping it ends it.
pub(crate) struct Backend {
    pub(crate) port: u16,
    over: Arc<AtomicBool>,
}

impl Backend {
    pub(crate) fn start(place: &Place) -> io::Result<Self> {
        let port = free_port()?;
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let over = Arc::new(AtomicBool::new(false));
        let (is_over, begun) = (Arc::clone(&over), place.path(BEGUN));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let begun = begun.clone();
                thread::spawn(move || serve(stream, &begun));
            }
        });
        Ok(Self { port, over })
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// A connection without a request, such as a probe, is no work.
fn serve(stream: TcpStream, begun: &PathBuf) -> io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    if !lines.next().transpose()?.is_some_and(|line| line.starts_with("GET ")) {
        return Ok(());
    }
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    fs::write(begun, "")?;
    work();
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Length: 5\r\n\r\n";
    (&stream).write_all([head, DONE].concat().as_bytes())
}

#[expect(clippy::disallowed_methods, reason = "the work itself: nothing waits for its length to be right")]
fn work() {
    thread::sleep(WORK);
}

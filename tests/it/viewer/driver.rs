//! A headless Chromium, driven through chromedriver (W3C WebDriver over HTTP on this machine's loopback).

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{LIMIT, wait_until};
use crate::runtimes::{installed, not_run};

/// Without these it looks for updates, keys and accounts that are not here, and draws as its screen would have it.
const FLAGS: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-breakpad",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--force-color-profile=srgb",
];

/// What WebDriver calls an element's reference.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Browsers are large: there is one at a time.
static ONE: Mutex<()> = Mutex::new(());

pub(super) struct Browser {
    /// `unshare` around chromedriver: with it every process of its pid namespace ends.
    driver: Child,
    port: u16,
    session: String,
    home: TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Browser {
    /// `None`, with a word about it, if this machine has no Chromium.
    pub(super) fn start() -> Option<Self> {
        let mut programs = Vec::new();
        for name in ["chromium", "chromedriver"] {
            let Some(program) = installed(name) else {
                not_run(name, &format!("{name} is not installed"));
                return None;
            };
            programs.push(program);
        }
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        // Not below the target folder: the browser's socket is in it, and its path may have no more than 107 bytes (unix(7)).
        let home = tempfile::tempdir().expect("a scratch folder");
        let mut line = Command::new("unshare");
        line.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        if !nix::unistd::geteuid().is_root() {
            line.args(["--user", "--map-root-user"]);
        }
        let driver = line
            .arg("--")
            .arg(&programs[1])
            .arg("--port=0")
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .env("XDG_CONFIG_HOME", home.path())
            .env("XDG_CACHE_HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be run");
        // From here on dropping it ends the driver.
        let mut browser = Self { driver, port: 0, session: String::new(), home, _one: one };
        browser.port = port(browser.driver.stdout.take().expect("a pipe"));
        let profile = format!("--user-data-dir={}", browser.home.path().join("profile").display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([&*profile]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": programs[0], "args": flags },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let session = browser.http("POST", "/session", Some(&wanted));
        browser.session = session["sessionId"].as_str().expect("a session has a name").to_owned();
        Some(browser)
    }

    /// One command to chromedriver, and the value of its answer.
    fn http(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("chromedriver listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a socket has a timeout");
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n");
        write!(stream, "{head}Connection: close\r\n\r\n{body}").expect("chromedriver reads");
        let (head, body) = answer(stream).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let mut answer: Value =
            serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {head}"));
        assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {answer:#}");
        answer["value"].take()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.http("POST", &format!("/session/{}/{path}", self.session), Some(body))
    }

    pub(super) fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// Runs this as the body of a function in the page; a promise is waited for.
    pub(super) fn script(&self, body: &str, arguments: &Value) -> Value {
        self.post("execute/sync", &json!({ "script": body, "args": arguments }))
    }

    /// One command of the DevTools protocol.
    pub(super) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What this log has had since the last look: `browser` is the console, `performance` has the network.
    pub(super) fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.post("se/log", &json!({ "type": kind }));
        entries.as_array().expect("a list").clone()
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("element", &json!({ "using": "css selector", "value": selector }));
        found[ELEMENT].as_str().expect("an element has a name").to_owned()
    }

    /// Types into an element; into one for files it types paths.
    pub(super) fn types(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(&format!("element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses and releases a key, wherever the focus is.
    pub(super) fn press(&self, key: char) {
        let strokes = [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.post("actions", &json!({ "actions": [keyboard] }));
    }

    pub(super) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    /// Role and name as a screen reader has them.
    pub(super) fn spoken(&self, selector: &str) -> (String, String) {
        let element = self.element(selector);
        let get = |what: &str| {
            let path = format!("/session/{}/element/{element}/computed{what}", self.session);
            self.http("GET", &path, None).as_str().expect("text").to_owned()
        };
        (get("role"), get("label"))
    }

    /// A folder that goes with the browser.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let home = self.home.path().display().to_string();
        if !std::thread::panicking() {
            wait_until("the browser is gone", || (!is_mentioned(&home)).then_some(()));
        }
    }
}

/// Head and body. The connection may stay open, so the length counts.
fn answer(stream: TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head)? > 0 {}
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, length)| length.trim().parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((head, body))
}

/// Whether the command line of any process has this in it.
fn is_mentioned(text: &str) -> bool {
    let has_text = |path: &Path| {
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    fs::read_dir("/proc").expect("/proc is there").flatten().any(|entry| has_text(&entry.path()))
}

/// The port that chromedriver has chosen. Whatever else it says is read and dropped.
fn port(output: ChildStdout) -> u16 {
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("started successfully on port "));
    let line = line.expect("chromedriver starts");
    let port = line.rsplit(' ').next().unwrap_or_default().trim_end_matches('.');
    let port = port.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
    std::thread::spawn(move || lines.for_each(drop));
    port
}

#[test]
fn a_browser_leaves_nothing_behind() {
    let Some(browser) = Browser::start() else { return };
    let home = browser.home().to_owned();
    let mentioned = home.display().to_string();
    assert!(is_mentioned(&mentioned), "this test knows where to look");
    drop(browser);
    assert!(!is_mentioned(&mentioned) && !home.exists());

    let (sender, receiver) = std::sync::mpsc::channel();
    let failed = std::thread::spawn(move || {
        let browser = Browser::start().expect("as before");
        sender.send(browser.home().display().to_string()).expect("it is waited for");
        std::panic::resume_unwind(Box::new("as a test that fails"));
    });
    let mentioned = receiver.recv().expect("it started");
    assert!(failed.join().is_err());
    wait_until("its processes are gone", || (!is_mentioned(&mentioned)).then_some(()));
}

#[test]
fn without_a_browser_a_test_says_that_it_did_not_run_and_fails_if_it_is_required() {
    for required in ["", "1"] {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "viewer::drawn::every_sample_is_drawn"])
            .env("PATH", "/nowhere")
            .env("DRAINIT_REQUIRE_RUNTIMES", required)
            .output()
            .expect("it can be run");
        let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
        assert_eq!(output.status.success(), required.is_empty(), "{said}");
        assert!(said.contains("chromium is not installed"), "{said}");
    }
}

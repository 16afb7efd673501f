//! The page as the tests use it: opened, fed with files, looked at.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::driver::Browser;
use crate::docs;
use crate::harness::wait_until;

pub(super) const FILE: &str = "docs/report-viewer.html";

pub(super) struct Page {
    pub(super) browser: Browser,
    written: usize,
}

impl Page {
    /// `None` if there is no browser here.
    pub(super) fn open() -> Option<Self> {
        let page = Self { browser: Browser::start()?, written: 0 };
        page.size(1280, 900);
        page.colours("light");
        page.browser.open(&format!("file://{}", docs::root().join(FILE).display()));
        Some(page)
    }

    pub(super) fn size(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.browser.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    pub(super) fn colours(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.browser.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// As the page is printed from a dark screen.
    pub(super) fn on_paper(&self) {
        let dark =
            json!({ "media": "print", "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
        self.browser.devtools("Emulation.setEmulatedMedia", &dark);
    }

    /// Chooses these files, as with the button, and waits until the page has read them.
    pub(super) fn choose(&self, files: &[&Path]) {
        self.script("document.getElementById('status').textContent = ''");
        let paths: Vec<&str> = files.iter().map(|file| file.to_str().expect("text")).collect();
        self.browser.types("#files", &paths.join("\n"));
        self.has_read();
    }

    fn has_read(&self) {
        let status = || self.script("return document.getElementById('status').textContent");
        wait_until("the page has read its files", || (status() != "").then_some(()));
    }

    pub(super) fn close_all(&self) {
        self.script("document.getElementById('clear').click()");
    }

    pub(super) fn example(&self) {
        self.browser.click("#example");
    }

    /// A file with this content, of this name, in a folder of its own.
    pub(super) fn file(&mut self, name: &str, content: &[u8]) -> PathBuf {
        self.written += 1;
        let folder = self.browser.home().join(format!("files-{}", self.written));
        fs::create_dir(&folder).expect("our own folder");
        let file = folder.join(name);
        fs::write(&file, content).expect("our own folder");
        file
    }

    /// Opens one report instead of what is open.
    #[track_caller]
    pub(super) fn show(&mut self, report: &Value) {
        let file = self.file("report.json", report.to_string().as_bytes());
        self.close_all();
        self.choose(&[&file]);
        assert_eq!(self.errors(), [""; 0]);
    }

    /// Drops files of these names and contents onto the page.
    pub(super) fn drop_files(&self, files: &Value) {
        let body = include_str!("look/drop.js");
        self.browser.script(body, &json!([files]));
        self.has_read();
    }

    pub(super) fn script(&self, body: &str) -> Value {
        self.browser.script(body, &json!([]))
    }

    /// The texts of all elements that fit.
    pub(super) fn texts(&self, selector: &str) -> Vec<String> {
        let body = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)";
        list(&self.browser.script(body, &json!([selector])))
    }

    pub(super) fn errors(&self) -> Vec<String> {
        self.texts("#errors li")
    }

    /// The kind of each verdict, and its sentences.
    pub(super) fn verdicts(&self) -> Vec<(String, Vec<String>)> {
        let body = "return [...document.querySelectorAll('.verdict')].map((one) =>
            [one.className.replace('verdict ', ''), ...[...one.querySelectorAll('li, span')].map((part) => part.textContent)])";
        let told = self.script(body);
        let told = told.as_array().expect("a list").iter().map(list);
        told.map(|told| (told[0].clone(), told[1..].to_vec())).collect()
    }

    /// What a screen reader says of each visible row.
    pub(super) fn rows(&self) -> Vec<String> {
        let body = "return [...document.querySelectorAll('[role=treeitem]')].map((row) => row.getAttribute('aria-label'))";
        list(&self.script(body))
    }

    /// What the details say of the row that was chosen.
    pub(super) fn details(&self) -> String {
        self.texts(".about:not(.idle)").concat()
    }

    /// Fails if the page has complained to the console.
    #[track_caller]
    pub(super) fn is_quiet(&self) {
        let log = self.browser.log("browser");
        assert!(log.is_empty(), "{log:#?}");
    }
}

pub(super) fn list(value: &Value) -> Vec<String> {
    let texts = value.as_array().expect("a list").iter();
    texts.map(|text| text.as_str().expect("text").to_owned()).collect()
}

/// The reports that are checked in, by name.
pub(super) fn samples() -> Vec<(PathBuf, Value)> {
    let folder = docs::root().join("tests/it/viewer/samples");
    let entries = fs::read_dir(folder).expect("they are there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(files.len() >= 6, "{files:?}");
    let read = |file: PathBuf| {
        let report = serde_json::from_str(&docs::read(&file)).expect("JSON");
        (file, report)
    };
    files.into_iter().map(read).collect()
}

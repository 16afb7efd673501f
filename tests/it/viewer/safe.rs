//! No report can do more than be read: nothing in it is markup, and the page speaks to no server.

use std::io::ErrorKind;

use serde_json::{Value, json};

use super::page::{FILE, Page, samples};
use super::reports::{HOSTILE, hostile, report, with};
use crate::docs;
use crate::server::listen;

const INVENTORY: &str = include_str!("look/inventory.js");
const HARMFUL: &str = include_str!("look/harmful.js");

#[test]
fn a_hostile_text_stays_text() {
    let Some(mut page) = Page::open() else { return };
    page.show(&report());
    let before = page.script(INVENTORY);
    for text in HOSTILE {
        page.show(&hostile(text));
        page.script("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
        for row in 0..page.rows().len() {
            page.browser
                .script("document.querySelectorAll('[role=treeitem]')[arguments[0]].focus()", &json!([row]));
        }
        assert_eq!(page.script(INVENTORY), before, "{text:?}");
        assert_eq!(page.script(HARMFUL), json!([]), "{text:?}");
        let whole = page.script("return document.body.innerText").as_str().expect("text").to_owned();
        if text.is_ascii() && !text.contains(char::is_control) {
            // It is shown as it is, up to where it is cut.
            let start: String = text.chars().take(40).collect();
            assert!(whole.matches(&*start).count() >= 5, "{text:?} is not shown: {whole}");
        }
    }
    page.show(&hostile(&"x\u{301}".repeat(200_000)));
    assert!(page.script("return document.body.innerText.length").as_u64() < Some(30_000));
    page.is_quiet();
}

#[test]
fn a_hostile_file_name_stays_text_too() {
    let Some(mut page) = Page::open() else { return };
    page.show(&report());
    let before = page.script(INVENTORY);
    page.close_all();
    for name in
        ["<img src=x onerror=window.hacked=1>.json", "\u{202e}nosj.\u{1b}[31m.json", "a\u{300}\u{301}.json"]
    {
        let good = page.file(name, report().to_string().as_bytes());
        let bad = page.file(name, b"no");
        page.close_all();
        page.choose(&[&good, &bad]);
        assert_eq!(page.errors().len(), 1);
        assert_eq!(page.script(INVENTORY), before, "{name}");
        assert_eq!(page.script(HARMFUL), json!([]), "{name}");
    }
    page.is_quiet();
}

/// Every address that the page has asked for, since the last look.
fn requests(page: &Page) -> Vec<String> {
    let entries = page.browser.log("performance");
    let told = entries.iter().map(|entry| entry["message"].as_str().expect("text"));
    let messages = told.map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
    let sent = messages.filter(|one| one["message"]["method"] == "Network.requestWillBeSent");
    sent.map(|one| one["message"]["params"]["request"]["url"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn the_page_loads_nothing_and_sends_nothing() {
    let Some(mut page) = Page::open() else { return };
    // What the browser's own first page has loaded is not meant.
    let _ = requests(&page);
    page.browser.open(&format!("file://{}", docs::root().join(FILE).display()));
    page.example();
    page.show(&hostile(HOSTILE[0]));
    let asked = requests(&page);
    assert!(asked.iter().any(|url| url.ends_with(FILE)), "this test knows where to look: {asked:?}");
    assert!(
        asked.iter().all(|url| url.starts_with("file:///") && url.ends_with(FILE) || url == "data:,"),
        "{asked:?}"
    );
    page.is_quiet();

    // Even a script that got in could speak to no server.
    let server = listen("127.0.0.1").expect("the loopback is there");
    server.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/", server.local_addr().expect("it is bound"));
    let tries = include_str!("look/speak.js");
    assert_eq!(page.browser.script(tries, &json!([url])), json!(vec!["refused"; 5]));
    assert_eq!(server.accept().expect_err("no connection has come").kind(), ErrorKind::WouldBlock);
}

/// The browser holds the page to its own promise: no text becomes markup, no other script runs.
#[test]
fn the_browser_refuses_what_the_page_does_not_do() {
    let Some(page) = Page::open() else { return };
    let tries = include_str!("look/refuse.js");
    assert_eq!(page.script(tries), json!([vec!["refused"; 4], null]));
    let source = docs::read(FILE);
    for word in [
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "DOMParser",
        "createContextualFragment",
        "eval(",
        "Function(",
        "fetch(",
        "XMLHttpRequest",
        "WebSocket",
        "sendBeacon",
        "import(",
        "src=",
        "unsafe-",
        "@import",
        "url(http",
    ] {
        assert!(!source.contains(word), "the page has {word}");
    }
    let addresses: Vec<&str> =
        source.split("://").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(addresses, ["www.w3.org/2000/svg"], "a name, which is not loaded");
}

/// The policy names the script and the style by their hashes; written anew by a blessing.
#[test]
fn the_policy_names_the_script_and_the_style_of_the_page() {
    let Some(page) = Page::open() else { return };
    let body = include_str!("look/hashes.js");
    let hashes = page.script(body);
    let mut source = docs::read(FILE);
    for (at, name) in ["script-src", "style-src"].into_iter().enumerate() {
        let (head, rest) = source.split_once(&format!("{name} '")).expect("the policy is there");
        let (_, tail) = rest.split_once('\'').expect("it ends");
        let hash = hashes[at].as_str().expect("text");
        let current = format!("{head}{name} 'sha256-{hash}'{tail}");
        if std::env::var_os("DRAINIT_BLESS").is_some() {
            std::fs::write(docs::root().join(FILE), &current).expect("the file can be written");
            source = current;
            continue;
        }
        assert!(current == source, "{name}: DRAINIT_BLESS=1 cargo test --test it viewer writes it anew");
    }
}

/// One clear line with the file's name, and what is open stays open.
#[test]
fn a_broken_or_foreign_file_gets_a_line() {
    let Some(mut page) = Page::open() else { return };
    page.show(&report());
    let whole = report().to_string();
    let line = format!("{{\"schema\":2,{}", &whole[1..]);
    let is_wrong = |fields: Value| with(report(), &fields).to_string().into_bytes();
    let cases: [(&[u8], &str); 19] = [
        (b"", "the file is empty; drainit may have been killed before it could write its report"),
        (b" \n\0", "the file is empty; drainit may have been killed before it could write its report"),
        (b"hello", "this is neither a report (JSON) nor a log with one in it"),
        (b"\x89PNG\r\n\x1a\n\0\0\xff\xfe", "this is neither a report (JSON) nor a log with one in it"),
        (
            b"PK\x03\x04\x14\0{\"schema\":2",
            "this is a ZIP archive, as artifacts are downloaded: unpack it, and open the report in it",
        ),
        (&line.as_bytes()[..200], "the report in it is cut short or damaged"),
        (b"7", "this is JSON, but no report of drainit"),
        (b"null", "this is JSON, but no report of drainit"),
        (b"[]", "this is JSON, but no report of drainit"),
        (b"{\"schema\":1}", "this is JSON, but no report of drainit"),
        (b"{\"$schema\":\"x\",\"processes\":[]}", "this is JSON, but no report of drainit"),
        (&is_wrong(json!({ "schema": 3 })), "a report of version 3; this page reads versions 1 and 2"),
        (&is_wrong(json!({ "schema": "2" })), "this is JSON, but no report of drainit"),
        (&is_wrong(json!({ "processes": 7 })), "\"processes\" should be a list"),
        (&is_wrong(json!({ "processes": [[]] })), "\"processes\" should be a list of objects"),
        (&is_wrong(json!({ "command": {} })), "\"command\" should be text"),
        (&is_wrong(json!({ "ended_ms": "soon" })), "\"ended_ms\" should be a number"),
        (&is_wrong(json!({ "stop": "TERM" })), "\"stop\" should be an object"),
        (&is_wrong(json!({ "complete": 1 })), "\"complete\" should be true or false"),
    ];
    for (content, expected) in cases {
        let file = page.file("some.json", content);
        page.choose(&[&file]);
        assert_eq!(page.errors(), [format!("some.json: {expected}")]);
        assert_eq!(page.verdicts().len(), 1, "what was open is still there");
    }
    let large = page.file("large.json", &vec![b' '; 17 << 20]);
    page.choose(&[&large]);
    assert_eq!(page.errors(), ["large.json: 17 MB are too much for a report"]);
    // Each has its line, and the good ones are opened.
    let (bad, good) = (page.file("bad.json", b"{"), page.file("good.json", report().to_string().as_bytes()));
    page.close_all();
    page.choose(&[&bad, &large, &good]);
    assert_eq!((page.errors().len(), page.texts(".report .file")), (2, vec!["good.json".to_owned()]));
    page.choose(&[&good]);
    assert_eq!(page.errors(), [""; 0], "a line is gone when its time is over");
    page.is_quiet();
    assert!(samples().iter().all(|(_, report)| report["schema"].is_u64()));
}

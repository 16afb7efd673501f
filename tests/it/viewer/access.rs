//! Keyboard, screen reader, light and dark.

use serde_json::json;

use super::page::Page;
use super::reports::{process, report, with};

const DOWN: char = '\u{e015}';
const UP: char = '\u{e013}';
const LEFT: char = '\u{e012}';
const RIGHT: char = '\u{e014}';
const HOME: char = '\u{e011}';
const END: char = '\u{e010}';
const ENTER: char = '\u{e007}';
const TAB: char = '\u{e004}';

/// The row that has the focus.
fn focused(page: &Page) -> String {
    let body = "const one = document.activeElement;
        return (one.getAttribute('aria-label') ?? one.textContent).split(/[:.,]/)[0]";
    page.script(body).as_str().expect("text").to_owned()
}

/// Tabs to the first time line, and says what was on the way.
fn tab_to_the_rows(page: &Page) -> Vec<String> {
    let mut way = Vec::new();
    loop {
        page.browser.press(TAB);
        let body = "const one = document.activeElement, style = getComputedStyle(one.type === 'file' ? one.parentElement : one);
            return [one.getAttribute('role'), one.id || one.textContent, style.outlineStyle, parseFloat(style.outlineWidth)]";
        let at = page.script(body);
        if at[0] == "treeitem" {
            return way;
        }
        assert!(
            at[2] != "none" && at[3].as_f64() >= Some(2.0),
            "it cannot be seen that {} has the focus",
            at[1]
        );
        way.push(at[1].as_str().expect("text").to_owned());
        assert!(way.len() < 20, "there is no way to the rows: {way:?}");
    }
}

fn family() -> serde_json::Value {
    let mut processes =
        vec![process(7, 1, "server", 1_500), process(8, 7, "child", 1_300), process(9, 8, "deep", 1_200)];
    processes.extend((20..30).map(|pid| process(pid, 7, "worker", 1_400)));
    with(report(), &json!({ "processes": processes }))
}

#[test]
fn everything_is_reached_by_keyboard() {
    let Some(page) = Page::open() else { return };
    // Which leaves the focus where it is: at the top.
    page.drop_files(&json!([["report.json", family().to_string()]]));
    let way = tab_to_the_rows(&page);
    assert_eq!(way, ["files", "example", "clear", "Close"]);
    assert_eq!(focused(&page), "server (7)", "the command is the first");
    assert!(page.details().starts_with("server (7), the command itself."), "{}", page.details());
    let hit = "const style = getComputedStyle(document.activeElement.querySelector('.hit'));
        return [style.stroke !== 'none', parseFloat(style.strokeWidth)]";
    assert_eq!(page.script(hit), json!([true, 2]), "it can be seen which row has the focus");

    for (key, expected) in [
        (DOWN, "worker × 10"),
        (DOWN, "child (8)"),
        (DOWN, "deep (9)"),
        (DOWN, "deep (9)"),
        (UP, "child (8)"),
        (RIGHT, "deep (9)"),
        (LEFT, "child (8)"),
        (LEFT, "child (8)"),
        (DOWN, "child (8)"),
        (RIGHT, "child (8)"),
        (RIGHT, "deep (9)"),
        (HOME, "processes"),
        (END, "deep (9)"),
        (UP, "child (8)"),
        (UP, "worker × 10"),
        (ENTER, "worker × 10"),
        (DOWN, "worker (20)"),
        (END, "deep (9)"),
        (HOME, "processes"),
        (' ', "processes"),
        (DOWN, "processes"),
        (RIGHT, "processes"),
        (RIGHT, "server (7)"),
    ] {
        page.browser.press(key);
        assert_eq!(focused(&page), expected, "after {key:?}");
        let body = "const rows = document.querySelectorAll('[role=treeitem][tabindex=\"0\"]');
            return [rows.length, document.activeElement.tabIndex]";
        let one = page.script(body);
        assert_eq!(one, json!([1, 0]), "one of them has the place in the tab order");
    }
    page.browser.press(TAB);
    assert_eq!(focused(&page), "The same as tables");
    page.is_quiet();
}

/// A button that could do nothing is not there.
#[test]
fn without_a_report_there_is_nothing_to_close() {
    let Some(page) = Page::open() else { return };
    let seen = |page: &Page| {
        page.script("return [...document.querySelectorAll('.button')].filter((one) => one.getClientRects().length).map((one) => one.textContent)")
    };
    assert_eq!(seen(&page), json!(["Open reports", "Show an example"]));
    page.drop_files(&json!([["report.json", report().to_string()]]));
    assert_eq!(seen(&page), json!(["Open reports", "Show an example", "Close all", "Close"]));
    page.browser.click("#clear");
    assert_eq!(seen(&page), json!(["Open reports", "Show an example"]));
    page.is_quiet();
}

/// The bar that was chosen, and what is said of it, when the page is drawn anew.
#[test]
fn what_was_chosen_stays_chosen() {
    let Some(page) = Page::open() else { return };
    page.drop_files(&json!([["one.json", family().to_string()]]));
    page.script("document.querySelector('[aria-label^=\"child (8)\"]').focus()");
    let said = page.details();
    assert!(said.starts_with("child (8)."), "{said}");
    page.drop_files(&json!([["two.json", report().to_string()]]));
    assert_eq!(page.texts(".report .file"), ["one.json", "two.json"]);
    assert_eq!(page.details(), said);
    page.is_quiet();
}

#[test]
fn a_click_shows_why_it_was_waited_for() {
    let Some(mut page) = Page::open() else { return };
    let said = |page: &Page| {
        page.script("document.querySelector('[aria-label^=\"child (8)\"]').focus()");
        page.details()
    };
    for (disposition, why) in [
        (json!("caught"), "It caught TERM: it has a handler"),
        (json!("blocked"), "It blocked TERM: the kernel keeps"),
        (json!("ignored"), "It ignored TERM: the kernel dropped"),
        (json!("default"), "It does nothing about TERM"),
        (json!(null), "What it does about TERM could not be told"),
        (json!("another"), "What it does about TERM could not be told"),
    ] {
        let mut child = process(8, 7, "child", 1_300);
        child["disposition"] = disposition;
        page.show(&with(report(), &json!({ "processes": [process(7, 1, "server", 1_500), child] })));
        let details = said(&page);
        assert!(
            details.contains(why) && details.contains("It kept the stop waiting for 300ms."),
            "{why}: {details}"
        );
    }
    let mut child = process(8, 7, "child", 1_300);
    (child["signalled"], child["waited_ms"]) = (json!(null), json!(null));
    page.show(&with(report(), &json!({ "processes": [process(7, 1, "server", 1_500), child.clone()] })));
    let details = said(&page);
    assert!(details.contains("server (7) handles the signal and answers for its descendants"), "{details}");
    child["refused"] = json!({ "at_ms": 1_000, "signal": "TERM" });
    child["ended"] = json!({ "at_ms": 1_400, "how": "gone", "code": null, "signal": null });
    page.show(&with(report(), &json!({ "processes": [process(7, 1, "server", 1_500), child] })));
    let details = said(&page);
    for part in ["TERM was refused", "CAP_KILL", "It was gone at 400ms, last seen at 0ms"] {
        assert!(details.contains(part), "{part}: {details}");
    }
    // Chosen by the mouse.
    page.browser.click("[role=treeitem][aria-label^=\"server (7)\"] text");
    assert!(page.details().starts_with("server (7)"), "{}", page.details());
    page.is_quiet();
}

#[test]
fn a_screen_reader_is_told_the_same() {
    let Some(mut page) = Page::open() else { return };
    page.example();
    let spoken = |selector: &str| page.browser.spoken(selector);
    let is = |selector: &str, role: &str, name: &str| {
        let (found, said) = spoken(selector);
        assert!(found == role && said.starts_with(name), "{selector}: {found}, {said}");
    };
    is("#files", "button", "Open reports");
    is(".report", "region", "Before: entrypoint.sh, before.json");
    is(".chart svg", "tree", "Time line of entrypoint.sh");
    is("[role=treeitem][aria-level='1']", "treeitem", "processes: 4 in all.");
    is(
        "[role=treeitem][aria-level='2']",
        "treeitem",
        "entrypoint.sh (2), the command itself: killed at 8.0s. It was sent TERM at 0ms. It ignored TERM",
    );
    is(".report .button", "button", "Close before.json");
    is(".advice", "list", "Advice");
    is("#compared table", "table", "Before and after");
    is("#errors", "alert", "");
    is("#status", "status", "");
    assert_eq!(page.texts("#status"), ["2 reports open: entrypoint.sh, Failed; entrypoint.sh, Passed"]);
    let attributes = "const row = document.querySelector('[role=treeitem][aria-level=\"3\"]');
        return ['aria-posinset', 'aria-setsize', 'aria-level'].map((name) => row.getAttribute(name))";
    assert_eq!(page.script(attributes), json!(["1", "3", "3"]));
    // Every cell has a heading in its row and in its column, and the drawing itself is not read out.
    let tables = page.script(include_str!("look/tables.js"));
    assert!(
        tables.as_array().is_some_and(|all| all.len() > 5 && all.iter().all(|one| one == true)),
        "{tables}"
    );
    let loose = "return [...document.querySelectorAll('.chart svg > *')].every((one) => one.getAttribute('aria-hidden') === 'true' || one.getAttribute('role') === 'treeitem')";
    assert_eq!(page.script(loose), json!(true));
    assert_eq!(page.script("return document.documentElement.lang"), json!("en"));
    let mut other = process(7, 1, "server", 1_500);
    other["ended"] = json!(null);
    page.show(&with(
        report(),
        &json!({ "complete": false, "processes": [other], "main": null, "exit_code": null }),
    ));
    assert_eq!(page.texts("#status"), ["1 report open: server, Cut off"]);
    page.is_quiet();
}

const CONTRAST: &str = include_str!("look/contrast.js");

#[test]
fn light_and_dark_have_contrast() {
    let Some(mut page) = Page::open() else { return };
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        page.colours(scheme);
        let broken = page.file("broken.json", b"{");
        page.choose(&[&broken]);
        let mut found = vec![page.script(CONTRAST)];
        page.example();
        page.script("document.querySelector('[role=treeitem][aria-level=\"2\"]').focus()");
        found.push(page.script(CONTRAST));
        page.show(&with(report(), &json!({ "complete": false, "killed": { "at_ms": 1_100, "reason": "timed_out", "signal": null } })));
        found.push(page.script(CONTRAST));
        page.close_all();
        for found in &found {
            assert!(found[0].as_u64() > Some(40), "this test looks at the page: {found:#}");
            assert_eq!(found[1], json!([]), "{scheme}");
        }
        grounds.push(found[0][2].clone());
    }
    assert_ne!(grounds[0], grounds[1]);
    page.is_quiet();
}

/// Also if the screen is dark: on white, without buttons, and as wide as the paper, for which nothing is drawn anew.
#[test]
fn it_can_be_printed() {
    let Some(page) = Page::open() else { return };
    page.example();
    page.script("document.querySelector('[role=treeitem][aria-level=\"2\"]').focus()");
    page.on_paper();
    let found = page.script(CONTRAST);
    assert!(found[0].as_u64() > Some(40) && found[1] == json!([]), "{found:#}");
    assert_eq!(found[2], json!("rgb(255, 255, 255)"));
    let buttons = "return [...document.querySelectorAll('button, input, summary')].filter((one) => one.checkVisibility()).length";
    page.script("document.querySelectorAll('details').forEach((one) => { one.open = false; })");
    assert_eq!(page.script(buttons), json!(0));
    for width in [300, 1000] {
        page.script(&format!(
            "document.querySelectorAll('.chart').forEach((one) => {{ one.style.width = '{width}px'; }})"
        ));
        let drawn = page.script(include_str!("look/paper.js"));
        assert_eq!(drawn, json!([width, []]));
    }
    page.is_quiet();
}

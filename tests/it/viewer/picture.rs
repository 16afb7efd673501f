//! The pictures in docs/images: the page with its example, light and dark. Taken by a blessing.

use serde_json::json;

use super::page::Page;
use crate::docs;

/// Larger ones would make the project heavy to clone.
const LARGEST: usize = 200 * 1024;
const PICTURES: [(&str, &str); 2] =
    [("light", "docs/images/report-viewer.png"), ("dark", "docs/images/report-viewer-dark.png")];

/// The two reports, with a margin: left, top, width, height.
const PLACE: &str =
    "const { left, top, width, height } = document.getElementById('reports').getBoundingClientRect();
    return [left - 12, top + scrollY - 12, width + 24, height + 6].map(Math.round)";

#[test]
fn the_pictures_are_of_this_page() {
    let Some(page) = Page::open() else { return };
    page.size(1280, 900);
    page.example();
    // One bar is chosen: why it was waited for is what people ask.
    page.script(
        "document.querySelector('[aria-label^=\"worker (4)\"]').focus(); document.activeElement.blur()",
    );
    for (scheme, file) in PICTURES {
        page.colours(scheme);
        let place = page.script(PLACE);
        let [x, y, width, height] = [0, 1, 2, 3].map(|at| &place[at]);
        let clip = json!({ "x": x, "y": y, "width": width, "height": height, "scale": 1 });
        let options = json!({ "format": "png", "clip": clip, "captureBeyondViewport": true });
        let taken = page.browser.devtools("Page.captureScreenshot", &options);
        let picture = decoded(taken["data"].as_str().expect("base64"));
        assert!(picture.len() < LARGEST, "{file} would be {} bytes", picture.len());
        if std::env::var_os("DRAINIT_BLESS").is_some() {
            std::fs::write(docs::root().join(file), &picture).expect("the file can be written");
        }
        let there = std::fs::read(docs::root().join(file)).expect("it is checked in");
        // Another machine has other fonts, so the pictures differ; but both are of the same page, as wide as here.
        assert_eq!(
            size(&there).0,
            size(&picture).0,
            "DRAINIT_BLESS=1 cargo test --test it viewer takes {file} anew"
        );
        assert!(there.len() < LARGEST, "{file} is {} bytes", there.len());
    }
}

/// Width and height of a PNG.
fn size(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"), "not a PNG");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

fn decoded(base64: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = base64.bytes().filter(|&letter| letter != b'=').map(value).collect();
    let mut bytes = Vec::with_capacity(letters.len() * 3 / 4);
    for four in letters.chunks(4) {
        let bits =
            four.iter().fold(0_u32, |bits, &value| bits << 6 | u32::from(value)) << (6 * (4 - four.len()));
        bytes.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

#[test]
fn base64_is_decoded() {
    for (text, bytes) in
        [("", &b""[..]), ("aGk=", b"hi"), ("aGk/", b"hi?"), ("+/8=", b"\xfb\xff"), ("aA==", b"h")]
    {
        assert_eq!(decoded(text), bytes, "{text}");
    }
}

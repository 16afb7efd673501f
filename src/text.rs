//! Text from elsewhere, made fit to be shown. Pure.

#![forbid(unsafe_code)]

/// Names and paths may contain anything, but the result is one line, does not control the terminal, and is shown in its own order. What has
/// been escaped already stays as it is.
///
/// The log does this to every line, so messages need not. Reports are stricter (`report::format::escaped`).
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Characters that break a line or change the order of what is shown (Unicode 16, 23.2).
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The known word that was probably meant: a slip or two away, or containing this one. Case and the kind of dash do not count.
pub fn nearest(word: &str, known: &mut dyn Iterator<Item = &'static str>) -> Option<&'static str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('_', "-");
    let word = plain(word);
    let mut best = None;
    for candidate in known {
        let other = plain(candidate);
        let distance = strsim::osa_distance(&word, &other);
        // Two slips in a short word make another word, unless it begins in the same way.
        let slips = if word.chars().next() == other.chars().next() { 3 } else { 4 };
        let is_slip = distance <= word.len().max(other.len()).div_ceil(slips) && distance < other.len();
        let is_part =
            word.len().min(other.len()) >= SHORTEST_PART && (has(&word, &other) || has(&other, &word));
        // A slip is likelier than an omitted part, however long the rest is.
        let rank = (!is_slip, distance);
        if (is_slip || is_part) && best.is_none_or(|(least, _)| rank < least) {
            best = Some((rank, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// A shorter part occurs in too many words.
const SHORTEST_PART: usize = 3;

/// Whether the part is in the text. For short texts: the standard library's search is made for long ones, and makes the program larger.
#[must_use]
pub fn has(text: &str, part: &str) -> bool {
    text.as_bytes().windows(part.len().max(1)).any(|window| window == part.as_bytes())
}

/// `; did you mean WORD?`, if some known word is near.
#[must_use]
pub fn did_you_mean(word: Option<&str>) -> String {
    word.map(|word| format!("; did you mean {word}?")).unwrap_or_default()
}

/// The system's text for an error, without its number.
#[must_use]
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = match text.rsplit_once('(') {
        Some((words, number)) if number.starts_with("os error ") => words.trim_end(),
        _ => &text,
    };
    let mut characters = text.chars();
    match (characters.next(), characters.as_str()) {
        // Not `I/O error`.
        (Some(first), rest) if rest.starts_with(|next: char| next.is_ascii_lowercase()) => {
            format!("{}{rest}", first.to_ascii_lowercase())
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 8] =
        ["grace-period", "pre-stop", "pre-stop-timeout", "stop-signal", "log", "TERM", "KILL", "HUP"];

    #[test]
    fn a_line_neither_breaks_nor_turns_around() {
        for (text, line) in [
            ("a\nb\x1b[31m", "a\\nb\\u{1b}[31m"),
            ("\u{202e}txt.exe\u{2066}\u{2028}", "\\u{202e}txt.exe\\u{2066}\\u{2028}"),
            ("日本語 é\\n", "日本語 é\\n"),
        ] {
            assert_eq!(one_line(text), line);
        }
    }

    #[test]
    fn a_slip_has_a_nearest_word() {
        for (word, expected) in [
            ("grace-peroid", Some("grace-period")),
            ("graceperiod", Some("grace-period")),
            ("GRACE_PERIOD", Some("grace-period")),
            ("grace", Some("grace-period")),
            ("timeout", Some("pre-stop-timeout")),
            ("prestop", Some("pre-stop")),
            ("stop-signl", Some("stop-signal")),
            ("log-level", Some("log")),
            ("tremm", Some("TERM")),
            ("kil", Some("KILL")),
            ("hub", Some("HUP")),
            ("pull", None),
            ("frobnicate", None),
            ("", None),
            ("x", None),
            ("日本語", None),
        ] {
            assert_eq!(nearest(word, &mut KNOWN.into_iter()), expected, "{word}");
        }
    }

    #[test]
    fn an_error_has_no_number() {
        for (number, text) in
            [(2, "no such file or directory"), (13, "permission denied"), (21, "is a directory")]
        {
            assert_eq!(plain(&std::io::Error::from_raw_os_error(number)), text);
        }
        assert!(!plain(&std::io::Error::from_raw_os_error(5)).contains("os error"));
    }
}

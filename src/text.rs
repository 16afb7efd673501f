//! Text from elsewhere, made fit to be shown. Pure.

#![forbid(unsafe_code)]

/// Names and paths may hold anything, but what is said is one line, and does not drive the terminal.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

//! Styled characters, line by line, cut to a width.

/// What a character means; only a terminal shows the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Heading,
    Faint,
    /// Words about what went wrong.
    Bad,
    /// A bar before the process was signalled.
    Early,
    /// A bar of a process that ended well.
    Fine,
    /// A bar of a process that did not.
    Doubtful,
    /// A bar after KILL.
    Killed,
    /// A signal on a bar.
    Signal,
    /// KILL on a bar.
    Kill,
}

impl Style {
    /// The parameters of the terminal's "select graphic rendition". A bar's characters have the colour of their background, so the bar
    /// looks solid, and copied text still has the characters.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Heading => Some("1"),
            Self::Faint => Some("90"),
            Self::Bad => Some("31"),
            Self::Early => Some("34;44"),
            Self::Fine => Some("32;42"),
            Self::Doubtful => Some("33;43"),
            Self::Killed => Some("31;41"),
            Self::Signal => Some("30;47"),
            Self::Kill => Some("97;41"),
        }
    }
}

/// One line.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Vec<(char, Style)>);

impl Line {
    pub(super) fn of(text: &str, style: Style) -> Self {
        let mut line = Self::default();
        line.push(text, style);
        line
    }

    pub(super) fn blank(cells: usize) -> Self {
        Self(vec![(' ', Style::Plain); cells])
    }

    pub(super) fn push(&mut self, text: &str, style: Style) {
        self.0.extend(text.chars().map(|character| (character, style)));
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Adds blanks up to this column.
    pub(super) fn pad(&mut self, column: usize) {
        let length = self.0.len().max(column);
        self.0.resize(length, (' ', Style::Plain));
    }

    /// Overwrites from this column on; text past the end of the line is dropped.
    pub(super) fn put(&mut self, column: usize, text: &str, style: Style) {
        for (cell, character) in self.0.iter_mut().skip(column).zip(text.chars()) {
            *cell = (character, style);
        }
    }

    /// Writes it and a newline, no wider than this.
    pub(super) fn write(&self, to: &mut String, width: usize, colour: bool) {
        let cut = self.0.get(..width).unwrap_or(&self.0);
        let end = cut.iter().rposition(|&cell| cell != (' ', Style::Plain)).map_or(0, |last| last + 1);
        let mut shown = Style::Plain;
        for &(character, style) in cut.iter().take(end) {
            if colour && style != shown {
                change(to, shown, style);
                shown = style;
            }
            to.push(character);
        }
        change(to, shown, Style::Plain);
        to.push('\n');
    }
}

fn change(to: &mut String, from: Style, style: Style) {
    if from == style {
        return;
    }
    if from != Style::Plain {
        to.push_str("\x1b[0m");
    }
    if let Some(code) = style.code() {
        to.push_str("\x1b[");
        to.push_str(code);
        to.push('m');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_and_its_colours_end_with_it() {
        let mut line = Line::of("ab", Style::Bad);
        line.push("cd  ", Style::Plain);
        let written = |width, colour| {
            let mut text = String::new();
            line.write(&mut text, width, colour);
            text
        };
        assert_eq!(written(80, false), "abcd\n");
        assert_eq!(written(80, true), "\x1b[31mab\x1b[0mcd\n");
        assert_eq!(written(1, true), "\x1b[31ma\x1b[0m\n");
        assert_eq!(written(0, true), "\n");
    }
}

//! Prints the demo: a heading, aligned rows, a tick or a cross before each.

use std::io::{self, IsTerminal as _, Write as _};

/// One line of the table, as it came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// What was sent.
    pub(super) sent: String,
    /// What came back.
    pub(super) came_back: String,
    /// What the bot saw.
    pub(super) bot_saw: String,
    /// What the request line says.
    pub(super) request_line: String,
    /// What should have been otherwise; nothing if all is as it should be.
    pub(super) wrong: Vec<String>,
}

/// Whether ANSI colours are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    On,
    Off,
}

impl Colour {
    /// On a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub(super) fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if io::stdout().is_terminal() && !refused {
            Self::On
        } else {
            Self::Off
        }
    }

    pub(super) fn paint(self, style: Style, text: &str) -> String {
        match self {
            Self::On => format!("{}{text}\x1b[0m", style.code()),
            Self::Off => text.to_owned(),
        }
    }
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Style {
    Good,
    Bad,
    Heading,
    Aside,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[1;31m",
            Self::Heading => "\x1b[1m",
            Self::Aside => "\x1b[2m",
        }
    }
}

/// Column widths, gaps not counted. The last column ends where its text does.
const WIDTHS: [usize; 3] = [35, 27, 15];

/// The line with the names of the columns.
pub(super) fn header(colour: Colour) -> String {
    colour.paint(
        Style::Aside,
        &aligned(
            " ",
            [
                "what was sent",
                "what came back",
                "the bot saw",
                "the request line says",
            ],
        ),
    )
}

/// The heading of a group of rows.
pub(super) fn heading(text: &str, colour: Colour) -> String {
    format!("\n{}", colour.paint(Style::Heading, text))
}

/// A row, and below it what is wrong with it.
pub(super) fn row(row: &Row, colour: Colour) -> String {
    let (style, mark) = if row.wrong.is_empty() {
        (Style::Good, "✓")
    } else {
        (Style::Bad, "✗")
    };
    let cells = [&row.sent, &row.came_back, &row.bot_saw, &row.request_line];
    let mut text = aligned(&colour.paint(style, mark), cells.map(String::as_str));
    for wrong in &row.wrong {
        text.push_str("\n      ");
        text.push_str(&colour.paint(Style::Bad, wrong));
    }
    text
}

/// The last line.
pub(super) fn summary(rows: &[Row], colour: Colour) -> String {
    let good = rows.iter().filter(|row| row.wrong.is_empty()).count();
    let style = if good == rows.len() {
        Style::Good
    } else {
        Style::Bad
    };
    colour.paint(style, &format!("{good} of {} as expected", rows.len()))
}

/// Writes a line. A reader that went away is no reason to fail: the exit code still tells.
pub(super) fn say(line: &str) {
    let _reader_is_gone = writeln!(io::stdout().lock(), "{line}");
}

fn aligned(mark: &str, cells: [&str; 4]) -> String {
    let [a, b, c] = WIDTHS;
    let [sent, came_back, bot_saw, request_line] = cells;
    format!("  {mark} {sent:a$}  {came_back:b$}  {bot_saw:c$}  {request_line}")
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(wrong: &[&str]) -> Row {
        Row {
            sent: "a title as long as they may become.".to_owned(),
            came_back: "403 channel_not_endorsed".to_owned(),
            bot_saw: "the same bytes".to_owned(),
            request_line: "token_signature_invalid".to_owned(),
            wrong: wrong.iter().map(|&wrong| wrong.to_owned()).collect(),
        }
    }

    #[test]
    fn rows_are_aligned_and_fit_the_page() {
        let (header, row) = (header(Colour::Off), row(&example(&[]), Colour::Off));
        let column = |line: &str, text: &str| {
            line.chars().count() - line.split_once(text).unwrap().1.chars().count()
        };
        assert_eq!(
            column(&header, "what came back") - "what came back".len(),
            column(&row, "403") - "403".len()
        );
        assert!(row.starts_with("  ✓ a title"), "{row}");
        assert!(row.chars().count() <= 110, "{row}");
    }

    #[test]
    fn what_is_wrong_stands_below_the_row_and_counts_in_the_summary() {
        let bad = example(&["answered 200 instead of 401"]);
        assert!(row(&bad, Colour::Off).ends_with("\n      answered 200 instead of 401"));
        assert!(row(&bad, Colour::Off).starts_with("  ✗ "));
        assert_eq!(
            summary(&[example(&[]), bad], Colour::Off),
            "1 of 2 as expected"
        );
    }

    #[test]
    fn colour_is_escape_sequences_and_its_absence_is_plain_text() {
        assert!(!row(&example(&["x"]), Colour::Off).contains('\x1b'));
        assert!(row(&example(&[]), Colour::On).starts_with("  \x1b[32m✓\x1b[0m "));
    }
}

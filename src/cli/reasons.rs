//! `reasons`: every way the gateway says no, as a table for people or for a README.

use crate::judge::Reason;
use std::io::{self, Write};

/// How the table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Aligned columns, for a terminal.
    Text,
    /// A Markdown table, for a README.
    Markdown,
}

/// Writes the table of all reasons.
///
/// # Errors
/// What `out` says.
pub fn run(style: Style, out: &mut dyn Write) -> io::Result<()> {
    match style {
        Style::Text => out.write_all(text().as_bytes()),
        Style::Markdown => out.write_all(markdown().as_bytes()),
    }
}

/// The table as Markdown; a test compares it with the one in the README.
pub fn markdown() -> String {
    let mut table = "| code | status | fault | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for reason in Reason::ALL {
        let meaning = reason.meaning().replace('|', "\\|");
        let (code, status, fault) = (reason.code(), reason.status(), reason.fault().word());
        table.push_str(&format!("| `{code}` | {status} | {fault} | {meaning} |\n"));
    }
    table
}

fn text() -> String {
    let width = Reason::ALL
        .iter()
        .map(|reason| reason.code().len())
        .max()
        .unwrap_or_default();
    let mut table = format!("{:width$}  STATUS  FAULT     MEANING\n", "CODE");
    for reason in Reason::ALL {
        let (code, status, fault) = (reason.code(), reason.status(), reason.fault().word());
        table.push_str(&format!(
            "{code:width$}  {status:<6}  {fault:<8}  {}\n",
            reason.meaning()
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_have_a_row_for_every_reason() {
        for (style, head) in [(Style::Text, 1), (Style::Markdown, 2)] {
            let mut out = Vec::new();
            run(style, &mut out).unwrap();
            let table = String::from_utf8(out).unwrap();
            let rows: Vec<&str> = table.lines().skip(head).collect();
            assert_eq!(rows.len(), Reason::ALL.len(), "{style:?}");
            for (row, reason) in rows.iter().zip(Reason::ALL) {
                assert!(
                    row.contains(reason.code()) && row.contains(&reason.status().to_string()),
                    "{row}"
                );
                assert!(
                    row.contains(reason.fault().word()) && row.contains(reason.meaning()),
                    "{row}"
                );
            }
        }
    }

    #[test]
    fn columns_of_the_text_table_are_aligned() {
        let table = text();
        let column = table.lines().next().unwrap().find("STATUS").unwrap();
        for row in table.lines().skip(1) {
            assert!(
                row[column..].starts_with(|c: char| c.is_ascii_digit()),
                "{row}"
            );
            assert!(row[..column].ends_with("  "), "{row}");
        }
    }
}

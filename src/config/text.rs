//! Strings of the file, with `${NAME}` and `file:` replaced; what they were replaced by is never shown.

use super::Severity;
use super::file::{Place, Reading};
use super::values::{self, Unexpanded};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use toml::de::DeValue;

/// A string of the file.
#[derive(Clone)]
pub(super) struct Text<'a> {
    /// The value to use. Never printed: it may come from the environment or from a secret file.
    pub(super) value: String,
    /// What stands in the file.
    pub(super) written: &'a str,
    reading: &'a Reading<'a>,
    place: Place,
    is_secret: bool,
}

impl<'a> Text<'a> {
    /// A string as written, nothing replaced.
    pub(super) fn new(written: &'a str, reading: &'a Reading<'a>, place: Place) -> Self {
        Self {
            value: written.to_owned(),
            written,
            reading,
            place,
            is_secret: false,
        }
    }

    /// What stands in the file is, or holds, a password: it is shown by no message.
    pub(super) const fn hidden(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// Replaces variables, then a leading `file:` by what that file holds.
    pub(super) fn expanded(self) -> Option<Self> {
        let text = self.with_variables()?;
        if text.written.starts_with(FILE) {
            text.with_file()
        } else {
            Some(text)
        }
    }

    /// Replaces variables only: for file names, which are no secret and no content.
    pub(super) fn with_variables(mut self) -> Option<Self> {
        match values::expand(self.written, self.reading.environment) {
            Ok(value) => {
                self.value = value;
                Some(self)
            }
            Err(Unexpanded::Unset(name)) => {
                let what = format!("needs the environment variable {name}, which is not set");
                self.error(
                    what,
                    format!("set {name} where botgate starts, or write the value here"),
                );
                None
            }
            Err(Unexpanded::Malformed) => {
                let hint = "write ${NAME}, the name in letters, digits and underscores";
                self.error(
                    format!("is {}, where \"${{\" begins no variable", self.shown()),
                    hint,
                );
                None
            }
        }
    }

    fn with_file(mut self) -> Option<Self> {
        const MAX_BYTES: u64 = 64 * 1024;
        let path = self
            .reading
            .dir
            .join(self.value.strip_prefix(FILE).unwrap_or_default());
        let read = self.reading.read_file(&path, MAX_BYTES);
        let text = read.and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
        });
        match text {
            Ok(text) => {
                let line = text
                    .strip_suffix('\n')
                    .map(|line| line.strip_suffix('\r').unwrap_or(line));
                self.value = line.unwrap_or(&text).to_owned();
                Some(self)
            }
            Err(error) => {
                let what = format!("is {}, which cannot be read: {error}", self.shown());
                self.error(what, "create the file; relative names start from the directory of this configuration file");
                None
            }
        }
    }

    pub(super) fn error(&self, what: impl Into<String>, hint: impl Into<String>) {
        self.reading.note(Severity::Error, &self.place, what, hint);
    }

    pub(super) fn warn(&self, what: impl Into<String>, hint: impl Into<String>) {
        self.reading
            .note(Severity::Warning, &self.place, what, hint);
    }

    /// What stands in the file, quoted and shortened, for a message. The name of a file that holds a secret is none.
    pub(super) fn shown(&self) -> String {
        if self.is_secret && !self.written.starts_with(FILE) {
            return "(secret)".to_owned();
        }
        quoted(self.written)
    }
}

/// Reads a file whole, up to a limit.
///
/// # Errors
/// What the system says, or that the file is too large.
pub(super) fn read_file(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= max_bytes) {
        return Ok(bytes);
    }
    Err(io::Error::other(format!(
        "it is larger than {max_bytes} bytes"
    )))
}

/// What a value is, in words, shortened.
pub(super) fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {}", quoted(text)),
        DeValue::Integer(number) => format!("the number {}", shortened(number.as_str())),
        DeValue::Float(number) => format!("the number {}", shortened(number.as_str())),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

fn shortened(text: &str) -> String {
    const MAX: usize = 80;
    let mut short: String = text.chars().take(MAX).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

const FILE: &str = "file:";

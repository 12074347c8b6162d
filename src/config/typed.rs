//! Typed access to the values of one table: what is wanted, in which range, and what to write instead.

use super::file::{Place, Section};
use super::text::{Text, described};
use super::wanted::{Unit, Wanted};
use super::{Quota, Severity, values};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml::de::DeValue;

impl<'a> Section<'a> {
    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        self.ask(key, || Wanted::Flag { default });
        let pick = |value: &DeValue<'_>| value.as_bool();
        self.typed(key, "true or false", "true", pick)
            .unwrap_or(default)
    }

    /// A whole number.
    pub(super) fn count(&self, key: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        let (least, most) = (*range.start(), *range.end());
        self.ask(key, || Wanted::Count {
            default,
            least,
            most,
        });
        let wanted = || format!("a whole number from {} to {}", range.start(), range.end());
        let pick = |value: &DeValue<'_>| {
            value
                .as_integer()
                .map(|n| i128::from_str_radix(n.as_str(), n.radix()).ok())
        };
        let Some(number) = self.typed(key, &wanted(), &default.to_string(), pick) else {
            return default;
        };
        match number
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| range.contains(n))
        {
            Some(number) => number,
            None => {
                self.error(
                    key,
                    "is out of range",
                    format!("write {}; the default is {default}", wanted()),
                );
                default
            }
        }
    }

    /// A string, with `${NAME}` and `file:` replaced.
    pub(super) fn text(&self, key: &str) -> Option<Text<'a>> {
        self.ask(key, || Wanted::Text);
        self.string(key, "a string", "\"...\"")?.expanded()
    }

    /// As [`text`](Self::text), for what no message shows, whatever it is.
    pub(super) fn secret(&self, key: &str) -> Option<Text<'a>> {
        self.ask(key, || Wanted::Text);
        let Some(written) = self.value(key)?.get_ref().as_str() else {
            self.error(
                key,
                "is not a string",
                format!("write {key} = \"file:PATH\" or \"${{NAME}}\", in quotes"),
            );
            return None;
        };
        let text = Text::new(written, self.reading, self.place(key));
        text.hidden().expanded()
    }

    /// As [`secret`](Self::secret), where a list of them may stand.
    pub(super) fn secrets(&self, key: &str) -> Vec<Text<'a>> {
        self.ask(key, || Wanted::OneOrList);
        let Some(DeValue::Array(items)) = self.value(key).map(toml::Spanned::get_ref) else {
            return self.secret(key).into_iter().collect();
        };
        let read = |(index, item): (usize, &'a toml::Spanned<DeValue<'a>>)| {
            let place = Place {
                at: format!("{}[{index}]", self.place(key).at),
                offset: Some(item.span().start),
            };
            let Some(written) = item.get_ref().as_str() else {
                let hint = format!("write {key} = [\"file:PATH\", \"file:PATH\"]");
                let what = "is not a string";
                self.reading.note(Severity::Error, &place, what, hint);
                return None;
            };
            Text::new(written, self.reading, place).hidden().expanded()
        };
        items.iter().enumerate().filter_map(read).collect()
    }

    /// As [`text`](Self::text), for a key that must be there and not be empty.
    pub(super) fn required(&self, key: &str, hint: &str) -> Option<Text<'a>> {
        self.must_be_there(key, hint, |section| section.text(key))
    }

    fn must_be_there(
        &self,
        key: &str,
        hint: &str,
        read: impl Fn(&Self) -> Option<Text<'a>>,
    ) -> Option<Text<'a>> {
        self.require(key);
        self.ask(key, || Wanted::Text);
        if !self.has(key) {
            self.error(key, "is missing", hint);
            return None;
        }
        let text = read(self)?;
        if text.value.is_empty() {
            text.error("is empty", hint);
            return None;
        }
        Some(text)
    }

    /// As [`text`](Self::text), for an address in front of which `file:` has a meaning of its own.
    pub(super) fn address(&self, key: &str) -> Option<Text<'a>> {
        self.ask(key, || Wanted::Text);
        self.string(key, "a string", "\"...\"")?.with_variables()
    }

    /// As [`address`](Self::address), for a key that must be there and not be empty.
    pub(super) fn required_address(&self, key: &str, hint: &str) -> Option<Text<'a>> {
        self.must_be_there(key, hint, |section| section.address(key))
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy + PartialEq>(
        &self,
        key: &str,
        default: T,
        choices: &[(&'static str, T)],
    ) -> T {
        let words = || choices.iter().map(|(word, _)| *word);
        let usual = choices.iter().find(|(_, choice)| *choice == default);
        self.ask(key, || Wanted::Word {
            default: usual.map(|(word, _)| *word),
            words: words().collect(),
        });
        let wanted = format!(
            "one of {}",
            words()
                .map(|w| format!("\"{w}\""))
                .collect::<Vec<_>>()
                .join(", ")
        );
        let example = format!("{:?}", words().next().unwrap_or_default());
        let Some(text) = self.string(key, &wanted, &example).and_then(Text::expanded) else {
            return default;
        };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text.value) {
            return *choice;
        }
        let hint = match values::probably(text.written, words()) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => format!("write {wanted}"),
        };
        text.error(format!("is {}, wanted {wanted}", text.shown()), hint);
        default
    }

    pub(super) fn duration(
        &self,
        key: &str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let show = values::duration_text;
        self.ask(key, || Wanted::Measure {
            unit: Unit::Duration,
            default: show(default),
            range: [show(*range.start()), show(*range.end())],
        });
        self.parsed(
            key,
            "a duration",
            default,
            range,
            values::duration,
            values::duration_text,
        )
    }

    /// A number of bytes.
    pub(super) fn size(&self, key: &str, default: usize, range: RangeInclusive<usize>) -> usize {
        let show = values::size_text;
        self.ask(key, || Wanted::Measure {
            unit: Unit::Size,
            default: show(default),
            range: [show(*range.start()), show(*range.end())],
        });
        self.parsed(
            key,
            "a size",
            default,
            range,
            values::size,
            values::size_text,
        )
    }

    /// `{ rate = "50/s", burst = 100 }`.
    pub(super) fn quota(&self, key: &str) -> Option<Quota> {
        const EXAMPLE: &str = "write { rate = \"50/s\", burst = 100 }";
        self.ask(key, || Wanted::Quota);
        if let Some(value) = self.value(key)
            && !value.get_ref().is_table()
        {
            self.error(
                key,
                format!(
                    "is {}, wanted a rate and a burst",
                    described(value.get_ref())
                ),
                EXAMPLE,
            );
            return None;
        }
        let table = self.table(key);
        if !table.is_written() {
            return None;
        }
        let text = table.required("rate", EXAMPLE)?;
        let quota = values::rate(&text.value)
            .map_err(|hint| text.error(format!("is {}, wanted a rate", text.shown()), hint))
            .ok()?;
        let default = usize::try_from(quota.burst.get()).unwrap_or(1);
        let burst = table.count("burst", default, 1..=10_000_000);
        let burst = u32::try_from(burst)
            .ok()
            .and_then(NonZeroU32::new)
            .unwrap_or(quota.burst);
        Some(Quota { burst, ..quota })
    }

    /// A list of strings.
    pub(super) fn list(&self, key: &str) -> Vec<Text<'a>> {
        const WANTED: &str = "a list of strings";
        self.ask(key, || Wanted::List);
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            self.mistyped(key, value.get_ref(), WANTED, "[\"...\"]");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let place = Place {
                at: format!("{}[{index}]", self.place(key).at),
                offset: Some(item.span().start),
            };
            match item.get_ref() {
                DeValue::String(written) => {
                    texts.extend(Text::new(written, self.reading, place).expanded());
                }
                other => {
                    let what = format!("is {}, wanted a string", described(other));
                    self.reading.note(
                        Severity::Error,
                        &place,
                        what,
                        format!("write {key} = [\"...\"]"),
                    );
                }
            }
        }
        texts
    }

    /// A list of strings, where a single one may stand without brackets.
    pub(super) fn one_or_list(&self, key: &str) -> Vec<Text<'a>> {
        self.ask(key, || Wanted::OneOrList);
        match self.value(key).map(|value| value.get_ref()) {
            Some(DeValue::String(_)) => self.text(key).into_iter().collect(),
            Some(_) | None => self.list(key),
        }
    }

    /// Whether the value is a list, and not a single string.
    pub(super) fn is_list(&self, key: &str) -> bool {
        self.value(key)
            .is_some_and(|value| value.get_ref().is_array())
    }

    /// Whether the value is a list of nothing.
    pub(super) fn has_empty_list(&self, key: &str) -> bool {
        let value = self.value(key).and_then(|value| value.get_ref().as_array());
        value.is_some_and(|items| items.is_empty())
    }

    /// A string as it stands in the file, quoted, for a message.
    pub(super) fn shown(&self, key: &str) -> Option<String> {
        let written = self.value(key)?.get_ref().as_str()?;
        Some(Text::new(written, self.reading, self.place(key)).shown())
    }

    /// A file name; relative ones start from the directory of the configuration file. Empty is none.
    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        self.ask(key, || Wanted::Path);
        let text = self.string(key, "a file name", "\"certs/file.pem\"")?;
        if text.written.starts_with("file:") {
            text.error(
                "begins with \"file:\"",
                "this key is a file name already; leave \"file:\" out",
            );
            return None;
        }
        let text = text.with_variables()?;
        (!text.value.is_empty()).then(|| self.reading.dir.join(&text.value))
    }

    fn string(&self, key: &str, wanted: &str, example: &str) -> Option<Text<'a>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(written) => Some(Text::new(written, self.reading, self.place(key))),
            other => {
                self.mistyped(key, other, wanted, example);
                None
            }
        }
    }

    fn typed<T>(
        &self,
        key: &str,
        wanted: &str,
        example: &str,
        pick: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?.get_ref();
        let picked = pick(value);
        if picked.is_none() {
            self.mistyped(key, value, wanted, example);
        }
        picked
    }

    fn mistyped(&self, key: &str, found: &DeValue<'_>, wanted: &str, example: &str) {
        self.error(
            key,
            format!("is {}, wanted {wanted}", described(found)),
            format!("write {key} = {example}"),
        );
    }

    fn parsed<T: PartialOrd + Copy>(
        &self,
        key: &str,
        kind: &str,
        default: T,
        range: RangeInclusive<T>,
        parse: fn(&str) -> Result<T, &'static str>,
        show: fn(T) -> String,
    ) -> T {
        let text = self
            .string(key, kind, &format!("\"{}\"", show(default)))
            .and_then(Text::expanded);
        let Some(text) = text else { return default };
        match parse(&text.value) {
            Ok(value) if range.contains(&value) => return value,
            Ok(_) => text.error(
                format!("is {}, which is out of range", text.shown()),
                format!(
                    "write {kind} from \"{}\" to \"{}\"; the default is \"{}\"",
                    show(*range.start()),
                    show(*range.end()),
                    show(default)
                ),
            ),
            Err(hint) => text.error(format!("is {}, wanted {kind}", text.shown()), hint),
        }
        default
    }
}

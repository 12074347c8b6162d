//! Header fields as the text of HTTP/1, made once and sent as it is. Pure.

use http::header::{HeaderName, HeaderValue};
use std::ops::Range;

/// Fields in their order, each with the end of its line. Those of one name stand together, as they do in a
/// [`HeaderMap`](http::HeaderMap).
///
/// Not to be shown: there is a token among those of a request.
#[derive(Clone, Default)]
pub struct Fields(Vec<u8>);

impl Fields {
    /// None yet, with room for so many bytes.
    pub fn with_room_for(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// As they are sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Name and value of each, without white space around it.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        lines(&self.0).map(|line| {
            let name = name_of(line);
            let value = line.get(name.len().saturating_add(1)..).unwrap_or_default();
            (name, value.trim_ascii())
        })
    }

    /// Adds a field behind all others, of a name that none of them has but perhaps the last.
    pub fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.begin(name);
        self.0.extend_from_slice(value.as_bytes());
        self.0.extend_from_slice(LINE_END);
    }

    /// As [`append`](Self::append). What is no value adds nothing.
    pub fn append_text(&mut self, name: &HeaderName, value: &[u8]) {
        self.append_written(name, |text| text.extend_from_slice(value));
    }

    /// As [`append_text`](Self::append_text), with a value that is written behind what is there.
    pub fn append_written(&mut self, name: &HeaderName, value: impl FnOnce(&mut Vec<u8>)) {
        let before = self.0.len();
        self.begin(name);
        let start = self.0.len();
        value(&mut self.0);
        if self.0.get(start..).is_some_and(is_value) {
            self.0.extend_from_slice(LINE_END);
        } else {
            self.0.truncate(before);
        }
    }

    /// Makes the last field's value longer, with `; ` in between.
    pub fn join_to_last(&mut self, value: &HeaderValue) {
        if self.0.ends_with(LINE_END) {
            let end = self.0.len().saturating_sub(LINE_END.len());
            self.0.truncate(end);
            self.0.extend_from_slice(b"; ");
            self.0.extend_from_slice(value.as_bytes());
            self.0.extend_from_slice(LINE_END);
        }
    }

    fn begin(&mut self, name: &HeaderName) {
        self.0.extend_from_slice(name.as_str().as_bytes());
        self.0.extend_from_slice(b": ");
    }

    /// Puts a field in the place of those of its name, or behind all others. What is no value changes nothing.
    pub fn set(&mut self, name: &HeaderName, value: &[u8]) {
        if !is_value(value) {
            return;
        }
        let mut field = Self::default();
        field.append_text(name, value);
        match self.place(|line| is_of(line, name)) {
            Some(old) => self.replace(old, &field.0),
            None => self.0.extend_from_slice(&field.0),
        }
    }

    /// Takes the fields of a name away. Their place is taken by the last field, with all others of its name: so it was when these
    /// were a `HeaderMap`, and no bot is to find its fields in another order.
    pub fn remove(&mut self, name: &HeaderName) {
        let Some(old) = self.place(|line| is_of(line, name)) else {
            return;
        };
        let last = lines(&self.0).last().map(name_of).unwrap_or_default();
        let Some(last) = self.place(|line| name_of(line) == last) else {
            return;
        };
        let moved = self.0.split_off(last.start);
        if last != old {
            self.replace(old, &moved);
        }
    }

    /// Where the lines of which this is so stand, which stand together.
    fn place(&self, is_one: impl Fn(&[u8]) -> bool) -> Option<Range<usize>> {
        let mut found: Option<Range<usize>> = None;
        let mut start = 0_usize;
        for line in lines(&self.0) {
            let end = start.saturating_add(line.len());
            if is_one(line) {
                found = Some(found.map_or(start, |range| range.start)..end);
            }
            start = end;
        }
        found
    }

    fn replace(&mut self, old: Range<usize>, new: &[u8]) {
        let behind = self.0.get(old.end..).unwrap_or_default().to_vec();
        self.0.truncate(old.start);
        self.0.extend_from_slice(new);
        self.0.extend_from_slice(&behind);
    }
}

const LINE_END: &[u8] = b"\r\n";

/// No value holds a line feed.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// No name holds a colon.
fn name_of(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b':').next().unwrap_or_default()
}

fn is_of(line: &[u8], name: &HeaderName) -> bool {
    name_of(line) == name.as_str().as_bytes()
}

/// What [`HeaderValue::from_bytes`] takes: no control but the tab.
pub(super) fn is_value(bytes: &[u8]) -> bool {
    let is_bad = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    // Without a way out in the middle, which lets the processor look at many at once.
    !bytes.iter().fold(false, |bad, byte| bad | is_bad(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const NAMES: [&str; 6] = ["a", "ab", "host", "tracestate", "x-request-id", "b"];

    fn name(position: usize) -> HeaderName {
        HeaderName::from_static(NAMES[position])
    }

    fn text_of(map: &HeaderMap) -> Vec<u8> {
        let mut text = Vec::new();
        for (name, value) in map {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text
    }

    #[test]
    fn a_value_is_what_a_header_map_takes_for_one() {
        for byte in 0..=u8::MAX {
            for value in [&[byte][..], &[b'a', byte], &[byte, b'a']] {
                let is_one = HeaderValue::from_bytes(value).is_ok();
                assert_eq!(is_value(value), is_one, "{value:x?}");
            }
        }
        assert!(is_value(b""));
    }

    #[test]
    fn what_is_no_value_changes_nothing() {
        let mut fields = Fields::default();
        fields.append_text(&name(0), b"1");
        fields.append_text(&name(1), b"1\r\nhost: evil");
        fields.append_written(&name(1), |text| text.push(b'\n'));
        fields.set(&name(0), b"\r");
        fields.set(&name(1), b"\n");
        assert_eq!(fields.as_bytes(), b"a: 1\r\n");
        let mut none = Fields::default();
        none.join_to_last(&HeaderValue::from_static("1"));
        none.remove(&name(0));
        assert_eq!(none.as_bytes(), b"");
    }

    proptest! {
        /// In the same order, too.
        #[test]
        fn they_change_as_a_header_map_does(
            received in vec((0..NAMES.len(), "[ -~\t]{0,3}"), 0..10),
            steps in vec((0..3_usize, 0..NAMES.len(), "[ -~\r\n]{0,3}"), 0..10),
        ) {
            let mut map = HeaderMap::new();
            for (position, value) in &received {
                map.append(name(*position), value.parse().unwrap());
            }
            let mut fields = Fields::default();
            map.iter().for_each(|(name, value)| fields.append(name, value));
            prop_assert_eq!(fields.as_bytes(), text_of(&map));
            for (step, position, value) in &steps {
                let (name, parsed) = (name(*position), HeaderValue::from_str(value));
                match (step, parsed) {
                    (0, _) => {
                        map.remove(&name);
                        fields.remove(&name);
                    }
                    (1, Ok(parsed)) if !map.contains_key(&name) => {
                        map.append(&name, parsed);
                        fields.append_text(&name, value.as_bytes());
                    }
                    (_, Ok(parsed)) => {
                        map.insert(&name, parsed);
                        fields.set(&name, value.as_bytes());
                    }
                    (_, Err(_)) => fields.set(&name, value.as_bytes()),
                }
                prop_assert_eq!(fields.as_bytes(), text_of(&map));
            }
        }
    }
}

//! What a client gets of the fields of a bot's answer.

use super::{Options, is_for_neighbours, is_not_for_strangers};
use crate::net::fields::is_value;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The fields of a bot's answer as they are read, those of one name together.
#[derive(Debug)]
pub struct Answered<'h>(Vec<Field<'h>>);

#[derive(Debug)]
struct Field<'h> {
    name: HeaderName,
    value: &'h [u8],
    /// Further values of this name.
    others: Vec<&'h [u8]>,
}

/// What cannot be, since the head was read before: a value that is none, or more fields than a map can hold.
#[derive(Clone, Copy, Debug)]
pub struct NoFields;

impl<'h> Answered<'h> {
    /// None yet, with room for so many.
    pub fn with_room_for(fields: usize) -> Self {
        Self(Vec::with_capacity(fields))
    }

    /// One more.
    pub fn add(&mut self, name: HeaderName, value: &'h [u8]) {
        match self.0.iter_mut().find(|field| field.name == name) {
            Some(field) => field.others.push(value),
            None => self.0.push(Field {
                name,
                value,
                others: Vec::new(),
            }),
        }
    }

    /// The values of a name.
    pub fn values(&self, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
        let field = self.0.iter().find(|field| field.name == *name);
        field.into_iter().flat_map(Field::values)
    }

    /// The headers a client gets: end-to-end ones as the bot sent them, without what tells strangers what runs there.
    ///
    /// # Errors
    /// [`NoFields`].
    pub fn to_client(self) -> Result<HeaderMap, NoFields> {
        let listed = Options::of(self.values(&header::CONNECTION));
        // Content-Length is written anew from the body's own framing: beside Transfer-Encoding the bot's word for it is wrong.
        let passes = |name: &HeaderName| {
            let text = name.as_str();
            !(is_for_neighbours(text)
                || is_not_for_strangers(text)
                || text.starts_with("proxy-")
                || (listed.contain(text) && name != header::CONTENT_TYPE))
        };
        let room = self.0.len().saturating_add(WRITTEN_FRESH);
        let mut headers = HeaderMap::try_with_capacity(room).map_err(|_| NoFields)?;
        for Field {
            name,
            value,
            others,
        } in self.0
        {
            if !passes(&name) {
                if !std::iter::once(value).chain(others).all(is_value) {
                    return Err(NoFields);
                }
                continue;
            }
            // A name is not copied for the sake of others of its kind, of which there are seldom any.
            let again = (!others.is_empty()).then(|| name.clone());
            put(&mut headers, name, value)?;
            for (name, value) in again.iter().cycle().zip(others) {
                put(&mut headers, name.clone(), value)?;
            }
        }
        Ok(headers)
    }
}

impl<'h> Field<'h> {
    fn values(&self) -> impl Iterator<Item = &'h [u8]> {
        std::iter::once(self.value).chain(self.others.iter().copied())
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) -> Result<(), NoFields> {
    let value = match usual(value) {
        Some(value) => HeaderValue::from_static(value),
        // Of its own: a piece of what was read would hold all of that for as long as the answer is on its way.
        None => {
            HeaderValue::from_maybe_shared(Bytes::copy_from_slice(value)).map_err(|_| NoFields)?
        }
    };
    let added = headers.try_append(name, value);
    added.map(|_| ()).map_err(|_| NoFields)
}

/// Values that many answers have, which need no memory.
fn usual(value: &[u8]) -> Option<&'static str> {
    const USUAL: [&str; 2] = ["application/json", "application/json; charset=utf-8"];
    USUAL.into_iter().find(|usual| usual.as_bytes() == value)
}

/// The request's id.
const WRITTEN_FRESH: usize = 1;

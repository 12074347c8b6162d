//! What a member must be for decisions to be made by it.

use crate::judge::strict_json::{Inside, Refusal, Value};
use crate::judge::{Reason, Rejection};

/// How a body that cannot be read is refused.
pub(in crate::judge) fn refused(refusal: Refusal) -> Rejection {
    match refusal {
        Refusal::Malformed(what) => Rejection::from(Reason::ActivityMalformed).noting(what),
        Refusal::Ambiguous(what) => Rejection::from(Reason::ActivityAmbiguous).noting(what),
        Refusal::TooComplex(what) => Rejection::from(Reason::ActivityTooComplex).noting(what),
    }
}

pub(super) fn invalid(what: impl Into<String>) -> Rejection {
    Rejection::from(Reason::ActivityFieldInvalid).noting(what)
}

pub(in crate::judge) fn member<'m, 'a>(
    object: Option<Inside<'m, 'a>>,
    number: usize,
) -> Option<&'m Value<'a>> {
    object.and_then(|object| object.get(number))
}

/// An object inside another, or nothing where the member is absent or null.
pub(in crate::judge) fn object<'m, 'a>(
    place: &str,
    outer: Option<Inside<'m, 'a>>,
    number: usize,
) -> Result<Option<Inside<'m, 'a>>, Rejection> {
    match (outer, member(outer, number)) {
        (Some(outer), Some(Value::Object(object))) => Ok(Some(outer.members.inside(*object))),
        (_, None | Some(Value::Null | Value::Object(_))) => Ok(None),
        (_, Some(Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_))) => {
            Err(invalid(format!("{place} is not an object")))
        }
    }
}

/// A string without control characters, or nothing where the member is absent or null.
pub(in crate::judge) fn text<'v>(
    place: &str,
    value: Option<&'v Value<'_>>,
) -> Result<Option<&'v str>, Rejection> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text)) if has_control_character(text) => {
            Err(invalid(format!("{place} holds a control character")))
        }
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_)) => {
            Err(invalid(format!("{place} is not a string")))
        }
    }
}

fn has_control_character(text: &str) -> bool {
    // Without a way out of the loop the compiler looks at many bytes at once.
    let is_visible_ascii = text.bytes().fold(true, |visible, byte| {
        visible & (b' '..=b'~').contains(&byte)
    });
    !is_visible_ascii && text.chars().any(char::is_control)
}

pub(super) fn required<'v>(
    place: &str,
    text: Option<&'v str>,
    max_bytes: usize,
) -> Result<&'v str, Rejection> {
    match text {
        None => Err(invalid(format!("{place} is missing"))),
        Some("") => Err(invalid(format!("{place} is empty"))),
        Some(text) if text.len() > max_bytes => {
            Err(invalid(format!("{place} is longer than {max_bytes} bytes")))
        }
        Some(text) => Ok(text),
    }
}

//! JSON that every reader reads the same way, or not at all.
//!
//! `serde_json` does the parsing; this is a visitor over it that refuses what readers are known to disagree on
//! (duplicate names at any depth, spelling variants of guarded names, unpaired surrogates, byte-order marks) and bounds depth,
//! member count and name length. It keeps only the members a [`Shape`] asks for; the rest is checked and dropped.

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// How large a document may be in ways that bytes do not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrictLimits {
    /// Nested containers; the root object is 1. At most 120.
    pub depth: usize,
    /// Object members in the whole document.
    pub members: usize,
}

/// `serde_json` itself stops at 128 nested containers; a larger limit could not be kept.
pub const MAX_DEPTH: usize = 120;

const MAX_NAME_BYTES: usize = 1024;

/// Which members of an object are kept, and how closely its names are guarded.
#[derive(Debug)]
pub(super) struct Shape {
    /// The guarded names, spelled as they must be.
    pub keep: &'static [(&'static str, Keep)],
    /// Whether names that another reader could take for a guarded one are refused.
    pub names: Names,
}

/// What is kept of a guarded member.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keep {
    /// The value; of an object, only that it is one.
    Leaf,
    /// The members of an object that this shape asks for.
    Inside(&'static Shape),
}

/// How the names of one object are compared with the guarded ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Byte for byte; other names are nobody's business.
    Exact,
    /// As [`Names::Exact`], and a name that differs only in case, `_` or `-`, that is not ASCII, or that some reader treats as
    /// an instruction (`$ref`, `__proto__`) is refused.
    Guarded,
}

/// A kept value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// A string after unescaping.
    Text(Cow<'a, str>),
    /// At most the first two elements: enough to tell one from many.
    List(Vec<Value<'a>>),
    /// An object.
    Object(Members<'a>),
}

/// The kept members of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Members<'a>(Vec<(&'static str, Value<'a>)>);

impl<'a> Members<'a> {
    /// The value of a guarded member, if present.
    pub(super) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }
}

/// Why a document was refused. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not one strict UTF-8 JSON object.
    Malformed(String),
    /// Readers could disagree.
    Ambiguous(String),
    /// Too deep, too many members, or a name too long.
    TooComplex(String),
}

/// Reads one strict JSON object.
///
/// # Errors
/// See [`Refusal`].
pub(super) fn read<'a>(
    bytes: &'a [u8],
    shape: &'static Shape,
    limits: StrictLimits,
) -> Result<Members<'a>, Refusal> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Refusal::Malformed(
            "starts with a byte-order mark".to_owned(),
        ));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Refusal::Malformed(format!("not UTF-8 at byte {}", e.valid_up_to())))?;
    let mut walk = Walk {
        limits,
        depth: 0,
        members: 0,
        refusal: None,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Node {
        walk: &mut walk,
        keep: Some(Keep::Inside(shape)),
    }
    .deserialize(&mut deserializer)
    .and_then(|value| deserializer.end().map(|()| value));
    match (read, walk.refusal) {
        (_, Some(refusal)) => Err(refusal),
        (Ok(Value::Object(members)), None) => Ok(members),
        (Ok(_), None) => Err(Refusal::Malformed("the root is not an object".to_owned())),
        // The message of serde_json names a place and a kind of mistake, never the document's text.
        (Err(error), None) if error.is_data() => Err(Refusal::Malformed(format!(
            "unreadable at line {}",
            error.line()
        ))),
        (Err(error), None) => Err(Refusal::Malformed(error.to_string())),
    }
}

struct Walk {
    limits: StrictLimits,
    depth: usize,
    members: usize,
    refusal: Option<Refusal>,
}

impl Walk {
    fn refuse<E: de::Error>(&mut self, refusal: Refusal) -> E {
        self.refusal = Some(refusal);
        E::custom("refused")
    }

    fn enter<E: de::Error>(&mut self) -> Result<(), E> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > self.limits.depth {
            let limit = self.limits.depth;
            return Err(self.refuse(Refusal::TooComplex(format!("nested deeper than {limit}"))));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn name<E: de::Error>(
        &mut self,
        name: &str,
        shape: Option<&'static Shape>,
    ) -> Result<Option<(&'static str, Keep)>, E> {
        self.members = self.members.saturating_add(1);
        if self.members > self.limits.members {
            let limit = self.limits.members;
            return Err(self.refuse(Refusal::TooComplex(format!("more than {limit} members"))));
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(self.refuse(Refusal::TooComplex(format!(
                "a member name longer than {MAX_NAME_BYTES} bytes"
            ))));
        }
        let Some(shape) = shape else { return Ok(None) };
        if let Some(&kept) = shape.keep.iter().find(|(known, _)| *known == name) {
            return Ok(Some(kept));
        }
        if shape.names == Names::Guarded
            && let Some(what) = misreading(name, shape)
        {
            return Err(self.refuse(Refusal::Ambiguous(what)));
        }
        Ok(None)
    }
}

/// Why some reader could take `name`, which is no guarded name, for one.
fn misreading(name: &str, shape: &Shape) -> Option<String> {
    // Case folding of U+0130, U+0131, U+017F and U+212A differs between runtimes.
    if !name.is_ascii() {
        return Some("a member name that is not ASCII beside guarded names".to_owned());
    }
    // Newtonsoft resolves $ref, System.Text.Json may; __proto__ and friends are special to JavaScript objects.
    if matches!(
        name,
        "$id" | "$ref" | "$type" | "$values" | "__proto__" | "constructor" | "prototype"
    ) {
        return Some(format!("member {name:?} is an instruction to some readers"));
    }
    // Python models of the SDKs call `from` `from_property`, since `from` is a keyword there.
    let twin = |known: &str| folded(name).eq(folded(known));
    if twin("from_property") && shape.keep.iter().any(|(known, _)| *known == "from") {
        return Some(format!(
            "member {name:?} is read as \"from\" by some readers"
        ));
    }
    shape
        .keep
        .iter()
        .find(|(known, _)| twin(known))
        .map(|(known, _)| format!("member {name:?} is read as {known:?} by some readers"))
}

fn folded(name: &str) -> impl Iterator<Item = u8> {
    name.bytes()
        .filter(|byte| !matches!(byte, b'_' | b'-'))
        .map(|byte| byte.to_ascii_lowercase())
}

/// One value: kept where `keep` says so, else only checked.
struct Node<'w> {
    walk: &'w mut Walk,
    keep: Option<Keep>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value<'de>;

    fn deserialize<D: de::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers past 2^53 are out of every range they are compared with"
    )]
    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value as f64))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers past 2^53 are out of every range they are compared with"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(if self.keep.is_some() {
            Value::Text(Cow::Owned(text.to_owned()))
        } else {
            Value::Null
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        self.walk.enter()?;
        let mut kept = Vec::new();
        let keep = self.keep.map(|_| Keep::Leaf);
        while let Some(item) = items.next_element_seed(Node {
            walk: &mut *self.walk,
            keep,
        })? {
            if keep.is_some() && kept.len() < 2 {
                kept.push(item);
            }
        }
        self.walk.leave();
        Ok(Value::List(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        self.walk.enter()?;
        let shape = match self.keep {
            Some(Keep::Inside(shape)) => Some(shape),
            Some(Keep::Leaf) | None => None,
        };
        let mut names: Vec<Cow<'de, str>> = Vec::with_capacity(8);
        let mut kept = Vec::with_capacity(shape.map_or(0, |shape| shape.keep.len()));
        while let Some(name) = map.next_key_seed(Name)? {
            let known = self.walk.name(&name, shape)?;
            names.push(name);
            let keep = known.map(|(_, keep)| keep);
            let value = map.next_value_seed(Node {
                walk: &mut *self.walk,
                keep,
            })?;
            if let Some((known, _)) = known {
                kept.push((known, value));
            }
        }
        if let Some(name) = repeated(&mut names) {
            return Err(self
                .walk
                .refuse(Refusal::Ambiguous(format!("member {name:?} occurs twice"))));
        }
        self.walk.leave();
        Ok(Value::Object(Members(kept)))
    }
}

/// A name that occurs twice. Sorting keeps a huge object from costing the square of its size.
fn repeated<'a>(names: &'a mut [Cow<'_, str>]) -> Option<&'a str> {
    names.sort_unstable();
    names.windows(2).find_map(|pair| match pair {
        [first, second] if first == second => Some(first.as_ref()),
        _ => None,
    })
}

/// A member name after unescaping, so that `"serviceU\u0072l"` is seen for what it is.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: de::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests;

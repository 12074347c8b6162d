//! Why a document is refused, by another reader than the one that refused it.
//!
//! `serde_json` does the parsing; this is a visitor over it that looks for what [`scanner`](super::scanner) looks for. It knows the
//! place and the words for each mistake. Nothing is let in by it: it reads what was refused already, and in tests everything, so
//! that each reader is held to the other.

use super::guard::{misreading, shown};
use super::{Keep, MAX_NAME_BYTES, Members, Names, Object, Refusal, Shape, StrictLimits, Value};
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// What is wrong with a document that was refused.
pub(super) fn refusal(bytes: &[u8], shape: &'static Shape, limits: StrictLimits) -> Refusal {
    match read(bytes, shape, limits) {
        Err(refusal) => refusal,
        // No such document is known. Two strict readers that differ are reason enough to refuse one.
        Ok(_) => Refusal::Ambiguous("two strict readers do not agree about it".to_owned()),
    }
}

/// Reads one strict JSON object.
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
        kept: Members::of(shape),
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
        (Ok(Value::Object(_)), None) => Ok(walk.kept),
        (Ok(_), None) => Err(Refusal::Malformed("the root is not an object".to_owned())),
        // The message of serde_json names a place and a kind of mistake, never the document's text.
        (Err(error), None) if error.is_data() => Err(Refusal::Malformed(format!(
            "unreadable at line {}",
            error.line()
        ))),
        (Err(error), None) => Err(Refusal::Malformed(error.to_string())),
    }
}

struct Walk<'de> {
    limits: StrictLimits,
    depth: usize,
    members: usize,
    kept: Members<'de>,
    refusal: Option<Refusal>,
}

impl Walk<'_> {
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
    ) -> Result<Option<(usize, Keep)>, E> {
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
        let mut known = shape.keep.iter().enumerate();
        if let Some((number, &(_, keep))) = known.find(|(_, (known, _))| *known == name) {
            return Ok(Some((number, keep)));
        }
        if let Names::Guarded(_) = shape.names
            && let Some(what) = misreading(name, shape)
        {
            return Err(self.refuse(Refusal::Ambiguous(what)));
        }
        Ok(None)
    }
}

/// One value: kept where `keep` says so, else only checked.
struct Node<'w, 'de> {
    walk: &'w mut Walk<'de>,
    keep: Option<Keep>,
}

impl<'de> DeserializeSeed<'de> for Node<'_, 'de> {
    type Value = Value<'de>;

    fn deserialize<D: de::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, 'de> {
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
        let keep = self.keep.map(|keep| match keep {
            Keep::Each(shape) => Keep::Inside(shape),
            Keep::Leaf | Keep::Inside(_) | Keep::Name => Keep::Leaf,
        });
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
            Some(Keep::Inside(shape) | Keep::Each(shape)) => Some(shape),
            Some(Keep::Leaf | Keep::Name) | None => None,
        };
        let mut names: Vec<Cow<'de, str>> = Vec::with_capacity(8);
        let object = shape.map_or(Object::UNKEPT, |shape| self.walk.kept.open(shape));
        while let Some(name) = map.next_key_seed(Name)? {
            let known = self.walk.name(&name, shape)?;
            names.push(name);
            let known = known.filter(|(_, keep)| !matches!(keep, Keep::Name));
            let keep = known.map(|(_, keep)| keep);
            let value = map.next_value_seed(Node {
                walk: &mut *self.walk,
                keep,
            })?;
            if let Some((number, Keep::Leaf | Keep::Inside(_))) = known {
                self.walk.kept.keep(object, number, value);
            }
        }
        if let Some(name) = repeated(&mut names) {
            let name = shown(name);
            return Err(self
                .walk
                .refuse(Refusal::Ambiguous(format!("member {name:?} occurs twice"))));
        }
        self.walk.leave();
        Ok(Value::Object(object))
    }
}

/// A name that occurs twice. Sorting keeps a huge object from costing the square of its size.
pub(super) fn repeated<'a>(names: &'a mut [Cow<'_, str>]) -> Option<&'a str> {
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

//! What a token says, as it stands there. The signature is withheld, and so is what is not JSON: it may be one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// Header and claims of a token, unverified.
pub(super) struct Decoded {
    pub(super) header: Option<Members>,
    pub(super) claims: Option<Members>,
    pub(super) signature_bytes: Option<usize>,
}

impl Decoded {
    pub(super) fn of(token: &str) -> Self {
        let mut segments = token.split('.');
        let mut members = || {
            let bytes = URL_SAFE_NO_PAD.decode(segments.next()?).ok()?;
            serde_json::from_slice::<Members>(&bytes).ok()
        };
        let (header, claims) = (members(), members());
        let signature = segments.next().and_then(|s| URL_SAFE_NO_PAD.decode(s).ok());
        Self {
            header,
            claims,
            signature_bytes: signature.map(|bytes| bytes.len()),
        }
    }
}

/// The members of a JSON object in the order and in the words they were written in, doubles and all.
pub(super) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// Whether any reader of JSON takes them: each name once, and no number beyond all bounds.
    fn are_plain(&self) -> bool {
        let mut seen = HashSet::new();
        self.0.iter().all(|(name, value)| {
            seen.insert(name) && serde_json::from_str::<serde_json::Value>(value.get()).is_ok()
        })
    }
}

/// As they are, where any reader of JSON takes them; else `null`, and a person has to look at the text.
pub(super) fn if_plain<S: Serializer>(
    members: &Option<Members>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match members {
        Some(members) if members.are_plain() => members.serialize(serializer),
        Some(_) | None => serializer.serialize_none(),
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let segment = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2VjcmV0", segment(header), segment(claims))
    }

    #[test]
    fn members_are_shown_in_the_order_and_the_words_they_were_written_in() {
        let decoded = Decoded::of(&token(
            "{\"kid\":\"b\",\"alg\":\"RS256\"}",
            "{\"z\":1e2,\"a\":[ 1 ]}",
        ));
        let text = serde_json::to_string(&decoded.claims.unwrap()).unwrap();
        assert_eq!(text, "{\"z\":1e2,\"a\":[ 1 ]}");
        assert_eq!(decoded.signature_bytes, Some(6));
    }

    #[test]
    fn what_is_no_object_is_withheld_and_doubles_are_told_apart() {
        let decoded = Decoded::of(&token("\"kid\"", "{\"a\":1,\"a\":2}"));
        assert!(decoded.header.is_none());
        assert!(!decoded.claims.unwrap().are_plain());
        assert!(Decoded::of("secret").claims.is_none());
    }
}

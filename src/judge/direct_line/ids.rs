//! User ids that the broker makes, and by which it knows them again without remembering any.

use crate::secret::Secret;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, Context, HMAC_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;

/// With what every id begins, so that Direct Line takes it for one that no client chose.
const PREFIX: &str = "dl_";
const HALF: usize = 16;
/// Of 16 bytes in base64url.
const HALF_CHARS: usize = 22;

/// A broker, as far as its ids and cookies tell: its name, and the keys by which it knows them.
pub struct Issuer {
    name: String,
    /// Makes new ones.
    first: hmac::Key,
    /// What was made by these is known, too: those of a secret on its way out or in.
    others: Vec<hmac::Key>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// `dl_`, what tells users apart, and a proof that this broker made it: 128 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserId {
    pub(super) person: [u8; HALF],
    pub(super) proof: [u8; HALF],
}

impl Issuer {
    /// A broker of this name; the first key makes ids and cookies, the others are known, too.
    pub fn new(name: &str, first: &Secret<Vec<u8>>, others: &[Secret<Vec<u8>>]) -> Self {
        let key = |material: &Secret<Vec<u8>>| hmac::Key::new(HMAC_SHA256, material.expose());
        Self {
            name: name.to_owned(),
            first: key(first),
            others: others.iter().map(key).collect(),
        }
    }

    /// A key for ids and cookies, made of a Direct Line secret. Who sees what it makes learns nothing of the secret.
    pub fn key_of_secret(secret: &Secret<String>) -> Secret<Vec<u8>> {
        const LABEL: &[u8] = b"botgate direct line ids and sessions 1";
        let key = hmac::Key::new(HMAC_SHA256, secret.expose().as_bytes());
        Secret::new(hmac::sign(&key, LABEL).as_ref().to_vec())
    }

    /// The id of nobody in particular.
    pub fn id_of_stranger(&self, random: [u8; HALF]) -> UserId {
        self.with_proof(random)
    }

    /// The id of a user of the site: the same one each time, from which nobody can tell who it is.
    pub fn id_of(&self, site_user: &str) -> UserId {
        let mac = self.mac(&self.first, "user", site_user.as_bytes());
        self.with_proof(half(&mac))
    }

    /// Whether this is an id that this broker made.
    pub fn has_issued(&self, id: &str) -> bool {
        UserId::parse(id).is_some_and(|id| {
            self.keys().any(|key| {
                let proof = self.proof(key, &id.person);
                verify_slices_are_equal(&proof, &id.proof).is_ok()
            })
        })
    }

    fn with_proof(&self, person: [u8; HALF]) -> UserId {
        let proof = self.proof(&self.first, &person);
        UserId { person, proof }
    }

    fn proof(&self, key: &hmac::Key, person: &[u8; HALF]) -> [u8; HALF] {
        half(&self.mac(key, "issued", person))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &hmac::Key> {
        std::iter::once(&self.first).chain(&self.others)
    }

    pub(super) const fn first_key(&self) -> &hmac::Key {
        &self.first
    }

    /// What is made for one use and one broker means nothing for another: neither label nor name holds a NUL.
    pub(super) fn mac(&self, key: &hmac::Key, label: &str, message: &[u8]) -> hmac::Tag {
        let mut context = Context::with_key(key);
        for part in [
            label.as_bytes(),
            b"\0",
            self.name.as_bytes(),
            b"\0",
            message,
        ] {
            context.update(part);
        }
        context.sign()
    }
}

fn half(mac: &hmac::Tag) -> [u8; HALF] {
    let mut half = [0; HALF];
    for (to, from) in half.iter_mut().zip(mac.as_ref()) {
        *to = *from;
    }
    half
}

impl UserId {
    /// Reads an id of this form; one id has one spelling.
    pub fn parse(text: &str) -> Option<Self> {
        let (person, proof) = text.strip_prefix(PREFIX)?.split_at_checked(HALF_CHARS)?;
        let read = |text: &str| URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok();
        Some(Self {
            person: read(person)?,
            proof: read(proof)?,
        })
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(self.person))?;
        f.write_str(&URL_SAFE_NO_PAD.encode(self.proof))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::judge::direct_line) fn issuer(name: &str, keys: &[&str]) -> Issuer {
        let keys = keys.iter().map(|key| Secret::new(key.as_bytes().to_vec()));
        let keys: Vec<_> = keys.collect();
        Issuer::new(name, &keys[0], &keys[1..])
    }

    #[test]
    fn an_id_has_the_prefix_that_direct_line_asks_for_and_256_bits() {
        let id = issuer("site", &["one"]).id_of_stranger([7; 16]).to_string();
        assert_eq!(id.len(), 3 + 2 * HALF_CHARS);
        assert!(id.starts_with("dl_") && id.is_ascii());
    }

    #[test]
    fn a_site_user_has_one_id_at_each_broker_and_it_does_not_tell_who_that_is() {
        let (site, shop) = (issuer("site", &["one"]), issuer("shop", &["one"]));
        assert_eq!(site.id_of("ada"), site.id_of("ada"));
        assert_ne!(site.id_of("ada"), site.id_of("bob"));
        assert_ne!(site.id_of("ada"), shop.id_of("ada"));
        assert_ne!(site.id_of("ada"), issuer("site", &["two"]).id_of("ada"));
        assert!(!site.id_of("ada").to_string().contains("ada"));
    }

    #[test]
    fn ids_of_a_key_on_its_way_out_are_known() {
        let id = issuer("site", &["old"]).id_of_stranger([1; 16]).to_string();
        assert!(issuer("site", &["new", "old"]).has_issued(&id));
        assert!(!issuer("site", &["new"]).has_issued(&id));
        assert!(!issuer("shop", &["old"]).has_issued(&id));
    }

    #[test]
    fn a_key_that_is_made_of_a_secret_does_not_hold_it() {
        let key = Issuer::key_of_secret(&Secret::new("hunter2".to_owned()));
        assert_eq!(key.expose().len(), 32);
        let issuer = Issuer::new("site", &key, &[]);
        assert_eq!(format!("{issuer:?}"), "Issuer { name: \"site\", .. }");
    }

    #[test]
    fn halves_of_two_ids_make_no_third() {
        let issuer = issuer("site", &["one"]);
        let (a, b) = (
            issuer.id_of_stranger([1; 16]),
            issuer.id_of_stranger([2; 16]),
        );
        let swapped = UserId {
            person: a.person,
            proof: b.proof,
        };
        assert!(!issuer.has_issued(&swapped.to_string()));
        let turned = UserId {
            person: a.proof,
            proof: a.person,
        };
        assert!(!issuer.has_issued(&turned.to_string()));
    }

    proptest! {
        #[test]
        fn what_was_issued_is_known_and_nothing_else(random: [u8; 16], place in 0_usize..47, other in "[-_A-Za-z0-9=. ]") {
            let issuer = issuer("site", &["one", "two"]);
            let id = issuer.id_of_stranger(random).to_string();
            prop_assert!(issuer.has_issued(&id));
            let mut changed = id.clone();
            changed.replace_range(place..=place, &other);
            prop_assert_eq!(issuer.has_issued(&changed), changed == id);
            for end in 0..id.len() {
                prop_assert!(!issuer.has_issued(&id[..end]));
            }
            let longer = format!("{id}A");
            prop_assert!(!issuer.has_issued(&longer));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            prop_assert!(!issuer("site", &["one"]).has_issued(&text));
            let prefixed = format!("dl_{text}");
            prop_assert!(!issuer("site", &["one"]).has_issued(&prefixed));
        }
    }
}

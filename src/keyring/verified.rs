//! Remembers verified tokens: a channel sends the same token for up to an hour, and RSA is the dearest step of a request.
//!
//! What is remembered is a [`Proof`], by the tag of the whole token, so nothing of a token is kept but what it says. Only proven
//! tokens come in, so strangers cannot fill it. Time, audience and the key's presence are judged anew for every request: a
//! remembered token neither outlives its `exp` nor its key.

use crate::judge::{
    Caller, Key, KeySet, Presented, Proof, Rejection, Screened, Tag, TagKey, Token,
};
use aws_lc_rs::error::Unspecified;
use quick_cache::sync::Cache;
use std::collections::HashSet;

/// About 600 bytes each. A bot's channels have a handful of tokens at a time, one for each service URL and hour.
const MAX_PROOFS: usize = 8 * 1024;

/// The proofs of recent tokens.
#[derive(Debug)]
pub(super) struct Verified {
    key: TagKey,
    proofs: Cache<Tag, Proof>,
}

impl Verified {
    /// Nothing is remembered yet.
    ///
    /// # Errors
    /// When the system gives no random numbers for the key of the tags.
    pub(super) fn new() -> Result<Self, Unspecified> {
        Self::with_room(MAX_PROOFS)
    }

    fn with_room(proofs: usize) -> Result<Self, Unspecified> {
        let mut key = [0; 16];
        aws_lc_rs::rand::fill(&mut key)?;
        Ok(Self {
            key: TagKey::new(&key),
            proofs: Cache::new(proofs),
        })
    }

    /// Reads a token, or recalls it.
    pub(super) fn read<'t>(&self, text: Presented<'t>) -> Result<Token<'t>, Rejection> {
        Token::read(text, &self.key, |tag| self.proofs.get(&tag))
    }

    /// The caller of a token, by its proof or by proving it now.
    pub(super) fn verify(&self, token: Screened<'_>, key: &Key) -> Result<Caller, Rejection> {
        let (caller, proof) = token.verify(key)?;
        if let Some(proof) = proof {
            self.proofs.insert(proof.tag(), proof);
        }
        Ok(caller)
    }

    /// Forgets what was proven with keys that the issuer no longer publishes.
    pub(super) fn forget_removed(&self, before: &KeySet, now: &KeySet) {
        let kept: HashSet<_> = now.fingerprints().collect();
        let removed: HashSet<_> = before
            .fingerprints()
            .filter(|key| !kept.contains(key))
            .collect();
        if !removed.is_empty() {
            self.proofs
                .retain(|_, proof| !removed.contains(proof.key()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{ChannelRoot, EntraRoots, Expect, KeySourceId, Reason, UnixSeconds};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use serde_json::json;
    use std::sync::{Arc, LazyLock};

    const ISSUER: &str = "https://api.botframework.com";
    const APP: &str = "5d0c7e1a-9f2b-4c3d-8e4f-0a1b2c3d4e5f";
    const NOW: UnixSeconds = UnixSeconds(1_000_000);
    const EXPIRES: u64 = NOW.0 + 600;
    const SKEW: u64 = 300;

    static FIRST: LazyLock<KeyPair> = LazyLock::new(pair);
    static SECOND: LazyLock<KeyPair> = LazyLock::new(pair);

    fn pair() -> KeyPair {
        KeyPair::generate(KeySize::Rsa2048).unwrap()
    }

    /// A key set that has this key under the name `kid`, endorsed for `channel`.
    fn set(pair: &KeyPair, channel: &str) -> KeySet {
        let number = |bytes: &[u8]| BASE64.encode(bytes);
        let public = pair.public_key();
        let n = number(public.modulus().big_endian_without_leading_zero());
        let e = number(public.exponent().big_endian_without_leading_zero());
        let key = json!({ "kty": "RSA", "kid": "kid", "n": n, "e": e, "endorsements": [channel] });
        KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap()
    }

    fn key(set: &KeySet) -> Arc<Key> {
        set.get("kid").unwrap()
    }

    /// A good token; `note` makes it another one.
    fn token(pair: &KeyPair, note: &str) -> String {
        let header = json!({ "alg": "RS256", "kid": "kid", "typ": "JWT" });
        let claims =
            json!({ "iss": ISSUER, "aud": APP, "nbf": NOW.0, "exp": EXPIRES, "note": note });
        let segment = |value: &serde_json::Value| BASE64.encode(value.to_string());
        let message = format!("{}.{}", segment(&header), segment(&claims));
        let mut signature = vec![0; pair.public_modulus_len()];
        let random = SystemRandom::new();
        pair.sign(
            &RSA_PKCS1_SHA256,
            &random,
            message.as_bytes(),
            &mut signature,
        )
        .unwrap();
        format!("{message}.{}", BASE64.encode(signature))
    }

    fn expect() -> Expect {
        Expect {
            app_id: APP.to_owned(),
            clock_skew: SKEW,
            channel: ChannelRoot {
                issuer: ISSUER.to_owned(),
                keys: Some(KeySourceId(0)),
            },
            entra: EntraRoots::default(),
        }
    }

    fn verify(verified: &Verified, token: &str, key: &Key) -> Result<Caller, Reason> {
        let expect = expect();
        let token = verified.read(token.into()).unwrap();
        let caller = verified.verify(expect.screen(token, NOW).unwrap(), key);
        caller.map_err(|rejection| rejection.reason())
    }

    fn is_remembered(verified: &Verified, token: &str) -> bool {
        let token = verified.read(token.into()).unwrap();
        expect().screen(token, NOW).unwrap().is_recalled()
    }

    #[test]
    fn a_token_is_remembered_once_it_is_proven_and_never_before() {
        let (verified, set) = (Verified::new().unwrap(), set(&FIRST, "msteams"));
        let (good, forged) = (token(&FIRST, "a"), token(&SECOND, "a"));
        let refused = verify(&verified, &forged, &key(&set));
        assert_eq!(refused.unwrap_err(), Reason::TokenSignatureInvalid);
        assert!(!is_remembered(&verified, &forged));
        let proven = verify(&verified, &good, &key(&set)).unwrap();
        assert!(is_remembered(&verified, &good));
        let recalled = verify(&verified, &good, &key(&set)).unwrap();
        assert_eq!(proven.claims().issuer, recalled.claims().issuer);
        assert_eq!(recalled.endorsements(), ["msteams"]);
    }

    #[test]
    fn no_other_token_is_recognised_by_the_proof_of_one() {
        let (verified, set) = (Verified::new().unwrap(), set(&FIRST, "msteams"));
        let good = token(&FIRST, "a");
        verify(&verified, &good, &key(&set)).unwrap();
        let (_, signature) = good.rsplit_once('.').unwrap();
        let other = token(&SECOND, "b");
        let (other_message, _) = other.rsplit_once('.').unwrap();
        for forged in [
            other.clone(),
            format!("{other_message}.{signature}"),
            token(&SECOND, "a"),
        ] {
            let refused = verify(&verified, &forged, &key(&set));
            assert_eq!(refused.unwrap_err(), Reason::TokenSignatureInvalid);
        }
    }

    #[test]
    fn another_key_under_the_same_name_proves_nothing() {
        let verified = Verified::new().unwrap();
        let (before, after) = (set(&FIRST, "msteams"), set(&SECOND, "msteams"));
        let good = token(&FIRST, "a");
        verify(&verified, &good, &key(&before)).unwrap();
        // Without being told that the old one is gone.
        let refused = verify(&verified, &good, &key(&after));
        assert_eq!(refused.unwrap_err(), Reason::TokenSignatureInvalid);
        verified.forget_removed(&before, &after);
        assert!(!is_remembered(&verified, &good));
    }

    #[test]
    fn a_key_that_stays_keeps_its_proofs_and_speaks_as_it_is_published_now() {
        let verified = Verified::new().unwrap();
        let (before, after) = (set(&FIRST, "msteams"), set(&FIRST, "webchat"));
        let good = token(&FIRST, "a");
        verify(&verified, &good, &key(&before)).unwrap();
        verified.forget_removed(&before, &after);
        assert!(is_remembered(&verified, &good));
        let recalled = verify(&verified, &good, &key(&after)).unwrap();
        assert_eq!(recalled.endorsements(), ["webchat"]);
    }

    #[test]
    fn a_remembered_token_does_not_outlive_its_exp() {
        let (verified, set) = (Verified::new().unwrap(), set(&FIRST, "msteams"));
        let (good, expect) = (token(&FIRST, "a"), expect());
        verify(&verified, &good, &key(&set)).unwrap();
        let last = UnixSeconds(EXPIRES + SKEW - 1);
        let token = || verified.read(good.as_str().into()).unwrap();
        let screened = expect.screen(token(), last).unwrap();
        assert!(verified.verify(screened, &key(&set)).is_ok());
        assert!(is_remembered(&verified, &good));
        // Every request is screened with the time it comes at, and without that nothing can be recalled.
        let too_late = expect.screen(token(), UnixSeconds(EXPIRES + SKEW));
        assert_eq!(too_late.unwrap_err().reason(), Reason::TokenExpired);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let set = set(&FIRST, "msteams");
        let verified = Verified::with_room(4).unwrap();
        for note in 0..32 {
            verify(&verified, &token(&FIRST, &note.to_string()), &key(&set)).unwrap();
        }
        assert!(verified.proofs.len() <= 4, "{}", verified.proofs.len());
        assert_eq!(
            Verified::new().unwrap().proofs.capacity(),
            u64::try_from(MAX_PROOFS).unwrap()
        );
    }
}

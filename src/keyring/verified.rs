//! Remembers verified tokens: a channel sends the same token for up to an hour, and RSA is the dearest step of a request.
//!
//! What is remembered is a [`Proof`], by the digest of the whole token, so nothing of a token is kept. Only proven tokens come in,
//! so strangers cannot fill it. Time, audience and the key's presence are judged anew for every request: a remembered token
//! neither outlives its `exp` nor its key.

use crate::judge::{Caller, Key, KeySet, Proof, Rejection, Screened};
use quick_cache::sync::Cache;
use std::collections::HashSet;

/// About 100 bytes each. A bot's channels have a handful of tokens at a time, one for each service URL and hour.
const MAX_PROOFS: usize = 16 * 1024;

/// The proofs of recent tokens.
#[derive(Debug)]
pub(super) struct Verified {
    proofs: Cache<crate::judge::token::Digest, Proof>,
}

impl Default for Verified {
    fn default() -> Self {
        Self {
            proofs: Cache::new(MAX_PROOFS),
        }
    }
}

impl Verified {
    /// The caller of a token, by its proof or by proving it now.
    pub(super) fn verify(&self, token: Screened<'_>, key: &Key) -> Result<Caller, Rejection> {
        let digest = *token.digest();
        let token = match self.proofs.get(&digest) {
            None => token,
            Some(proof) => match token.recognise(key, &proof) {
                Ok(caller) => return Ok(caller),
                Err(token) => *token,
            },
        };
        let (caller, proof) = token.verify(key)?;
        self.proofs.insert(digest, proof);
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

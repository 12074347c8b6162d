//! Which cookie of a session is its newest: whoever shows an older one has it from somewhere else.
//!
//! A cookie says itself which one it is, and is signed, so that what is kept here only has to be lower where it was forgotten. Two maps
//! of bounded size do: when the young one is full, it becomes the old one, and what was in that one is forgotten. A cookie that was
//! forgotten counts as the newest; it is still bound to the last token that its session had by then.

use crate::judge::direct_line::{Session, SessionId};
use crate::judge::{Reason, Rejection};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// In each of two maps: some five megabytes in all.
const MOST: usize = 50_000;

/// The newest generation of each session, as far as it is remembered.
#[derive(Debug)]
pub(super) struct Generations {
    maps: Mutex<Maps>,
    most: usize,
}

#[derive(Debug, Default)]
struct Maps {
    young: HashMap<SessionId, u32>,
    old: HashMap<SessionId, u32>,
}

impl Maps {
    fn get(&self, id: &SessionId) -> u32 {
        let found = self.young.get(id).or_else(|| self.old.get(id));
        found.copied().unwrap_or_default()
    }

    fn put(&mut self, id: SessionId, generation: u32, most: usize) {
        if self.young.len() >= most && !self.young.contains_key(&id) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, generation);
    }
}

/// The right to exchange a session's newest cookie. Whoever drops it without having done so gives it back.
#[derive(Debug)]
pub(super) struct Turn {
    of: Arc<Generations>,
    id: SessionId,
    generation: u32,
    is_used: bool,
}

impl Generations {
    pub(super) fn new() -> Arc<Self> {
        Self::holding(MOST)
    }

    fn holding(most: usize) -> Arc<Self> {
        let maps = Mutex::default();
        Arc::new(Self { maps, most })
    }

    /// The newest cookie of a session is about to be exchanged. Until that is done, or given up, it counts as exchanged: of two
    /// requests with the same one, one goes on.
    ///
    /// # Errors
    /// [`Reason::TokenClaimsInvalid`].
    pub(super) fn claim(self: &Arc<Self>, session: &Session) -> Result<Turn, Rejection> {
        let (id, generation) = (session.id, session.generation);
        let mut maps = self.maps();
        let newest = maps.get(&id);
        if newest > generation {
            let note =
                format!("session cookie {generation}, which was exchanged: {newest} is the newest");
            return Err(Rejection::from(Reason::TokenClaimsInvalid).noting(note));
        }
        maps.put(id, generation.saturating_add(1), self.most);
        drop(maps);
        Ok(Turn {
            of: Arc::clone(self),
            id,
            generation,
            is_used: false,
        })
    }

    fn maps(&self) -> MutexGuard<'_, Maps> {
        // Poison only says that another thread panicked; numbers have no broken state.
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// The cookie was exchanged.
    pub(super) fn used(mut self) {
        self.is_used = true;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_used {
            self.of.maps().put(self.id, self.generation, self.of.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::UnixSeconds;
    use crate::judge::direct_line::Issuer;
    use crate::secret::Secret;

    fn session(id: u8, generation: u32) -> Session {
        let issuer = Issuer::new("site", &Secret::new(vec![1; 32]), &[]);
        let user = issuer.id_of("ada");
        let mut session = Session::begun(([id; 16], [0; 16]), user, "token", (UnixSeconds(1), 1));
        session.generation = generation;
        session
    }

    fn is_newest(generations: &Generations, session: &Session) -> bool {
        generations.maps().get(&session.id) <= session.generation
    }

    #[test]
    fn a_cookie_is_exchanged_once() {
        let generations = Generations::new();
        generations.claim(&session(1, 0)).unwrap().used();
        let again = generations.claim(&session(1, 0)).unwrap_err();
        assert_eq!(again.reason(), Reason::TokenClaimsInvalid);
        assert!(!is_newest(&generations, &session(1, 0)));
        assert!(is_newest(&generations, &session(1, 1)) && is_newest(&generations, &session(2, 0)));
        generations.claim(&session(1, 1)).unwrap().used();
        assert!(generations.claim(&session(1, 1)).is_err());
    }

    #[test]
    fn of_two_at_once_one_goes_on_and_a_turn_that_came_to_nothing_is_given_back() {
        let generations = Generations::new();
        let turn = generations.claim(&session(1, 3)).unwrap();
        assert!(generations.claim(&session(1, 3)).is_err());
        drop(turn);
        generations.claim(&session(1, 3)).unwrap().used();
        assert!(generations.claim(&session(1, 3)).is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_is_not_forgotten() {
        let generations = Generations::holding(10);
        for id in 0..=u8::MAX {
            generations.claim(&session(id, 0)).unwrap().used();
            assert!(!is_newest(&generations, &session(id, 0)));
            assert!(!is_newest(&generations, &session(id.saturating_sub(9), 0)));
            let maps = generations.maps();
            assert!(maps.young.len() <= 10 && maps.old.len() <= 10);
        }
        assert!(is_newest(&generations, &session(1, 0)), "long forgotten");
    }
}

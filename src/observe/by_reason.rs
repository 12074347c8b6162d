//! One of something per reason, without a map: reasons are few and known.

use crate::judge::Reason;
use std::sync::OnceLock;

/// One of something per reason, each made when it is first asked for.
#[derive(Debug)]
pub(super) struct ByReason<T>(Box<[OnceLock<T>]>);

impl<T> Default for ByReason<T> {
    fn default() -> Self {
        Self(Reason::ALL.iter().map(|_| OnceLock::new()).collect())
    }
}

impl<T> ByReason<T> {
    /// That of this reason, which `make` makes if there is none; `None` never happens.
    pub(super) fn get(&self, reason: Reason, make: impl FnOnce() -> T) -> Option<&T> {
        Some(self.0.get(place(reason))?.get_or_init(make))
    }
}

/// The position of a reason in [`Reason::ALL`].
pub(super) const fn place(reason: Reason) -> usize {
    reason as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_place() {
        let numbers = ByReason::default();
        for (number, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(place(*reason), number);
            assert_eq!(numbers.get(*reason, || number), Some(&number));
        }
        for (number, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(numbers.get(*reason, || usize::MAX), Some(&number));
        }
    }
}

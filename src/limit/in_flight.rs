//! How much at once: requests at each bot, and bytes of bodies in memory. What finds no room is refused; nothing queues.

use super::SOON;
use crate::config::Settings;
use crate::judge::{Reason, Rejection};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The caps of one gateway, and what is held of each.
#[derive(Debug)]
pub(super) struct InFlight {
    bots: Vec<Arc<Cap>>,
    bodies: Arc<Cap>,
}

impl InFlight {
    pub(super) fn new(settings: &Settings) -> Self {
        let bots = settings.bots.iter().map(|bot| bot.in_flight);
        Self::with_caps(bots, settings.server.limits.body_bytes_total)
    }

    /// The caps of other settings. What is held stays held: also beyond a cap that is lower now, and nothing is added until it is not.
    pub(super) fn renewed(&self, before: &Settings, now: &Settings) -> Self {
        let bots = now.bots.iter().map(|bot| {
            let position = before.position(&bot.name);
            match position.and_then(|position| self.bots.get(position)) {
                Some(cap) => cap.with_most(bot.in_flight),
                None => Cap::new(bot.in_flight),
            }
        });
        Self {
            bots: bots.collect(),
            bodies: self.bodies.with_most(now.server.limits.body_bytes_total),
        }
    }

    pub(super) fn with_caps(bots: impl Iterator<Item = usize>, body_bytes: usize) -> Self {
        Self {
            bots: bots.map(Cap::new).collect(),
            bodies: Cap::new(body_bytes),
        }
    }

    pub(super) fn check_room(&self, bot: usize) -> Result<(), Rejection> {
        match self.bots.get(bot) {
            Some(cap) if cap.is_full() => Err(cap.refusal("in_flight")),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn body_room(&self) -> BodyRoom {
        BodyRoom {
            cap: Arc::clone(&self.bodies),
            bytes: 0,
        }
    }

    pub(super) fn enter(&self, bot: usize, body: BodyRoom) -> Result<Slot, Rejection> {
        let cap = self.bots.get(bot).map(Arc::clone);
        match cap {
            Some(cap) if !cap.add(1) => Err(cap.refusal("in_flight")),
            cap => Ok(Slot { cap, _body: body }),
        }
    }
}

/// The place of one admitted request at its bot, with the room that its body takes. Owned, so that it can follow the work
/// wherever that goes on; dropping it makes room.
#[derive(Debug)]
#[must_use = "dropping it makes room for another request"]
pub struct Slot {
    /// Of a bot that is not among the settings there is none, which does not happen.
    cap: Option<Arc<Cap>>,
    _body: BodyRoom,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(cap) = &self.cap {
            cap.remove(1);
        }
    }
}

/// What one body takes of the memory for all of them. Dropping it gives that back.
#[derive(Debug)]
#[must_use = "dropping it gives the room back"]
pub struct BodyRoom {
    cap: Arc<Cap>,
    bytes: usize,
}

impl BodyRoom {
    /// Room for so many bytes more. To be asked as they arrive: who announces much and sends nothing takes nothing.
    ///
    /// # Errors
    /// [`Reason::Overloaded`].
    pub fn grow(&mut self, bytes: usize) -> Result<(), Rejection> {
        if !self.cap.add(bytes) {
            return Err(self.cap.refusal("server.limits.body_bytes_total"));
        }
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        self.cap.remove(self.bytes);
    }
}

/// A count that does not grow beyond its cap. Nothing else hangs on its value, so that relaxed ordering is enough.
#[derive(Debug)]
struct Cap {
    held: Arc<AtomicUsize>,
    most: usize,
}

impl Cap {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            held: Arc::default(),
            most,
        })
    }

    /// Another cap for the same count.
    fn with_most(&self, most: usize) -> Arc<Self> {
        Arc::new(Self {
            held: Arc::clone(&self.held),
            most,
        })
    }

    fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) >= self.most
    }

    fn add(&self, more: usize) -> bool {
        let grown = |held: usize| held.checked_add(more).filter(|held| *held <= self.most);
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .is_ok()
    }

    fn remove(&self, less: usize) {
        // Only guards remove, and each what it added.
        self.held.fetch_sub(less, Ordering::Relaxed);
    }

    fn refusal(&self, key: &str) -> Rejection {
        Rejection::from(Reason::Overloaded)
            .noting(format!("{key}: {} at once", self.most))
            .retry_after(SOON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn slot(caps: &InFlight, bot: usize) -> Result<Slot, Reason> {
        caps.enter(bot, caps.body_room())
            .map_err(|rejection| rejection.reason())
    }

    #[test]
    fn a_bot_has_its_places_and_its_neighbour_others() {
        let caps = InFlight::with_caps([2, 1].into_iter(), 100);
        let held = [slot(&caps, 0).unwrap(), slot(&caps, 0).unwrap()];
        let refusal = caps.check_room(0).unwrap_err();
        assert_eq!(refusal.reason(), Reason::Overloaded);
        assert_eq!(refusal.retry_after_seconds(), Some(1));
        assert_eq!(refusal.note(), Some("in_flight: 2 at once"));
        assert_eq!(slot(&caps, 0).unwrap_err(), Reason::Overloaded);
        assert!(caps.check_room(1).is_ok());
        let neighbour = slot(&caps, 1).unwrap();
        drop(held);
        assert!(caps.check_room(0).is_ok() && caps.check_room(1).is_err());
        drop(neighbour);
        assert!(slot(&caps, 1).is_ok());
    }

    #[test]
    fn a_slot_can_be_held_by_another_thread() {
        let caps = InFlight::with_caps(std::iter::once(1), 100);
        let held = slot(&caps, 0).unwrap();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let work = std::thread::spawn(move || {
            let _held = held;
            wait.recv().unwrap_err();
        });
        assert!(slot(&caps, 0).is_err());
        drop(done);
        work.join().unwrap();
        assert!(slot(&caps, 0).is_ok());
    }

    #[test]
    fn there_are_never_more_than_places_however_many_come_at_once() {
        const PLACES: usize = 3;
        let caps = InFlight::with_caps(std::iter::once(PLACES), 100);
        let (start, peak) = (Barrier::new(8), AtomicUsize::new(0));
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..2000 {
                        let Ok(held) = slot(&caps, 0) else { continue };
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        peak.fetch_max(now, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(held);
                    }
                });
            }
        });
        let peak = peak.into_inner();
        assert!((1..=PLACES).contains(&peak), "{peak}");
        let all: Vec<_> = (0..PLACES).map(|_| slot(&caps, 0).unwrap()).collect();
        assert!(slot(&caps, 0).is_err());
        drop(all);
    }

    #[test]
    fn bodies_take_what_has_arrived_and_give_it_back() {
        let caps = InFlight::with_caps([5, 5].into_iter(), 100);
        let (mut first, mut second) = (caps.body_room(), caps.body_room());
        first.grow(40).unwrap();
        first.grow(20).unwrap();
        second.grow(40).unwrap();
        let refusal = second.grow(1).unwrap_err();
        assert_eq!(refusal.reason(), Reason::Overloaded);
        assert_eq!(refusal.retry_after_seconds(), Some(1));
        // What was refused is not counted, and what goes on with its request is still held.
        let held = caps.enter(0, first).unwrap();
        assert!(second.grow(1).is_err());
        drop(held);
        second.grow(60).unwrap();
        drop(second);
        caps.body_room().grow(100).unwrap();
    }
}

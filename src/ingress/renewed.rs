//! The door of other settings, made of the one before.

use super::{Ingress, Rooms};
use crate::config::Settings;
use std::sync::Arc;

impl Ingress {
    /// The door of other settings: what bots were sent a moment ago is remembered.
    #[must_use]
    pub fn renewed(&self, settings: Arc<Settings>, rooms: Rooms) -> Self {
        let mut door = Self::new(settings, rooms, self.ending.clone());
        for (bot, marks) in door.settings.bots.iter().zip(&mut door.marks) {
            let old = self.settings.position(&bot.name);
            let old = old.and_then(|position| self.marks.get(position)?.as_ref());
            if let (Some(window), Some(old)) = (bot.redelivery_window, old) {
                old.set_window(window);
                *marks = Some(Arc::clone(old));
            }
        }
        door
    }

    /// What it judges by.
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings)
    }

    /// What it was made of, to make another one.
    pub fn rooms(&self) -> Rooms {
        Rooms {
            keyring: Arc::clone(&self.keyring),
            limiter: Arc::clone(&self.limiter),
            shared: self.shared.clone(),
            upstreams: Arc::clone(&self.upstreams),
            observer: Arc::clone(&self.observer),
            work: self.work.clone(),
        }
    }
}

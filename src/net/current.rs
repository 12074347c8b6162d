//! A door that can be exchanged while requests pass through it: each is answered, from its head to its end, by the one that was there
//! when it came.

use super::listener::{Door, Event};
use super::request_body::RequestBody;
use super::{Body, Peer};
use arc_swap::ArcSwap;
use http::{Request, Response};
use std::sync::Arc;

/// The door of the settings in force.
pub struct Current<D>(ArcSwap<D>);

impl<D> Current<D> {
    /// With the first one in it.
    pub fn new(door: D) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(door)))
    }

    /// The one in force now.
    pub fn load(&self) -> Arc<D> {
        self.0.load_full()
    }

    /// From now on requests are for this one.
    pub fn replace(&self, door: D) {
        self.0.store(Arc::new(door));
    }
}

impl<D: Door> Door for Current<D> {
    fn answer(
        self: Arc<Self>,
        request: Request<RequestBody>,
        peer: Peer,
    ) -> impl Future<Output = Response<Body>> + Send {
        self.load().answer(request, peer)
    }

    fn heard(&self, event: Event<'_>) {
        self.0.load().heard(event);
    }
}

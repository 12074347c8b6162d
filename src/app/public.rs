//! What stands behind the public listeners: the door for web pages where a request is for one of its brokers, else the door for channels.

use crate::directline::Brokers;
use crate::ingress::Ingress;
use crate::net::RequestBody;
use crate::net::listener::{Door, Event};
use crate::net::{Body, Peer};
use http::{Request, Response};
use std::sync::Arc;

/// Both doors, of the same settings.
pub(super) struct Public {
    pub(super) ingress: Arc<Ingress>,
    pub(super) brokers: Arc<Brokers>,
}

impl Public {
    /// Forgets what was remembered long enough. To be called every few seconds.
    pub(super) fn sweep(&self) {
        self.ingress.sweep();
        self.brokers.sweep();
    }
}

impl Door for Public {
    async fn answer(self: Arc<Self>, request: Request<RequestBody>, peer: Peer) -> Response<Body> {
        // A head that is refused says nothing of where it was to go.
        if self.brokers.is_empty() || peer.refused.is_some() {
            return Arc::clone(&self.ingress).answer(request, peer).await;
        }
        let (head, body) = request.into_parts();
        match self.brokers.find(&head) {
            // Boxed, because it is seldom, and every request would carry room for it.
            Some(place) => {
                let brokers = Arc::clone(&self.brokers);
                Box::pin(brokers.answer(head, body, peer, place)).await
            }
            None => {
                let request = Request::from_parts(head, body);
                Arc::clone(&self.ingress).answer(request, peer).await
            }
        }
    }

    fn heard(&self, event: Event<'_>) {
        self.ingress.heard(event);
    }
}

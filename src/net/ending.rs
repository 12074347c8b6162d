//! The last moments: new requests are refused, and what is idle is closed; then, just before the end, what has no answer gets one.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use tokio_util::sync::CancellationToken;

/// Whether that moment has come, for those who are to know and for those who wait for it.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    token: CancellationToken,
    last_call: CancellationToken,
    has_come: Arc<AtomicBool>,
}

impl Ending {
    /// It comes. From then on every request is refused.
    pub fn come(&self) {
        self.has_come.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Whether it has come. Every request asks: so this is read by all processors at once, where a token takes a lock.
    pub fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Acquire)
    }

    /// What is not done by now will not be.
    pub fn call_last(&self) {
        self.last_call.cancel();
    }

    /// Does this, unless the last call comes before: then nothing. Costs no lock before the ending has come; so whoever waits here must
    /// be woken when it does.
    pub async fn before_last_call<T>(
        &self,
        mut doing: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        let mut called = None;
        poll_fn(|cx| {
            if let Poll::Ready(done) = doing.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            if !self.has_come() {
                return Poll::Pending;
            }
            let call = || Box::pin(self.last_call.clone().cancelled_owned());
            let called = called.get_or_insert_with(call);
            called.as_mut().poll(cx).map(|()| None)
        })
        .await
    }

    /// Cancelled when it has come.
    pub const fn token(&self) -> &CancellationToken {
        &self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    #[tokio::test]
    async fn what_is_done_before_the_last_call_is_done_and_nothing_later() {
        let ending = Ending::default();
        let mut done = pin!(async { 1 });
        ending.call_last();
        // It counts only once the ending has come.
        assert_eq!(ending.before_last_call(done.as_mut()).await, Some(1));
        ending.come();
        let mut late = pin!(std::future::pending::<()>());
        assert_eq!(ending.before_last_call(late.as_mut()).await, None);
    }
}

//! Proves a token, and makes the tokens of addresses that keep failing wait for it.

use super::Ingress;
use crate::judge::{Caller, Rejection, Screened};
use crate::limit::Wait;
use crate::observe::{Proof, Watch};
use std::net::IpAddr;

impl Ingress {
    /// The caller of a token. One that is remembered as verified never waits, whatever its address did.
    ///
    /// # Errors
    /// As [`Keyring::key_for`](crate::keyring::Keyring::key_for) and [`Keyring::verify`](crate::keyring::Keyring::verify).
    pub(super) async fn prove(
        &self,
        token: Screened<'_>,
        watch: &mut Watch,
    ) -> Result<Caller, Rejection> {
        let address = watch.line().client_ip;
        let is_doubtful = self.limiter.has_failed(address) && !token.is_recalled();
        if is_doubtful {
            // Boxed, because it is seldom needed, and every request would carry room for it.
            Box::pin(self.hold_back(address, watch)).await;
        }
        let key = self.keyring.key_for(&token).await?;
        let caller = self.keyring.verify(token, &key)?;
        watch.set_proof(Proof::Given);
        if is_doubtful {
            // Only by a token not seen before: else one valid token, sent over and over, would pay for any number of forged ones.
            self.limiter.forget_failures(address);
        }
        Ok(caller)
    }

    async fn hold_back(&self, address: IpAddr, watch: &mut Watch) {
        match self.limiter.wait(address) {
            Wait::None => {}
            Wait::In(place) => {
                self.observer.metrics().auth_delayed(true);
                watch.set_proof(Proof::Waiting);
                tokio::time::sleep(place.wait()).await;
                watch.set_proof(Proof::Wanting);
            }
            Wait::NoPlace => self.observer.metrics().auth_delayed(false),
        }
    }
}

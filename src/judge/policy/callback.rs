//! What is asked of a skill's callback: it is no activity of a channel, so only who calls, and where an answer could be sent to.

use super::{Mode, Policy, caller, service_url, tenant};
use crate::judge::{Admitted, Callback, Caller, Content, Rejection};

impl Policy {
    /// Asks the rules that a callback can break; the first refusal that no mode softens wins.
    ///
    /// # Errors
    /// [`Reason::CallerNotAllowed`](crate::judge::Reason::CallerNotAllowed),
    /// [`Reason::TenantNotAllowed`](crate::judge::Reason::TenantNotAllowed),
    /// [`Reason::ServiceUrlNotAllowed`](crate::judge::Reason::ServiceUrlNotAllowed).
    pub fn admit_callback(
        &self,
        caller: Caller,
        callback: Callback,
    ) -> Result<Admitted, Rejection> {
        let claims = caller.claims();
        let hosts = self.service_urls.hosts_for(caller.kind());
        let relates_to = callback.relates_to_service_url.as_deref();
        let answers = [
            (None, service_url::is_relation_allowed(hosts, relates_to)),
            (Some(self.callers.mode), caller::is_listed(self, claims)),
            (
                Some(self.tenants.mode),
                tenant::is_callers_allowed(&self.tenants, claims),
            ),
        ];
        let mut would_reject = None;
        for (mode, answer) in answers {
            match (answer, mode) {
                (Ok(()), _) => {}
                (Err(rejection), Some(Mode::Report)) => {
                    would_reject = would_reject.or(Some(rejection));
                }
                (Err(rejection), Some(Mode::Enforce) | None) => return Err(rejection),
            }
        }
        Ok(Admitted {
            caller,
            content: Content::Callback(callback),
            would_reject,
        })
    }
}

//! What is asked of a skill's callback: it is no activity of a channel, so only who calls, and where an answer could be sent to.

use super::{Answer, Mode, Policy, caller, facts, service_url, tenant};
use crate::judge::{Admitted, Callback, Caller, Claims, Content, Rejection, TokenKind};

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
        let mut would_reject = None;
        for answer in self.explain_callback(caller.kind(), caller.claims(), &callback) {
            match (answer.outcome, answer.mode) {
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

    /// Asks every rule that a callback can break and reports every answer. Admits nothing.
    pub fn explain_callback(
        &self,
        kind: TokenKind,
        claims: &Claims,
        callback: &Callback,
    ) -> [Answer; 3] {
        let hosts = self.service_urls.hosts_for(kind);
        let relates_to = callback.relates_to_service_url.as_deref();
        [
            Answer {
                rule: "relates_to_host",
                mode: None,
                outcome: service_url::is_relation_allowed(hosts, relates_to),
                facts: facts::relates_to(hosts, relates_to),
            },
            Answer {
                rule: "caller",
                mode: Some(self.callers.mode),
                outcome: caller::is_listed(self, claims),
                facts: facts::listed_caller(self, claims),
            },
            Answer {
                rule: "tenant",
                mode: Some(self.tenants.mode),
                outcome: tenant::is_callers_allowed(&self.tenants, claims),
                facts: facts::callers_tenant(&self.tenants, claims),
            },
        ]
    }
}

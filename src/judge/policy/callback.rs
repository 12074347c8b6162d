//! What is asked of a skill's callback: it is no activity of a channel, so only which tenants it names, and where an answer could be
//! sent to.

use super::{Answer, Policy, Welcome, facts, first_refusal, service_url, tenant};
use crate::judge::{Admitted, Callback, Claims, Content, Rejection, TokenKind};

impl Policy {
    /// Asks the rules that a callback can break; the first refusal that no mode softens wins.
    ///
    /// # Errors
    /// [`Reason::TenantNotAllowed`](crate::judge::Reason::TenantNotAllowed),
    /// [`Reason::TenantMalformed`](crate::judge::Reason::TenantMalformed),
    /// [`Reason::ServiceUrlNotAllowed`](crate::judge::Reason::ServiceUrlNotAllowed).
    pub fn admit_callback(
        &self,
        welcome: Welcome,
        callback: Callback,
    ) -> Result<Admitted, Rejection> {
        let caller = welcome.caller;
        let answers = self.explain_callback(caller.kind(), caller.claims(), &callback);
        let answers = answers.map(|answer| (answer.outcome, answer.mode));
        let would_reject = first_refusal(answers.into_iter())?;
        Ok(Admitted {
            caller,
            content: Content::Callback(callback),
            would_reject: welcome.would_reject.or(would_reject),
        })
    }

    /// Asks every rule that a callback can break and reports every answer. Admits nothing.
    pub fn explain_callback(
        &self,
        kind: TokenKind,
        claims: &Claims,
        callback: &Callback,
    ) -> [Answer; 2] {
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
                rule: "tenant",
                mode: Some(self.tenants.mode),
                outcome: tenant::are_callbacks_allowed(&self.tenants, claims, callback),
                facts: facts::tenants_of_callback(&self.tenants, claims, callback),
            },
        ]
    }
}

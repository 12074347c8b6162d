//! Budgets that the gateways of a fleet count together: the same ones, under names that all of them give alike.

use super::Limiter;
use crate::config::{self, Quota, RateLimits};
use crate::judge::{Admitted, Mode, Reason, Rejection};
use crate::net::Network;
use crate::shared::Tag;
use std::net::IpAddr;
use std::time::Duration;

/// The budgets of one request, narrowest first, as [`Limiter::take`] asks them; the address's comes before them.
#[derive(Debug)]
pub struct Together {
    /// Their names in the store, and their quotas.
    pub budgets: Vec<(String, Quota)>,
    reasons: Vec<(&'static str, Reason)>,
    mode: Mode,
}

impl Limiter {
    /// What a proven request is counted for by all gateways together. Strangers are counted by each gateway alone: they must not make
    /// it talk to the store.
    pub fn together(
        &self,
        bot: &config::Bot,
        admitted: &Admitted,
        address: IpAddr,
        (tag, prefix): (&Tag, &str),
    ) -> Together {
        let RateLimits {
            mode,
            per_bot,
            per_tenant,
            per_conversation,
            per_user,
        } = &bot.rate_limits;
        let name = bot.name.as_str();
        let channel = admitted.base_channel().unwrap_or_default();
        let tenant = admitted.tenant().map(|tenant| tenant.to_string());
        let tenant = tenant.as_deref();
        let user = admitted.user().filter(|user| !user.is_empty());
        let network = Network::of(address).to_string();
        let mut together = Together {
            budgets: Vec::with_capacity(5),
            reasons: Vec::with_capacity(5),
            mode: *mode,
        };
        let mut add = |written, reason, quota: Option<Quota>, kind, named: Option<&[&str]>| {
            if let (Some(quota), Some(named)) = (quota, named) {
                together.budgets.push((tag.key(prefix, kind, named), quota));
                together.reasons.push((written, reason));
            }
        };
        let per_ip = Some(self.requests_per_ip);
        add(
            "requests_per_ip",
            Reason::RateLimitedIp,
            per_ip,
            'a',
            Some(&[&network]),
        );
        let of_user = user.map(|user| [name, channel, tenant.unwrap_or_default(), user]);
        let of_user = of_user.as_ref().map(<[&str; 4]>::as_slice);
        add("per_user", Reason::RateLimitedUser, *per_user, 'u', of_user);
        let of_conversation = admitted.conversation().map(|id| [name, channel, id]);
        let of_conversation = of_conversation.as_ref().map(<[&str; 3]>::as_slice);
        add(
            "per_conversation",
            Reason::RateLimitedConversation,
            *per_conversation,
            'c',
            of_conversation,
        );
        let of_tenant = tenant.map(|tenant| [name, tenant]);
        let of_tenant = of_tenant.as_ref().map(<[&str; 2]>::as_slice);
        add(
            "per_tenant",
            Reason::RateLimitedTenant,
            *per_tenant,
            't',
            of_tenant,
        );
        add(
            "per_bot",
            Reason::RateLimitedBot,
            *per_bot,
            'b',
            Some(&[name]),
        );
        together
    }
}

impl Together {
    /// How many of the budgets, from the first, end a request that they have no room for: in report mode only the address's, which is
    /// not the bot's.
    pub fn ending(&self) -> usize {
        match self.mode {
            Mode::Report => 1,
            Mode::Enforce => self.budgets.len(),
        }
    }

    /// What the store refused. A budget that does not end requests is only noted in `admitted`.
    ///
    /// # Errors
    /// The reason of the budget without room.
    pub fn refused(
        &self,
        admitted: &mut Admitted,
        which: usize,
        wait: Duration,
    ) -> Result<(), Rejection> {
        let Some(((_, quota), (written, reason))) =
            self.budgets.get(which).zip(self.reasons.get(which))
        else {
            return Ok(());
        };
        let rejection = Rejection::from(*reason)
            .noting(format!(
                "{written}: one per {:?}, burst {}, all gateways together",
                quota.interval, quota.burst
            ))
            .retry_after(wait);
        if which >= self.ending() {
            admitted.note_would_reject(rejection);
            return Ok(());
        }
        Err(rejection)
    }
}

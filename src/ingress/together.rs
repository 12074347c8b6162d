//! What the gateways of a fleet decide together about a request: whether it is a repeat, and whether the budgets have room.

use super::Ingress;
use super::redelivery::Claim;
use super::remembered::Remembered;
use super::repeat::acknowledged;
use crate::config::Bot;
use crate::judge::{Admitted, Reason, Rejection};
use crate::observe::{Repeat, Text, Watch};
use crate::shared::{self, Away, Held, Mark, Question, Said, Shared, Tag};
use crate::upstream::Answer;
use http::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two questions whether the first one, behind another gateway, has come to an end.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Soon: the store is looked for all the time.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Ingress {
    /// Counts an admitted request together with the other gateways, by one command. Where another one has its first, waits for what
    /// came of that, and answers it. Without the store, as the settings say.
    ///
    /// # Errors
    /// The reason of a budget without room, or [`Reason::LimitStoreUnavailable`].
    pub(super) async fn count_together(
        &self,
        shared: &Arc<Shared>,
        bot: &Bot,
        admitted: &mut Admitted,
        claim: &mut Option<Claim>,
        watch: &mut Watch,
    ) -> Result<Option<Response<Answer>>, Rejection> {
        let settings = shared.settings();
        let prefix = settings.key_prefix.as_str();
        let tenant = admitted.tenant().map(|tenant| tenant.to_string());
        // What is counted for all of a bot is in one place, and so is all that is asked with it.
        let tenant = tenant.filter(|_| bot.rate_limits.per_bot.is_none());
        let tag = Tag::of(settings, &bot.name, tenant.as_deref());
        let address = watch.line().client_ip;
        let together = self
            .limiter
            .together(bot, admitted, address, (&tag, prefix));
        let mark = claim.as_ref().map(|claim| {
            let name = tag.key(prefix, 'm', &[&bot.name, &claim.key_text()]);
            (name, shared::new_owner(), claim.first())
        });
        let question = Question {
            mark: mark.as_ref().map(|(name, owner, first)| Mark {
                name,
                owner,
                first,
                lease: shared::LEASE,
            }),
            budgets: &together.budgets,
            ending: together.ending(),
        };
        let asked = Instant::now();
        let mut pause = FIRST_PAUSE;
        let (kept, repeat) = loop {
            let said = shared.ask(&question).await;
            match said {
                Err(Away) if shared.denies_without() => {
                    return Err(Rejection::from(Reason::LimitStoreUnavailable)
                        .noting("the shared store is away")
                        .retry_after(RETRY_AFTER));
                }
                Err(Away) => {
                    self.limiter.take(bot, admitted)?;
                    return Ok(None);
                }
                Ok(Said::Taken) => {}
                Ok(Said::Refused { which, wait }) => together.refused(admitted, which, wait)?,
                Ok(Said::Answered(kept)) if pause == FIRST_PAUSE => break (kept, Repeat::Answered),
                Ok(Said::Answered(kept)) => break (kept, Repeat::InFlight),
                Ok(Said::AtWork {
                    first,
                    is_acknowledged,
                }) => {
                    watch.line_mut().note(Text::RepeatOf, first.as_str());
                    if is_acknowledged {
                        if let Some(claim) = claim.take() {
                            claim.acknowledged_elsewhere();
                        }
                        self.observer
                            .metrics()
                            .repeated(&bot.name, Repeat::InFlight);
                        watch.line_mut().upstream = Some(asked.elapsed());
                        return Ok(Some(acknowledged(watch)));
                    }
                    sleep(pause).await;
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                    continue;
                }
            }
            // It is the first one after all.
            watch.line_mut().note(Text::RepeatOf, None);
            if let (Some(claim), Some((name, owner, first))) = (claim, mark) {
                claim.share(Held::new(shared, &self.work, name, owner, &first));
            }
            return Ok(None);
        };
        watch.line_mut().note(Text::RepeatOf, kept.first.as_str());
        if repeat == Repeat::InFlight {
            watch.line_mut().upstream = Some(asked.elapsed());
        }
        self.observer.metrics().repeated(&bot.name, repeat);
        let Some(remembered) = Remembered::of_kept(kept) else {
            return Err(Rejection::from(Reason::UpstreamBroken)
                .noting("what the shared store keeps of the first one is no answer"));
        };
        let response = remembered.response();
        if let Some(claim) = claim.take() {
            claim.answered_elsewhere(remembered);
        }
        Ok(Some(response))
    }
}

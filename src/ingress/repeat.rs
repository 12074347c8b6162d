//! Whether a request is one that the bot has had already, and what it is answered then.

use super::Ingress;
use super::redelivery::{Claim, Marks, News, Turn};
use crate::config::Bot;
use crate::judge::token::Digest;
use crate::judge::{Admitted, Content, Reason, Rejection};
use crate::observe::{Repeat, Text, Watch};
use crate::upstream::Answer;
use aws_lc_rs::digest::{Context, SHA256};
use http::{Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Who answers a request.
pub(super) enum Answers {
    /// The bot, for all who send the same while it does.
    Bot(Option<Claim>),
    /// The gateway, with what came of the first one.
    Gateway(Box<Result<Response<Answer>, Rejection>>),
}

impl Ingress {
    /// Whether the bot is to be asked. Waits for the first one where the bot is at it.
    pub(super) async fn who_answers(
        &self,
        bot: &Bot,
        admitted: &Admitted,
        query: Option<&str>,
        watch: &mut Watch,
    ) -> Answers {
        let Some(Some(marks)) = self.marks.get(bot.index) else {
            return Answers::Bot(None);
        };
        let Some(key) = key_of(admitted, query) else {
            return Answers::Bot(None);
        };
        // Boxed, because it is seldom needed, and every request would carry room for it.
        Box::pin(self.who_answers_marked(bot, marks, key, watch)).await
    }

    async fn who_answers_marked(
        &self,
        bot: &Bot,
        marks: &Arc<Marks>,
        key: Digest,
        watch: &mut Watch,
    ) -> Answers {
        let (repeat, answer) = match marks.turn(key, watch.line().request_id()) {
            Turn::First(claim) => return Answers::Bot(Some(claim)),
            Turn::Unmarked => return Answers::Bot(None),
            Turn::Answered(answer) => {
                watch.line_mut().note(Text::RepeatOf, answer.first.as_ref());
                (Repeat::Answered, Some(Ok(answer.response())))
            }
            Turn::Crowded => {
                let crowded = Rejection::from(Reason::Overloaded)
                    .noting("too many wait for the answer to this activity")
                    .retry_after(Duration::from_secs(1));
                (Repeat::Refused, Some(Err(crowded)))
            }
            Turn::Waits(waiting) => {
                let asked = Instant::now();
                watch
                    .line_mut()
                    .note(Text::RepeatOf, waiting.first.as_ref());
                let news = waiting.news().await;
                watch.line_mut().upstream = Some(asked.elapsed());
                match told(news, watch) {
                    Some(answer) => (Repeat::InFlight, Some(answer)),
                    None => (Repeat::Passed, None),
                }
            }
        };
        self.observer.metrics().repeated(&bot.name, repeat);
        match answer {
            Some(answer) => Answers::Gateway(Box::new(answer)),
            None => {
                // It is a request of its own after all.
                watch.line_mut().note(Text::RepeatOf, None);
                Answers::Bot(None)
            }
        }
    }
}

/// What one who waited is told; nothing where the bot has to be asked.
fn told(news: News, watch: &mut Watch) -> Option<Result<Response<Answer>, Rejection>> {
    match news {
        News::Acknowledged => Some(Ok(acknowledged(watch))),
        News::Answered(answer) => {
            // The one it waits for may itself have waited for one behind another gateway.
            watch.line_mut().note(Text::RepeatOf, answer.first.as_ref());
            Some(Ok(answer.response()))
        }
        News::Failed(rejection) => Some(Err(rejection)),
        News::NotKept => None,
    }
}

/// The answer while the bot is at work.
pub(super) fn acknowledged(watch: &mut Watch) -> Response<Answer> {
    watch.line_mut().acknowledged = true;
    let mut response = Response::new(Answer::default());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// What makes an activity the same as another. Of its ids only the digest stays in memory.
///
/// Who sent it is a part: nobody can suppress, or read the answer to, what another sends. So is all that the answer depends on.
/// Nothing where the activity has no id, streams, or edits or deletes a message: two edits of one message have the same id.
fn key_of(admitted: &Admitted, query: Option<&str>) -> Option<Digest> {
    let Content::Activity(activity) = admitted.content() else {
        return None;
    };
    let is_change = ["messageUpdate", "messageDelete"]
        .iter()
        .any(|kind| activity.kind().trim().eq_ignore_ascii_case(kind));
    if is_change || activity.expects_stream() {
        return None;
    }
    let id = activity.id()?;
    let caller = admitted.caller();
    let claims = caller.claims();
    let mut digest = Context::new(&SHA256);
    for field in [
        Some(caller.kind().word()),
        claims.caller_app_id(),
        claims.tenant.as_deref(),
        Some(activity.channel()),
        Some(activity.conversation()),
        Some(id),
        Some(activity.kind()),
        activity.name(),
        activity.delivery_mode(),
        query,
    ] {
        // With its length, so that no two lists of fields make the same bytes; and absent is not empty.
        let length = field.map_or(usize::MAX, str::len);
        digest.update(&length.to_le_bytes());
        digest.update(field.unwrap_or_default().as_bytes());
    }
    digest.finish().as_ref().try_into().ok()
}

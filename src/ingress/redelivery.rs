//! Marks of activities: which ones a bot is at work on, and what it answered to those it was done with a moment ago.
//!
//! Of each key one [`Claim`] exists at a time, and whoever holds it has the work done; all others wait for it, or are told what came
//! of it. Not on `quick_cache`: that forgets by popularity, and here the oldest has to go, by time too, and nothing that is at work.

use super::remembered::Remembered;
use crate::judge::{Reason, Rejection, token::Digest};
use crate::net::clock;
use crate::shared::Held;
use crate::upstream::Answer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Response;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How much is kept of one bot. Answers are at most [`WHOLE_BYTES`](super::remembered::WHOLE_BYTES) each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Activities: about 300 bytes each, beside their answers.
    marks: usize,
    /// Bodies and headers of answers, in all.
    bytes: usize,
    /// Requests that wait for one and the same answer. Channels send an activity some four times.
    waiting: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            marks: 100_000,
            bytes: 32 * 1024 * 1024,
            waiting: 64,
        }
    }
}

/// The marks of one bot.
#[derive(Debug)]
pub(super) struct Marks {
    bounds: Bounds,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    window: Duration,
    marks: HashMap<Digest, Mark>,
    /// Who is answered, and until when that is remembered: oldest first. Those from before a window was shortened keep theirs, and those
    /// behind them stay as long.
    answered: VecDeque<(Instant, Digest)>,
    /// Of the answers.
    bytes: usize,
}

#[derive(Debug)]
enum Mark {
    AtWork {
        first: Arc<str>,
        stage: Arc<watch::Sender<Stage>>,
    },
    Answered(Arc<Remembered>),
}

/// How far the first one is.
#[derive(Clone, Debug)]
enum Stage {
    AtWork,
    Acknowledged,
    Over(News),
}

/// What those who waited learn.
#[derive(Clone, Debug)]
pub(super) enum News {
    /// The first one was told 202, and so is everyone until the bot is done.
    Acknowledged,
    /// The bot answered.
    Answered(Arc<Remembered>),
    /// The bot answered with more than can be kept.
    NotKept,
    /// There was no answer.
    Failed(Rejection),
}

/// Who a request is, of those with the same key.
#[derive(Debug)]
pub(super) enum Turn {
    /// The first: the bot is to do it.
    First(Claim),
    /// The bot is at it.
    Waits(Waiting),
    /// The bot has done it.
    Answered(Arc<Remembered>),
    /// The bot is at it, and enough are waiting.
    Crowded,
    /// There is no room for another mark: the bot is to do it, and nobody is going to know.
    Unmarked,
}

impl Marks {
    pub(super) fn new(window: Duration, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            shelf: Mutex::new(Shelf {
                window,
                ..Shelf::default()
            }),
        })
    }

    /// For what is answered from now on.
    pub(super) fn set_window(&self, window: Duration) {
        self.shelf().window = window;
    }

    fn window(&self) -> Duration {
        self.shelf().window
    }

    /// Decides who does the work, for good: of those that come at once, one.
    pub(super) fn turn(self: &Arc<Self>, key: Digest, request_id: &str) -> Turn {
        let mut shelf = self.shelf();
        shelf.forget_expired(Instant::now());
        match shelf.marks.get(&key) {
            Some(Mark::Answered(answer)) => return Turn::Answered(Arc::clone(answer)),
            Some(Mark::AtWork { stage, .. }) if stage.receiver_count() >= self.bounds.waiting => {
                return Turn::Crowded;
            }
            Some(Mark::AtWork { first, stage }) => {
                return Turn::Waits(Waiting {
                    first: Arc::clone(first),
                    stage: stage.subscribe(),
                });
            }
            None => {}
        }
        if shelf.marks.len() >= self.bounds.marks && !shelf.forget_oldest() {
            return Turn::Unmarked;
        }
        let (first, stage) = (Arc::from(request_id), watch::Sender::new(Stage::AtWork));
        let claim = Claim {
            marks: Arc::clone(self),
            key,
            first: Arc::clone(&first),
            stage: Arc::new(stage),
            is_over: false,
            held: None,
        };
        let stage = Arc::clone(&claim.stage);
        shelf.marks.insert(key, Mark::AtWork { first, stage });
        Turn::First(claim)
    }

    /// Forgets what is older than the window. To be called every few seconds, so that answers do not stay when no request comes.
    pub(super) fn sweep(&self) {
        self.shelf().forget_expired(Instant::now());
    }

    fn forget(&self, key: &Digest) {
        self.shelf().marks.remove(key);
    }

    fn remember(&self, key: Digest, answer: Arc<Remembered>) {
        let mut shelf = self.shelf();
        shelf.forget_expired(Instant::now());
        shelf.bytes = shelf.bytes.saturating_add(answer.bytes());
        shelf.marks.insert(key, Mark::Answered(answer));
        let until = clock::deadline(shelf.window);
        shelf.answered.push_back((until, key));
        while shelf.bytes > self.bounds.bytes && shelf.forget_oldest() {}
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Poison only says that another thread panicked; nothing is left half done between two lines of Shelf.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn forget_expired(&mut self, now: Instant) {
        while self
            .answered
            .front()
            .is_some_and(|(until, _)| *until <= now)
        {
            self.forget_oldest();
        }
    }

    /// Forgets the answer that was given first; says whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let Some((_, key)) = self.answered.pop_front() else {
            return false;
        };
        if let Some(Mark::Answered(answer)) = self.marks.remove(&key) {
            self.bytes = self.bytes.saturating_sub(answer.bytes());
        }
        true
    }
}

/// The right and the duty to have an activity worked on. Dropping it says that nothing came of it: those who wait never hang.
#[derive(Debug)]
pub(super) struct Claim {
    marks: Arc<Marks>,
    key: Digest,
    first: Arc<str>,
    stage: Arc<watch::Sender<Stage>>,
    is_over: bool,
    /// For the other gateways of a fleet.
    held: Option<Held>,
}

impl Claim {
    /// What the other gateways know the activity by.
    pub(super) fn key_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key)
    }

    /// Request id of the one that holds it.
    pub(super) fn first(&self) -> Arc<str> {
        Arc::clone(&self.first)
    }

    /// Whoever sends the same to another gateway is to know what comes of it, too.
    pub(super) fn share(&mut self, held: Held) {
        self.held = Some(held);
    }

    /// The bot behind another gateway has it.
    pub(super) fn acknowledged_elsewhere(mut self) {
        self.over(News::Acknowledged, false);
    }

    /// The bot behind another gateway has answered. Where that is remembered is not here.
    pub(super) fn answered_elsewhere(mut self, answer: Remembered) {
        self.over(News::Answered(Arc::new(answer)), false);
    }

    /// From now on everyone is told that the bot has it, until it is done.
    pub(super) fn acknowledge(&self) {
        self.stage.send_replace(Stage::Acknowledged);
        if let Some(held) = &self.held {
            held.acknowledge();
        }
    }

    /// The first one was refused before the bot had it, and so are those who wait.
    pub(super) fn refuse(claim: Option<Self>, rejection: &Rejection) {
        if let Some(mut claim) = claim {
            claim.over(News::Failed(rejection.clone()), false);
        }
    }

    /// Tells all who wait, and remembers an answer that means that the bot handled the activity.
    pub(super) fn end(mut self, outcome: Result<&Response<Answer>, &Rejection>, is_invoke: bool) {
        match outcome {
            Err(rejection) => self.over(News::Failed(rejection.clone()), false),
            Ok(response) => match Remembered::of(response, &self.first) {
                Some(answer) => {
                    let is_handled = answer.is_of_handled(is_invoke);
                    self.over(News::Answered(Arc::new(answer)), is_handled);
                }
                None => self.over(News::NotKept, false),
            },
        }
    }

    /// The mark is changed before anyone is told: whoever asks again then meets the new one.
    fn over(&mut self, news: News, is_handled: bool) {
        self.is_over = true;
        let held = self.held.take();
        match &news {
            News::Answered(answer) if is_handled => {
                self.marks.remember(self.key, Arc::clone(answer));
                if let Some(held) = held {
                    held.answer(&answer.kept(), self.marks.window());
                }
            }
            News::Answered(_) | News::Acknowledged | News::NotKept | News::Failed(_) => {
                self.marks.forget(&self.key);
                if let Some(held) = held {
                    held.forget();
                }
            }
        }
        self.stage.send_replace(Stage::Over(news));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_over {
            let cut = Rejection::from(Reason::UpstreamBroken)
                .noting("the work on the first one was cut off");
            self.over(News::Failed(cut), false);
        }
    }
}

/// A repeat that waits for the first one.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Request id of the first one.
    pub(super) first: Arc<str>,
    stage: watch::Receiver<Stage>,
}

impl Waiting {
    /// Waits until there is something to tell.
    pub(super) async fn news(mut self) -> News {
        let over = |stage: &Stage| !matches!(stage, Stage::AtWork);
        match self.stage.wait_for(over).await.as_deref() {
            Ok(Stage::Over(news)) => news.clone(),
            Ok(Stage::Acknowledged | Stage::AtWork) => News::Acknowledged,
            // The claim says how it ended before it goes, so this is not met.
            Err(_) => News::Failed(Reason::UpstreamBroken.into()),
        }
    }
}

#[cfg(test)]
mod tests;

//! The store that the gateways of a fleet share: what each of them would count and remember alone, they count and remember together.
//!
//! One command a request, whatever is asked. Whoever gets no answer in time goes on without, and nobody asks again until the store has
//! answered a probe: one that hangs costs one timeout, not one for each request.
//!
//! This room must not know what a budget or a mark is for, and writes nothing into the store that a person could be told by.

mod answer;
mod keeper;
mod link;
mod mark;
mod names;
mod question;

pub use answer::{Kept, Said};
pub use keeper::Standing;
pub use mark::{Held, LEASE, new_owner};
pub use names::Tag;
pub use question::{Mark, Question};

use crate::config::{Quota, SharedStore};
use crate::observe::Observer;
use arc_swap::ArcSwapOption;
use link::{Connection, Link};
use redis::{FromRedisValue, Script, ScriptInvocation, Value};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const ASK: &str = include_str!("ask.lua");

/// Reaches a store once, and has it do what it will be asked for.
///
/// # Errors
/// What keeps it from that.
pub async fn try_out(settings: &SharedStore) -> Result<(), String> {
    let probe = keeper::probe(settings);
    let reached = keeper::reach(settings, &Script::new(ASK), &probe).await;
    reached.map(drop)
}

/// The store is away: who asked goes on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// A shared store, reached or not.
pub struct Shared {
    settings: SharedStore,
    observer: Arc<Observer>,
    ask: Script,
    tell: Script,
    /// Nothing while it is away.
    link: ArcSwapOption<Link>,
    lost: Notify,
    standing: Mutex<Standing>,
    /// What is asked to find out whether it answers.
    probe: (String, Quota),
    /// Ends its keeper.
    ended: CancellationToken,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// A store that was not asked yet. It is reached by [`meet`](Self::meet), and [`keep`](Self::keep) looks after it.
    pub fn new(settings: SharedStore, observer: Arc<Observer>) -> Arc<Self> {
        Arc::new(Self {
            probe: keeper::probe(&settings),
            settings,
            observer,
            ask: Script::new(ASK),
            tell: Script::new(include_str!("tell.lua")),
            link: ArcSwapOption::empty(),
            lost: Notify::new(),
            standing: Mutex::default(),
            ended: CancellationToken::new(),
        })
    }

    /// It is no longer in use.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// By what it was made.
    pub const fn settings(&self) -> &SharedStore {
        &self.settings
    }

    /// Whether requests are refused while it is away.
    pub const fn denies_without(&self) -> bool {
        self.settings.denies_without
    }

    /// How it is.
    pub fn standing(&self) -> Standing {
        let standing = self.standing.lock();
        standing.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks once, for all that a request needs.
    ///
    /// # Errors
    /// [`Away`], within the timeout, and at once after another request met it.
    pub async fn ask(&self, question: &Question<'_>) -> Result<Said, Away> {
        let link = self.link.load_full().ok_or(Away)?;
        let value: Value = self.call(&link, &question.on(&self.ask)).await?;
        Said::read(value).ok_or_else(|| self.lose(&link, "an answer that is none of the script's"))
    }

    /// Says what became of a mark. What is not heard is not said again: a mark ends by itself.
    async fn tell(&self, call: &ScriptInvocation<'_>) -> Result<(), Away> {
        let link = self.link.load_full().ok_or(Away)?;
        self.call::<i64>(&link, call).await.map(drop)
    }

    async fn call<T: FromRedisValue>(
        &self,
        link: &Arc<Link>,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Away> {
        let mut connection: Connection = link.connection();
        let answer = timeout(self.settings.timeout, call.invoke_async(&mut connection)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.lose(link, &link::told(&error))),
            Err(_) => Err(self.lose(link, &self.too_slow())),
        }
    }

    fn too_slow(&self) -> String {
        format!(
            "no answer within {:?} (state.timeout)",
            self.settings.timeout
        )
    }
}

//! The mark of an activity that a gateway has a bot work on, as the others see it.

use super::answer::{ACKNOWLEDGED, BODY, FIRST, HEADER, STATUS};
use super::question::millis;
use super::{Away, Kept, Shared};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use uuid::Uuid;

/// For how long a gateway that says nothing more is believed to be at work: a repeat waits so long for one that was killed.
pub const LEASE: Duration = Duration::from_secs(6);
/// Well before the lease ends.
const RENEWED_EVERY: Duration = Duration::from_secs(2);

/// A mark in the store that is ours. Whatever is said of it is said out of the requests' way, and not twice.
#[derive(Debug)]
pub struct Held {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    name: String,
    owner: String,
    first: Arc<str>,
    _renewing: AbortOnDropHandle<()>,
}

/// Who asks for a mark, before it is known whether it is theirs.
pub fn new_owner() -> String {
    Uuid::new_v4().simple().to_string()
}

impl Held {
    /// A mark that the store has just given to `owner`. It is renewed until something is said of it.
    pub fn new(
        shared: &Arc<Shared>,
        tasks: &TaskTracker,
        name: String,
        owner: String,
        first: &Arc<str>,
    ) -> Self {
        let renewal = Word {
            name: name.clone(),
            owner: owner.clone(),
            what: "hold",
            lasts: LEASE,
            fields: vec![(FIRST.to_owned(), first.as_bytes().to_vec())],
        };
        let store = Arc::clone(shared);
        // It ends with this mark, that is with the work that a shutdown waits for.
        let renewing = tasks.spawn(async move {
            loop {
                sleep(RENEWED_EVERY).await;
                // One that was not heard is followed by another one.
                let _: Result<(), Away> = store.say(&renewal).await;
            }
        });
        Self {
            shared: Arc::clone(shared),
            tasks: tasks.clone(),
            name,
            owner,
            first: Arc::clone(first),
            _renewing: AbortOnDropHandle::new(renewing),
        }
    }

    /// The client was told 202, and so are those who ask again.
    pub fn acknowledge(&self) {
        let fields = vec![(ACKNOWLEDGED.to_owned(), b"1".to_vec())];
        self.spawn("hold", LEASE, fields);
    }

    /// The bot has answered, and for so long repeats are told what.
    pub fn answer(self, kept: &Kept, window: Duration) {
        let mut fields = vec![
            (FIRST.to_owned(), kept.first.clone().into_bytes()),
            (STATUS.to_owned(), kept.status.to_string().into_bytes()),
            (BODY.to_owned(), kept.body.to_vec()),
        ];
        let headers = kept.headers.iter();
        fields.extend(headers.map(|(name, value)| (format!("{HEADER}{name}"), value.to_vec())));
        self.spawn("keep", window, fields);
    }

    /// Nothing came of it: who asks again is the first one.
    pub fn forget(self) {
        self.spawn("forget", LEASE, vec![]);
    }

    fn spawn(&self, what: &'static str, lasts: Duration, mut fields: Vec<(String, Vec<u8>)>) {
        if fields.iter().all(|(name, _)| name != FIRST) {
            fields.push((FIRST.to_owned(), self.first.as_bytes().to_vec()));
        }
        let word = Word {
            name: self.name.clone(),
            owner: self.owner.clone(),
            what,
            lasts,
            fields,
        };
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            // A mark that nobody hears of any more ends with its lease.
            let _: Result<(), Away> = shared.say(&word).await;
        });
    }
}

struct Word {
    name: String,
    owner: String,
    what: &'static str,
    lasts: Duration,
    fields: Vec<(String, Vec<u8>)>,
}

impl Shared {
    async fn say(&self, word: &Word) -> Result<(), Away> {
        let mut call = self.tell.prepare_invoke();
        call.key(word.name.as_str());
        call.arg(word.owner.as_str()).arg(word.what);
        call.arg(millis(word.lasts));
        for (name, value) in &word.fields {
            call.arg(name.as_str()).arg(value.as_slice());
        }
        self.tell(&call).await
    }
}

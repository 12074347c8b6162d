//! Puts another `gateway.toml` into force while requests come: wholly or not at all.

mod outcome;

pub(super) use outcome::Why;

use super::public::Public;
use super::{admin_door, descriptors, rules, service_manager};
use crate::admin::Admin;
use crate::config::{self, Change, Files, Loaded, Problem, Settings, StartFlags, Written};
use crate::directline;
use crate::ingress::Rooms;
use crate::net::clock;
use crate::net::current::Current;
use crate::net::gate::Gate;
use crate::observe::{Observer, Reload};
use crate::shared::Shared;
use crate::tls::{Certificates, Reloaded};
use outcome::Outcome;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Between two looks at the files. Two that see the same are wanted, so that a file that is still being written is not read.
const LOOK: Duration = Duration::from_secs(2);
/// The file that a gateway was started with.
#[derive(Debug)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// What the command line adds to it.
    pub flags: StartFlags,
    /// As it was at start.
    pub written: Written,
    /// What was read with it.
    pub files: Files,
}

/// What another version of the settings is put into.
pub(super) struct Reloader {
    pub(super) public: Arc<Current<Public>>,
    pub(super) admin: Option<Arc<Current<Admin>>>,
    pub(super) gate: Arc<Gate>,
    /// Nothing where TLS is off.
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) draining: CancellationToken,
    pub(super) stop: CancellationToken,
    pub(super) background: TaskTracker,
    /// Locked for the whole of a reload: one comes after the other.
    pub(super) file: Mutex<Option<Followed>>,
}

/// The versions of a file so far.
pub(super) struct Followed {
    path: PathBuf,
    flags: StartFlags,
    /// By which was decided what needs a restart.
    at_start: Written,
    in_force: Written,
    files_in_force: Files,
    /// As they were when they were last read, whatever came of that.
    tried: Files,
    /// What was seen of them at the last look, where that is something new.
    seen: Option<Files>,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}

impl Reloader {
    pub(super) fn settings(&self) -> Arc<Settings> {
        self.public.load().ingress.settings()
    }

    pub(super) fn follow(&self, file: ConfigFile) {
        *self.file() = Some(Followed {
            path: file.path,
            flags: file.flags,
            at_start: file.written.clone(),
            in_force: file.written,
            files_in_force: file.files.clone(),
            tried: file.files,
            seen: None,
        });
    }

    /// Looks at the files every few seconds until `end`.
    pub(super) async fn watch(self: Arc<Self>, end: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while end.run_until_cancelled(looks.tick()).await.is_some() {
            let this = Arc::clone(&self);
            let look = tokio::task::spawn_blocking(move || this.has_changed());
            // It fails only where it panics; then there is the next look.
            if look.await.unwrap_or(false) {
                Arc::clone(&self).reload(Why::FileChanged).await;
            }
        }
    }

    /// Where blocking is allowed: files are read, disk caches and certificate stores too.
    pub(super) async fn reload(self: Arc<Self>, why: Why) {
        service_manager::reloading();
        let reload = tokio::task::spawn_blocking(move || self.reload_now(why));
        let outcome = reload.await.unwrap_or_else(|error| {
            tracing::error!(event = "config_refused", %error, "the reload did not end as it should");
            Some(Reload::Refused)
        });
        let word = outcome.map_or("put off", Reload::word);
        service_manager::reloaded(&format!("the last reload: {word}"));
    }

    /// Whether the files are other ones than those last read, and the same as at the look before.
    fn has_changed(&self) -> bool {
        let mut file = self.file();
        let Some(followed) = &mut *file else {
            return false;
        };
        let now = followed.tried.now();
        if !now.are_seen() {
            // Not now: what strangers hold must not look like a change.
            return false;
        }
        if now == followed.tried {
            followed.seen = None;
            return false;
        }
        let has_settled = followed.seen.as_ref() == Some(&now);
        followed.seen = Some(now);
        has_settled
    }

    fn reload_now(&self, why: Why) -> Option<Reload> {
        let mut file = self.file();
        let Some(followed) = &mut *file else {
            tracing::warn!(
                event = "config_refused",
                "there is no configuration file to reload"
            );
            return Some(Reload::Refused);
        };
        let path = followed.path.clone();
        let outcome = self.bring_into_force(followed, why);
        if let Some(word) = outcome.word() {
            let observer = self.public.load().ingress.rooms().observer;
            observer.metrics().config_reloaded(word, clock::now());
        }
        outcome.tell(&path, why);
        outcome.word()
    }

    /// All that can fail comes before anything that can be seen.
    fn bring_into_force(&self, followed: &mut Followed, why: Why) -> Outcome {
        if let Some(path) = followed.tried.stream() {
            let path = path.display();
            return Outcome::Unusable(format!("{path} is no file that can be read again"));
        }
        let attempt = config::attempt(&followed.path, followed.flags);
        if why == Why::FileChanged && !attempt.files.are_seen() {
            return Outcome::PutOff;
        }
        followed.tried = attempt.files.clone();
        followed.seen = None;
        let Loaded {
            settings,
            written,
            mut warnings,
            ..
        } = match attempt.outcome {
            Ok(loaded) => loaded,
            Err(problems) => return Outcome::Refused(problems),
        };
        warnings.extend(descriptors::too_few(&settings));
        let needs_restart: Vec<Change> = followed.at_start.changes(&written);
        let needs_restart: Vec<Change> = needs_restart
            .into_iter()
            .filter(Change::needs_restart)
            .collect();
        // What is in force is one whole: what needs a restart is as it was, and all the rest must be right together with that.
        let settings = if needs_restart.is_empty() {
            settings
        } else {
            let text = written.with_restart_keys_of(&followed.at_start);
            let dir = followed.path.parent().unwrap_or(Path::new(""));
            match config::parse(text.expose(), dir, followed.flags) {
                Ok(loaded) => loaded.settings,
                Err(problems) => return Outcome::Refused(as_combined(problems)),
            }
        };
        let mut changes: Vec<String> = followed
            .in_force
            .changes(&written)
            .iter()
            .filter(|change| !change.needs_restart())
            .map(ToString::to_string)
            .collect();
        let contents = attempt.files.differing(&followed.files_in_force);
        let contents = contents.filter(|path| **path != *followed.path);
        changes.extend(contents.map(|path| format!("the content of {}", path.display())));
        // Changes of their own files are seen by themselves; who asks for all gets all, or nothing.
        if why == Why::Asked
            && let Some(certificates) = &self.certificates
            && let Reloaded::Refused(problem) = certificates.reload()
        {
            return Outcome::Unusable(format!("certificates: {problem}"));
        }
        if !changes.is_empty()
            && let Err(why) = self.put(settings)
        {
            return Outcome::Unusable(why);
        }
        followed.in_force = written;
        followed.files_in_force = attempt.files;
        Outcome::InForce {
            changes,
            needs_restart: needs_restart.iter().map(ToString::to_string).collect(),
            warnings,
        }
    }

    /// Requests that are under way keep what they began with; new ones are judged by these settings. What is as before in them goes
    /// on as it is: keys, budgets, marks, connections.
    fn put(&self, settings: Settings) -> Result<(), String> {
        let before = self.public.load();
        let (was, settings) = (before.ingress.settings(), Arc::new(settings));
        let old = before.ingress.rooms();
        let keyring = old.keyring.renewed(&settings, &old.observer);
        let keyring = Arc::new(keyring.map_err(|problem| format!("keys: {problem}"))?);
        let upstreams = old.upstreams.renewed(&settings, &old.observer);
        let upstreams = Arc::new(upstreams.map_err(|problem| format!("backends: {problem}"))?);
        let limiter = Arc::new(old.limiter.renewed(&was, &settings));
        let for_pages = directline::Rooms {
            keyring: Arc::clone(&keyring),
            limiter: Arc::clone(&limiter),
            observer: Arc::clone(&old.observer),
        };
        let brokers = before.brokers.renewed(&settings, for_pages);
        let brokers = Arc::new(brokers.map_err(|problem| format!("direct_line: {problem}"))?);
        // Nothing fails from here on.
        let shared = self.shared_by(&settings, old.shared.as_ref(), &old.observer);
        old.observer.metrics().follow(&settings);
        upstreams.take_over(&old.upstreams);
        for refresher in keyring.refreshers(&self.stop) {
            self.background.spawn(refresher);
        }
        for probe in upstreams.probes(&self.stop) {
            self.background.spawn(probe);
        }
        let rooms = Rooms {
            keyring,
            upstreams,
            limiter,
            shared,
            ..old
        };
        if let Some(admin) = &self.admin {
            admin.replace(admin_door(
                &settings,
                &rooms,
                self.certificates.clone(),
                &self.draining,
            ));
        }
        self.gate.set(rules::public(&settings));
        let ingress = Arc::new(before.ingress.renewed(settings, rooms));
        self.public.replace(Public { ingress, brokers });
        Ok(())
    }

    /// The store of these settings: the one there is, where nothing about it is new. A store that cannot be reached is no reason to
    /// refuse settings: `state.on_store_failure` says what counts until it can be.
    fn shared_by(
        &self,
        settings: &Settings,
        old: Option<&Arc<Shared>>,
        observer: &Arc<Observer>,
    ) -> Option<Arc<Shared>> {
        if old.map(|old| old.settings()) == settings.shared_store.as_ref() {
            return old.cloned();
        }
        let new = settings.shared_store.clone();
        let new = new.map(|store| Shared::new(store, Arc::clone(observer)));
        match &new {
            Some(new) => {
                Handle::current().block_on(new.meet());
                self.background
                    .spawn(Arc::clone(new).keep(self.stop.clone()));
            }
            None => observer.metrics().rate_limit_store_is_up(false),
        }
        if let Some(old) = old {
            old.end();
        }
        new
    }

    fn file(&self) -> MutexGuard<'_, Option<Followed>> {
        // A reload that panicked has said so, and changed nothing or all.
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Problems of what is nowhere written as it is: their lines are of no file.
fn as_combined(mut problems: Vec<Problem>) -> Vec<Problem> {
    for problem in &mut problems {
        problem.line = None;
        problem.what.push_str(
            " (together with what needs a restart, which stays as it was when the gateway was started)",
        );
    }
    problems
}

//! The load generator: one thread, requests made in advance, as little work as possible for each.

mod client;
mod closed;
mod idle;
mod rate;
mod requests;

use super::job::{Job, Load, Outcome, Token};
use super::proc;
use client::Client;
use rate::Due;
use requests::Requests;
use std::cell::{Cell, RefCell};
use std::io::{self, BufRead as _};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

/// How long an answer may take, and how long connections may take to end once all is measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether enough was answered.
const A_LITTLE: Duration = Duration::from_millis(20);
/// Failures beyond these are counted only.
const NOTES: usize = 5;
/// After so many failures nothing is measured any more.
const TOO_MANY: u64 = 1000;

/// Reads a job from standard input, does it, and writes the outcome.
pub(crate) fn run() {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).expect("a job");
    let job: Job = serde_json::from_str(&line).expect("a job");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let outcome = LocalSet::new().block_on(&runtime, work(job));
    println!("{}", serde_json::to_string(&outcome).expect("JSON"));
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) job: Job,
    pub(crate) requests: Requests,
    pub(crate) client: Client,
    pub(crate) outcome: RefCell<Outcome>,
    answered: Cell<u64>,
    pub(crate) stop: Cell<bool>,
    pub(crate) due: Due,
    /// Tokens have run out, or too much went wrong.
    pub(crate) over: Notify,
}

impl Shared {
    pub(crate) fn answered(&self) {
        self.answered.set(self.answered.get() + 1);
    }

    pub(crate) fn failed(&self, what: &str) {
        let mut outcome = self.outcome.borrow_mut();
        outcome.failures += 1;
        if outcome.notes.len() < NOTES {
            outcome.notes.push(what.to_owned());
        }
        if outcome.failures == TOO_MANY {
            self.end();
        }
    }

    /// Ends the measurement.
    pub(crate) fn end(&self) {
        self.stop.set(true);
        self.over.notify_one();
    }
}

async fn work(job: Job) -> Outcome {
    let shared = Rc::new(Shared {
        requests: Requests::prepare(&job),
        client: Client::new(&job),
        outcome: RefCell::default(),
        answered: Cell::default(),
        stop: Cell::default(),
        due: Due::new(),
        over: Notify::new(),
        job,
    });
    let idle = idle::hold(&shared, shared.job.growth.idle).await;
    match shared.job.load.clone() {
        Load::KeepAlive => measure(&shared, closed::keep_alive).await,
        Load::Connections { resume } => {
            measure(&shared, move |shared| closed::connections(shared, resume)).await;
        }
        Load::Rate(rate) => {
            let clock = tokio::task::spawn_local(rate::clock(Rc::clone(&shared), rate));
            measure(&shared, rate::sender).await;
            clock.await.expect("no panic");
            shared.outcome.borrow_mut().latency = shared.due.percentiles();
        }
        Load::Idle(steps) => idle::fill(&shared, &steps).await,
    }
    idle::still_open(&shared, idle).await;
    let mut outcome = shared.outcome.take();
    if let Load::Idle(_) = shared.job.load {
        outcome.answered = shared.answered.get();
    }
    outcome
}

/// Runs a task for each connection and looks at the clocks twice.
async fn measure<F>(shared: &Rc<Shared>, task: impl Fn(Rc<Shared>) -> F)
where
    F: Future<Output = ()> + 'static,
{
    let tasks: Vec<_> = (0..shared.job.connections)
        .map(|_| tokio::task::spawn_local(task(Rc::clone(shared))))
        .collect();
    come_before(shared).await;
    sleep(Duration::from_secs_f64(shared.job.warm_up_seconds)).await;
    shared.requests.become_warm();
    let before = Sample::take(shared);
    let seconds = Duration::from_secs_f64(shared.job.seconds);
    // Over early if the tokens run out.
    let _ = timeout(seconds, shared.over.notified()).await;
    let after = Sample::take(shared);
    shared.stop.set(true);
    {
        let mut outcome = shared.outcome.borrow_mut();
        outcome.answered = after.answered - before.answered;
        outcome.due = after.due - before.due;
        outcome.seconds = (after.at - before.at).as_secs_f64();
        outcome.proxy_cpu = after.proxy - before.proxy;
        outcome.load_cpu = after.load - before.load;
        outcome.backend_cpu = after.backend - before.backend;
        let ours = outcome.proxy_cpu + outcome.load_cpu + outcome.backend_cpu;
        outcome.others_cpu = (after.machine - before.machine - ours).max(0.0);
        outcome.memory_after = proc::memory_bytes(&shared.job.proxy);
        outcome.users = shared.requests.users();
    }
    let ended = async {
        for task in tasks {
            task.await.expect("no panic");
        }
    };
    if timeout(PATIENCE, ended).await.is_err() {
        shared.failed("connections still wait for an answer");
    }
}

/// Waits until as many were answered as must be before anything is measured, or there is no more time for them.
async fn come_before(shared: &Shared) {
    let growth = shared.job.growth;
    let until = Instant::now() + Duration::from_secs_f64(growth.before_seconds);
    while shared.answered.get() < growth.before && Instant::now() < until && !shared.stop.get() {
        sleep(A_LITTLE).await;
    }
}

struct Sample {
    at: Instant,
    answered: u64,
    due: u64,
    proxy: f64,
    load: f64,
    backend: f64,
    machine: f64,
}

impl Sample {
    fn take(shared: &Shared) -> Self {
        Self {
            answered: shared.answered.get(),
            due: shared.due.so_far.get(),
            proxy: proc::cpu_seconds_of_all(&shared.job.proxy),
            load: proc::cpu_seconds(std::process::id()),
            backend: proc::cpu_seconds(shared.job.backend),
            machine: proc::cpu_seconds_of_machine(),
            at: Instant::now(),
        }
    }
}

/// A request that is not what it should be says so in these words.
pub(crate) fn wrong_status(status: u16, job: &Job) -> String {
    let token: Token = job.token;
    format!("{token:?}: answered {status}, not {}", job.expected)
}

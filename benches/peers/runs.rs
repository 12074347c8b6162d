//! How each scenario is measured with one proxy, which is started for it: what an earlier one left in its memory is gone.

use super::job::{Growth, Job, Load, Outcome};
use super::process::{Cores, Process, ask, role};
use super::proxies::{Kind, Proxy, Setup, Stage};
use super::scenario::Scenario;
use std::time::Duration;

/// As many connections as one busy channel keeps open.
pub(crate) const CONNECTIONS: usize = 32;
const WARM_UP_SECONDS: f64 = 0.7;
/// Beyond warm-up and measurement: to make connections and to end them.
const MORE: Duration = Duration::from_secs(120);
/// Connections that say nothing.
pub(crate) const IDLE: [usize; 2] = [1_000, 10_000];

/// What was measured, and what it is compared with: the backend alone, or two cores.
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    pub(crate) beside: Option<Outcome>,
}

pub(crate) struct Runner<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) backend: u32,
    pub(crate) seconds: f64,
}

impl Runner<'_> {
    /// `capacity`: the requests per second that the proxy was seen to forward, if it was.
    pub(crate) async fn run(
        &self,
        scenario: Scenario,
        kind: Kind,
        capacity: Option<f64>,
    ) -> Result<Run, String> {
        match scenario {
            Scenario::Latency => self.latency(kind, capacity).await,
            Scenario::Memory => self.memory(kind).await,
            Scenario::Cores => self.cores(kind).await,
            Scenario::Repeats
            | Scenario::New
            | Scenario::Connections
            | Scenario::Resumed
            | Scenario::Forged
            | Scenario::Garbage => {
                let outcome = self.measure(scenario, kind, scenario.load()).await?;
                Ok(Run {
                    outcome,
                    beside: None,
                })
            }
        }
    }

    /// At half of what the proxy can do, and the same at the backend itself.
    async fn latency(&self, kind: Kind, capacity: Option<f64>) -> Result<Run, String> {
        let capacity = match capacity {
            Some(capacity) => capacity,
            None => self
                .measure(Scenario::Repeats, kind, Load::KeepAlive)
                .await?
                .rate(),
        };
        let load = Load::Rate((capacity / 2.0).max(1.0));
        let outcome = self.measure(Scenario::Latency, kind, load.clone()).await?;
        let direct = Job {
            target: self.stage.backend,
            certificate: None,
            proxy: vec![],
            load,
            ..self.job(Scenario::Latency, kind)
        };
        let beside = Some(send(&direct, Cores::Second).await?);
        Ok(Run { outcome, beside })
    }

    async fn memory(&self, kind: Kind) -> Result<Run, String> {
        let outcome = self
            .measure(Scenario::Memory, kind, Load::Idle(IDLE.to_vec()))
            .await?;
        Ok(Run {
            outcome,
            beside: None,
        })
    }

    /// One worker on one core, then two on two. Load and backend may use both cores in both cases.
    async fn cores(&self, kind: Kind) -> Result<Run, String> {
        let backend = role(Cores::Both, "backend");
        let (backend, address) = Process::start_role(backend, &self.stage.folder).await?;
        let stage = self.stage.with_backend(address);
        let mut outcomes = vec![];
        for cores in [Cores::First, Cores::Both] {
            let proxy = Proxy::start(kind, Setup::on(cores), &stage).await?;
            let job = Job {
                target: proxy.address,
                proxy: proxy.processes(),
                backend: backend.id(),
                ..self.job(Scenario::Cores, kind)
            };
            let outcome = send(&job, Cores::Both).await;
            proxy.stop().await;
            outcomes.push(outcome?);
        }
        backend.stop().await;
        let beside = outcomes.pop();
        let outcome = outcomes.pop().ok_or("nothing measured")?;
        Ok(Run { outcome, beside })
    }

    async fn measure(&self, scenario: Scenario, kind: Kind, load: Load) -> Result<Outcome, String> {
        let setup = Setup {
            many_addresses: scenario == Scenario::Forged,
            patient: scenario == Scenario::Memory,
            ..Setup::on(Cores::First)
        };
        let proxy = Proxy::start(kind, setup, self.stage).await?;
        let job = Job {
            target: proxy.address,
            proxy: proxy.processes(),
            load,
            ..self.job(scenario, kind)
        };
        let outcome = send(&job, Cores::Second).await;
        proxy.stop().await;
        outcome
    }

    /// Tokens that repeat, with something grown.
    pub(crate) async fn grown(&self, setup: Setup, growth: Growth) -> Result<Outcome, String> {
        let proxy = Proxy::start(Kind::Botgate, setup, self.stage).await?;
        let job = Job {
            target: proxy.address,
            proxy: proxy.processes(),
            growth,
            ..self.job(Scenario::Repeats, Kind::Botgate)
        };
        let outcome = send(&job, Cores::Second).await;
        proxy.stop().await;
        outcome
    }

    fn job(&self, scenario: Scenario, kind: Kind) -> Job {
        Job {
            target: self.stage.backend,
            certificate: Some(self.stage.material.certificate()),
            material: self.stage.material.folder.clone(),
            token: scenario.token(),
            load: scenario.load(),
            connections: CONNECTIONS,
            expected: scenario.expected(kind),
            may_close: scenario.may_close(kind),
            proxy: vec![],
            backend: self.backend,
            warm_up_seconds: WARM_UP_SECONDS,
            seconds: self.seconds,
            growth: Growth::default(),
        }
    }
}

async fn send(job: &Job, cores: Cores) -> Result<Outcome, String> {
    let text = serde_json::to_string(job).map_err(|error| error.to_string())?;
    let seconds = job.growth.before_seconds + job.warm_up_seconds + job.seconds;
    let within = MORE + Duration::from_secs_f64(seconds);
    let answer = ask(role(cores, "load"), &text, within).await?;
    serde_json::from_str(&answer).map_err(|error| format!("the load generator: {error}"))
}

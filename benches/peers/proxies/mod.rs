//! The proxies that are compared, and how each is started: with one worker, one certificate, and connections to the backend that
//! stay.

mod bare;
mod botgate;
mod caddy;
mod envoy;
mod haproxy;
mod nginx;

use super::material::Material;
use super::proc;
use super::process::{Cores, Process};
use ::botgate::cli::demo::channel::Channel;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Botgate,
    Bare,
    Nginx,
    Haproxy,
    Envoy,
    EnvoyCached,
    Caddy,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Botgate,
        Self::Bare,
        Self::Nginx,
        Self::Haproxy,
        Self::Envoy,
        Self::EnvoyCached,
        Self::Caddy,
    ];

    /// On the command line and in the file of numbers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Botgate => "botgate",
            Self::Bare => "bare",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::EnvoyCached => "envoy-cached",
            Self::Caddy => "caddy",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Botgate => "botgate: all rules, limits, a line per request",
            Self::Bare => "bare hyper and rustls: TLS only",
            Self::Nginx => "nginx: TLS only",
            Self::Haproxy => "HAProxy: token, rate",
            Self::Envoy => "Envoy: token, rate",
            Self::EnvoyCached => "Envoy: the same, tokens cached",
            Self::Caddy => "Caddy: TLS only",
        }
    }

    pub(crate) const fn checks_tokens(self) -> bool {
        match self {
            Self::Botgate | Self::Haproxy | Self::Envoy | Self::EnvoyCached => true,
            Self::Bare | Self::Nginx | Self::Caddy => false,
        }
    }
}

/// What every proxy is given.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) material: Material,
    pub(crate) channel: Channel,
    pub(crate) backend: SocketAddr,
    /// For configurations and logs.
    pub(crate) folder: PathBuf,
}

impl Stage {
    /// The same with another backend.
    pub(crate) fn with_backend(&self, backend: SocketAddr) -> Self {
        Self {
            backend,
            ..self.clone()
        }
    }

    /// A program that `bench/peers` installed.
    fn installed(&self, name: &str) -> PathBuf {
        self.folder.join("venv/bin").join(name)
    }
}

/// How a proxy is started, where that is not always the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) cores: Cores,
    /// Believe `X-Forwarded-For`: requests come from more addresses than this machine has.
    pub(crate) many_addresses: bool,
    /// Leave connections alone that say nothing for a minute.
    pub(crate) patient: bool,
    /// Tenants on the list of each bot of botgate's.
    pub(crate) tenants: usize,
    /// Bots of botgate's.
    pub(crate) bots: usize,
    /// Users' and conversations' budgets take an hour per request to be whole again, so that each counter stays.
    pub(crate) lasting: bool,
}

impl Setup {
    pub(crate) const fn on(cores: Cores) -> Self {
        Self {
            cores,
            many_addresses: false,
            patient: false,
            tenants: 1,
            bots: 1,
            lasting: false,
        }
    }
}

pub(crate) struct Proxy {
    process: Process,
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// Starts it and waits until it serves.
    pub(crate) async fn start(kind: Kind, setup: Setup, stage: &Stage) -> Result<Self, String> {
        let folder = stage.folder.join(kind.name());
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let (process, address) = match kind {
            Kind::Botgate => botgate::start(setup, stage, &folder).await?,
            Kind::Bare => bare::start(setup, stage, &folder).await?,
            Kind::Nginx => nginx::start(setup, stage, &folder).await?,
            Kind::Haproxy => haproxy::start(setup, stage, &folder).await?,
            Kind::Envoy => envoy::start(setup, stage, &folder, false).await?,
            Kind::EnvoyCached => envoy::start(setup, stage, &folder, true).await?,
            Kind::Caddy => caddy::start(setup, stage, &folder).await?,
        };
        Ok(Self { process, address })
    }

    /// Its processes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        proc::family(self.process.id())
    }

    pub(crate) async fn stop(self) {
        self.process.stop().await;
    }
}

/// For those that cannot be told to take any port and say which.
fn free_port() -> Result<SocketAddr, String> {
    let probe = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    probe.map_err(|error| error.to_string())
}

//! The proxies that are compared, and how each is started: with one worker, one certificate, and connections to the backend that
//! stay.

mod bare;
mod botgate;

use super::material::Material;
use super::proc;
use super::process::{Cores, Process};
use ::botgate::cli::demo::channel::Channel;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Botgate,
    Bare,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Botgate, Self::Bare];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Botgate => "botgate",
            Self::Bare => "bare",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Botgate => "botgate: all rules, limits, a line per request",
            Self::Bare => "bare hyper and rustls, checks nothing",
        }
    }

    pub(crate) const fn checks_tokens(self) -> bool {
        match self {
            Self::Botgate => true,
            Self::Bare => false,
        }
    }
}

/// What every proxy is given.
pub(crate) struct Stage {
    pub(crate) material: Material,
    pub(crate) channel: Channel,
    pub(crate) backend: SocketAddr,
    /// For configurations and logs.
    pub(crate) folder: PathBuf,
}

/// How a proxy is started, where that is not always the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) cores: Cores,
    /// Believe `X-Forwarded-For`: requests come from more addresses than this machine has.
    pub(crate) many_addresses: bool,
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

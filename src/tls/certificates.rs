//! The certificates in use, replaceable while connections come.

use super::acme::{self, Keeper, Proofs};
use super::loading::{Fingerprint, Loaded, Shown};
use super::{TlsProblem, watch};
use crate::config::{AcmeChallenge, Tls, TlsSource};
use crate::net::clock;
use crate::net::handshake::Handshakes;
use crate::observe::{CertificateReload, Observer, lacks_client_certificate};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::ClientHello;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// The certificates of the public listener.
#[derive(Debug)]
pub struct Certificates {
    tls: Tls,
    current: ArcSwap<Loaded>,
    /// Held while they are replaced, so that two who do so do not cross.
    tried: Mutex<Tried>,
    /// Where certificates are ordered.
    acme: Option<Arc<Keeper>>,
    observer: Arc<Observer>,
    /// The second in which a client without a certificate was last told of.
    told_at: AtomicU64,
}

/// What the files held when they were last read.
#[derive(Clone, Copy, Debug)]
struct Tried {
    fingerprint: Fingerprint,
    is_in_use: bool,
}

/// What came of [`Certificates::reload`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// New ones are shown from now on; open connections go on.
    Applied,
    /// Nothing in the files is different.
    Unchanged,
    /// This keeps one of them from being used; all of the old ones stay.
    Refused(TlsProblem),
}

/// Something to be done until the gateway stops.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Certificates {
    /// Loads what `[server.tls]` names; `None` where TLS is off.
    ///
    /// A self-signed certificate is made, and kept in its directory, if there is none that can be used again. One that is to be
    /// ordered may still be missing.
    ///
    /// # Errors
    /// The first thing that keeps one of them from being used.
    pub fn start(tls: &Tls, observer: &Arc<Observer>) -> Result<Option<Arc<Self>>, TlsProblem> {
        let now = clock::now();
        let tried = Tried {
            fingerprint: Fingerprint::of(tls).unwrap_or_default(),
            is_in_use: true,
        };
        let (acme, ordered) = match &tls.source {
            TlsSource::Off => return Ok(None),
            TlsSource::Files { .. } | TlsSource::SelfSigned { .. } => (None, None),
            TlsSource::Acme(acme) => {
                let keeper = Keeper::new(acme, Arc::clone(observer))?;
                (Some(Arc::new(keeper)), acme::take_up(acme, now))
            }
        };
        let loaded = Loaded::load(tls, ordered, now)?;
        let this = Self {
            tls: tls.clone(),
            current: ArcSwap::from_pointee(loaded),
            tried: Mutex::new(tried),
            acme,
            observer: Arc::clone(observer),
            told_at: AtomicU64::new(0),
        };
        for shown in this.current.load().shown() {
            this.tell(shown);
        }
        Ok(Some(Arc::new(this)))
    }

    /// Loads every file again: all of them are used from now on, or none. Says by itself what came of it.
    pub fn reload(&self) -> Reloaded {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        // First: what changes while the files are read is noticed the next time.
        let fingerprint = Fingerprint::of(&self.tls).unwrap_or_default();
        let before = self.current.load_full();
        let metrics = self.observer.metrics();
        if fingerprint == tried.fingerprint && tried.is_in_use {
            metrics.certificates_reloaded(CertificateReload::Unchanged);
            return Reloaded::Unchanged;
        }
        let loaded = Loaded::load(&self.tls, before.default.clone(), clock::now());
        *tried = Tried {
            fingerprint,
            is_in_use: loaded.is_ok(),
        };
        match loaded {
            Ok(loaded) => {
                self.current.store(Arc::new(loaded));
                self.in_use().iter().for_each(|shown| self.tell(shown));
                metrics.certificates_reloaded(CertificateReload::Applied);
                Reloaded::Applied
            }
            Err(problem) => {
                metrics.certificates_reloaded(CertificateReload::Refused);
                tracing::error!(
                    event = "certificate_refused",
                    "what was in use stays: {problem}"
                );
                Reloaded::Refused(problem)
            }
        }
    }

    /// Shows a certificate that was ordered.
    ///
    /// # Errors
    /// None, unless TLS cannot be set up at all.
    pub(super) fn install(&self, ordered: &Shown) -> Result<(), TlsProblem> {
        let _one_at_a_time = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = self
            .current
            .load()
            .with_default(&self.tls, ordered.clone())?;
        self.current.store(Arc::new(loaded));
        self.tell(ordered);
        Ok(())
    }

    /// Whether the files hold what nobody has tried yet; and what that is.
    pub(super) fn untried(&self) -> Option<Fingerprint> {
        let now = Fingerprint::of(&self.tls)?;
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        (now != tried.fingerprint).then_some(now)
    }

    /// Whether clients can be shown no certificate: the first one is still to be ordered.
    pub fn is_missing(&self) -> bool {
        self.current.load().default.is_none()
    }

    /// The default: what was ordered, where certificates are.
    pub(super) fn ordered(&self) -> Option<Shown> {
        self.current.load().default.clone()
    }

    /// Those in use, the default first.
    pub(super) fn in_use(&self) -> Vec<Shown> {
        self.current.load().shown().cloned().collect()
    }

    /// What is to be done while the gateway runs: files are watched, certificates ordered and renewed.
    pub fn tasks(self: &Arc<Self>, stop: &CancellationToken) -> Vec<Task> {
        let mut tasks: Vec<Task> = vec![
            Box::pin(watch::files(Arc::clone(self), stop.clone())),
            Box::pin(watch::ends(Arc::clone(self), stop.clone())),
        ];
        if let Some(keeper) = &self.acme {
            let keeper = Arc::clone(keeper);
            tasks.push(Box::pin(keeper.run(Arc::clone(self), stop.clone())));
        }
        tasks
    }

    /// Where the plain listener for `http-01` is to be, and its door.
    pub fn http_challenge(&self) -> Option<(&[SocketAddr], Arc<Proofs>)> {
        let TlsSource::Acme(acme) = &self.tls.source else {
            return None;
        };
        match &acme.challenge {
            AcmeChallenge::TlsAlpn01 => None,
            AcmeChallenge::Http01 { listen } => {
                let proofs = self.acme.as_ref()?.proofs();
                Some((listen.as_slice(), Arc::clone(proofs)))
            }
        }
    }

    fn tell(&self, shown: &Shown) {
        let origin = &shown.origin;
        for warning in &shown.warnings {
            tracing::warn!(
                event = "certificate_warning",
                certificate = origin,
                "{warning}"
            );
        }
        let (names, expires) = (shown.names.join(","), shown.expires.0);
        tracing::info!(
            event = "certificate_loaded",
            certificate = origin,
            names,
            expires,
            "certificate loaded"
        );
        self.observer
            .metrics()
            .certificate_expires(origin, shown.expires);
    }
}

impl Handshakes for Certificates {
    fn choose(&self, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let proof = self
            .acme
            .as_ref()
            .and_then(|keeper| keeper.proof_for(hello));
        proof.unwrap_or_else(|| Arc::clone(&self.current.load().config))
    }

    fn failed(&self, client: SocketAddr, error: &io::Error) {
        if !lacks_client_certificate(error) {
            return;
        }
        // Strangers bring this about: one line a second at most, the metric has the number.
        let now = clock::now().0;
        if self.told_at.swap(now, Ordering::Relaxed) != now {
            tracing::warn!(
                event = "client_certificate_refused",
                client_ip = %client.ip().to_canonical(),
                %error,
                "a client showed no certificate that server.tls.client_ca signed"
            );
        }
    }
}

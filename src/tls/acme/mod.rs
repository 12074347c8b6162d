//! Orders certificates from an authority (RFC 8555) and renews them.

mod client;
mod order;
mod proofs;
mod schedule;
mod store;

pub use proofs::Proofs;

use super::loading::Shown;
use super::{Certificate, Certificates, TlsProblem, files, protocol};
use crate::config::{Acme, AcmeChallenge};
use crate::judge::UnixSeconds;
use crate::net::clock;
use crate::net::handshake::ACME_TLS;
use crate::observe::{Observer, Order};
use order::Issued;
use rustls::ServerConfig;
use rustls::server::ClientHello;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// For a whole order, with all its requests.
const ORDER_WITHIN: Duration = Duration::from_secs(5 * 60);
/// The longest sleep before the clock is read again: it may have been set, or this machine have slept.
const LOOK_AGAIN: Duration = Duration::from_secs(60 * 60);

/// Why there is no new certificate: a sentence for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// The authority could not be asked, or gave no answer that means anything.
    Unreachable(String),
    /// The authority said no, or what it gave cannot serve.
    Refused(String),
}

/// The certificate kept from an earlier run; nothing where there is none.
pub(super) fn kept(acme: &Acme, now: UnixSeconds) -> Option<Result<Certificate, TlsProblem>> {
    Store::of(acme).certificate(now)
}

/// The certificate kept from an earlier run, if it can serve: also one that is not for all of the domains is better than none.
pub(super) fn take_up(acme: &Acme, now: UnixSeconds) -> Option<Shown> {
    match kept(acme, now)? {
        Ok(certificate) => Some(shown(certificate)),
        Err(problem) => {
            tracing::warn!(
                event = "certificate_refused",
                "the certificate that was kept is not used, another one is ordered: {problem}"
            );
            None
        }
    }
}

fn shown(certificate: Certificate) -> Shown {
    Shown::new("acme".to_owned(), certificate)
}

/// Keeps a certificate: orders the first one, and renews it.
#[derive(Debug)]
pub(super) struct Keeper {
    acme: Acme,
    store: Store,
    proofs: Arc<Proofs>,
    /// For authorities that look for a proof in a handshake.
    handshake: Option<Arc<ServerConfig>>,
    observer: Arc<Observer>,
}

impl Keeper {
    /// # Errors
    /// Nothing can be kept in the folder for it.
    pub(super) fn new(acme: &Acme, observer: Arc<Observer>) -> Result<Self, TlsProblem> {
        let store = Store::of(acme);
        store.prepare()?;
        let proofs = Arc::new(Proofs::default());
        let handshake = match acme.challenge {
            AcmeChallenge::TlsAlpn01 => {
                Some(Arc::new(protocol::for_proofs(Arc::clone(&proofs) as _)?))
            }
            AcmeChallenge::Http01 { .. } => None,
        };
        Ok(Self {
            acme: acme.clone(),
            store,
            proofs,
            handshake,
            observer,
        })
    }

    pub(super) const fn proofs(&self) -> &Arc<Proofs> {
        &self.proofs
    }

    /// How TLS is spoken with an authority that looks for a proof; nothing for anybody else.
    pub(super) fn proof_for(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let config = self.handshake.as_ref()?;
        // It offers this and nothing else (RFC 8737 section 4).
        let mut offered = hello.alpn()?;
        let is_asking = offered.next() == Some(ACME_TLS) && offered.next().is_none();
        is_asking.then(|| Arc::clone(config))
    }

    /// Orders when there is no certificate, none for all of the domains, or two thirds of its life are over.
    pub(super) async fn run(
        self: Arc<Self>,
        certificates: Arc<Certificates>,
        stop: CancellationToken,
    ) {
        let mut failures = 0_u32;
        let mut due = self.due(&certificates);
        loop {
            let left = Duration::from_secs(due.at.0.saturating_sub(clock::now().0));
            if !left.is_zero() {
                if sleeps(left.min(LOOK_AGAIN), &stop).await {
                    return;
                }
                continue;
            }
            tracing::info!(
                event = "acme_ordering",
                why = due.why,
                domains = self.acme.domains.join(","),
                directory = self.acme.directory,
                "ordering a certificate"
            );
            let ordered = tokio::select! {
                () = stop.cancelled() => return,
                ordered = self.order() => ordered,
            };
            self.proofs.clear();
            let installed = ordered.and_then(|shown| {
                certificates
                    .install(&shown)
                    .map_err(|problem| Failure::Refused(problem.to_string()))
            });
            let metrics = self.observer.metrics();
            match installed {
                Ok(()) => {
                    failures = 0;
                    metrics.certificate_ordered(Order::Issued);
                    due = self.due_again(&certificates);
                    tracing::info!(
                        event = "acme_ordered",
                        renew_at = due.at.0,
                        "the authority issued a certificate, it is shown from now on"
                    );
                }
                Err(failure) => {
                    failures = failures.saturating_add(1);
                    let pause = schedule::pause(&failure, failures, schedule::jitter());
                    self.tell_failure(&failure, failures, pause, &certificates);
                    if sleeps(pause, &stop).await {
                        return;
                    }
                }
            }
        }
    }

    fn tell_failure(
        &self,
        failure: &Failure,
        failures: u32,
        pause: Duration,
        certificates: &Certificates,
    ) {
        let (outcome, error) = match failure {
            Failure::Unreachable(error) => (Order::Unreachable, error),
            Failure::Refused(error) => (Order::Refused, error),
        };
        self.observer.metrics().certificate_ordered(outcome);
        let (outcome, retry_in_seconds) = (outcome.word(), pause.as_secs());
        let now = clock::now();
        // It may well mend itself, while there is time for that.
        if certificates
            .ordered()
            .is_some_and(|shown| !shown.is_ending(now))
        {
            tracing::warn!(
                event = "acme_order_failed",
                outcome,
                failures,
                retry_in_seconds,
                error,
                "no certificate was issued; the one in use stays"
            );
        } else {
            tracing::error!(
                event = "acme_order_failed",
                outcome,
                failures,
                retry_in_seconds,
                error,
                "no certificate was issued, and there is none, or it ends soon"
            );
        }
    }

    fn due(&self, certificates: &Certificates) -> Due {
        match certificates.ordered() {
            None => Due {
                at: UnixSeconds(0),
                why: "first",
            },
            Some(shown) if !self.is_for_all(&shown) => Due {
                at: UnixSeconds(0),
                why: "domains",
            },
            Some(shown) => Due {
                at: schedule::renew_at(shown.starts, shown.expires, schedule::jitter()),
                why: "renewal",
            },
        }
    }

    /// After an order that brought a certificate for all of the domains.
    fn due_again(&self, certificates: &Certificates) -> Due {
        let now = clock::now();
        let at = certificates.ordered().map_or(now, |shown| {
            schedule::renew_new_at(shown.starts, shown.expires, now, schedule::jitter())
        });
        Due { at, why: "renewal" }
    }

    /// Whether a certificate is for all of the domains. It may be for more: some authorities add a name.
    fn is_for_all(&self, shown: &Shown) -> bool {
        let has = |domain: &String| {
            let mut names = shown.names.iter();
            names.any(|name| name.eq_ignore_ascii_case(domain))
        };
        self.acme.domains.iter().all(has)
    }

    async fn order(&self) -> Result<Shown, Failure> {
        let ordered = order::place(&self.acme, &self.store, &self.proofs);
        let ordered = tokio::time::timeout(ORDER_WITHIN, ordered).await;
        let issued = ordered.unwrap_or_else(|_| {
            Err(Failure::Unreachable(format!(
                "the order took longer than {ORDER_WITHIN:?}"
            )))
        })?;
        let shown = self.checked(&issued)?;
        if let Err(error) = self.store.keep_certificate(&issued.key, &issued.chain) {
            tracing::error!(
                event = "acme_not_kept",
                path = %self.store.path().display(),
                %error,
                "the certificate cannot be kept; the next start orders another"
            );
        }
        Ok(shown)
    }

    /// What an authority issues is held to what files are held to.
    fn checked(&self, issued: &Issued) -> Result<Shown, Failure> {
        let path = self.store.path();
        let refused =
            |what: String| Failure::Refused(format!("what was issued cannot be used: {what}"));
        let certificate = files::of_text(
            &path,
            issued.chain.as_bytes(),
            issued.key.as_bytes(),
            clock::now(),
        )
        .map_err(|problem| refused(problem.to_string()))?;
        let shown = shown(certificate);
        if self.is_for_all(&shown) {
            Ok(shown)
        } else {
            Err(refused(format!(
                "it is for {} only",
                shown.names.join(", ")
            )))
        }
    }
}

/// When the next certificate is to be ordered.
struct Due {
    at: UnixSeconds,
    why: &'static str,
}

/// Whether the gateway stopped meanwhile.
async fn sleeps(time: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => true,
        () = tokio::time::sleep(time) => false,
    }
}

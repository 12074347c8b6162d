//! Metrics of certificates that are loaded again, or ordered.

use super::Metrics;
use super::describe::Describe;
use prometheus::IntCounterVec;

/// What came of loading the certificates again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateReload {
    /// New ones are shown.
    Applied,
    /// Nothing was different.
    Unchanged,
    /// One of the files cannot serve; all of the old ones stay.
    Refused,
}

impl CertificateReload {
    const ALL: [Self; 3] = [Self::Applied, Self::Unchanged, Self::Refused];

    const fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// What came of ordering a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is shown.
    Issued,
    /// The authority said no, or could not find the proof.
    Refused,
    /// The authority could not be asked, or gave no answer that means anything.
    Unreachable,
}

impl Order {
    const ALL: [Self; 3] = [Self::Issued, Self::Refused, Self::Unreachable];

    /// As in the log, and on the metric.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
        }
    }
}

#[derive(Debug)]
pub(super) struct Certificates {
    /// `botgate_certificate_reloads_total{outcome}`: on change and on SIGHUP. outcome: applied, unchanged, refused.
    reloads: IntCounterVec,
    /// `botgate_acme_orders_total{outcome}`: attempts to order a certificate. outcome: issued, refused, unreachable.
    orders: IntCounterVec,
}

impl Certificates {
    pub(super) fn new(describe: &Describe<'_>) -> Result<Self, prometheus::Error> {
        let this = Self {
            reloads: describe.counters(
                "botgate_certificate_reloads_total",
                &["outcome"],
                "Attempts to load the certificates again.",
            )?,
            orders: describe.counters(
                "botgate_acme_orders_total",
                &["outcome"],
                "Attempts to order a certificate.",
            )?,
        };
        for outcome in CertificateReload::ALL {
            this.reloads.with_label_values(&[outcome.word()]);
        }
        for outcome in Order::ALL {
            this.orders.with_label_values(&[outcome.word()]);
        }
        Ok(this)
    }
}

impl Metrics {
    /// The certificates were loaded again, or not.
    pub fn certificates_reloaded(&self, outcome: CertificateReload) {
        self.certificates
            .reloads
            .with_label_values(&[outcome.word()])
            .inc();
    }

    /// An order of a certificate ended.
    pub fn certificate_ordered(&self, outcome: Order) {
        self.certificates
            .orders
            .with_label_values(&[outcome.word()])
            .inc();
    }
}

//! One order of one certificate, from the account to the chain (RFC 8555 section 7.4).

use super::Failure;
use super::client::Client;
use super::proofs::Proofs;
use super::store::Store;
use crate::config::{Acme, AcmeChallenge};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use std::time::Duration;

/// For the authority to look at all proofs, and again to issue.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

/// What an order brings.
pub(super) struct Issued {
    /// PEM.
    pub(super) key: String,
    /// PEM, the server's own certificate first.
    pub(super) chain: String,
}

/// Orders a certificate for all domains.
pub(super) async fn place(acme: &Acme, store: &Store, proofs: &Proofs) -> Result<Issued, Failure> {
    let kept = store.account().map_err(Failure::Refused)?;
    let is_kept = kept.is_some();
    let account = match kept {
        Some(kept) => {
            let client = Client::new(acme).map_err(Failure::Unreachable)?;
            Account::builder_with_http(Box::new(client))
                .from_credentials(kept)
                .await?
        }
        None => new_account(acme, store).await?,
    };
    match with(&account, acme, proofs).await {
        // The authority has forgotten us, or was replaced behind the same address.
        Err(Ended::UnknownAccount(_)) if is_kept => {
            let account = new_account(acme, store).await?;
            Ok(with(&account, acme, proofs).await?)
        }
        outcome => Ok(outcome?),
    }
}

async fn new_account(acme: &Acme, store: &Store) -> Result<Account, Failure> {
    let contact: Vec<&str> = acme.contact.iter().map(String::as_str).collect();
    let wanted = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let client = Client::new(acme).map_err(Failure::Unreachable)?;
    let (account, credentials) = Account::builder_with_http(Box::new(client))
        .create(&wanted, acme.directory.clone(), None)
        .await?;
    // Before it is used: an account that is lost is one more that the authority counts.
    store
        .keep_account(&credentials)
        .map_err(|error| Failure::Refused(format!("the account cannot be kept: {error}")))?;
    tracing::info!(
        event = "acme_account_created",
        directory = acme.directory,
        account = account.id(),
        "the authority gave us an account"
    );
    Ok(account)
}

async fn with(account: &Account, acme: &Acme, proofs: &Proofs) -> Result<Issued, Ended> {
    let domains = acme.domains.iter().cloned().map(Identifier::Dns);
    let domains: Vec<Identifier> = domains.collect();
    let mut order = account.new_order(&NewOrder::new(&domains)).await?;
    prove(&mut order, acme, proofs).await?;
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(Issued { key, chain })
}

/// Shows the proofs of all domains and waits until the authority has seen them.
async fn prove(order: &mut Order, acme: &Acme, proofs: &Proofs) -> Result<(), Ended> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Pending => {}
            // Proven for an earlier order.
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Invalid
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Expired
            | AuthorizationStatus::Deactivated => {
                let what = format!("the authority calls it {:?}", authorization.status);
                return Err(Ended::Refused(what));
            }
        }
        let (kind, word) = match acme.challenge {
            AcmeChallenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
            AcmeChallenge::Http01 { .. } => (ChallengeType::Http01, "http-01"),
        };
        let Some(mut challenge) = authorization.challenge(kind) else {
            let what = format!("the authority does not offer the challenge {word}");
            return Err(Ended::Refused(what));
        };
        let proof = challenge.key_authorization();
        match acme.challenge {
            AcmeChallenge::TlsAlpn01 => {
                let domain = challenge.identifier().to_string();
                proofs
                    .show_in_handshakes(&domain, &proof)
                    .map_err(Ended::Refused)?;
            }
            AcmeChallenge::Http01 { .. } => proofs.show_on_http(&challenge.token, &proof),
        }
        challenge.set_ready().await?;
    }
    match order.poll_ready(&PATIENCE).await? {
        OrderStatus::Ready | OrderStatus::Valid | OrderStatus::Processing => Ok(()),
        OrderStatus::Pending | OrderStatus::Invalid => {
            Err(Ended::Refused(why_invalid(order).await))
        }
    }
}

/// What the authority says of each proof that it did not find.
async fn why_invalid(order: &mut Order) -> String {
    let mut found = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            continue;
        }
        let domain = authorization.identifier().to_string();
        let errors = authorization
            .challenges
            .iter()
            .filter_map(|challenge| challenge.error.as_ref());
        found.extend(errors.map(|error| format!("{domain}: {error}")));
    }
    if found.is_empty() {
        "the authority calls the order invalid, and says no more".to_owned()
    } else {
        found.join("; ")
    }
}

/// How an order can end without a certificate.
enum Ended {
    UnknownAccount(String),
    Refused(String),
    Unreachable(String),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        const UNKNOWN: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
        match error {
            Error::Api(problem) if problem.r#type.as_deref() == Some(UNKNOWN) => {
                Self::UnknownAccount(problem.to_string())
            }
            Error::Api(problem) if problem.status.is_none_or(|status| status < 500) => {
                Self::Refused(problem.to_string())
            }
            Error::Other(inner) => Self::Unreachable(inner.to_string()),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl From<Ended> for Failure {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::UnknownAccount(what) | Ended::Refused(what) => Self::Refused(what),
            Ended::Unreachable(what) => Self::Unreachable(what),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Ended::from(error).into()
    }
}

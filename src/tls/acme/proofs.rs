//! What an authority looks for while an order is open: proofs in TLS handshakes, or on plain HTTP.

use crate::net::RequestBody;
use crate::net::listener::{Door, Event};
use crate::net::{Body, Peer, body};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use instant_acme::KeyAuthorization;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The proofs of the open order. As a door, it answers on plain HTTP, and knows nothing else.
#[derive(Debug, Default)]
pub struct Proofs {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Self-signed certificates by domain (RFC 8737 section 3).
    certificates: HashMap<String, Arc<CertifiedKey>>,
    /// Key authorizations by token (RFC 8555 section 8.3).
    texts: HashMap<String, String>,
}

/// Where an authority asks by plain HTTP, before the token.
const WELL_KNOWN: &str = "/.well-known/acme-challenge/";

impl Proofs {
    /// Answers handshakes for this domain.
    ///
    /// # Errors
    /// No such certificate can be made.
    pub(super) fn show_in_handshakes(
        &self,
        domain: &str,
        proof: &KeyAuthorization,
    ) -> Result<(), String> {
        let certificate = certificate(domain, proof)?;
        self.open()
            .certificates
            .insert(domain.to_owned(), Arc::new(certificate));
        Ok(())
    }

    /// Answers plain HTTP requests for this token.
    pub(super) fn show_on_http(&self, token: &str, proof: &KeyAuthorization) {
        self.open()
            .texts
            .insert(token.to_owned(), proof.as_str().to_owned());
    }

    /// The order is closed.
    pub(super) fn clear(&self) {
        *self.open() = Open::default();
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn certificate(domain: &str, proof: &KeyAuthorization) -> Result<CertifiedKey, String> {
    let told = |error: &dyn std::fmt::Display| format!("no proof can be made: {error}");
    let digest = proof.digest();
    let digest = digest.as_ref();
    if digest.len() != 32 {
        return Err(told(&"its digest is no SHA-256"));
    }
    let mut params = CertificateParams::new([domain.to_owned()]).map_err(|e| told(&e))?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(|e| told(&e))?;
    let signed = params.self_signed(&key).map_err(|e| told(&e))?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = any_ecdsa_type(&key).map_err(|e| told(&e))?;
    Ok(CertifiedKey::new(vec![signed.der().clone()], key))
}

impl ResolvesServerCert for Proofs {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let domain = hello.server_name()?.to_ascii_lowercase();
        self.open().certificates.get(&domain).cloned()
    }
}

impl Door for Proofs {
    async fn answer(self: Arc<Self>, request: Request<RequestBody>, _peer: Peer) -> Response<Body> {
        let is_asking = matches!(*request.method(), Method::GET | Method::HEAD);
        let token = request.uri().path().strip_prefix(WELL_KNOWN);
        let text = token
            .filter(|_| is_asking)
            .and_then(|token| self.open().texts.get(token).cloned());
        let Some(text) = text else {
            let mut response = Response::new(body::full("not found\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        };
        let mut response = Response::new(body::full(text));
        let media_type = HeaderValue::from_static("application/octet-stream");
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        response
    }

    fn heard(&self, event: Event<'_>) {
        if let Event::AcceptFailed {
            error,
            why,
            is_due: true,
        } = event
        {
            tracing::error!(
                event = "accept_failed",
                why = why.word(),
                %error,
                "cannot accept connections of the certificate authority; further failures of this minute are not told"
            );
        }
    }
}

//! Which certificate a client gets: by the name it asks for.

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;

/// Certificates by server name: the exact name, then a wildcard of one label, then the default.
#[derive(Debug, Default)]
pub(super) struct ByName {
    /// For clients that ask for no name, or for one that is not here. Nothing before the first certificate was ordered.
    default: Option<Arc<CertifiedKey>>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows the star and its dot.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
}

impl ByName {
    pub(super) fn new(default: Option<Arc<CertifiedKey>>) -> Self {
        Self {
            default,
            ..Self::default()
        }
    }

    /// Adds a certificate for a name in lower case, perhaps with `*.` in front.
    pub(super) fn add(&mut self, name: &str, certificate: &Arc<CertifiedKey>) {
        let certificate = Arc::clone(certificate);
        match name.strip_prefix("*.") {
            Some(rest) => self.wildcard.insert(rest.to_owned(), certificate),
            None => self.exact.insert(name.to_owned(), certificate),
        };
    }

    fn find(&self, asked: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let named = asked.map(str::to_ascii_lowercase).and_then(|name| {
            // A star stands for exactly one label (RFC 6125 section 6.4.3).
            let above = || name.split_once('.').map(|(_, above)| above);
            self.exact
                .get(&name)
                .or_else(|| self.wildcard.get(above()?))
        });
        named.or(self.default.as_ref())
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::aws_lc_rs::sign::any_supported_type;
    use rustls::pki_types::PrivateKeyDer;

    fn certificate() -> Arc<CertifiedKey> {
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::default().self_signed(&key).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Arc::new(CertifiedKey::new(
            vec![own.der().clone()],
            any_supported_type(&key).unwrap(),
        ))
    }

    #[test]
    fn an_exact_name_goes_before_a_wildcard_and_that_before_the_default() {
        let [default, exact, wildcard] = [(); 3].map(|()| certificate());
        let mut names = ByName::new(Some(Arc::clone(&default)));
        names.add("*.example.com", &wildcard);
        names.add("bot.example.com", &exact);
        for (asked, expected) in [
            (Some("bot.example.com"), &exact),
            (Some("BOT.Example.com"), &exact),
            (Some("other.example.com"), &wildcard),
            (Some("example.com"), &default),
            (Some("a.b.example.com"), &default),
            (Some("evilexample.com"), &default),
            (Some("other.example"), &default),
            (Some("localhost"), &default),
            (None, &default),
        ] {
            let found = names.find(asked).unwrap();
            assert!(Arc::ptr_eq(found, expected), "{asked:?}");
        }
    }

    #[test]
    fn without_a_default_only_known_names_get_one() {
        let mut names = ByName::new(None);
        names.add("bot.example.com", &certificate());
        assert!(names.find(Some("bot.example.com")).is_some());
        assert!(names.find(Some("example.com")).is_none());
        assert!(names.find(None).is_none());
    }
}

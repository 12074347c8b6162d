//! OpenID metadata: wherever it says that the keys are, they are fetched over https from the metadata's own host, or from one of
//! those that are known for it. The first line says whose metadata it is.

use super::token::{ISSUER, halves};
use botgate::keyring::keys_address;
use http::Uri;
use url::Url;

const AT: &str = "https://login.botframework.com/v1/.well-known/openidconfiguration";
const KEY_HOST: &str = "sts.windows.net";

pub fn check(input: &[u8]) -> bool {
    let (whose, document) = halves(input, b'\n');
    let at: Uri = AT.parse().expect("a URL");
    let issuer = (whose != b"any").then_some(ISSUER);
    let Ok(keys_at) = keys_address(&at, document, issuer, &[KEY_HOST.to_owned()]) else {
        return false;
    };
    // Members that nobody asks for may hold an unpaired surrogate, which no String can.
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(document) {
        assert_eq!(keys_at, value["jwks_uri"].as_str().expect("an address"));
        assert!(issuer.is_none() || value["issuer"].as_str() == issuer);
    }
    let same = Url::parse(&keys_at.to_string()).expect("what is fetched is a URL to others, too");
    assert_eq!(same.scheme(), "https");
    assert!(matches!(
        same.host_str(),
        Some("login.botframework.com" | KEY_HOST)
    ));
    assert_eq!(same.port_or_known_default(), Some(443));
    assert_eq!((same.username(), same.password()), ("", None));
    true
}

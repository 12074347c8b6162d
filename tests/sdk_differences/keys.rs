//! The keys of one run. All that are to be published are published from the start: some SDKs look for new ones once an hour.

use crate::post::TEAMS;
use crate::stage::microsoft::{APP_ID, KeySets};
use botgate::cli::demo::channel::{ENDORSED, ISSUER, now};
use botgate::cli::demo::signing::SigningKey;
use botgate::cli::demo::token::TokenSpec;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

pub(crate) struct Keys {
    pub(crate) channel: SigningKey,
    pub(crate) direct_line_only: SigningKey,
    pub(crate) without_endorsements: SigningKey,
    pub(crate) with_no_endorsement: SigningKey,
    pub(crate) for_the_app_service_extension: SigningKey,
    pub(crate) for_encryption: SigningKey,
    /// The Connector's of another cloud.
    pub(crate) gov: SigningKey,
    pub(crate) entra: SigningKey,
    /// Published by nobody.
    pub(crate) attacker: SigningKey,
    /// A valid token by a published key of 1024 bits.
    pub(crate) token_by_a_short_key: String,
    short: Value,
}

impl Keys {
    pub(crate) fn make() -> Self {
        let make = |kid: &str| SigningKey::generate(kid).unwrap();
        // One pair of numbers under many names: making one takes long.
        let other = make("direct-line-only");
        let channel = make("channel-key");
        let (token_by_a_short_key, short) = with_a_short_key(&channel);
        Self {
            without_endorsements: other.named("without-endorsements"),
            with_no_endorsement: other.named("with-no-endorsement"),
            for_the_app_service_extension: other.named("for-the-app-service-extension"),
            for_encryption: other.named("for-encryption"),
            direct_line_only: other,
            channel,
            gov: make("gov-key"),
            entra: make("entra-key"),
            attacker: make("attacker-key"),
            token_by_a_short_key,
            short,
        }
    }

    /// What Microsoft publishes.
    pub(crate) fn published(&self) -> KeySets {
        let endorsed = |key: &SigningKey, endorsements: &[&str]| {
            let mut jwk = key.jwk();
            jwk.insert("endorsements".to_owned(), json!(endorsements));
            jwk
        };
        let mut for_encryption = endorsed(&self.for_encryption, ENDORSED);
        for_encryption.insert("use".to_owned(), json!("enc"));
        KeySets {
            channel: vec![
                endorsed(&self.channel, ENDORSED).into(),
                endorsed(&self.direct_line_only, &["directline", "webchat"]).into(),
                self.without_endorsements.jwk().into(),
                endorsed(&self.with_no_endorsement, &[]).into(),
                endorsed(
                    &self.for_the_app_service_extension,
                    &["AseChannel", "msteams"],
                )
                .into(),
                for_encryption.into(),
                self.short.clone(),
            ],
            gov: vec![endorsed(&self.gov, ENDORSED).into()],
            entra: vec![self.entra.jwk().into()],
        }
    }
}

/// A token by a key of 1024 bits, and the key as a JWK. Node makes both: the gateway's own library knows no keys that short.
fn with_a_short_key(key: &SigningKey) -> (String, Value) {
    let kid = "short-key";
    let token = TokenSpec::new(&key.named(kid), ISSUER, APP_ID, TEAMS, now())
        .sign()
        .unwrap();
    let (message, _) = token.rsplit_once('.').unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk_differences/short-key.js");
    let output = Command::new("node")
        .arg(script)
        .arg(message)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let jwk = json!({
        "kty": "RSA", "use": "sig", "kid": kid, "x5t": kid, "n": made["n"], "e": made["e"], "endorsements": ENDORSED,
    });
    let signature = made["signature"].as_str().unwrap();
    (format!("{message}.{signature}"), jwk)
}

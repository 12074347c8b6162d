//! What all proxies are given alike: a certificate, the channel's key, tokens signed with it. Kept under `target/`, since
//! signing so many takes half a minute.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use botgate::cli::demo::channel::{ENDORSED, ISSUER, now};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const APP_ID: &str = "5d0c7e1a-9f2b-4c3d-8e4f-0a1b2c3d4e5f";
pub(crate) const TENANT: &str = "3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11";
pub(crate) const SERVICE_URL: &str =
    "https://smba.trafficmanager.net/emea/3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11/";
pub(crate) const USER: &str = "29:1dX9aVq3mH0cJtJk7-oWn2uYb5sRz8pLQe4fKg6iMhTvB0xA";
pub(crate) const CONVERSATION: &str = "a:1pL7mN3bV5cX9zQ2wE4rT6yU8iO0aS1dF3gH5jK7lZ9xC2vB4nM6";
pub(crate) const KEY_ID: &str = "kF9x3bq0mV2yT7hLrW1cZ8uNsPk";

/// Tokens that come again and again: what one conversation each brings.
pub(crate) const REPEATED: usize = 64;
/// Tokens that come once.
const NEW: usize = 60_000;
const DAY: u64 = 24 * 60 * 60;
/// A token that is kept must be good for so long.
const RUN: u64 = 3 * 60 * 60;

#[derive(Clone)]
pub(crate) struct Material {
    pub(crate) folder: PathBuf,
    key: Arc<KeyPair>,
}

impl Material {
    /// What `folder` holds, or makes it.
    pub(crate) fn prepare(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let saved = folder.join("signing.der");
        let key = match fs::read(&saved).map(|der| KeyPair::from_pkcs8(&der)) {
            Ok(Ok(key)) => key,
            Ok(Err(_)) | Err(_) => {
                let key = KeyPair::generate(KeySize::Rsa2048).expect("randomness");
                let der: Pkcs8V1Der<'_> = key.as_der().expect("a key");
                fs::write(&saved, der.as_ref()).expect("a file");
                let _ = fs::remove_file(folder.join("until"));
                key
            }
        };
        let material = Self {
            folder: folder.to_owned(),
            key: Arc::new(key),
        };
        material.prepare_certificate();
        material.prepare_tokens();
        fs::write(folder.join("signing.pem"), material.public_pem()).expect("a file");
        let keys = json!({ "keys": [material.jwk()] });
        fs::write(folder.join("keys.json"), keys.to_string()).expect("a file");
        material
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    pub(crate) fn certificate_key(&self) -> PathBuf {
        self.folder.join("server.key")
    }

    fn prepare_certificate(&self) {
        if self.certificate_key().exists() {
            return;
        }
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let names = vec!["localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).and_then(|p| p.self_signed(&key));
        let (chain, key) = (
            certificate.expect("a certificate").pem(),
            key.serialize_pem(),
        );
        fs::write(self.certificate(), &chain).expect("a file");
        fs::write(self.folder.join("both.pem"), format!("{chain}{key}")).expect("a file");
        fs::write(self.certificate_key(), key).expect("a file");
    }

    /// The public key as the channel publishes it.
    pub(crate) fn jwk(&self) -> Value {
        let public = self.key.public_key();
        let n = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
        let e = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "x5t": KEY_ID, "n": n, "e": e,
            "endorsements": ENDORSED,
        })
    }

    fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.key.public_key().as_der().expect("a key");
        let text = STANDARD.encode(der.as_ref());
        let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
        let lines: Vec<_> = lines.collect();
        let lines = lines.join("\n");
        format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")
    }

    fn prepare_tokens(&self) {
        let until = self.folder.join("until");
        let kept = fs::read_to_string(&until).unwrap_or_default();
        if kept.parse::<u64>().is_ok_and(|until| until > now() + RUN) {
            return;
        }
        eprintln!("signing {NEW} tokens ...");
        let now = now();
        fs::write(
            self.folder.join("repeated.txt"),
            self.sign(now, 0..REPEATED),
        )
        .expect("a file");
        let half = REPEATED + NEW / 2;
        let tokens = std::thread::scope(|scope| {
            let one = scope.spawn(|| self.sign(now, REPEATED..half));
            let other = self.sign(now, half..REPEATED + NEW);
            one.join().expect("no panic") + &other
        });
        fs::write(self.folder.join("new.txt"), tokens).expect("a file");
        fs::write(until, (now + DAY - 1200).to_string()).expect("a file");
    }

    /// Tokens, a line each. They differ as the Connector's do, in their times and nothing else.
    fn sign(&self, now: u64, numbers: std::ops::Range<usize>) -> String {
        let header = json!({ "alg": "RS256", "kid": KEY_ID, "typ": "JWT", "x5t": KEY_ID });
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let mut lines = String::new();
        let mut signature = vec![0; self.key.public_modulus_len()];
        for number in numbers {
            let number = number as u64;
            let claims = json!({
                "serviceurl": SERVICE_URL,
                "nbf": now - 600 + number % 600,
                "exp": now + DAY - 1200 + number / 600,
                "iss": ISSUER,
                "aud": APP_ID,
            });
            let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
            let random = SystemRandom::new();
            let signed = self.key.sign(
                &RSA_PKCS1_SHA256,
                &random,
                message.as_bytes(),
                &mut signature,
            );
            signed.expect("a signature");
            let signature = URL_SAFE_NO_PAD.encode(&signature);
            lines.extend([message.as_str(), ".", &signature, "\n"]);
        }
        lines
    }
}

/// A sentence of a long text, as JSON has it: with a line's end, quotes and a letter beyond ASCII.
const SENTENCE: &str = r#"It says \"no network path\", as it did last week in Zürich; the others here see the drive.\n"#;

/// The same as `activity` with a text so long that the whole has this length.
pub(crate) fn activity_of(bytes: usize) -> String {
    const MARK: &str = r#""text":""#;
    let mut activity: Value = serde_json::from_str(&activity()).expect("JSON");
    activity["text"] = json!("");
    // A thousand bytes are less than it has with all of this.
    let object = activity.as_object_mut().expect("an object");
    object.remove("attachments");
    object.remove("entities");
    let rest = activity.to_string();
    let at = rest.find(MARK).expect("a text") + MARK.len();
    let room = bytes
        .checked_sub(rest.len())
        .expect("a body that is long enough");
    let mut text = SENTENCE.repeat(room / SENTENCE.len());
    text.push_str(&".".repeat(room - text.len()));
    format!("{}{text}{}", &rest[..at], &rest[at..])
}

/// What a user of Teams said, in the shape and about the size that the Connector sends it.
pub(crate) fn activity() -> String {
    json!({
        "text": "<at>Helpdesk</at> my laptop has lost the network drive again, and the ticket of last week was closed. Can you reopen it?",
        "textFormat": "plain",
        "attachments": [{ "contentType": "text/html", "content": "<p>my laptop has lost the network drive again</p>" }],
        "type": "message",
        "timestamp": "2026-11-18T09:34:00.1234567Z",
        "localTimestamp": "2026-11-18T10:34:00.1234567+01:00",
        "id": "1795000600000",
        "channelId": "msteams",
        "serviceUrl": SERVICE_URL,
        "from": {
            "id": USER,
            "name": "Ada Example",
            "aadObjectId": "7d2c6a31-9b53-4a0f-b8a3-21f9e6c5d004",
        },
        "conversation": {
            "conversationType": "personal",
            "tenantId": TENANT,
            "id": CONVERSATION,
        },
        "recipient": { "id": format!("28:{APP_ID}"), "name": "Helpdesk" },
        "entities": [{ "locale": "en-GB", "country": "GB", "platform": "Web", "timezone": "Europe/London", "type": "clientInfo" }],
        "channelData": { "tenant": { "id": TENANT } },
        "locale": "en-GB",
        "localTimezone": "Europe/London",
    })
    .to_string()
}

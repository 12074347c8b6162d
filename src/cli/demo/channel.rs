//! A stand-in for the Bot Connector: publishes keys, signs tokens, takes in what a bot sends back.

pub use super::connector::{Delivery, Document, Fetches};

use super::connector::{ENTRA_METADATA_PATH, METADATA_PATH, Shared, State, answer};
use super::loopback::{Loopback, hold};
use super::signing::SigningKey;
use super::token::TokenSpec;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// What the Connector of the public cloud writes into `iss`.
pub const ISSUER: &str = "https://api.botframework.com";
/// The channels that the first key of a new [`Channel`] is endorsed for.
pub const ENDORSED: &[&str] = &["msteams", "webchat", "directline", "email"];
/// Service URL of Teams. Like every service URL of the demo it is only compared, never called.
pub const TEAMS_SERVICE_URL: &str = "https://smba.trafficmanager.net/emea/";

/// The name of the key that [`Channel::start`] makes.
pub const FIRST_KID: &str = "stand-in-channel-key-1";

/// The name of the key that Entra's tokens are signed with.
pub const ENTRA_KID: &str = "stand-in-entra-key-1";
/// What Entra writes for any tenant into the `issuer` of its keys.
pub const ENTRA_KEY_ISSUER: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";

/// A stand-in Bot Connector on 127.0.0.1, with a stand-in Entra beside it. Clones are handles to the same one, which stops with the last of them.
#[derive(Clone)]
pub struct Channel {
    server: Arc<Loopback>,
    shared: Arc<Shared>,
    first_key: SigningKey,
}

impl Channel {
    /// Starts it with one key, endorsed for [`ENDORSED`].
    ///
    /// # Errors
    /// When there is no port or no randomness to be had.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(SigningKey::generate(FIRST_KID).map_err(io::Error::other)?).await
    }

    /// Starts it with a key made before, which takes long: several channels may share one.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub async fn start_with(first_key: SigningKey) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                issuer: ISSUER.to_owned(),
                ..State::default()
            }),
            fetches: watch::Sender::new(Fetches::default()),
            deliveries: watch::Sender::new(vec![]),
        });
        let seen = Arc::clone(&shared);
        let server = Loopback::start(move |request| answer(Arc::clone(&seen), request)).await?;
        let channel = Self {
            server: Arc::new(server),
            shared,
            first_key,
        };
        channel.publish(&channel.first_key, Some(ENDORSED));
        // The same numbers under another name: making a pair takes long, and the key sets are apart in any case.
        channel.publish_in_entra(&channel.first_key.named(ENTRA_KID), Some(ENTRA_KEY_ISSUER));
        Ok(channel)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Where the OpenID metadata is.
    pub fn metadata_url(&self) -> String {
        format!("{}{METADATA_PATH}", self.origin())
    }

    /// A service URL that leads back here: a bot that answers there is heard by [`deliveries`](Self::deliveries).
    pub fn service_url(&self) -> String {
        format!("{}/", self.origin())
    }

    /// The `[clouds.NAME]` table that makes a gateway trust this channel.
    pub fn cloud_toml(&self, name: &str) -> String {
        let mut toml = format!("[clouds.{name}]\n");
        let mut line = |key: &str, value: Value| {
            // A JSON string or array of strings is also TOML.
            let _infallible = writeln!(toml, "{key} = {value}");
        };
        line("channel_metadata", json!(self.metadata_url()));
        line("channel_issuer", json!(hold(&self.shared.state).issuer));
        line(
            "entra_metadata",
            json!(format!("{}{ENTRA_METADATA_PATH}", self.origin())),
        );
        line(
            "entra_issuers",
            json!([
                "https://sts.windows.net/{tenant}/",
                "https://login.microsoftonline.com/{tenant}/v2.0"
            ]),
        );
        line(
            "service_url_hosts",
            json!([
                "127.0.0.1",
                "localhost",
                "smba.trafficmanager.net",
                "*.botframework.com"
            ]),
        );
        toml
    }

    /// A token by [`first_key`](Self::first_key), valid from now on, to be changed at will and signed with
    /// [`TokenSpec::sign`].
    pub fn token(&self, audience: &str, service_url: &str) -> TokenSpec {
        let issuer = hold(&self.shared.state).issuer.clone();
        TokenSpec::new(&self.first_key, &issuer, audience, service_url, now())
    }

    /// A token of Entra, version 2, issued to the application `caller` in a tenant for `audience`.
    pub fn entra_token(&self, audience: &str, tenant: &str, caller: &str) -> TokenSpec {
        TokenSpec::of_entra(
            &self.first_key.named(ENTRA_KID),
            tenant,
            audience,
            caller,
            now(),
        )
    }

    /// Publishes a key in Entra, for all tenants, in place of one with the same `kid`.
    pub fn publish_in_entra(&self, key: &SigningKey, issuer: Option<&str>) {
        let entry = (key.clone(), issuer.map(str::to_owned));
        let mut state = hold(&self.shared.state);
        state
            .entra_keys
            .retain(|(other, _)| other.kid() != key.kid());
        state.entra_keys.push(entry);
    }

    /// Stops publishing a key in Entra.
    pub fn withdraw_from_entra(&self, kid: &str) {
        hold(&self.shared.state)
            .entra_keys
            .retain(|(key, _)| key.kid() != kid);
    }

    /// Changes how Entra's metadata is served.
    pub fn serve_entra_metadata(&self, document: Document) {
        hold(&self.shared.state).entra_metadata = document;
    }

    /// Changes how Entra's common key set is served.
    pub fn serve_entra_keys(&self, document: Document) {
        hold(&self.shared.state).entra_key_set = document;
    }

    /// Changes how the key sets of single tenants are served.
    pub fn serve_tenant_keys(&self, document: Document) {
        hold(&self.shared.state).tenant_key_set = document;
    }

    /// The tenants whose own key sets were asked for so far, in order.
    pub fn tenants_asked(&self) -> Vec<String> {
        hold(&self.shared.state).tenants_asked.clone()
    }

    /// The key it was started with, whether still published or not.
    pub const fn first_key(&self) -> &SigningKey {
        &self.first_key
    }

    /// Sets `issuer` of the metadata and `iss` of tokens made from now on.
    pub fn set_issuer(&self, issuer: &str) {
        issuer.clone_into(&mut hold(&self.shared.state).issuer);
    }

    /// Sets `jwks_uri` of the metadata; `None` for this channel's own.
    pub fn set_jwks_uri(&self, uri: Option<&str>) {
        hold(&self.shared.state).jwks_uri = uri.map(str::to_owned);
    }

    /// Publishes a key, in place of one with the same `kid`. Without endorsements the member is absent.
    pub fn publish(&self, key: &SigningKey, endorsements: Option<&[&str]>) {
        let endorsements = endorsements
            .map(|channels| channels.iter().map(|&channel| channel.to_owned()).collect());
        let mut state = hold(&self.shared.state);
        match state
            .keys
            .iter_mut()
            .find(|(other, _)| other.kid() == key.kid())
        {
            Some(entry) => *entry = (key.clone(), endorsements),
            None => state.keys.push((key.clone(), endorsements)),
        }
    }

    /// Makes a new key and publishes it.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub fn add_key(&self, kid: &str, endorsements: Option<&[&str]>) -> io::Result<SigningKey> {
        let key = SigningKey::generate(kid).map_err(io::Error::other)?;
        self.publish(&key, endorsements);
        Ok(key)
    }

    /// Stops publishing a key.
    pub fn withdraw(&self, kid: &str) {
        hold(&self.shared.state)
            .keys
            .retain(|(key, _)| key.kid() != kid);
    }

    /// Appends an entry to the key set as it is: too small, for encryption, without `kid`, no object at all.
    pub fn publish_raw(&self, entry: Value) {
        hold(&self.shared.state).raw_keys.push(entry);
    }

    /// Changes how the metadata is served.
    pub fn serve_metadata(&self, document: Document) {
        hold(&self.shared.state).metadata = document;
    }

    /// Changes how the key set is served.
    pub fn serve_keys(&self, document: Document) {
        hold(&self.shared.state).key_set = document;
    }

    /// How often the documents were asked for so far.
    pub fn fetches(&self) -> Fetches {
        *self.shared.fetches.borrow()
    }

    /// Waits until the key set was asked for `count` times in all; false if that does not happen in time.
    pub async fn wait_for_key_fetches(&self, count: usize, within: Duration) -> bool {
        let mut fetches = self.shared.fetches.subscribe();
        let enough = fetches.wait_for(|fetches| fetches.keys >= count);
        tokio::time::timeout(within, enough).await.is_ok()
    }

    /// What bots sent here so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries.borrow().clone()
    }

    /// Waits until bots sent `count` things in all, or time is up; either way says what arrived.
    pub async fn wait_for_deliveries(&self, count: usize, within: Duration) -> Vec<Delivery> {
        let mut deliveries = self.shared.deliveries.subscribe();
        let enough = deliveries.wait_for(|deliveries| deliveries.len() >= count);
        let _in_time = tokio::time::timeout(within, enough).await.is_ok();
        self.deliveries()
    }

    /// Closes the port: the metadata host is down.
    pub async fn close(&self) {
        self.server.close().await;
    }

    /// Opens the same port again.
    ///
    /// # Errors
    /// When someone else took the port meanwhile.
    pub async fn reopen(&self) -> io::Result<()> {
        self.server.reopen().await
    }
}

/// The time, as Unix seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "the stand-in channel is outside the gateway and has a clock of its own"
)]
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::connector::KEYS_PATH;
    use crate::cli::demo::loopback::ask;
    use bytes::Bytes;
    use http::{Method, StatusCode};

    async fn get(url: &str) -> (StatusCode, Value) {
        let response = ask(Method::GET, url, Bytes::new()).await.unwrap();
        (
            response.status(),
            serde_json::from_slice(response.body()).unwrap_or_default(),
        )
    }

    fn keys_url(channel: &Channel) -> String {
        format!("{}{KEYS_PATH}", channel.origin())
    }

    #[tokio::test]
    async fn the_metadata_leads_to_the_keys_on_the_same_host() {
        let channel = Channel::start().await.unwrap();
        let (status, metadata) = get(&channel.metadata_url()).await;
        assert_eq!(status, 200);
        assert_eq!(metadata["issuer"], ISSUER);
        assert_eq!(metadata["jwks_uri"], keys_url(&channel));
        assert_eq!(
            metadata["id_token_signing_alg_values_supported"],
            json!(["RS256"])
        );
        let (_, keys) = get(&keys_url(&channel)).await;
        assert_eq!(keys["keys"][0]["endorsements"], json!(ENDORSED));
        assert_eq!(
            channel.fetches(),
            Fetches {
                metadata: 1,
                keys: 1,
                ..Fetches::default()
            }
        );
    }

    #[tokio::test]
    async fn keys_come_and_go_while_it_runs() {
        let channel = Channel::start().await.unwrap();
        let second = channel.add_key("second", None).unwrap();
        channel.publish(&second.named("third"), Some(&["slack"]));
        channel.withdraw(channel.first_key().kid());
        channel.publish_raw(json!({ "kty": "RSA", "use": "enc" }));
        let (_, set) = get(&keys_url(&channel)).await;
        assert_eq!(set["keys"].as_array().unwrap().len(), 3);
        assert_eq!(set["keys"][0]["kid"], "second");
        assert_eq!(set["keys"][0].get("endorsements"), None);
        assert_eq!(set["keys"][1]["endorsements"], json!(["slack"]));
        assert_eq!(set["keys"][2], json!({ "kty": "RSA", "use": "enc" }));
    }

    #[tokio::test]
    async fn documents_can_fail_in_every_way() {
        let channel = Channel::start().await.unwrap();
        channel.serve_keys(Document::status(StatusCode::BAD_GATEWAY));
        assert_eq!(get(&keys_url(&channel)).await.0, 502);
        channel.serve_keys(Document::json("{"));
        assert_eq!(
            get(&keys_url(&channel)).await,
            (StatusCode::OK, Value::Null)
        );
        channel.serve_keys(Document::Redirect("http://127.0.0.1:1/".to_owned()));
        assert_eq!(get(&keys_url(&channel)).await.0, 302);
        channel.serve_keys(Document::Hang);
        let hanging = tokio::spawn({
            let url = keys_url(&channel);
            async move { ask(Method::GET, &url, Bytes::new()).await }
        });
        assert!(
            channel
                .wait_for_key_fetches(4, Duration::from_secs(10))
                .await
        );
        channel.close().await;
        assert!(hanging.await.unwrap().is_err(), "closing ends what hangs");
        assert!(
            ask(Method::GET, &keys_url(&channel), Bytes::new())
                .await
                .is_err()
        );
        channel.serve_keys(Document::Faithful);
        channel.reopen().await.unwrap();
        assert_eq!(get(&keys_url(&channel)).await.0, 200);
    }

    #[tokio::test]
    async fn a_reply_of_a_bot_is_taken_in() {
        let channel = Channel::start().await.unwrap();
        let url = format!(
            "{}v3/conversations/a%3A1/activities/7",
            channel.service_url()
        );
        let answer = ask(Method::POST, &url, Bytes::from_static(br#"{"text":"hi"}"#))
            .await
            .unwrap();
        assert_eq!(
            answer.body(),
            &Bytes::from_static(br#"{"id":"stand-in-reply-1"}"#)
        );
        let deliveries = channel
            .wait_for_deliveries(1, Duration::from_secs(10))
            .await;
        assert_eq!(deliveries.len(), 1);
        assert_eq!(deliveries[0].path, "/v3/conversations/a%3A1/activities/7");
        assert_eq!(deliveries[0].activity()["text"], "hi");
    }

    #[tokio::test]
    async fn the_cloud_table_is_toml() {
        let channel = Channel::start().await.unwrap();
        let table: toml::Table = channel.cloud_toml("demo").parse().unwrap();
        let cloud = &table["clouds"]["demo"];
        assert_eq!(
            cloud["channel_metadata"].as_str().unwrap(),
            channel.metadata_url()
        );
        assert_eq!(cloud["channel_issuer"].as_str().unwrap(), ISSUER);
    }
}

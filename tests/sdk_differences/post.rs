//! Requests as the channel sends them, each with one thing changed.

use crate::keys::Keys;
use crate::stage::microsoft::{APP_ID, TENANT};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use botgate::cli::demo::channel::{ISSUER, now};
use botgate::cli::demo::signing::SigningKey;
use botgate::cli::demo::token::TokenSpec;
use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::{Map, Value, json};

/// The service URL of Teams in all valid requests.
pub(crate) const TEAMS: &str = "https://smba.trafficmanager.net/emea/";
pub(crate) const DIRECT_LINE: &str = "https://directline.botframework.com/";

/// Which of the gateway's bots is asked. Both are the same bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Everyone,
    /// Where `tenants.allow` names one tenant.
    OneTenant,
}

/// A request about to be made. As it comes it is valid; every method makes one change.
pub(crate) struct Post {
    pub(crate) door: Door,
    method: Method,
    headers: Vec<(&'static str, HeaderValue)>,
    activity: Value,
    texts: Vec<Text>,
    to_bytes: fn(String) -> Vec<u8>,
    key: SigningKey,
    tokens: Vec<Token>,
    spelling: Spelling,
}

type Text = Box<dyn Fn(String) -> String + Send + Sync>;
type Token = Box<dyn Fn(TokenSpec) -> TokenSpec + Send + Sync>;
type Spelling = Box<dyn Fn(String) -> Vec<Vec<u8>> + Send + Sync>;

impl Post {
    /// A message of a Teams user (AUTHENTICATION.md 4.7).
    pub(crate) fn teams(keys: &Keys) -> Self {
        Self::of(
            keys,
            json!({
                "type": "message",
                "timestamp": "2026-11-18T09:15:23.4567890Z",
                "channelId": "msteams",
                "serviceUrl": TEAMS,
                "from": {"id": "29:1AbCdEf-made-up", "name": "Ada Example", "aadObjectId": "7d2c6a31-9b53-4a0f-b8a3-21f9e6c5d004"},
                "recipient": {"id": format!("28:{APP_ID}"), "name": "Contoso Helper"},
                "conversation": {"id": "a:1QwErTyUiOpAsDfGh-made-up", "conversationType": "personal", "tenantId": TENANT},
                "channelData": {"tenant": {"id": TENANT}},
                "text": "hello",
            }),
        )
    }

    /// A message of a Direct Line client.
    pub(crate) fn direct_line(keys: &Keys) -> Self {
        Self::of(
            keys,
            json!({
                "type": "message",
                "timestamp": "2026-11-18T09:29:00.0000000Z",
                "channelId": "directline",
                "serviceUrl": DIRECT_LINE,
                "from": {"id": "dl_2f6a1c9e-7b1d-4a55-9c0a-0e9f8d7c6b5a", "name": ""},
                "recipient": {"id": "contoso-helper@AbCdEfGh", "name": "Contoso Helper"},
                "conversation": {"id": "5gHiJkLmNoP-eu"},
                "text": "hi",
            }),
        )
        .claim("serviceurl", DIRECT_LINE)
    }

    fn of(keys: &Keys, activity: Value) -> Self {
        let header = HeaderValue::from_static;
        Self {
            door: Door::Everyone,
            method: Method::POST,
            headers: vec![
                ("content-type", header("application/json; charset=utf-8")),
                (
                    "user-agent",
                    header("Microsoft-SkypeBotApi (Microsoft-BotFramework/3.0)"),
                ),
            ],
            activity,
            texts: vec![],
            to_bytes: String::into_bytes,
            key: keys.channel.clone(),
            tokens: vec![],
            spelling: Box::new(|token| vec![format!("Bearer {token}").into_bytes()]),
        }
    }

    pub(crate) const fn for_one_tenant(mut self) -> Self {
        self.door = Door::OneTenant;
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.parse().unwrap();
        self
    }

    /// Sets a header in place of any with this name.
    pub(crate) fn header(self, name: &'static str, value: &str) -> Self {
        self.without_header(name).also_header(name, value)
    }

    /// Adds a header beside any with this name.
    pub(crate) fn also_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.parse().unwrap()));
        self
    }

    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }

    /// Sets what is at a place of the activity, such as `/from/id`.
    pub(crate) fn with(mut self, place: &str, value: impl Into<Value>) -> Self {
        let (parent, name) = place.rsplit_once('/').unwrap();
        self.parent(parent).insert(name.to_owned(), value.into());
        self
    }

    /// Removes what is there.
    pub(crate) fn lacking(mut self, place: &str) -> Self {
        let (parent, name) = place.rsplit_once('/').unwrap();
        assert!(self.parent(parent).remove(name).is_some(), "{place}");
        self
    }

    fn parent(&mut self, place: &str) -> &mut Map<String, Value> {
        let mut at = &mut self.activity;
        for name in place.split('/').skip(1) {
            at = at
                .as_object_mut()
                .unwrap()
                .entry(name)
                .or_insert_with(|| json!({}));
        }
        at.as_object_mut().unwrap()
    }

    /// Rewrites the body.
    pub(crate) fn text(
        mut self,
        change: impl Fn(String) -> String + Send + Sync + 'static,
    ) -> Self {
        self.texts.push(Box::new(change));
        self
    }

    /// Adds members behind those of the activity, as text.
    pub(crate) fn ending_with(self, members: impl Into<String>) -> Self {
        let members = members.into();
        self.text(move |text| format!("{},{members}}}", text.strip_suffix('}').unwrap()))
    }

    /// Adds members before those of the activity, as text.
    pub(crate) fn starting_with(self, members: impl Into<String>) -> Self {
        let members = members.into();
        self.text(move |text| text.replacen('{', &format!("{{{members},"), 1))
    }

    /// Writes the body's text as bytes in another way.
    pub(crate) fn bytes(mut self, to_bytes: fn(String) -> Vec<u8>) -> Self {
        self.to_bytes = to_bytes;
        self
    }

    /// Changes the token before it is signed.
    pub(crate) fn token(
        mut self,
        change: impl Fn(TokenSpec) -> TokenSpec + Send + Sync + 'static,
    ) -> Self {
        self.tokens.push(Box::new(change));
        self
    }

    /// Sets a member of the token's payload.
    pub(crate) fn claim(self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.token(move |token| token.claim(name, value.clone()))
    }

    /// Removes a member of the token's payload.
    pub(crate) fn without_claim(self, name: &'static str) -> Self {
        self.token(move |token| token.without_claim(name))
    }

    /// Sets a claim to so many seconds from now.
    pub(crate) fn claim_at(self, name: &'static str, seconds: i64) -> Self {
        self.token(move |token| token.claim(name, now().saturating_add_signed(seconds)))
    }

    /// Rewrites the token's payload, as text.
    pub(crate) fn payload(self, change: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        self.token(move |mut token| {
            let text = Value::Object(token.claims.clone()).to_string();
            token.payload_bytes = Some(change(text).into_bytes());
            token
        })
    }

    /// Sets a member of the token's header.
    pub(crate) fn token_header(self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.token(move |token| token.header(name, value.clone()))
    }

    /// Signs with another key and says so.
    pub(crate) fn signed_by(self, key: &SigningKey) -> Self {
        let key = key.clone();
        self.token(move |token| token.signed_by(&key))
    }

    /// Writes the token into `Authorization` headers in another way.
    pub(crate) fn spelled<S: Into<Vec<u8>>>(
        mut self,
        spelling: impl Fn(String) -> Vec<S> + Send + Sync + 'static,
    ) -> Self {
        self.spelling = Box::new(move |token| {
            let headers = spelling(token).into_iter();
            headers.map(Into::into).collect()
        });
        self
    }

    /// Rewrites the signed token.
    pub(crate) fn rewritten(self, rewrite: fn(String) -> String) -> Self {
        self.spelled(move |token| vec![format!("Bearer {}", rewrite(token))])
    }

    /// Makes the request for this host, with this id for the activity, and valid now.
    pub(crate) fn request(&self, host: &str, id: &str) -> Request<Full<Bytes>> {
        let mut activity = self.activity.clone();
        if let Some(members) = activity.as_object_mut() {
            members.insert("id".to_owned(), json!(id));
        }
        let text = activity.to_string();
        let text = self.texts.iter().fold(text, |text, change| change(text));
        let token = TokenSpec::new(&self.key, ISSUER, APP_ID, TEAMS, now());
        let changes = self.tokens.iter();
        let token = changes.fold(token, |token, change| change(token)).sign();

        let mut request = Request::builder()
            .method(self.method.clone())
            .uri("/api/messages")
            .header("host", host);
        for value in (self.spelling)(token.unwrap()) {
            let value = HeaderValue::from_bytes(&value).unwrap();
            request = request.header("authorization", value);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value.clone());
        }
        let body = (self.to_bytes)(text);
        request.body(Full::from(body)).unwrap()
    }
}

/// A segment of a token with a blank more: other bytes, the same JSON.
pub(crate) fn with_a_blank_more(segment: &str) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(segment).unwrap();
    bytes.push(b' ');
    URL_SAFE_NO_PAD.encode(bytes)
}

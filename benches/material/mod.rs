//! What the judge is measured with, the same in every run on every machine, and each step of its work as `ingress` takes it.
//!
//! The token was signed once, and the private half of its key thrown away: nobody can sign another one, and nothing here is a
//! secret. Whoever needs other claims makes another pair, with `SigningKey` and `TokenSpec` of `botgate::cli::demo`.

pub(crate) mod bodies;

use botgate::config::{self, Bot, Limits, Settings, StartFlags};
use botgate::judge::{
    Activity, Admitted, Caller, Key, KeySet, Presented, Proof, Routes, Screened, TagKey, Token,
    UnixSeconds, check_fields, check_head, check_http2, check_size, host_of,
};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, header};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

/// The claims' `nbf`.
const NOW: UnixSeconds = UnixSeconds(1_795_100_000);
/// The claims' `aud`.
const APP_ID: &str = "5d0c7e1a-9f2b-4c3d-8e4f-0a1b2c3d4e5f";
/// The tenant that the activities name, and the service URL in the claims.
const TENANT: &str = "8c1f2e3d-4b5a-4968-8776-5a4b3c2d1e0f";
const TOKEN: &str = include_str!("test-token.jwt");
const KEYS: &[u8] = include_bytes!("test-key.jwks.json");

/// A gateway's settings, with what came in and what is known already.
pub(crate) struct World {
    settings: Settings,
    routes: Routes,
    keys: KeySet,
    key: Arc<Key>,
    tag_key: TagKey,
    proof: Proof,
    head: Parts,
}

/// What is known of a token when it comes.
type Known = fn(&World) -> Option<Proof>;

impl World {
    /// A gateway with so many bots, each with so many tenants on its list and the default rules besides.
    pub(crate) fn new(bots: usize, tenants: usize) -> Self {
        let settings = settings(bots, tenants);
        let routes = Routes::new(settings.bots.iter().map(|bot| &bot.route));
        let keys = KeySet::parse(KEYS).expect("a key set");
        let head = head();
        let tag_key = TagKey::new(&[7; 16]);
        let text = Presented::in_headers(&head.headers).expect("a token");
        let token = Token::read(text, &tag_key, |_| None).expect("a token");
        let key = keys.get(&token.claimed().key_id);
        let key = key.expect("the key of the token");
        let expect = &settings.bots[0].expect;
        let screened = expect.screen(token, NOW).expect("a token for this bot");
        let (_, proof) = screened.verify(&key).expect("a token signed by this key");
        let proof = proof.expect("one that is new");
        Self {
            tag_key,
            settings,
            routes,
            keys,
            key,
            proof,
            head,
        }
    }

    /// The request's head.
    pub(crate) const fn head(&self) -> &Parts {
        &self.head
    }

    pub(crate) const fn routes(&self) -> &Routes {
        &self.routes
    }

    pub(crate) fn token(&self) -> &'static str {
        TOKEN.trim_end()
    }

    /// Everything that is asked of a head, and whose it is.
    pub(crate) fn head_and_route(&self) -> &Bot {
        self.head_checks();
        let head = &self.head;
        let host = host_of(head).expect("a host");
        let found = self.routes.find(&host, head.uri.path());
        let (position, _) = found.expect("a bot that is served there");
        check_head(head).expect("a POST of JSON");
        &self.settings.bots[position]
    }

    /// What is asked of every head before it is known whose it is.
    pub(crate) fn head_checks(&self) {
        let head = &self.head;
        let Limits {
            header_bytes,
            headers,
            ..
        } = self.settings.server.limits;
        check_size(head, header_bytes, headers).expect("a small head");
        check_fields(&head.headers).expect("plain fields");
        check_http2(head).expect("a head without contradictions");
    }

    /// From the head to a token whose claims are those of a request for this bot: one that was not seen before.
    pub(crate) fn parse_and_screen(&self) -> Screened<'_> {
        self.screen(self.read(|_| None))
    }

    /// The same of one that was verified before.
    pub(crate) fn recall_and_screen(&self) -> Screened<'_> {
        self.screen(self.read(|world| Some(world.proof.clone())))
    }

    fn read(&self, known: Known) -> Token<'_> {
        let text = Presented::in_headers(&self.head.headers).expect("a token");
        Token::read(text, &self.tag_key, |_| known(self)).expect("a token")
    }

    fn screen<'w>(&'w self, token: Token<'w>) -> Screened<'w> {
        let expect = &self.settings.bots[0].expect;
        expect.screen(token, NOW).expect("a token for this bot")
    }

    /// Its caller. Of one that was verified before this asks only whether the key is the same.
    pub(crate) fn verify(&self, screened: Screened<'_>) -> Caller {
        let (caller, _) = screened.verify(&self.key).expect("a good signature");
        caller
    }

    /// One strict reading of a body.
    pub(crate) fn activity(&self, body: Bytes) -> Activity {
        let limits = self.settings.server.limits.json;
        Activity::parse(body, limits).expect("an activity")
    }

    /// What the rules are asked about.
    pub(crate) fn proven(&self, body: Bytes) -> (Caller, Activity) {
        let caller = self.verify(self.recall_and_screen());
        (caller, self.activity(body))
    }

    /// Every rule of the bot.
    pub(crate) fn admit(&self, (caller, activity): (Caller, Activity)) -> Admitted {
        let policy = &self.settings.bots[0].policy;
        let welcome = policy.welcome(caller).expect("who is allowed");
        policy.admit(welcome, activity).expect("what is allowed")
    }

    /// All of it, for a token that was verified before. Finding the proof is the keyring's part, and left out.
    pub(crate) fn judge(&self, body: Bytes) -> Admitted {
        self.judge_by(|world| Some(world.proof.clone()), body)
    }

    /// All of it, for a token that was not seen before.
    pub(crate) fn judge_new_token(&self, body: Bytes) -> Admitted {
        self.judge_by(|_| None, body)
    }

    fn judge_by(&self, known: Known, body: Bytes) -> Admitted {
        let bot = self.head_and_route();
        let token = self.read(known);
        let screened = bot.expect.screen(token, NOW).expect("a token for it");
        self.keys.get(screened.key_id()).expect("a key");
        let caller = self.verify(screened);
        let welcome = bot.policy.welcome(caller).expect("who is allowed");
        let admitted = bot.policy.admit(welcome, self.activity(body));
        admitted.expect("what is allowed")
    }
}

/// What a file says that names so many bots and tenants and leaves everything else as it is by default.
fn settings(bots: usize, tenants: usize) -> Settings {
    let mut text = "[server]\nlisten = [\"127.0.0.1:8443\"]\ntls.source = \"self-signed\"\n[keys]\ncache_dir = \"\"\n".to_owned();
    let mut listed = format!("{TENANT:?}");
    for number in 1..tenants {
        write!(listed, ", \"{number:08x}-4b5a-4968-8776-5a4b3c2d1e0f\"").expect("memory");
    }
    for number in 0..bots {
        write!(
            text,
            "[[bots]]\nname = \"bot-{number}\"\napp_id = \"{APP_ID}\"\nhosts = [\"bot-{number}.example.com\"]\n\
             backend = \"http://127.0.0.1:3978/api/messages\"\ntenants.allow = [{listed}]\n",
        )
        .expect("memory");
    }
    let loaded = config::parse(&text, Path::new(""), StartFlags::default());
    loaded.expect("a file without mistakes").settings
}

/// A head as the Connector sends it for a Teams message, over HTTP/2.
fn head() -> Parts {
    let (head, ()) = Request::post("https://bot-0.example.com/api/messages")
        .version(http::Version::HTTP_2)
        .header(
            header::USER_AGENT,
            "Microsoft-SkypeBotApi (Microsoft-BotFramework/3.0)",
        )
        .header(
            header::AUTHORIZATION,
            format!("Bearer {}", TOKEN.trim_end()),
        )
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header(header::CONTENT_LENGTH, bodies::TEAMS_MESSAGE.len())
        .header(
            "request-id",
            "|c5d7f2a83b6e4f1d9a0b1c2d3e4f5a6b-7c8d9e0f1a2b3c4d.1.",
        )
        .header(
            "traceparent",
            "00-c5d7f2a83b6e4f1d9a0b1c2d3e4f5a6b-7c8d9e0f1a2b3c4d-00",
        )
        .header("ms-cv", "kJ8dGq3mZkSxV0yB1t5hPw.1.1.1.2876513421.1.2")
        .header(
            "contextid",
            "tcid=0,server=DB3PEPF00001234,cv=kJ8dGq3mZkSxV0yB1t5hPw.1.1",
        )
        .header("x-ms-conversation-id", "a:1ScenarioConversation")
        .header("x-ms-tenant-id", TENANT)
        .body(())
        .expect("a request")
        .into_parts();
    head
}

//! A token by its parts: header and payload as JSON, a line each. What is read of it, `serde_json` reads too; what is screened, a
//! few plain comparisons accept.

use super::json::Tree;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use botgate::judge::{
    AgentRoot, Bearer, ChannelRoot, EmulatorRoot, EntraIssuer, EntraRoots, Expect, KeySourceId,
    TagKey, TenantId, Token, TokenKind, UnixSeconds, token::TextClaim,
};
use serde_json::Value;
use std::sync::LazyLock;

pub const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
pub const APP_ID: &str = "0b7c1d9e-54a2-4c7c-8a44-3f0d2f6f7a10";
pub const TENANT: &str = "3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11";
pub const PLATFORM: &str = "5a807f24-c9de-44ee-a3a7-329e88a00ffc";
pub const ISSUER: &str = "https://api.botframework.com";
const SKEW: u64 = 300;

pub static TAG_KEY: LazyLock<TagKey> = LazyLock::new(|| TagKey::new(&[0; 16]));

/// A token that nobody has seen before.
pub fn read(token: &str) -> Option<Token<'_>> {
    Token::read(token.into(), &TAG_KEY, |_| None).ok()
}

pub fn check(parts: &[u8]) -> bool {
    let (header, payload) = halves(parts, b'\n');
    let token = format!(
        "{}.{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload),
        URL_SAFE_NO_PAD.encode(b"signed by nobody")
    );
    let Ok(bearer) = Bearer::parse(&token) else {
        return false;
    };
    agrees(&bearer, &token);
    let mut is_screened = false;
    for expect in [&*ALL_KINDS, &*CHANNEL_ONLY] {
        let token_read = read(&token).expect("it was read before");
        if let Ok(screened) = expect.screen(token_read, NOW) {
            let claims = payload_of(&token);
            may_pass(&claims, screened.kind(), expect);
            assert!(expect.kinds().any(|kind| kind == screened.kind()));
            is_screened = true;
        }
    }
    is_screened
}

/// What must be true of claims that passed, read by `serde_json`.
fn may_pass(claims: &Value, kind: TokenKind, expect: &Expect) {
    let text = |name: &str| claims[name].as_str();
    let issuer = text("iss").expect("an issuer");
    let number = |name: &str| claims[name].as_f64();
    let (exp, nbf) = (number("exp").expect("exp"), number("nbf").expect("nbf"));
    let now = NOW.0 as f64;
    let skew = expect.clock_skew as f64;
    assert!(now < exp + skew && nbf <= now + skew && nbf < exp);
    assert!(exp - nbf <= 30.0 * 3600.0);
    if let Some(iat) = number("iat") {
        assert!(iat <= now + skew || !(0.0..=9_007_199_254_740_992.0).contains(&iat));
    }
    let audience = match &claims["aud"] {
        Value::Array(list) if list.len() == 1 => list[0].as_str(),
        other => other.as_str(),
    };
    let audience = audience.expect("an audience").to_ascii_lowercase();
    assert!(audience.ends_with(APP_ID), "the audience is this bot");
    assert!(kind == TokenKind::Agent || audience == APP_ID);
    if kind == TokenKind::Channel {
        assert_eq!(issuer, ISSUER);
        return;
    }
    // Entra: the issuer's tenant is the one the token claims, and a caller is named.
    let tenant = TenantId::parse(text("tid").expect("tid")).expect("a tenant id");
    assert!(issuer.to_ascii_lowercase().contains(&tenant.to_string()));
    let callers = [text("appid"), text("azp")];
    assert!(
        callers
            .iter()
            .flatten()
            .any(|caller| !caller.trim().is_empty())
    );
    let names = |id: &str| {
        let mut callers = callers.iter().flatten();
        callers.any(|caller| caller.eq_ignore_ascii_case(id))
    };
    match kind {
        TokenKind::Agent | TokenKind::Channel => {}
        TokenKind::Emulator => assert!(names(APP_ID)),
        TokenKind::Skill => {
            assert!(claims.get("scp").is_none());
            assert!(claims.get("idtyp").is_none_or(|kind| kind == "app"));
        }
    }
}

/// That a token which was read says what `serde_json` reads in it, and has one spelling.
pub fn agrees(bearer: &Bearer, token: &str) {
    let (header, payload, signature) = segments(token);
    for segment in [header, payload, signature] {
        let bytes = URL_SAFE_NO_PAD.decode(segment).expect("base64url");
        assert_eq!(URL_SAFE_NO_PAD.encode(bytes), segment, "one spelling");
    }
    for segment in [header, payload] {
        let bytes = URL_SAFE_NO_PAD.decode(segment).expect("base64url");
        let tree = Tree::read(&bytes).expect("JSON");
        assert!(matches!(tree, Tree::Object(_)) && !tree.repeats_a_name());
    }
    let header = json_of(header);
    assert_eq!(header["alg"], "RS256");
    assert_eq!(header["kid"], bearer.key_id());
    assert!(header.get("crit").is_none() && header.get("b64").is_none());
    let claims = payload_of(token);
    let read = bearer.claimed();
    let text = |name: &str| claims[name].as_str();
    assert_eq!(read.issuer.as_deref(), text("iss"));
    assert_eq!(read.service_url.as_deref(), text("serviceurl"));
    assert_eq!(read.tenant.as_deref(), text("tid"));
    let audience = match &claims["aud"] {
        Value::Array(list) if list.len() == 1 => list[0].as_str(),
        other => other.as_str(),
    };
    assert_eq!(read.audience.as_deref(), audience);
    for (name, claim) in [
        ("appid", &read.app_id),
        ("azp", &read.authorized_party),
        ("ver", &read.version),
    ] {
        let same = match (claims.get(name), claim) {
            (None, TextClaim::Missing) => true,
            (Some(Value::String(one)), TextClaim::Text(other)) => one == other,
            (Some(value), TextClaim::NotText) => !value.is_string(),
            (_, TextClaim::Missing | TextClaim::NotText | TextClaim::Text(_)) => false,
        };
        assert!(same, "{name}");
    }
}

/// The three segments of a compact JWS.
pub fn segments(token: &str) -> (&str, &str, &str) {
    let mut segments = token.split('.');
    let mut next = || segments.next().expect("three segments");
    let three = (next(), next(), next());
    assert_eq!(segments.next(), None, "three segments");
    three
}

fn payload_of(token: &str) -> Value {
    json_of(segments(token).1)
}

fn json_of(segment: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(segment).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// What stands before the first `at`, and what behind it.
pub fn halves(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == at) {
        Some(position) => (&bytes[..position], &bytes[position + 1..]),
        None => (bytes, &[]),
    }
}

/// A bot that accepts every kind of token.
pub static ALL_KINDS: LazyLock<Expect> = LazyLock::new(|| {
    let tenant = TenantId::parse(TENANT).expect("a tenant id");
    let mut expect = CHANNEL_ONLY.clone();
    expect.entra = EntraRoots {
        emulator: Some(EmulatorRoot {
            keys: KeySourceId(1),
            tenants: [tenant].into(),
        }),
        skill: Some(KeySourceId(1)),
        agent: Some(AgentRoot {
            keys: [(tenant, KeySourceId(2))].into(),
        }),
        ..expect.entra
    };
    expect
});

/// A bot that accepts channels only.
pub static CHANNEL_ONLY: LazyLock<Expect> = LazyLock::new(|| Expect {
    app_id: APP_ID.to_owned(),
    clock_skew: SKEW,
    channel: ChannelRoot {
        issuer: ISSUER.to_owned(),
        keys: Some(KeySourceId(0)),
    },
    entra: EntraRoots {
        issuers: [
            "https://sts.windows.net/{tenant}/",
            "https://login.microsoftonline.com/{tenant}/v2.0",
        ]
        .map(|template| EntraIssuer::parse(template).expect("an issuer"))
        .to_vec(),
        platforms: vec![PLATFORM.to_owned()],
        ..EntraRoots::default()
    },
});

//! `[[direct_line]]`: brokers of Direct Line tokens.

use super::clouds::{self, NAME_HINT, is_name};
use super::file::Section;
use super::roots::{KeySources, LOCAL};
use super::server::{MOMENT, hours, seconds};
use super::text::Text;
use super::{Bot, DirectLine, KeyOrigin, KeySource, PageIdentity, Quota, SameSite};
use super::{backend, identity, proxies};
use crate::judge::direct_line::{Issuer, OriginFlaw, SiteIdentity, TrustedOrigins};
use crate::judge::{CALLBACK_API, Route, is_on_this_machine};
use crate::secret::Secret;
use http::HeaderName;
use std::collections::HashSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use toml::de::DeValue;
use url::Url;

/// What the rest of the file means for a broker.
pub(super) struct Around {
    pub(super) clock_skew: Duration,
    pub(super) proxy_protocol: bool,
}

/// Every `[[direct_line]]` entry. One that lacks something is noted and left out.
pub(super) fn read(
    root: &Section<'_>,
    around: &Around,
    sources: &mut KeySources,
) -> Vec<Arc<DirectLine>> {
    let mut brokers: Vec<Arc<DirectLine>> = Vec::new();
    for section in root.tables("direct_line") {
        let Some(broker) = broker(&section, around, sources) else {
            continue;
        };
        if brokers
            .iter()
            .any(|other| other.name.eq_ignore_ascii_case(&broker.name))
        {
            let what = "is also the name of another [[direct_line]]";
            section.error("name", what, "give each broker a name of its own");
        }
        if brokers
            .iter()
            .any(|other| meets(&other.route, &broker.route))
        {
            let what = "is also a path of another [[direct_line]], at the same host";
            section.error(
                "path",
                what,
                "give each broker its own path, or hosts of its own",
            );
        }
        let index = brokers.len();
        brokers.push(Arc::new(DirectLine { index, ..broker }));
    }
    brokers
}

/// Places that a bot and a broker both claim. A broker is asked first, so that none may hide a bot.
pub(super) fn refuse_twins(root: &Section<'_>, brokers: &[Arc<DirectLine>], bots: &[Arc<Bot>]) {
    let sections = root.tables("direct_line");
    for (section, broker) in sections.iter().zip(brokers) {
        for bot in bots {
            let calls_back = bot.route.callback.as_ref().is_some_and(|before| {
                let api = format!("{before}{CALLBACK_API}");
                broker.route.path.starts_with(&api) && shares_host(&broker.route, &bot.route)
            });
            if meets(&broker.route, &bot.route) || calls_back {
                let what = format!(
                    "is a path of the bot \"{}\", too, at the same host",
                    bot.name
                );
                section.error(
                    "path",
                    what,
                    "give the broker a path of its own, or other hosts",
                );
            }
        }
    }
}

/// Where a page has its token refreshed: below the path at which it gets it.
pub(super) fn refresh_path(path: &str) -> String {
    format!("{path}/refresh")
}

fn meets(broker: &Route, other: &Route) -> bool {
    let theirs = [other.path.clone(), refresh_path(&other.path)];
    let ours = [broker.path.clone(), refresh_path(&broker.path)];
    shares_host(broker, other) && ours.iter().any(|path| theirs.contains(path))
}

fn shares_host(one: &Route, other: &Route) -> bool {
    one.hosts.is_empty()
        || other.hosts.is_empty()
        || one.hosts.iter().any(|host| other.hosts.contains(host))
}

fn broker(section: &Section<'_>, around: &Around, sources: &mut KeySources) -> Option<DirectLine> {
    let name = name(section);
    let path = section.text("path").filter(is_path);
    let secrets = secrets(section);
    let mut keys = id_keys(section);
    let endpoint = endpoint(section);
    let origins = origins(section);
    let per_ip = section.quota("per_ip").unwrap_or(ten_a_minute(10));
    let per_session = section.quota("per_session").unwrap_or(ten_a_minute(20));
    let longest = hours(24 * 365);
    let max_session = section.duration("max_session", Duration::ZERO, Duration::ZERO..=longest);
    let timeout = section.duration("timeout", seconds(5), MOMENT..=seconds(60));
    let choices = [
        ("lax", SameSite::Lax),
        ("strict", SameSite::Strict),
        ("none", SameSite::None),
    ];
    let same_site = section.one_of("same_site", SameSite::Lax, &choices);
    let ca = backend::pem(section, "ca", "CERTIFICATE-----");
    let name_of_keys = name.as_deref().unwrap_or_default();
    let identity = page_identity(section, around, name_of_keys, sources);
    let route = Route {
        hosts: identity::hosts(section),
        path: path.map_or_else(|| "/directline/token".to_owned(), |text| text.value),
        callback: None,
    };
    let name = name?;
    let has_id_key = !keys.is_empty();
    // Known also beside keys of their own: users keep their ids when those come.
    keys.extend(secrets.iter().map(Issuer::key_of_secret));
    let (first, others) = keys.split_first()?;
    let issuer = Arc::new(Issuer::new(&name, first, others));
    Some(DirectLine {
        index: 0,
        name,
        route,
        secrets,
        endpoint: endpoint?,
        origins,
        per_ip,
        per_session,
        max_session: Some(max_session).filter(|max| *max > Duration::ZERO),
        timeout,
        same_site,
        identity,
        issuer,
        has_id_key,
        ca,
    })
}

/// A path to which `/refresh` can be added, and that browsers leave as it is.
fn is_path(text: &Text<'_>) -> bool {
    if !identity::is_path(text) {
        return false;
    }
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains('%');
    let is_plain = text.value.split('/').skip(1).all(is_segment);
    if !is_plain {
        text.error(
            format!("is {}, which pages could not ask for as it stands", text.shown()),
            "write a path without a \"/\" at its end, empty or dotted segments and \"%\", such as \"/directline/token\"",
        );
    }
    is_plain
}

fn name(section: &Section<'_>) -> Option<String> {
    let text = section.required(
        "name",
        "write name = \"site\": it is a part of the cookie's name, and of what user ids are made of",
    )?;
    if !is_name(&text.value) {
        text.error(
            format!("is {}, which is not a usable name", text.shown()),
            NAME_HINT,
        );
        return None;
    }
    Some(text.value)
}

fn secrets(section: &Section<'_>) -> Vec<Secret<String>> {
    const HINT: &str = "write secret = \"file:secrets/directline\" with one of the two keys that the Azure portal shows for the Direct Line site, or a list of both";
    section.require("secret");
    let texts = section.secrets("secret");
    let is_nothing = !section.has("secret") || section.has_empty_list("secret");
    if is_nothing {
        section.error("secret", "is missing", HINT);
    }
    if let Some(third) = texts.get(2) {
        third.error(
            "is a third secret",
            "a Direct Line site has two: the one in use, and the one that takes its place",
        );
    }
    let mut secrets: Vec<Secret<String>> = Vec::new();
    for text in texts {
        if secrets.iter().any(|other| *other.expose() == text.value) {
            text.error(
                "is the same secret once more",
                "write the site's other key, or only one",
            );
        } else if text.value.is_empty() {
            text.error("is empty", HINT);
        } else if !text.value.bytes().all(|b| b.is_ascii_graphic()) {
            text.error(
                "holds a space, a line end or another character that no Direct Line secret has",
                "put the secret there and nothing else, on one line",
            );
        } else {
            if text.written == text.value {
                text.warn(
                    "stands in this file: whoever reads it can read every conversation of the site",
                    "put it into a file that only botgate can read, and write \"file:PATH\", or \"${NAME}\"",
                );
            }
            secrets.push(Secret::new(text.value));
        }
    }
    secrets
}

/// The first one makes ids and cookies; what the others made is known.
fn id_keys(section: &Section<'_>) -> Vec<Secret<Vec<u8>>> {
    const LEAST: usize = 32;
    const FEW: usize = 8;
    let mut keys: Vec<Secret<Vec<u8>>> = Vec::new();
    for text in section.secrets("id_key") {
        if text.written.is_empty() {
            continue;
        }
        let of_file = "make one: openssl rand -base64 48 > secrets/ids; then write id_key = \"file:secrets/ids\"";
        if text.value.len() < LEAST {
            text.error(format!("has fewer than {LEAST} bytes"), of_file);
            continue;
        }
        let bytes: HashSet<u8> = text.value.bytes().collect();
        if bytes.len() < FEW {
            text.error("repeats a few characters: it can be guessed", of_file);
            continue;
        }
        if text.written == text.value {
            text.warn(
                "stands in this file: whoever reads it can make user ids and sessions",
                of_file,
            );
        }
        keys.push(Secret::new(text.value.into_bytes()));
    }
    keys
}

/// Where Microsoft has Direct Line (AUTHENTICATION 7.1).
const KNOWN: &[&str] = &[
    "directline.botframework.com",
    "europe.directline.botframework.com",
    "india.directline.botframework.com",
    "directline.botframework.azure.us",
    "directline.botframework.azure.cn",
    "europe.directline.botframework.azure.cn",
    "india.directline.botframework.azure.cn",
];

/// Without a slash at its end.
fn endpoint(section: &Section<'_>) -> Option<String> {
    const HINT: &str = "write the address of Direct Line alone, such as \"https://europe.directline.botframework.com\"; plain http is for this machine only";
    let Some(text) = section.text("endpoint") else {
        let is_unusable = section.has("endpoint");
        return (!is_unusable).then(|| "https://directline.botframework.com".to_owned());
    };
    let url = Url::parse(&text.value).ok().filter(|url| {
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.path() == "/";
        is_bare && matches!(url.scheme(), "http" | "https") && url.has_host()
    });
    let url = url.filter(|url| url.scheme() == "https" || is_on_this_machine(url));
    let Some(url) = url else {
        // A user's password may stand there.
        let what = if text.value.contains('@') {
            "cannot be used: it names a user".to_owned()
        } else {
            format!("is {}, which cannot be used", text.shown())
        };
        text.error(what, HINT);
        return None;
    };
    if !is_on_this_machine(&url) && !url.host_str().is_some_and(|host| KNOWN.contains(&host)) {
        text.warn(
            format!(
                "is {}, no address of Microsoft's: the secret is sent there",
                text.shown()
            ),
            "check that it is yours",
        );
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

fn origins(section: &Section<'_>) -> TrustedOrigins {
    const HINT: &str = "write the origin of the pages that show Web Chat: trusted_origins = [\"https://www.example.com\"]";
    section.require("trusted_origins");
    let texts = section.list("trusted_origins");
    if texts.is_empty()
        && (!section.has("trusted_origins") || section.has_empty_list("trusted_origins"))
    {
        section.error("trusted_origins", "names no page that may ask", HINT);
    }
    let mut origins = TrustedOrigins::default();
    for text in &texts {
        // A user's password may stand there.
        let shown = if text.value.contains('@') {
            "one with a user's name".to_owned()
        } else {
            text.shown()
        };
        match origins.add(&text.value) {
            Ok(false) => {}
            Ok(true) => text.warn(
                format!("is {}, a page on the visitor's own machine", text.shown()),
                "for development only; remove it where real visitors come",
            ),
            Err(OriginFlaw::NotAnOrigin) => {
                text.error(format!("is {shown}, which is not an origin"), HINT);
            }
            Err(OriginFlaw::WrittenOtherwise(written)) => text.error(
                format!("is {shown}, as no browser writes an origin"),
                format!(
                    "write {written:?}: scheme, host, and the port where it is not the usual one"
                ),
            ),
            Err(OriginFlaw::PlainHttp) => text.error(
                format!("is {shown}: anybody on the way can be such a page"),
                "serve the page over https",
            ),
        }
    }
    origins
}

fn page_identity(
    section: &Section<'_>,
    around: &Around,
    name: &str,
    sources: &mut KeySources,
) -> PageIdentity {
    const HINT: &str = "write \"random\", { jwt = { issuer = \"...\", jwks = \"...\", audience = \"...\" } } or { header = { name = \"...\", from = [\"...\"] } }";
    match section.value("identity").map(toml::Spanned::get_ref) {
        None => return PageIdentity::Random,
        Some(DeValue::String(word)) => {
            if word != "random" {
                section.error("identity", "is a word other than \"random\"", HINT);
            }
            return PageIdentity::Random;
        }
        Some(_) => {}
    }
    let table = section.table("identity");
    if !table.is_written() {
        return PageIdentity::Random;
    }
    let by_token = table.table("jwt");
    let by_header = table.table("header");
    let token = by_token
        .is_written()
        .then(|| site_identity(&by_token, around, name, sources));
    let header = by_header
        .is_written()
        .then(|| trusted_header(&by_header, around));
    match (token, header) {
        (Some(_), Some(_)) => {
            section.error("identity", "names both jwt and header", "keep one of them");
        }
        (None, None) => section.error("identity", "names neither jwt nor header", HINT),
        (Some(token), None) => return token.map_or(PageIdentity::Random, PageIdentity::Site),
        (None, Some(header)) => return header.unwrap_or(PageIdentity::Random),
    }
    PageIdentity::Random
}

fn site_identity(
    section: &Section<'_>,
    around: &Around,
    name: &str,
    sources: &mut KeySources,
) -> Option<SiteIdentity> {
    let issuer = section.required("issuer", "write the iss claim of the site's own tokens");
    let audience = section.required(
        "audience",
        "write the aud claim of tokens that are meant for this broker, so that no other token of the site serves here",
    );
    let claim = section.text("claim").filter(|text| {
        let is_anybodys = matches!(
            text.value.as_str(),
            "iss" | "aud" | "exp" | "nbf" | "iat" | "jti"
        );
        if is_anybodys || text.value.trim() != text.value {
            text.error(
                format!("is {}, which tells no users apart", text.shown()),
                "name the claim that holds the user's own id, such as \"sub\" or \"oid\"",
            );
        }
        !text.value.is_empty()
    });
    let keys = section.required_address(
        "jwks",
        "write where the site publishes its keys, such as \"https://login.example.com/keys\", or the name of a key set on this machine",
    );
    let (issuer, mut keys) = (issuer?.value, keys?);
    if !keys.value.contains("://") && !keys.value.starts_with(LOCAL) {
        keys.value.insert_str(0, LOCAL);
    }
    let address = clouds::metadata(section, &keys);
    let origin = match address.strip_prefix(LOCAL) {
        Some(path) => KeyOrigin::File(PathBuf::from(path)),
        None => KeyOrigin::KeySet(address),
    };
    let keys = sources.id(KeySource {
        name: format!("{}{name}", KeySource::OF_A_SITE),
        issuer: issuer.clone(),
        origin,
    });
    Some(SiteIdentity {
        issuer,
        audience: audience?.value,
        claim: claim.map_or_else(|| "sub".to_owned(), |text| text.value),
        keys,
        clock_skew: around.clock_skew.as_secs(),
    })
}

fn trusted_header(section: &Section<'_>, around: &Around) -> Option<PageIdentity> {
    const NAMED: &str = "write the header in which the server before botgate names its user, such as name = \"X-Site-User\"";
    const FROM: &str = "write the addresses of that server, such as from = [\"10.0.0.7\"]";
    const TAKEN: &[&str] = &[
        "accept",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "forwarded",
        "host",
        "origin",
        "referer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-forwarded-for",
        "x-request-id",
    ];
    /// Wider networks are nobody's servers.
    const WIDEST: u8 = 4;
    let text = section.required("name", NAMED);
    section.require("from");
    let from = proxies::networks(section, "from");
    if from.is_empty() && (!section.has("from") || section.has_empty_list("from")) {
        section.error("from", "names nobody who is believed", FROM);
    }
    if from.iter().any(|network| network.prefix_len() < WIDEST) {
        section.error(
            "from",
            "names half the world or more: every visitor could say who it is",
            FROM,
        );
    }
    if around.proxy_protocol {
        section.error(
            "from",
            "cannot be held to: with server.proxy_protocol, botgate is told who the visitor is, and not which server sent the header",
            "use identity.jwt, or server.trusted_proxies without the PROXY protocol",
        );
    }
    let text: Text<'_> = text?;
    let name = HeaderName::from_bytes(text.value.as_bytes()).ok();
    // With a _ in its name a header is refused before anybody reads it.
    let name = name.filter(|name| {
        let is_taken = TAKEN.contains(&name.as_str()) || name.as_str().starts_with("sec-");
        !is_taken && !text.value.contains('_')
    });
    let Some(name) = name else {
        text.error(
            format!("is {}, which cannot name a user", text.shown()),
            NAMED,
        );
        return None;
    };
    Some(PageIdentity::Header { name, from })
}

fn ten_a_minute(burst: u32) -> Quota {
    Quota {
        interval: seconds(6),
        burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
    }
}

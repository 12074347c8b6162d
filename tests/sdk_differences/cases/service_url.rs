//! Where the bot is told to send its answers, and with them its own token.

use super::Right::{self, Accept, Refuse};
use super::{Case, Class, case};
use crate::keys::Keys;
use crate::post::{DIRECT_LINE, Post, TEAMS};
use botgate::judge::Reason;
use serde_json::{Value, json};

pub(super) fn cases(keys: &Keys) -> Vec<Case> {
    let class = Class::ServiceUrl;
    let teams = || Post::teams(keys);
    let mismatch = Refuse(Reason::ServiceUrlMismatch);
    let invalid = Refuse(Reason::ActivityFieldInvalid);
    let not_allowed = Refuse(Reason::ServiceUrlNotAllowed);
    // An activity with one, and a token with that of Teams.
    let sent = |name: &str, url: Value, right: Right| {
        case(class, name, teams().with("/serviceUrl", url), right)
    };
    // Activity and token agree.
    let agreed = |name: &str, url: &str, right: Right| {
        let post = teams().with("/serviceUrl", url).claim("serviceurl", url);
        case(class, name, post, right)
    };
    let tenants = "https://smba.trafficmanager.net/emea/3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11/";
    vec![
        agreed("a service URL with a tenant segment", tenants, Accept),
        sent(
            "serviceUrl without the claim's slash at the end",
            json!("https://smba.trafficmanager.net/emea"),
            Accept,
        )
        .rows(&[5]),
        case(
            class,
            "the claim without serviceUrl's slash at the end",
            teams().claim("serviceurl", "https://smba.trafficmanager.net/emea"),
            Accept,
        )
        .rows(&[5]),
        sent(
            "serviceUrl with the host in other letters",
            json!("https://SMBA.TrafficManager.net/emea/"),
            Accept,
        )
        .rows(&[4]),
        sent(
            "serviceUrl with the path in other letters",
            json!("https://smba.trafficmanager.net/EMEA/"),
            mismatch,
        )
        .rows(&[4]),
        sent(
            "serviceUrl on a stranger's host",
            json!("https://thief.example/"),
            mismatch,
        )
        .rows(&[6]),
        sent(
            "serviceUrl on another host of Microsoft's",
            json!(DIRECT_LINE),
            mismatch,
        )
        .rows(&[6]),
        sent(
            "serviceUrl with another path",
            json!("https://smba.trafficmanager.net/amer/"),
            mismatch,
        ),
        sent(
            "serviceUrl with another port",
            json!("https://smba.trafficmanager.net:444/emea/"),
            mismatch,
        ),
        sent(
            "serviceUrl with http",
            json!("http://smba.trafficmanager.net/emea/"),
            mismatch,
        ),
        sent(
            "serviceUrl with userinfo",
            json!("https://user@smba.trafficmanager.net/emea/"),
            mismatch,
        ),
        sent(
            "serviceUrl whose userinfo is the claim's host",
            json!("https://smba.trafficmanager.net@thief.example/emea/"),
            mismatch,
        ),
        sent(
            "serviceUrl with backslashes",
            json!("https://smba.trafficmanager.net\\emea\\"),
            mismatch,
        ),
        sent(
            "serviceUrl with escaped dots",
            json!("https://smba.trafficmanager.net/x/%2e%2e/emea/"),
            mismatch,
        ),
        sent(
            "serviceUrl with a query",
            json!("https://smba.trafficmanager.net/emea/?x"),
            mismatch,
        ),
        sent(
            "serviceUrl that no reader takes for a URL",
            json!("https://[smba/"),
            invalid,
        )
        .rows(&[8]),
        sent(
            "serviceUrl without a scheme",
            json!("smba.trafficmanager.net"),
            invalid,
        )
        .rows(&[8]),
        sent(
            "serviceUrl of a streaming connection",
            json!("urn:botframework:WebSocket:wss://thief.example"),
            mismatch,
        ),
        sent(
            "serviceUrl of a named pipe",
            json!("urn:botframework:namedpipe:bot"),
            mismatch,
        ),
        case(
            class,
            "no serviceUrl",
            teams().lacking("/serviceUrl"),
            invalid,
        )
        .rows(&[7]),
        sent("serviceUrl null", json!(null), invalid).rows(&[7]),
        sent("serviceUrl empty", json!(""), invalid).rows(&[10]),
        sent("serviceUrl a number", json!(7), invalid),
        sent("serviceUrl a list", json!([TEAMS]), invalid),
        case(
            class,
            "no serviceurl claim",
            teams().without_claim("serviceurl"),
            mismatch,
        )
        .rows(&[9]),
        case(
            class,
            "no serviceurl claim, and serviceUrl on a stranger's host",
            teams()
                .without_claim("serviceurl")
                .with("/serviceUrl", "https://thief.example/"),
            mismatch,
        )
        .rows(&[9]),
        case(
            class,
            "the serviceurl claim in camel case only",
            teams()
                .without_claim("serviceurl")
                .claim("serviceUrl", TEAMS),
            mismatch,
        ),
        case(
            class,
            "the serviceurl claim empty",
            teams().claim("serviceurl", ""),
            mismatch,
        ),
        case(
            class,
            "the serviceurl claim a list",
            teams().claim("serviceurl", json!([TEAMS])),
            mismatch,
        ),
        case(
            class,
            "the serviceurl claim in other letters of the path",
            teams().claim("serviceurl", "https://smba.trafficmanager.net/EMEA/"),
            mismatch,
        ),
        agreed(
            "a stranger's host in token and activity",
            "https://thief.example/",
            not_allowed,
        ),
        agreed(
            "http in token and activity",
            "http://smba.trafficmanager.net/emea/",
            not_allowed,
        ),
        agreed(
            "this machine in token and activity",
            "https://localhost/",
            not_allowed,
        ),
        agreed(
            "a host of the same suffix that anyone may register",
            "https://thief.trafficmanager.net/",
            not_allowed,
        ),
        case(
            class,
            "relatesTo a stranger's host",
            teams().with(
                "/relatesTo",
                json!({
                    "serviceUrl": "https://thief.example/",
                    "channelId": "msteams",
                    "conversation": {"id": "a:1QwErTyUiOpAsDfGh-made-up"},
                    "bot": {"id": "28:made-up"},
                }),
            ),
            not_allowed,
        ),
    ]
}

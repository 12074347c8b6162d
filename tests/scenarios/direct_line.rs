//! The broker of Direct Line tokens: what a page gets, what it does not, and what is kept from whoever is no such page.

use crate::support::authority::Authority;
use crate::support::client::{Post, both};
use crate::support::direct_line::{
    GENEROUS, How, IMPATIENT, PAGE, REFRESH, SECOND, SECRET, TOKEN, TokenService, cookie_of,
    got_a_token, may_be_read, may_not_be_read, no_secret_is_told, page, refreshing, token_of,
};
use crate::support::reply::Reply;
use crate::support::wire::Wire;
use crate::support::{APP_ID, Gateway, PATIENCE, eventually};
use botgate::cli::demo::bot::EchoBot;
use botgate::cli::demo::channel::now;
use botgate::cli::demo::gateway::Output;
use botgate::cli::demo::signing::SigningKey;
use botgate::cli::demo::token::TokenSpec;
use botgate::judge::Reason;
use http::Method;
use nix::sys::signal::Signal;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

async fn start(service: &TokenService, more: &str) -> Gateway {
    Gateway::with(&service.broker(more))
        .file("secret", SECRET)
        .file("second", format!("{SECOND}\n"))
        .start()
        .await
}

async fn refused(post: Post, reason: Reason) -> Reply {
    let reply = post.send().await.refused_before_proof(reason).await;
    assert_eq!(reply.only_request_line().await["door"], "directline");
    reply
}

/// Refused, and the page may read that.
async fn page_is_refused(post: Post, reason: Reason) -> Reply {
    let reply = refused(post, reason).await;
    may_be_read(&reply);
    assert_eq!(reply.header("set-cookie"), None);
    reply
}

#[tokio::test]
async fn a_page_gets_a_token_for_one_user_and_never_the_secret() {
    let service = TokenService::start().await;
    let gateway = start(&service, GENEROUS).await;
    let mut users = vec![];
    for post in both(|| page(&gateway)) {
        let reply = post.send().await;
        got_a_token(&reply);
        let told = reply.json();
        assert_eq!(told["expires_in"], 1800);
        assert_eq!(told["conversationId"], "a-conversation");
        let user = told["userId"].as_str().unwrap().to_owned();
        assert!(user.starts_with("dl_") && user.len() == 47, "{user}");

        let asked = service.asked().pop().unwrap();
        assert_eq!(asked.path, "/v3/directline/tokens/generate");
        assert_eq!(asked.bearer(), SECRET);
        let expected = json!({ "user": { "id": user }, "trustedOrigins": [PAGE] });
        assert_eq!(asked.json(), expected);

        let cookie = reply.header("set-cookie").unwrap();
        let mut parts: Vec<&str> = cookie.split("; ").collect();
        let (name, value) = parts.remove(0).split_once('=').unwrap();
        assert!(name.starts_with("__Host-botgate-dl") && name.ends_with("-site"));
        assert_eq!((name.len(), value.len()), (23, 199));
        let attributes = [
            "Path=/",
            "Max-Age=5400",
            "HttpOnly",
            "Secure",
            "SameSite=Lax",
        ];
        assert_eq!(parts, attributes);
        assert!(!cookie.contains(&token_of(&reply)));

        let line = reply.only_request_line().await;
        assert_eq!(line["door"], "directline", "{line}");
        assert_eq!(line["verdict"], "forwarded", "{line}");
        assert_eq!(line["broker"], "site", "{line}");
        assert_eq!(line["user"], user.as_str(), "{line}");
        assert_eq!(line["conversation"], "a-conversation", "{line}");
        assert!(
            line["upstream_ms"].is_number() && line.get("bot").is_none(),
            "{line}"
        );
        users.push(user);
        no_secret_is_told(&gateway, &[&reply]);
        let output = gateway.output();
        let leak = output
            .stdout
            .iter()
            .find(|line| line.contains(&token_of(&reply)));
        assert_eq!(leak, None);
    }
    assert_ne!(users[0], users[1], "each conversation has another one");
    let counted =
        "botgate_requests_total{bot=\"\",door=\"directline\",reason=\"\",verdict=\"forwarded\"}";
    assert!((gateway.metric(counted).await - 2.0).abs() < 0.1);
    for (kind, count) in [("new", 2.0), ("renewed", 0.0)] {
        let given = format!("botgate_direct_line_tokens_total{{broker=\"site\",kind=\"{kind}\"}}");
        assert!((gateway.metric(&given).await - count).abs() < 0.1, "{kind}");
    }
    // Bots are where they were.
    gateway.teams_message().send().await.forwarded().await;
    assert!(gateway.terminate().await.success());
}

#[tokio::test]
async fn no_client_chooses_its_user_and_nothing_else_of_a_request_goes_on() {
    let service = TokenService::start().await;
    let gateway = start(&service, GENEROUS).await;
    let wish = json!({ "user": { "id": "dl_admin" }, "trustedOrigins": ["https://evil.example"] });
    let post = page(&gateway)
        .body(wish.to_string())
        .header("x-user", "admin");
    let post = post
        .header("cookie", "a=b")
        .path("/directline/token?userId=dl_admin");
    let reply = post.send().await;
    got_a_token(&reply);
    let asked = service.asked().pop().unwrap();
    let expected = json!({ "user": { "id": reply.json()["userId"] }, "trustedOrigins": [PAGE] });
    assert_eq!(asked.json(), expected);
    for name in ["cookie", "origin", "x-user", "x-forwarded-for", "referer"] {
        assert!(!asked.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_page_asks_before_it_asks() {
    let service = TokenService::start().await;
    let gateway = start(&service, "").await;
    for path in [TOKEN, REFRESH] {
        for post in both(|| page(&gateway).method(Method::OPTIONS).path(path)) {
            let post = post.header("access-control-request-method", "POST");
            let reply = post.send().await;
            assert_eq!((reply.status, reply.body.len()), (204, 0));
            may_be_read(&reply);
            assert_eq!(reply.header("access-control-allow-methods"), Some("POST"));
            let allowed = reply.header("access-control-allow-headers");
            assert_eq!(allowed, Some("content-type, authorization"));
            assert_eq!(reply.header("access-control-max-age"), Some("600"));
        }
        let other = page(&gateway).method(Method::OPTIONS).path(path);
        let other = other.header("origin", "https://evil.example");
        may_not_be_read(&refused(other, Reason::OriginNotAllowed).await);
    }
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        for post in both(|| page(&gateway).method(method.clone())) {
            let reply = refused(post, Reason::MethodNotAllowed).await;
            assert_eq!(reply.header("allow"), Some("POST, OPTIONS"));
        }
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn pages_of_other_origins_get_nothing_and_may_read_nothing() {
    let service = TokenService::start().await;
    let gateway = start(&service, GENEROUS).await;
    for origin in [
        "https://evil.example",
        "null",
        "*",
        "https://WWW.example.com",
        "HTTPS://www.example.com",
        "http://www.example.com",
        "https://www.example.com:443",
        "https://www.example.com:8443",
        "https://www.example.com/",
        "https://example.com",
        "https://sub.www.example.com",
        "https://www.example.com.evil.example",
        "https://www.example.com https://evil.example",
    ] {
        for path in [TOKEN, REFRESH] {
            for post in both(|| page(&gateway).path(path).header("origin", origin)) {
                let reply = refused(post, Reason::OriginNotAllowed).await;
                may_not_be_read(&reply);
            }
        }
    }
    let post = page(&gateway).without_header("origin");
    may_not_be_read(&refused(post, Reason::OriginNotAllowed).await);
    let post = page(&gateway).also_header("origin", PAGE);
    may_not_be_read(&refused(post, Reason::OriginNotAllowed).await);
    let post = page(&gateway).header("sec-fetch-site", "none");
    may_not_be_read(&refused(post, Reason::OriginNotAllowed).await);
    assert_eq!(service.count(), 0);
    let post = page(&gateway).header("sec-fetch-site", "cross-site");
    got_a_token(&post.send().await);
}

#[tokio::test]
async fn a_session_has_its_token_refreshed_and_its_cookie_with_it() {
    let service = TokenService::start().await;
    let gateway = start(&service, GENEROUS).await;
    let mut last = page(&gateway).send().await;
    let user = last.json()["userId"].clone();
    for round in 0..4 {
        let post = refreshing(&gateway, &last);
        let post = if round % 2 == 0 {
            post
        } else {
            post.over_http2()
        };
        let reply = post.send().await;
        got_a_token(&reply);
        let asked = service.asked().pop().unwrap();
        assert_eq!(asked.path, "/v3/directline/tokens/refresh");
        assert_eq!(asked.bearer(), token_of(&last));
        assert_eq!(asked.body.len(), 0);
        assert_ne!(token_of(&reply), token_of(&last));
        assert_ne!(cookie_of(&reply), cookie_of(&last));
        assert_eq!(reply.json()["userId"], user);
        assert_eq!(reply.only_request_line().await["user"], user);
        last = reply;
    }
    no_secret_is_told(&gateway, &[&last]);
}

#[tokio::test]
async fn nobody_refreshes_what_is_not_the_last_token_of_the_own_session() {
    let service = TokenService::start().await;
    let shop = service.broker_named("shop", &format!("path = '/shop'\n{GENEROUS}"));
    let gateway = Gateway::with(&service.broker(GENEROUS))
        .and(&shop)
        .file("secret", SECRET)
        .start()
        .await;
    let first = page(&gateway).send().await;
    let other = page(&gateway).send().await;
    let at_shop = page(&gateway).path("/shop").send().await;
    let refresh = || refreshing(&gateway, &first);
    let bearer = |token: &str| format!("Bearer {token}");
    let asked = service.count();

    let cookie = cookie_of(&first);
    let (name, value) = cookie.split_once('=').unwrap();
    let flipped = |place: usize| {
        let mut bytes = value.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        format!("{name}={}", String::from_utf8(bytes).unwrap())
    };
    let shops = cookie_of(&at_shop).replace("-shop=", "-site=");
    let theirs = token_of(&other);
    for (post, reason) in [
        (refresh().without_token(), Reason::TokenMissing),
        (refresh().without_header("cookie"), Reason::TokenMissing),
        (
            refresh().header("cookie", &cookie.to_lowercase()),
            Reason::TokenMissing,
        ),
        (
            refresh().authorization(&["Basic YTpi"]),
            Reason::TokenSchemeUnsupported,
        ),
        (
            refresh().authorization(&[&bearer("a"), &bearer("b")]),
            Reason::TokenRepeated,
        ),
        (
            refresh().authorization(&["Bearer "]),
            Reason::TokenMalformed,
        ),
        (
            refresh().authorization(&[&bearer("a b")]),
            Reason::TokenMalformed,
        ),
        (
            refresh().authorization(&[&bearer(&"x".repeat(8193))]),
            Reason::TokenMalformed,
        ),
        // Another session's token, or cookie, and whatever one can make of them.
        (
            refresh().authorization(&[&bearer(&theirs)]),
            Reason::TokenClaimsInvalid,
        ),
        (
            refresh().authorization(&[&bearer(SECRET)]),
            Reason::TokenClaimsInvalid,
        ),
        (
            refresh().header("cookie", &cookie_of(&other)),
            Reason::TokenClaimsInvalid,
        ),
        (
            refresh().header("cookie", &format!("{cookie}; {cookie}")),
            Reason::TokenRepeated,
        ),
        (
            refresh().header("cookie", &flipped(2)),
            Reason::TokenSignatureInvalid,
        ),
        (
            refresh().header("cookie", &flipped(60)),
            Reason::TokenSignatureInvalid,
        ),
        (
            refresh().header("cookie", &flipped(140)),
            Reason::TokenSignatureInvalid,
        ),
        (
            refresh().header("cookie", &cookie[..cookie.len() - 3]),
            Reason::TokenSignatureInvalid,
        ),
        (
            refresh().header("cookie", &format!("{name}=")),
            Reason::TokenMalformed,
        ),
        (
            refresh().header("cookie", &format!("{name}={}", "A".repeat(199))),
            Reason::TokenSignatureInvalid,
        ),
        (
            refresh().header("cookie", &shops),
            Reason::TokenSignatureInvalid,
        ),
        (
            refresh().header("cookie", &cookie_of(&at_shop)),
            Reason::TokenMissing,
        ),
        (refresh().path("/shop/refresh"), Reason::TokenMissing),
    ] {
        page_is_refused(post, reason).await;
    }
    assert_eq!(service.count(), asked, "Direct Line was not asked");

    // None of that took anything from the session.
    let second = refresh().send().await;
    got_a_token(&second);
    let asked = service.count();
    // What was exchanged counts for nothing any more, alone or with what took its place.
    let replayed = refresh().send().await;
    let replayed = replayed
        .refused_after_proof(Reason::TokenClaimsInvalid)
        .await;
    may_be_read(&replayed);
    let mixed = refreshing(&gateway, &second).header("cookie", &cookie);
    page_is_refused(mixed, Reason::TokenClaimsInvalid).await;
    let mixed = refreshing(&gateway, &first).header("cookie", &cookie_of(&second));
    page_is_refused(mixed, Reason::TokenClaimsInvalid).await;
    assert_eq!(service.count(), asked);
    got_a_token(&refreshing(&gateway, &second).send().await);
}

#[tokio::test]
async fn each_tab_of_a_browser_has_a_session_of_its_own() {
    let service = TokenService::start().await;
    let gateway = start(&service, GENEROUS).await;
    // What a browser keeps: the cookie of each place, among those of the site.
    let mut jar: HashMap<String, String> = HashMap::new();
    let keep = |jar: &mut HashMap<String, String>, reply: &Reply| {
        let cookie = cookie_of(reply);
        let (name, value) = cookie.split_once('=').unwrap();
        jar.insert(name.to_owned(), value.to_owned());
    };
    let shown = |jar: &HashMap<String, String>| {
        let crumbs = jar.iter().map(|(name, value)| format!("; {name}={value}"));
        "name=J\u{f6}rg".to_owned() + &crumbs.collect::<String>()
    };
    let mut tabs = vec![];
    for _ in 0..8 {
        let reply = page(&gateway).header("cookie", &shown(&jar)).send().await;
        got_a_token(&reply);
        keep(&mut jar, &reply);
        tabs.push(reply);
    }
    assert_eq!(jar.len(), 8);
    for tab in &mut tabs {
        let post = refreshing(&gateway, tab).header("cookie", &shown(&jar));
        let reply = post.send().await;
        got_a_token(&reply);
        assert_eq!(reply.json()["userId"], tab.json()["userId"]);
        keep(&mut jar, &reply);
        *tab = reply;
    }
    // There is no ninth place.
    let ninth = page(&gateway).header("cookie", &shown(&jar)).send().await;
    keep(&mut jar, &ninth);
    assert_eq!(jar.len(), 8);
    let mut statuses = vec![];
    for tab in tabs.iter().chain([&ninth]) {
        let post = refreshing(&gateway, tab).header("cookie", &shown(&jar));
        let reply = post.send().await;
        statuses.push(reply.status);
        if reply.status == 200 {
            keep(&mut jar, &reply);
        }
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 1);
    assert_eq!(statuses[8], 200);
}

#[tokio::test]
async fn a_token_that_was_not_refreshed_in_time_is_over() {
    let service = TokenService::start().await;
    let gateway = start(&service, &format!("max_session = '1s'\n{GENEROUS}")).await;
    service.answers_as(How::Gives(1));
    let short = page(&gateway).send().await;
    service.answers_as(How::Gives(1800));
    let long = page(&gateway).send().await;
    let asked = service.count();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    for last in [&short, &long] {
        // Whose it was is known, so that the page may know why.
        let reply = refreshing(&gateway, last).send().await;
        let reply = reply.refused_after_proof(Reason::TokenExpired).await;
        may_be_read(&reply);
        let line = reply.only_request_line().await;
        assert_eq!(line["user"], last.json()["userId"], "{line}");
    }
    assert_eq!(service.count(), asked);
    // A browser with what is over can begin anew.
    let again = page(&gateway).header("cookie", &cookie_of(&short));
    got_a_token(&again.send().await);

    // What only the service knows.
    let gateway = start(&service, GENEROUS).await;
    let last = page(&gateway).send().await;
    let expired = json!({ "error": { "code": "TokenExpired", "message": "Token has expired" } });
    service.answers_as(How::Says(403, expired.to_string()));
    let reply = refreshing(&gateway, &last).send().await;
    let reply = reply.refused_after_proof(Reason::TokenExpired).await;
    may_be_read(&reply);
    // The exchange came to nothing, and can be tried again.
    service.answers_as(How::Gives(1800));
    got_a_token(&refreshing(&gateway, &last).send().await);
}

#[tokio::test]
async fn whatever_direct_line_answers_that_is_no_token_is_told_to_nobody() {
    let service = TokenService::start().await;
    let gateway = start(
        &service,
        &format!("timeout = '{}ms'\n{GENEROUS}", IMPATIENT.as_millis()),
    )
    .await;
    let last = page(&gateway).send().await;
    let good = json!({ "token": "t", "conversationId": "c", "expires_in": 1800 });
    let but = |name: &str, value: Value| {
        let mut answer = good.clone();
        answer[name] = value;
        answer.to_string()
    };
    let mut cases: Vec<How> = [400, 401, 403, 404, 429, 500, 502, 503]
        .map(|status| {
            How::Says(
                status,
                json!({ "error": { "code": "Some", "message": SECRET } }).to_string(),
            )
        })
        .into();
    let texts = [
        String::new(),
        "<html>".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!("{{\"token\":\"t\",{}", &good.to_string()[1..]),
        but("token", json!("")),
        but("token", json!("a b")),
        but("token", json!("a\r\nb")),
        but("token", json!(null)),
        but("token", json!("x".repeat(8193))),
        but("token", json!(SECRET)),
        but("token", json!(format!("x{SECRET}x"))),
        but("conversationId", json!("")),
        but("conversationId", json!("c".repeat(257))),
        but("conversationId", json!(SECRET)),
        but("expires_in", json!(0)),
        but("expires_in", json!(-1)),
        but("expires_in", json!("1800")),
        but("expires_in", json!(1e9)),
        but("padding", json!("x".repeat(70_000))),
    ];
    cases.extend(texts.map(|text| How::Says(200, text)));
    cases.push(How::Says(204, String::new()));
    cases.push(How::SaysWith(
        302,
        "location",
        "http://127.0.0.1:1/".to_owned(),
        String::new(),
    ));
    cases.push(How::Says(200, but("more", json!("x"))[1..].to_owned()));
    for how in cases {
        service.answers_as(how.clone());
        let reply = page(&gateway).send().await;
        assert_eq!(reply.status, 502, "{how:?}");
        let reply = reply.refused_before_proof(Reason::DirectLineRefused).await;
        may_be_read(&reply);
        let reply = refreshing(&gateway, &last).send().await;
        let reply = reply.refused_after_proof(Reason::DirectLineRefused).await;
        may_be_read(&reply);
        no_secret_is_told(&gateway, &[&reply]);
    }
    service.answers_as(How::Hangs);
    page_is_refused(page(&gateway), Reason::DirectLineUnreachable).await;
    service.answers_as(How::Gives(60));
    got_a_token(&refreshing(&gateway, &last).send().await);
}

#[tokio::test]
async fn a_service_that_speaks_no_http_or_is_not_there_is_told_apart() {
    let service = TokenService::start().await;
    service.answers_as(How::Raw(b"SSH-2.0-OpenSSH_9.6\r\n"));
    let gateway = start(&service, GENEROUS).await;
    page_is_refused(page(&gateway), Reason::DirectLineRefused).await;
    service.answers_as(How::Raw(b""));
    page_is_refused(page(&gateway), Reason::DirectLineUnreachable).await;
    let address = service.address();
    drop(service);
    eventually("its port is closed", async || {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    let reply = page_is_refused(page(&gateway), Reason::DirectLineUnreachable).await;
    let line = reply.only_request_line().await;
    assert_eq!(line["level"], "WARN", "{line}");
}

#[tokio::test]
async fn while_secrets_are_exchanged_the_second_one_is_tried() {
    let service = TokenService::start().await;
    let gateway = start(
        &service,
        &format!("secret = ['file:secret', 'file:second']\n{GENEROUS}"),
    )
    .await;
    let first = page(&gateway).send().await;
    got_a_token(&first);
    assert_eq!(service.count(), 1);
    service.takes_only(SECOND);
    for _ in 0..3 {
        let asked = service.count();
        got_a_token(&page(&gateway).send().await);
        let bearers: Vec<String> = service.asked()[asked..]
            .iter()
            .map(|one| one.bearer().to_owned())
            .collect();
        assert_eq!(bearers, [SECRET, SECOND]);
    }
    let told = gateway.event("direct_line_secret_refused", |_| true).await;
    assert_eq!(
        (&told["broker"], &told["secret"], &told["status"]),
        (&json!("site"), &json!(1), &json!(403))
    );
    // It is told once a minute, not with every token.
    let count = gateway.process().look(|output| {
        let lines = output.stdout.iter();
        lines
            .filter(|line| line.contains("direct_line_secret_refused"))
            .count()
    });
    assert_eq!(count, 1);
    service.takes_only("neither");
    let reply = page_is_refused(page(&gateway), Reason::DirectLineRefused).await;
    no_secret_is_told(&gateway, &[&first, &reply]);
    let line = reply.only_request_line().await;
    assert_eq!(line["note"], "Direct Line answered 403 BadArgument");
}

#[tokio::test]
async fn check_online_has_a_token_made_by_each_secret() {
    let service = TokenService::start().await;
    let gateway = start(
        &service,
        &format!("secret = ['file:secret', 'file:second']\n{GENEROUS}"),
    )
    .await;
    let checked = async || {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_botgate"))
            .args(["check", "--online"])
            .current_dir(gateway.folder())
            .output();
        let said = String::from_utf8(output.await.unwrap().stdout).unwrap();
        assert!(!said.contains(SECRET) && !said.contains(SECOND), "{said}");
        said
    };
    let said = checked().await;
    let port = service.address().port();
    for words in [
        "\nbroker site\n  served at     any host /directline/token\n".to_owned(),
        format!("  pages of      {PAGE}\n"),
        format!("  Direct Line   http://localhost:{port}, by 2 secrets\n"),
        format!("Direct Line   site: http://localhost:{port} takes 1 of 2, in "),
        "direct_line[0].secret of broker \"site\", number 2: Direct Line answered 403 BadArgument"
            .to_owned(),
        "compare it with the two keys".to_owned(),
    ] {
        assert!(said.contains(&words), "{words:?} is not in\n{said}");
    }
    assert!(said.contains("online: no errors"), "{said}");
    let bearers: Vec<String> = service
        .asked()
        .iter()
        .map(|one| one.bearer().to_owned())
        .collect();
    assert_eq!(bearers, [SECRET, SECOND]);
    drop(service);
    let said = checked().await;
    for words in ["let this machine reach that address", "online: 2 errors"] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    assert!(!said.contains(" takes "), "{said}");
}

#[tokio::test]
async fn the_status_page_has_the_brokers() {
    let service = TokenService::start().await;
    let more = format!("max_session = '8h'\n{GENEROUS}");
    let gateway = start(&service, &more).await;
    let (status, text) = gateway.admin("/?format=json").await;
    assert_eq!(status, 200);
    let data: Value = serde_json::from_str(&text).unwrap();
    let broker = &data["direct_line"][0];
    assert_eq!(broker["name"], "site", "{broker}");
    assert_eq!(broker["path"], "/directline/token", "{broker}");
    assert_eq!(broker["trusted_origins"], json!([PAGE]), "{broker}");
    assert_eq!(broker["users"], "users at random", "{broker}");
    assert_eq!(broker["secrets"], 1, "{broker}");
    assert_eq!(broker["max_session_seconds"], 8 * 3600, "{broker}");
    assert!(!text.contains(SECRET));
}

#[tokio::test]
async fn addresses_and_sessions_have_budgets() {
    let service = TokenService::start().await;
    let gateway = start(
        &service,
        "per_ip = { rate = '1/h', burst = 3 }\nper_session = { rate = '1/h', burst = 1 }",
    )
    .await;
    let first = page(&gateway).send().await;
    got_a_token(&first);
    // Those who may not ask at all use nothing up.
    for _ in 0..5 {
        let post = page(&gateway).header("origin", "https://evil.example");
        may_not_be_read(&refused(post, Reason::OriginNotAllowed).await);
        assert_eq!(
            page(&gateway).method(Method::OPTIONS).send().await.status,
            204
        );
    }
    let second = refreshing(&gateway, &first).send().await;
    got_a_token(&second);
    let reply = refreshing(&gateway, &second).send().await;
    let reply = reply.refused_after_proof(Reason::RateLimitedUser).await;
    may_be_read(&reply);
    let exposed = reply.header("access-control-expose-headers");
    assert_eq!(exposed, Some("retry-after, x-request-id"));
    let asked = service.count();
    for _ in 0..20 {
        page_is_refused(page(&gateway), Reason::RateLimitedIp).await;
    }
    assert_eq!(service.count(), asked);
    // Bots have budgets of their own.
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn a_browser_that_asks_again_and_again_is_counted_as_one() {
    let service = TokenService::start().await;
    let more =
        "per_ip = { rate = '1000/s', burst = 1000 }\nper_session = { rate = '1/h', burst = 2 }";
    let gateway = start(&service, more).await;
    let mut last = page(&gateway).send().await;
    for _ in 0..2 {
        let reply = page(&gateway)
            .header("cookie", &cookie_of(&last))
            .send()
            .await;
        got_a_token(&reply);
        assert_ne!(reply.json()["userId"], last.json()["userId"]);
        last = reply;
    }
    let again = page(&gateway).header("cookie", &cookie_of(&last));
    page_is_refused(again, Reason::RateLimitedUser).await;
    got_a_token(&page(&gateway).send().await);
}

#[tokio::test]
async fn so_many_wait_for_direct_line_and_no_more() {
    const MOST: usize = 256;
    let (service, other) = (TokenService::start().await, TokenService::start().await);
    let site = service.broker(&format!("timeout = '60s'\n{GENEROUS}"));
    let shop = other.broker_named("shop", &format!("path = '/shop'\n{GENEROUS}"));
    let gateway = Gateway::with(&site)
        .and(&shop)
        .and("[server.limits]\nconnections_per_ip = 1000")
        .file("secret", SECRET)
        .start()
        .await;
    service.answers_as(How::Hangs);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..MOST {
        waiting.spawn(page(&gateway).send());
    }
    eventually("all wait for Direct Line", async || service.count() == MOST).await;
    let reply = page_is_refused(page(&gateway), Reason::Overloaded).await;
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(service.count(), MOST);
    // Another broker's service is another one.
    got_a_token(&page(&gateway).path("/shop").send().await);
    // Whoever leaves makes room.
    waiting.abort_all();
    service.answers_as(How::Gives(60));
    eventually("there is room again", async || {
        page(&gateway).send().await.status == 200
    })
    .await;
}

#[tokio::test]
async fn nobody_makes_the_gateway_keep_large_bodies() {
    let service = TokenService::start().await;
    let more = format!(
        "[server.limits]\nbody_timeout = '300ms'\n{}",
        service.broker(GENEROUS)
    );
    let gateway = Gateway::with(&more).file("secret", SECRET).start().await;
    for post in both(|| page(&gateway).body(vec![b' '; 4097])) {
        page_is_refused(post, Reason::BodyTooLarge).await;
    }
    for post in both(|| page(&gateway).body(vec![b' '; 4096])) {
        got_a_token(&post.send().await);
    }
    let asked = service.count();
    let [head, _] = page(&gateway).into_pieces("transfer-encoding: chunked");
    let mut wire = Wire::open(&gateway).await;
    let chunk = [
        format!("{:x}\r\n", 5000).into_bytes(),
        vec![b'x'; 5000],
        b"\r\n".to_vec(),
    ]
    .concat();
    wire.write(&[head, chunk].concat()).await;
    let reply = wire.answer().await.expect("an answer");
    may_be_read(&reply.refused_before_proof(Reason::BodyTooLarge).await);
    let [head, _] = page(&gateway).into_pieces("content-length: 10");
    let mut wire = Wire::open(&gateway).await;
    wire.write(&head).await;
    let reply = wire.answer().await.expect("an answer");
    may_be_read(&reply.refused_before_proof(Reason::BodyTimedOut).await);
    assert_eq!(service.count(), asked);
}

#[tokio::test]
async fn a_user_whom_the_site_signed_in_has_the_same_id_each_time() {
    let service = TokenService::start().await;
    let key = SigningKey::generate("site-1").unwrap();
    let other = SigningKey::generate("site-1").unwrap();
    let keys = json!({ "keys": [key.jwk()] }).to_string();
    let jwt = "identity = { jwt = { issuer = 'https://login.example', audience = 'chat', jwks = 'keys.json' } }";
    let gateway = Gateway::with(&service.broker(&format!("{jwt}\n{GENEROUS}")))
        .file("secret", SECRET)
        .file("keys.json", keys)
        .start()
        .await;
    let signed = |change: &dyn Fn(TokenSpec) -> TokenSpec| {
        let spec = TokenSpec::new(
            &key,
            "https://login.example",
            "chat",
            "https://x.example/",
            now(),
        );
        let token = change(spec.claim("sub", "ada@example.com")).sign().unwrap();
        page(&gateway).authorization(&[&format!("Bearer {token}")])
    };
    let ada = signed(&|t| t).send().await;
    got_a_token(&ada);
    let again = signed(&|t| t.claim("aud", json!(["x", "chat"])))
        .over_http2()
        .send()
        .await;
    assert_eq!(again.json()["userId"], ada.json()["userId"]);
    let bob = signed(&|t| t.claim("sub", "bob")).send().await;
    assert_ne!(bob.json()["userId"], ada.json()["userId"]);
    let line = ada.only_request_line().await;
    assert_eq!(line["token_issuer"], "https://login.example", "{line}");
    assert!(!line.to_string().contains("ada@"), "{line}");
    // To refresh, the cookie says who it is.
    let refreshed = refreshing(&gateway, &ada).send().await;
    got_a_token(&refreshed);
    assert_eq!(refreshed.json()["userId"], ada.json()["userId"]);

    let asked = service.count();
    let hour = 3600;
    for (post, reason) in [
        (page(&gateway), Reason::TokenMissing),
        (
            page(&gateway).authorization(&["Bearer a.b"]),
            Reason::TokenMalformed,
        ),
        (
            signed(&|t| t.claim("iss", "https://evil.example")),
            Reason::TokenIssuerUnknown,
        ),
        (
            signed(&|t| t.claim("aud", APP_ID)),
            Reason::TokenAudienceMismatch,
        ),
        (
            signed(&|t| t.without_claim("aud")),
            Reason::TokenAudienceMismatch,
        ),
        (
            signed(&|t| t.without_claim("exp")),
            Reason::TokenLifetimeInvalid,
        ),
        (
            signed(&|t| t.claim("exp", now() - hour)),
            Reason::TokenExpired,
        ),
        (
            signed(&|t| t.claim("nbf", now() + hour)),
            Reason::TokenNotYetValid,
        ),
        (
            signed(&|t| t.without_claim("sub")),
            Reason::TokenClaimsInvalid,
        ),
        (signed(&|t| t.claim("sub", 7)), Reason::TokenClaimsInvalid),
        (
            signed(&|t| t.forged_by(&other)),
            Reason::TokenSignatureInvalid,
        ),
        (
            signed(&|t| t.with_a_bit_flipped()),
            Reason::TokenSignatureInvalid,
        ),
        (
            signed(&|t| t.header("alg", "none")),
            Reason::TokenAlgorithmRefused,
        ),
        // What the Connector signs is nobody's word here.
        (page(&gateway).token(|t| t), Reason::TokenIssuerUnknown),
    ] {
        page_is_refused(post, reason).await;
    }
    assert_eq!(service.count(), asked);
    no_secret_is_told(&gateway, &[&ada, &bob]);
}

#[tokio::test]
async fn a_header_names_the_user_only_where_a_trusted_server_sent_it() {
    let service = TokenService::start().await;
    let from = |addresses: &str| {
        format!(
            "identity = {{ header = {{ name = 'X-Site-User', from = ['{addresses}'] }} }}\n{GENEROUS}"
        )
    };
    let gateway = start(&service, &from("127.0.0.1")).await;
    let named = |name: &str| page(&gateway).header("x-site-user", name);
    let ada = named("ada").send().await;
    got_a_token(&ada);
    assert_eq!(
        named("ada").over_http2().send().await.json()["userId"],
        ada.json()["userId"]
    );
    assert_ne!(
        named("bob").send().await.json()["userId"],
        ada.json()["userId"]
    );
    page_is_refused(page(&gateway), Reason::TokenMissing).await;
    page_is_refused(
        named("ada").also_header("x-site-user", "bob"),
        Reason::TokenRepeated,
    )
    .await;
    page_is_refused(named("a b"), Reason::TokenClaimsInvalid).await;
    // Whoever signed in meanwhile does not go on with the conversation of the one before.
    let refresh = || refreshing(&gateway, &ada);
    for (post, reason) in [
        (refresh(), Reason::TokenMissing),
        (
            refresh().header("x-site-user", "bob"),
            Reason::TokenClaimsInvalid,
        ),
    ] {
        may_be_read(&post.send().await.refused_after_proof(reason).await);
    }
    got_a_token(&refresh().header("x-site-user", "ada").send().await);

    let gateway = start(&service, &from("10.0.0.0/8")).await;
    let asked = service.count();
    let post = page(&gateway).header("x-site-user", "ada");
    page_is_refused(post, Reason::TokenMissing).await;
    let post = page(&gateway)
        .header("x-site-user", "ada")
        .header("x-forwarded-for", "10.0.0.1");
    page_is_refused(post, Reason::TokenMissing).await;
    assert_eq!(service.count(), asked);
}

#[tokio::test]
async fn a_site_whose_keys_are_away_keeps_no_bot_from_its_channels() {
    let service = TokenService::start().await;
    let jwt = "identity = { jwt = { issuer = 'https://login.example', audience = 'chat', jwks = 'http://127.0.0.1:1/keys' } }";
    let gateway = start(&service, &format!("{jwt}\n{GENEROUS}")).await;
    let (status, text) = gateway.admin("/readyz").await;
    assert_eq!(
        (status, text.contains("\"missing\":[]")),
        (200, true),
        "{text}"
    );
    gateway.teams_message().send().await.forwarded().await;
    // Pages learn that it is not their fault.
    let key = SigningKey::generate("site-key").unwrap();
    let spec = TokenSpec::new(&key, "https://login.example", "chat", "", now());
    let token = format!("Bearer {}", spec.claim("sub", "ada").sign().unwrap());
    let post = page(&gateway).authorization(&[&token]);
    page_is_refused(post, Reason::KeysUnavailable).await;
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn only_ids_of_the_broker_reach_a_bot_that_asks_for_them() {
    let service = TokenService::start().await;
    let bot = EchoBot::start().await.unwrap();
    let gateway = Gateway::with(&service.broker(GENEROUS))
        .and("[bots.direct_line]\nenhanced_authentication = true\nissued_ids_only = true")
        .bot(&bot)
        .file("secret", SECRET)
        .start()
        .await;
    let says = |id: &str| gateway.post("webchat-message.json").with("/from/id", id);
    let id = page(&gateway).send().await.json()["userId"]
        .as_str()
        .unwrap()
        .to_owned();
    says(&id).send().await.forwarded().await;
    let other = page(&gateway).send().await.json()["userId"]
        .as_str()
        .unwrap()
        .to_owned();
    let mixed = format!("{}{}", &id[..25], &other[25..]);
    for made_up in [
        "dl_7f6e5d4c",
        "admin",
        &mixed,
        &format!("{id} "),
        &id[..46],
        &id.to_uppercase(),
    ] {
        let reply = says(made_up).send().await;
        reply.refused_after_proof(Reason::UserIdNotTrusted).await;
    }
    // Other channels have ids of their own.
    gateway.teams_message().send().await.forwarded().await;
}

#[tokio::test]
async fn a_reload_changes_everything_about_brokers_and_tells_no_secret() {
    let service = TokenService::start().await;
    let gateway = Gateway::with("")
        .file("secret", SECRET)
        .file("second", SECOND)
        .start()
        .await;
    let nothing = gateway.teams_message().path(TOKEN).send().await;
    nothing.refused_before_proof(Reason::PathNotFound).await;
    let reload = async |fragment: Option<&str>, wanted: &str| {
        let reloads = |output: &Output| {
            let lines = output.stdout.iter();
            let reloads = lines.filter(|line| line.contains("\"config_reloaded\""));
            reloads.cloned().collect::<Vec<_>>()
        };
        let before = gateway.process().look(reloads).len();
        if let Some(fragment) = fragment {
            gateway.rewrite(fragment);
        }
        gateway.signal(Signal::SIGHUP);
        let wait = |output: &Output| reloads(output).len() > before;
        let in_time = gateway.process().wait_until(wait, PATIENCE).await;
        assert!(in_time, "{}", gateway.output());
        let told = gateway.process().look(reloads).pop().unwrap();
        assert!(told.contains(wanted), "{told}");
        told
    };
    let more = "per_ip = { rate = '1/h', burst = 2 }";
    reload(Some(&service.broker(more)), "direct_line").await;
    let last = page(&gateway).send().await;
    got_a_token(&last);
    // The session and the budget outlive another reload.
    let inline = format!("{more}\nsecret = '{SECRET}'");
    let told = reload(Some(&service.broker(&inline)), "secret").await;
    assert!(told.contains("(secret)"), "{told}");
    got_a_token(&refreshing(&gateway, &last).send().await);
    page_is_refused(refreshing(&gateway, &last), Reason::RateLimitedIp).await;
    let elsewhere = service
        .broker(&format!("{GENEROUS}\nhosts = ['localhost']"))
        .replace(PAGE, "https://other.example");
    reload(Some(&elsewhere), "trusted_origins").await;
    may_not_be_read(&refused(page(&gateway), Reason::OriginNotAllowed).await);
    reload(Some(&service.broker(GENEROUS)), "trusted_origins").await;
    // The old cookie is known to be exchanged, still.
    let replayed = refreshing(&gateway, &last).send().await;
    replayed
        .refused_after_proof(Reason::TokenClaimsInvalid)
        .await;
    // What a file holds is a part of it.
    std::fs::write(gateway.folder().join("secret"), SECOND).unwrap();
    service.takes_only(SECOND);
    reload(None, "the content of").await;
    let again = page(&gateway).send().await;
    got_a_token(&again);
    reload(Some(""), "direct_line").await;
    let gone = page(&gateway).send().await;
    gone.refused_before_proof(Reason::PathNotFound).await;
    no_secret_is_told(&gateway, &[&last, &again]);
}

#[tokio::test]
async fn a_broker_is_at_its_own_host_and_exact_path() {
    let service = TokenService::start().await;
    let gateway = start(&service, &format!("hosts = ['localhost']\n{GENEROUS}")).await;
    got_a_token(&page(&gateway).send().await);
    for path in [
        "/directline/token/",
        "/directline",
        "/directline/token/refresh/",
        "/DirectLine/token",
        "/directline/%74oken",
    ] {
        let reply = page(&gateway).path(path).send().await;
        reply.refused_before_proof(Reason::PathNotFound).await;
    }
    let reply = page(&gateway).host("other.example").send().await;
    reply.refused_before_proof(Reason::PathNotFound).await;
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn direct_line_is_reached_over_tls_by_whom_the_configuration_trusts() {
    let authority = Authority::new("of Direct Line");
    let signed = authority.sign(&["localhost"]);
    let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(
        rustls::crypto::aws_lc_rs::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![signed.der.clone()], key)
    .unwrap();
    let service = TokenService::with_tls(tls).await;
    let gateway = start(&service, GENEROUS).await;
    let reply = page_is_refused(page(&gateway), Reason::DirectLineUnreachable).await;
    let line = reply.only_request_line().await;
    assert!(
        line["note"].as_str().unwrap().contains("certificate"),
        "{line}"
    );
    assert_eq!(service.count(), 0, "no secret was sent");
    let gateway = Gateway::with(&service.broker(&format!("ca = 'ca.pem'\n{GENEROUS}")))
        .file("secret", SECRET)
        .file("ca.pem", authority.pem())
        .start()
        .await;
    got_a_token(&page(&gateway).send().await);
}

#[tokio::test]
async fn a_gateway_about_to_end_gives_no_token() {
    let service = TokenService::start().await;
    let gateway = start(&service, GENEROUS).await;
    service.answers_as(How::Hangs);
    let waiting = tokio::spawn(page(&gateway).send());
    eventually("it waits for Direct Line", async || service.count() == 1).await;
    let mut idle = Wire::open(&gateway).await;
    let [head, _] = page(&gateway).into_pieces("content-length: 0");
    let (begun, rest) = head.split_at(10);
    idle.write(begun).await;
    gateway.signal(Signal::SIGTERM);
    gateway.event("drain_closing", |_| true).await;
    idle.write(rest).await;
    let reply = idle.answer().await.expect("an answer");
    may_be_read(&reply.refused_before_proof(Reason::Draining).await);
    // What was under way has its answer, by the broker's own deadline.
    let reply = waiting.await.unwrap();
    assert_eq!(reply.status, 502);
    assert!(gateway.ended().await.success());
}

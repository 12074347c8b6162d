//! The status page in a real browser: what it shows, what it keeps fresh, and that nobody can write into it.

use crate::support::browser::Browser;
use crate::support::{FOREIGN_TENANT, Gateway, PATIENCE, TENANT, eventually, plain};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Runs when it is taken for markup.
const MARKUP: &str = "<img src=x onerror=window.taken=1><script>window.taken=1</script>";

/// A gateway to which all sorts of things have happened: eight requests refused, one that would have been, three forwarded.
async fn world() -> Gateway {
    let gateway = Gateway::with(&format!("[bots.tenants]\nallow = [\"{TENANT}\"]"))
        .bot_at(
            "sales",
            "mode = \"report\"\ntenants = { allow = [\"00000000-0000-4000-8000-000000000001\"] }",
        )
        .start()
        .await;
    for _ in 0..3 {
        gateway.teams_message().send().await.forwarded().await;
    }
    gateway.teams_message().to("sales").send().await;
    for _ in 0..2 {
        foreign(&gateway).await;
    }
    let refused = [
        gateway.teams_message().without_token(),
        gateway.teams_message().path("/api/Messages"),
        gateway
            .teams_message()
            .token(|token| token.claim("aud", "other")),
        gateway.teams_message().with("/channelId", MARKUP),
        gateway
            .teams_message()
            .with("/channelData/tenant/id", MARKUP),
        gateway
            .teams_message()
            .token(|token| token.claim("iss", MARKUP)),
    ];
    for post in refused {
        let reply = post.send().await;
        reply.only_request_line().await;
    }
    gateway
}

async fn foreign(gateway: &Gateway) {
    let service_url = format!("https://smba.trafficmanager.net/emea/{FOREIGN_TENANT}/");
    let post = gateway
        .teams_message()
        .with("/serviceUrl", service_url)
        .with("/conversation/tenantId", FOREIGN_TENANT)
        .with("/channelData/tenant/id", FOREIGN_TENANT);
    post.send().await.only_request_line().await;
}

fn address(gateway: &Gateway) -> String {
    gateway.process().admin().unwrap().to_string()
}

async fn data(gateway: &Gateway) -> Value {
    let (status, text) = plain::get(&address(gateway), "/?format=json").await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .unwrap()
        .join("status-page")
}

#[tokio::test]
async fn programs_read_what_runs_and_what_was_refused() {
    let gateway = world().await;
    // The second in which the last request ended has to be over.
    eventually("the traffic has all of it", async || {
        let traffic = &data(&gateway).await["traffic"];
        let sum = |verdict: &str| -> u64 {
            let counts = traffic[verdict].as_array().unwrap().iter();
            counts.map(|count| count.as_u64().unwrap()).sum()
        };
        (sum("forwarded"), sum("would_reject"), sum("rejected")) == (3, 1, 8)
    })
    .await;
    let data = data(&gateway).await;
    assert_eq!(
        (&data["ready"], &data["missing"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(data["version"], env!("CARGO_PKG_VERSION"));
    let refused = data["refused"].as_array().unwrap();
    let reasons: Vec<&str> = refused
        .iter()
        .rev()
        .map(|one| one["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons[..6],
        [
            "tenant_not_allowed",
            "tenant_not_allowed",
            "tenant_not_allowed",
            "token_missing",
            "path_not_found",
            "token_audience_mismatch",
        ],
        "the latest first"
    );
    assert_eq!(refused.len(), 9);
    let would = &refused[8];
    assert_eq!(
        (&would["verdict"], &would["bot"], &would["status"]),
        (&json!("would_reject"), &json!("sales"), &json!(200))
    );
    let one = &refused[7];
    assert_eq!(
        (&one["verdict"], &one["bot"], &one["tenant"]),
        (&json!("rejected"), &json!("echo"), &json!(FOREIGN_TENANT))
    );
    assert!(
        one.get("user").is_none() && one.get("conversation").is_none(),
        "personal data stay in the log: {one}"
    );
    let of = |reason: &str| {
        let mut counts = data["traffic"]["reasons"].as_array().unwrap().iter();
        counts.find(|one| one["reason"] == reason).unwrap()["count"].clone()
    };
    assert_eq!(of("tenant_not_allowed"), 3);
    let [echo, sales] = [0, 1].map(|at| &data["bots"][at]);
    assert_eq!(echo["requests"]["forwarded"], 3.0);
    assert_eq!(echo["backends"][0]["up"], true);
    assert_eq!(echo["policies"][0]["allow"], json!([TENANT]));
    assert_eq!(
        (&echo["policies"][0]["mode"], &sales["policies"][0]["mode"]),
        (&json!("enforce"), &json!("report"))
    );
    assert_eq!(
        (&data["keys"][0]["usable"], &data["keys"][0]["keys"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(data["certificates"][0]["name"], "self-signed");
    assert!(data["configuration"]["in_force_since"].as_f64().unwrap() > 1e9);
}

#[tokio::test]
async fn only_the_last_hundred_are_kept() {
    let gateway = Gateway::start().await;
    for number in 0..110 {
        let post = gateway.teams_message().without_token();
        let post = post.header("x-request-id", &format!("number-{number}"));
        post.send().await;
    }
    eventually("all are counted", async || {
        gateway
            .metric("botgate_inflight_requests{bot=\"echo\"}")
            .await
            < 1.0
    })
    .await;
    let data = data(&gateway).await;
    let refused = data["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 100);
    assert_eq!(refused[0]["request_id"], "number-109");
    assert_eq!(refused[99]["request_id"], "number-10");
}

#[tokio::test]
async fn the_page_is_for_reading_by_whoever_is_here() {
    let gateway = Gateway::start().await;
    let address = address(&gateway);
    for path in [
        "/",
        "/?format=json",
        "/status.css",
        "/status.js",
        "/status.svg",
    ] {
        let answer = plain::ask(&address, Request::get(path).body("").unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{path}: {policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(
            header("cross-origin-resource-policy"),
            "same-origin",
            "{path}"
        );
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert!(
            answer
                .headers()
                .get("access-control-allow-origin")
                .is_none()
        );
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let request = Request::builder().method(method).uri(path).body("");
            let answer = plain::ask(&address, request.unwrap()).await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
        // A site whose name its owner lets point to this machine.
        let rebound = Request::get(path).header("host", "rebound.example:9090");
        let answer = plain::ask(&address, rebound.body("").unwrap()).await;
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
        let here = Request::get(path).header("host", "localhost:9090");
        let answer = plain::ask(&address, here.body("").unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    // What has no reading gets no page in its place.
    let flawed = "GET / HTTP/1.1\r\nhost : localhost\r\n\r\n";
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(flawed.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.expect("an answer").unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    // Collectors and probes come under names that a cluster has for them.
    for path in ["/healthz", "/readyz", "/metrics"] {
        let named = Request::get(path).header("host", "botgate.monitoring.svc");
        let answer = plain::ask(&address, named.body("").unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn people_see_it_in_a_browser() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let gateway = world().await;
    let url = format!("http://{}/", address(&gateway));
    browser.look(1280, "light").await;
    browser.open(&url).await;
    let rows = async || number(&browser, "document.querySelectorAll('#rows tr').length").await;
    eventually("every refused request has its row", async || {
        rows().await == 9
    })
    .await;

    // What a client wrote is there to be read, and only that.
    let text = browser
        .script("return document.querySelector('#rows').innerText")
        .await;
    let text = text.as_str().unwrap();
    assert!(text.contains("<img src=x onerror="), "{text}");
    let inside = "document.querySelectorAll('main img, main script, main iframe').length";
    assert_eq!(number(&browser, inside).await, 0);
    assert_eq!(browser.script("return window.taken").await, Value::Null);

    // Filters: by reason, together with text, and none.
    choose(&browser, "#f-reason", "tenant_not_allowed").await;
    assert_eq!(rows().await, 3);
    choose(&browser, "#f-bot", "echo").await;
    assert_eq!(rows().await, 2);
    let shown = "return document.querySelector('#shown').textContent";
    assert_eq!(browser.script(shown).await, "2 of 9 shown");
    browser.click("#clear").await;
    eventually("nothing is filtered", async || rows().await == 9).await;
    browser.type_into("#f-text", "api/messages").await;
    assert!(
        rows().await >= 8,
        "case does not matter, and the path is looked at"
    );
    browser.click("#clear").await;
    eventually("nothing is filtered", async || rows().await == 9).await;
    let button = "#reasons button[data-reason=token_missing]";
    let buttons = format!("document.querySelectorAll({button:?}).length");
    eventually("the second is over", async || {
        number(&browser, &buttons).await == 1
    })
    .await;
    browser.click(button).await;
    eventually("a reason of the chart filters", async || rows().await == 1).await;

    // It stays fresh by itself, and the filter stays.
    browser.script("window.same = true").await;
    let reply = gateway.teams_message().without_token().send().await;
    reply.only_request_line().await;
    eventually("the new one is there", async || rows().await == 2).await;
    browser.click("#clear").await;
    eventually("all of them are", async || rows().await == 10).await;
    assert_eq!(browser.script("return window.same").await, true);
    browser.click("#pause").await;
    let pressed = "return document.querySelector('#pause').getAttribute('aria-pressed')";
    assert_eq!(browser.script(pressed).await, "true");
    let reply = gateway.teams_message().without_token().send().await;
    reply.only_request_line().await;
    browser.click("#pause").await;
    eventually("it goes on after a pause", async || rows().await == 11).await;
    let text = "return document.querySelector('#chart-text').textContent";
    eventually("the chart is told in words", async || {
        let told = browser.script(text).await;
        told.as_str().unwrap().contains("14 requests, at most ")
    })
    .await;
    let bars = "document.querySelectorAll('#chart rect').length";
    assert!(number(&browser, bars).await > 0);

    for (name, width, scheme) in [
        ("light", 1280, "light"),
        ("dark", 1280, "dark"),
        ("narrow", 390, "light"),
        ("narrow-dark", 390, "dark"),
    ] {
        browser.look(width, scheme).await;
        is_accessible(&browser, name).await;
        browser
            .picture(&pictures().join(format!("{name}.png")))
            .await;
    }
    let console = browser.console().await;
    assert!(console.is_empty(), "{console:#?}");

    // A gateway that is gone is told, not hidden.
    gateway.terminate().await;
    let problem = "return !document.querySelector('#problem').hidden && document.querySelector('#health').textContent";
    eventually("the page says so", async || {
        browser.script(problem).await == "No answer"
    })
    .await;
}

/// A day at which much happens: a hundred refusals, full charts, things that do not go well.
#[tokio::test]
async fn a_busy_day_fits_the_page() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let gateway = world().await;
    let busy = busy_day(data(&gateway).await);
    let source = format!(
        "const busy = {busy}; window.fetch = async () => new Response(JSON.stringify(busy));"
    );
    let source = json!({ "source": source });
    browser
        .devtools("Page.addScriptToEvaluateOnNewDocument", &source)
        .await;
    browser.look(1280, "light").await;
    browser
        .open(&format!("http://{}/", address(&gateway)))
        .await;
    eventually("there are a hundred rows", async || {
        number(&browser, "document.querySelectorAll('#rows tr').length").await == 100
    })
    .await;
    let health = "return document.querySelector('#health').textContent";
    assert_eq!(
        browser.script(health).await,
        "Not ready: keys \"public\", bot \"sales\""
    );
    for (name, width, scheme) in [
        ("busy-light", 1280, "light"),
        ("busy-dark", 1280, "dark"),
        ("busy-narrow", 390, "light"),
        ("busy-wide", 1920, "light"),
    ] {
        browser.look(width, scheme).await;
        is_accessible(&browser, name).await;
        browser
            .picture(&pictures().join(format!("{name}.png")))
            .await;
    }
    let console = browser.console().await;
    assert!(console.is_empty(), "{console:#?}");
}

fn busy_day(mut data: Value) -> Value {
    data["ready"] = json!(false);
    data["missing"] = json!(["keys \"public\"", "bot \"sales\""]);
    data["in_flight"] = json!(1234);
    let wave = |size: u64, phase: u64| -> Vec<u64> {
        let at = |second: u64| size * ((second * 7 + phase) % 23 + 30) / 40 + second % 3;
        (0..300).map(at).collect()
    };
    let traffic = &mut data["traffic"];
    traffic["forwarded"] = json!(wave(60, 0));
    traffic["would_reject"] = json!(wave(4, 5));
    traffic["rejected"] = json!(wave(12, 9));
    traffic["abandoned"] = json!(wave(2, 2));
    let reasons = [
        ("tenant_not_allowed", 1840),
        ("token_missing", 902),
        ("rate_limited_conversation", 313),
        ("token_audience_mismatch", 77),
        ("service_url_not_allowed", 3),
    ];
    traffic["reasons"] = reasons
        .iter()
        .map(
            |(reason, count)| json!({ "reason": reason, "count": count, "meaning": "A sentence." }),
        )
        .collect();
    let few = data["refused"].as_array().unwrap().clone();
    data["refused"] = (0..100)
        .map(|number| {
            let mut one = few[number % few.len()].clone();
            one["request_id"] = json!(format!("0198b2d6-1f7e-7cc3-98c4-dc0c0c07{number:04}"));
            one["client_ip"] = json!(format!("2001:db8:85a3:8d3:1319:8a2e:370:{number:x}"));
            one
        })
        .collect();
    data["bots"][1]["backends"] = json!([
        { "name": "10.0.0.4:3978", "up": false },
        { "name": "a-rather-long-name-of-a-bot.internal.example.com:3978", "up": true },
    ]);
    data["bots"][1]["unhealthy"] = json!(true);
    data["keys"][0]["last_fetch_failed"] = json!(true);
    let now = data["now"].as_f64().unwrap();
    data["certificates"] = json!([
        { "name": "certs/server.pem", "expires": now + 9.5 * 86400.0 },
        { "name": "certs/a-second-name.example.com.pem", "expires": now - 86400.0 },
    ]);
    data
}

async fn number(browser: &Browser, script: &str) -> u64 {
    let value = browser.script(&format!("return {script}")).await;
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{script}: {value}"))
}

/// Chooses an option, and tells the page as a person's choice would.
async fn choose(browser: &Browser, css: &str, value: &str) {
    let script = format!(
        "const select = document.querySelector({css:?}); select.value = {value:?};
         select.dispatchEvent(new Event('input', {{ bubbles: true }})); return select.value"
    );
    assert_eq!(browser.script(&script).await, value);
}

/// What can be asked of a page without a person: names, heads, contrast of 4.5 to 1, nothing wider than the window.
async fn is_accessible(browser: &Browser, name: &str) {
    let complaints = browser.script(ACCESSIBLE).await;
    assert_eq!(complaints, json!([]), "{name}: {complaints:#}");
}

const ACCESSIBLE: &str = r##"
const complaints = [];
const complain = (what, element) => complaints.push(`${what}: ${element.outerHTML.slice(0, 160)}`);
for (const one of document.querySelectorAll("select, input")) if (one.labels.length !== 1) complain("no label", one);
for (const one of document.querySelectorAll("th")) if (!one.scope) complain("a head without a scope", one);
for (const one of document.querySelectorAll("table, section, article, svg[role]"))
  if (!one.getAttribute("aria-labelledby") && !one.getAttribute("aria-label")) complain("no name", one);
for (const one of document.querySelectorAll("[aria-labelledby], [aria-describedby]"))
  for (const id of `${one.getAttribute("aria-labelledby") ?? ""} ${one.getAttribute("aria-describedby") ?? ""}`.split(" ").filter(Boolean))
    if (!document.getElementById(id)) complain(`nothing is called ${id}`, one);
for (const one of document.querySelectorAll("img")) if (!one.hasAttribute("alt")) complain("no alt", one);
for (const one of document.querySelectorAll("[style], [onclick], [tabindex]:not([tabindex='-1'], [tabindex='0'])")) complain("an attribute", one);
const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
if (new Set(ids).size !== ids.length) complaints.push("an id stands twice");
const levels = [...document.querySelectorAll("h1, h2, h3")].map((one) => Number(one.tagName[1]));
levels.forEach((level, at) => { if (at > 0 && level > levels[at - 1] + 1) complaints.push(`heading ${at} leaves out a level`); });
if (document.documentElement.scrollWidth > window.innerWidth) complaints.push(`wider than the window: ${document.documentElement.scrollWidth}`);
const parse = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
const ground = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const [r, g, b, alpha = 1] = parse(getComputedStyle(one).backgroundColor);
    if (alpha > 0.99) return [r, g, b];
  }
  return [255, 255, 255];
};
const light = (rgb) => rgb.slice(0, 3).map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  .reduce((all, part, at) => all + part * [0.2126, 0.7152, 0.0722][at], 0);
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
  if (["NOSCRIPT", "SCRIPT", "OPTION"].includes(element.tagName)) continue;
  const [one, other] = [light(parse(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
  const contrast = (one + 0.05) / (other + 0.05);
  if (contrast < 4.5) complain(`contrast ${contrast.toFixed(2)}`, element);
}
return [...new Set(complaints)].slice(0, 20);
"##;

//! Keys that are fetched over TLS, and through a proxy.

use crate::support::detour::{ConnectProxy, TlsFront};
use crate::support::gateway::Setup;
use crate::support::{Gateway, new_channel};
use botgate::cli::demo::channel::Channel;
use botgate::judge::Reason;

/// `user:hunter2` as a proxy is told.
const BASIC: &str = "Basic dXNlcjpodW50ZXIy";
const PROXY_VARIABLES: &[&str] = &[
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// A channel whose documents are to be had over TLS only.
struct Scene {
    channel: Channel,
    front: TlsFront,
}

impl Scene {
    async fn set() -> Self {
        let channel = new_channel().await;
        let origin = channel.origin();
        let front = TlsFront::before(origin.trim_start_matches("http://")).await;
        let secured = |url: String| url.replace(&origin, &front.origin());
        channel.set_jwks_uri(Some(&secured(channel.keys_url())));
        Self { channel, front }
    }

    /// A gateway that is to fetch them, in an environment without a proxy.
    fn gateway(&self, keys: &str) -> Setup {
        let metadata = self.channel.metadata_url();
        let metadata = metadata.replace(&self.channel.origin(), &self.front.origin());
        let mut setup = Gateway::with(&format!(
            "clouds.stand-in.channel_metadata = '{metadata}'\n[keys]\nrefresh = '200ms'\n{keys}"
        ))
        .channel(&self.channel)
        .file("ca.pem", self.front.authority());
        for name in PROXY_VARIABLES {
            setup = setup.variable(name, "");
        }
        setup
    }

    fn host(&self) -> String {
        self.front.origin().replace("https://", "")
    }
}

const CA: &str = "ca_file = 'ca.pem'";

/// Keys come, so the channel is let in. Says what the proxy was asked for.
async fn serves(gateway: &Gateway, proxy: &ConnectProxy) -> Vec<String> {
    gateway.teams_message().send().await.forwarded().await;
    let text = gateway.output().to_string();
    for secret in ["hunter2", "dXNlcjpodW50ZXIy"] {
        assert!(!text.contains(secret), "the password is told: {text}");
    }
    proxy.asked()
}

async fn fails(gateway: &Gateway, why: &str) -> String {
    let line = gateway
        .event("keys_refresh_failed", |line| {
            line["error"].as_str().is_some_and(|e| e.contains(why))
        })
        .await;
    let reply = gateway.teams_message().send().await;
    reply.refused_before_proof(Reason::KeysUnavailable).await;
    let text = gateway.output().to_string();
    assert!(!text.contains("hunter2"), "the password is told: {text}");
    line["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_ca_file_names_it_and_nowhere_else() {
    let scene = Scene::set().await;
    let gateway = scene.gateway(CA).start().await;
    gateway.teams_message().send().await.forwarded().await;

    let gateway = scene.gateway("").not_ready().start().await;
    let error = fails(&gateway, "UnknownIssuer").await;
    assert!(error.contains("keys.ca_file"), "{error}");
}

#[tokio::test]
async fn keys_come_through_the_proxy_that_the_file_names() {
    let scene = Scene::set().await;
    let proxy = ConnectProxy::start(Some(BASIC)).await;
    let through = |user: &str| format!("{CA}\nproxy = 'http://{user}{}'", proxy.address());
    let gateway = scene.gateway(&through("user:hunter2@")).start().await;
    let asked = serves(&gateway, &proxy).await;
    assert!(asked.len() >= 2, "metadata and keys: {asked:?}");
    for head in asked {
        let start = format!("CONNECT {} HTTP/1.1\r\n", scene.host());
        assert!(head.starts_with(&start), "{head}");
    }

    // What it takes is said where it does not work.
    let gateway = scene.gateway(&through("")).not_ready().start().await;
    let error = fails(&gateway, "proxy authorization required").await;
    assert!(
        error.contains(&format!("through the proxy http://{}", proxy.address())),
        "{error}"
    );
    let without_ca = format!("proxy = 'http://user:hunter2@{}'", proxy.address());
    let gateway = scene.gateway(&without_ca).not_ready().start().await;
    let error = fails(&gateway, "UnknownIssuer").await;
    assert!(error.contains("keys.ca_file"), "{error}");
}

#[tokio::test]
async fn a_proxy_that_speaks_tls_is_spoken_to_in_tls() {
    let scene = Scene::set().await;
    let proxy = ConnectProxy::start(Some(BASIC)).await;
    let front = TlsFront::before(&proxy.address().to_string()).await;
    let of_proxy = front.origin().replace("https://", "https://user:hunter2@");
    let authorities = format!("{}{}", scene.front.authority(), front.authority());
    let gateway = scene
        .gateway(&format!("{CA}\nproxy = '{of_proxy}'"))
        .file("ca.pem", authorities)
        .start()
        .await;
    assert!(serves(&gateway, &proxy).await.len() >= 2);

    // Whose certificate has to be trusted, too.
    let gateway = scene
        .gateway(&format!("{CA}\nproxy = '{of_proxy}'"))
        .file("ca.pem", scene.front.authority())
        .not_ready()
        .start()
        .await;
    fails(&gateway, "UnknownIssuer").await;
}

#[tokio::test]
async fn keys_come_through_the_proxy_of_the_environment_but_for_hosts_in_no_proxy() {
    let scene = Scene::set().await;
    for (name, value_before) in [
        ("HTTPS_PROXY", "http://"),
        ("https_proxy", ""),
        ("ALL_PROXY", "http://"),
        ("all_proxy", "http://"),
    ] {
        let proxy = ConnectProxy::start(None).await;
        let value = format!("{value_before}{}", proxy.address());
        let setup = scene.gateway(CA).variable(name, &value);
        let gateway = setup.start().await;
        assert!(serves(&gateway, &proxy).await.len() >= 2, "{name}");
    }
    for (name, hosts) in [
        ("NO_PROXY", "example.com,localhost"),
        ("no_proxy", "localhost"),
        ("NO_PROXY", "*"),
    ] {
        let proxy = ConnectProxy::start(None).await;
        let setup = scene
            .gateway(&format!("{CA}\nproxy = 'http://{}'", proxy.address()))
            .variable(name, hosts);
        let gateway = setup.start().await;
        assert_eq!(serves(&gateway, &proxy).await, [""; 0], "{name}={hosts}");
    }
}

#[tokio::test]
async fn what_is_on_this_machine_in_plain_http_and_bots_are_never_proxied() {
    let proxy = ConnectProxy::start(None).await;
    let url = format!("http://{}", proxy.address());
    let gateway = Gateway::with(&format!("keys.proxy = '{url}'"))
        .variable("HTTPS_PROXY", &url)
        .variable("HTTP_PROXY", &url)
        .variable("http_proxy", &url)
        .start()
        .await;
    assert_eq!(serves(&gateway, &proxy).await, [""; 0]);
}

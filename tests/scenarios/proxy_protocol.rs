//! Behind a proxy that speaks the PROXY protocol the client is the one it announces, and nobody else can announce any.

use crate::support::metrics::Page;
use crate::support::{Gateway, PATIENCE, PROTOCOLS, eventually};
use botgate::cli::demo::client::{Client, Protocol};
use botgate::judge::Reason;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

const TRUSTING: &str = "[server]\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\n";
const ANNOUNCED: &str = "PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n";

/// A proxy before the gateway that begins each connection with these bytes.
struct Proxy {
    client: Client,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    async fn before(gateway: &Gateway, header: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (to, header) = (gateway.process().listen()[0], header.into());
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let header = header.clone();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(to).await.unwrap();
                    server.write_all(&header).await.unwrap();
                    let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        let certificate = gateway.folder().join("certs/self-signed.pem");
        Self {
            client: Client::trusting(&certificate, address).unwrap(),
            _task: AbortOnDropHandle::new(task),
        }
    }
}

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    let fixed = [command, family, length[0], length[1]];
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &fixed, block].concat()
}

fn v2_announcing(address: &str) -> Vec<u8> {
    let ports = [0xdc, 0x04, 0x01, 0xbb];
    match address.parse().unwrap() {
        IpAddr::V4(address) => {
            let both = [address.octets(), [198, 51, 100, 1]].concat();
            v2(0x21, 0x11, &[&both[..], &ports].concat())
        }
        IpAddr::V6(address) => {
            let both = [address.octets(), [1; 16]].concat();
            v2(0x21, 0x21, &[&both[..], &ports].concat())
        }
    }
}

async fn refused(gateway: &Gateway, reason: &str) -> f64 {
    let series = format!("botgate_connections_refused_total{{reason=\"{reason}\"}}");
    gateway.metric(&series).await
}

// Who the client is

#[tokio::test]
async fn the_announced_address_is_the_clients_in_the_log_and_for_the_bot() {
    let gateway = Gateway::with(TRUSTING).start().await;
    for (header, address) in [
        (ANNOUNCED.as_bytes().to_vec(), "203.0.113.9"),
        (
            b"PROXY TCP6 2001:db8::9 2001:db8::1 56324 443\r\n".to_vec(),
            "2001:db8::9",
        ),
        (v2_announcing("203.0.113.9"), "203.0.113.9"),
        (v2_announcing("2001:db8::9"), "2001:db8::9"),
        (v2_announcing("::ffff:203.0.113.9"), "203.0.113.9"),
        // Of nobody: the proxy speaks for itself, or does not know.
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(0x20, 0, &[]), "127.0.0.1"),
        (v2(0x21, 0, &[]), "127.0.0.1"),
    ] {
        let proxy = Proxy::before(&gateway, header.clone()).await;
        for protocol in PROTOCOLS {
            let mut connection = proxy.client.connect(protocol).await.unwrap();
            for _ in 0..2 {
                let post = gateway.teams_message().over(protocol);
                let reply = post.send_on(&mut connection).await;
                let seen = reply.forwarded().await;
                let line = reply.only_request_line().await;
                assert_eq!(line["client_ip"], address, "{}", header.escape_ascii());
                assert!(line["tls_version"].is_string(), "{line}");
                assert_eq!(seen.header("x-forwarded-for"), [address]);
                let node = match address.parse().unwrap() {
                    IpAddr::V4(address) => format!("for={address};"),
                    IpAddr::V6(address) => format!("for=\"[{address}]\";"),
                };
                let forwarded = seen.header("forwarded");
                assert!(forwarded[0].starts_with(&node), "{forwarded:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_the_announced_client_claims_of_itself_is_not_believed() {
    let gateway = Gateway::with(
        "[server]\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\", \"203.0.113.0/24\"]",
    )
    .start()
    .await;
    for (announced, expected) in [("198.51.100.7", "198.51.100.7"), ("203.0.113.9", "6.6.6.6")] {
        // Only where it is a trusted proxy itself.
        let proxy = Proxy::before(&gateway, v2_announcing(announced)).await;
        let mut connection = proxy.client.connect(Protocol::Http1).await.unwrap();
        let post = gateway.teams_message().header("x-forwarded-for", "6.6.6.6");
        let reply = post.send_on(&mut connection).await;
        let line = reply.only_request_line().await;
        assert_eq!(line["client_ip"], expected, "{line}");
    }
}

#[tokio::test]
async fn budgets_and_caps_are_the_announced_clients() {
    let gateway = Gateway::with(&format!(
        "{TRUSTING}[server.limits]\nconnections_per_ip = 1\nrequests_per_ip = {{ rate = \"1/h\", burst = 1 }}"
    ))
    .start()
    .await;
    let mut open = vec![];
    for address in ["203.0.113.1", "203.0.113.2", "2001:db8:1:2::1"] {
        let proxy = Proxy::before(&gateway, v2_announcing(address)).await;
        let mut connection = proxy.client.connect(Protocol::Http1).await.unwrap();
        let reply = gateway.teams_message().send_on(&mut connection).await;
        reply.forwarded().await;
        let reply = gateway.teams_message().send_on(&mut connection).await;
        reply.refused_before_proof(Reason::RateLimitedIp).await;
        open.push((proxy, connection));
    }
    // One IPv6 network is one client, here too.
    for address in ["203.0.113.1", "2001:db8:1:2::9"] {
        let proxy = Proxy::before(&gateway, v2_announcing(address)).await;
        assert!(proxy.client.connect(Protocol::Http1).await.is_err());
    }
    assert!((refused(&gateway, "connection_limited").await - 2.0).abs() < 0.1);
    drop(open);
    let proxy = Proxy::before(&gateway, v2_announcing("203.0.113.1")).await;
    eventually("it has a connection again", async || {
        proxy.client.connect(Protocol::Http1).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn without_tls_it_is_the_same() {
    // Nobody speaks TLS here, but the client wants something to trust.
    let unused = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let gateway = Gateway::with(&format!("{TRUSTING}[server.tls]\nsource = \"off\""))
        .file("unused.pem", unused.cert.pem())
        .trusting("unused.pem")
        .start()
        .await;
    let mut stream = TcpStream::connect(gateway.process().listen()[0])
        .await
        .unwrap();
    // In one piece with the request.
    let request = gateway
        .teams_message()
        .header("x-request-id", "plain")
        .into_bytes();
    let all = [&v2_announcing("203.0.113.9")[..], &request].concat();
    stream.write_all(&all).await.unwrap();
    let line = gateway.request_line_for("plain").await;
    assert_eq!(line["client_ip"], "203.0.113.9", "{line}");
    assert_eq!(line["verdict"], "forwarded", "{line}");
}

// Who is not let in

/// What is answered to these bytes until the connection is closed.
async fn answer_to(gateway: &Gateway, bytes: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(gateway.process().listen()[0]);
    answer_on(stream.await.unwrap(), bytes).await
}

async fn answer_on(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    // It may be closed already.
    let _taken = stream.write_all(bytes).await;
    let mut answer = vec![];
    let closed = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // With an end or a reset: either way it is over.
    let _how = closed.expect("the connection is closed");
    answer
}

#[tokio::test]
async fn who_is_no_trusted_proxy_cannot_connect_whatever_it_announces() {
    let gateway = Gateway::with(&TRUSTING.replace("127.0.0.1", "127.0.0.2"))
        .start()
        .await;
    for bytes in [
        ANNOUNCED.as_bytes(),
        &v2_announcing("127.0.0.2"),
        b"\x16\x03\x01",
    ] {
        assert_eq!(answer_to(&gateway, bytes).await, b"");
    }
    assert!((refused(&gateway, "not_a_trusted_proxy").await - 3.0).abs() < 0.1);
    let line = gateway.event("proxy_refused", |_| true).await;
    assert_eq!(line["client_ip"], "127.0.0.1", "{line}");
    assert!(
        line["why"]
            .as_str()
            .unwrap()
            .contains("server.trusted_proxies"),
        "{line}"
    );
    let told = gateway.process().look(|output| {
        let lines = output.log.iter();
        lines
            .filter(|line| line["event"] == "proxy_refused")
            .count()
    });
    assert_eq!(told, 1, "once a minute");
    // While the trusted one can.
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind("127.0.0.2:0".parse::<SocketAddr>().unwrap())
        .unwrap();
    let mut trusted = socket.connect(gateway.process().listen()[0]).await.unwrap();
    trusted.write_all(ANNOUNCED.as_bytes()).await.unwrap();
    trusted.write_all(b"no TLS").await.unwrap();
    let handshakes = "botgate_tls_handshakes_total{result=\"failed\",version=\"\"}";
    eventually("its handshake is read", async || {
        gateway.metric(handshakes).await > 0.5
    })
    .await;
}

#[tokio::test]
async fn a_connection_without_a_whole_header_is_closed_and_counted() {
    let gateway = Gateway::with(&format!(
        "{TRUSTING}[server.tls]\nhandshake_timeout = \"300ms\""
    ))
    .start()
    .await;
    for (bytes, reason) in [
        (
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            "proxy_header_missing",
        ),
        (b"GET / HTTP/1.1\r\n", "proxy_header_missing"),
        (
            b"PROXY TCP4 203.0.113.9 198.51.100.1 1 2 3\r\n",
            "proxy_header_malformed",
        ),
        (&v2(0x11, 0x11, &[0; 12]), "proxy_header_malformed"),
        (
            &[b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat(),
            "proxy_header_too_long",
        ),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            "proxy_header_too_long",
        ),
        // There is more to come, which never does.
        (b"PROXY TCP4 203.0.113.9", "proxy_header_broken"),
        (b"P", "proxy_header_broken"),
        (&v2(0x21, 0x11, &[0; 12])[..20], "proxy_header_broken"),
        (b"", "proxy_header_broken"),
    ] {
        let before = refused(&gateway, reason).await;
        assert_eq!(answer_to(&gateway, bytes).await, b"");
        eventually(reason, async || {
            (refused(&gateway, reason).await - before - 1.0).abs() < 0.1
        })
        .await;
    }
    let line = gateway.event("proxy_refused", |_| true).await;
    assert!(line["why"].as_str().unwrap().contains("PROXY"), "{line}");
    // A load balancer that looks whether somebody listens, and says nothing, is no failure.
    let counts = |page: &Page| page.family("botgate_connections_refused_total");
    let before = counts(&Page::of(&gateway).await);
    for _ in 0..5 {
        let probe = TcpStream::connect(gateway.process().listen()[0]);
        drop(probe.await.unwrap());
    }
    eventually("they are gone", async || {
        gateway.metric("botgate_connections{state=\"open\"}").await < 0.5
    })
    .await;
    assert_eq!(counts(&Page::of(&gateway).await), before);
    assert!(gateway.bot().seen().is_empty());
}

#[tokio::test]
async fn it_can_be_switched_while_the_gateway_runs() {
    let gateway = Gateway::start().await;
    gateway.teams_message().send().await.forwarded().await;
    let mut open = gateway.client().connect(Protocol::Http1).await.unwrap();
    gateway.rewrite(TRUSTING);
    gateway.signal(nix::sys::signal::Signal::SIGHUP);
    gateway.event("config_reloaded", |_| true).await;
    assert!(
        timeout(
            Duration::from_secs(20),
            gateway.client().connect(Protocol::Http1)
        )
        .await
        .expect("it is closed")
        .is_err()
    );
    let proxy = Proxy::before(&gateway, ANNOUNCED).await;
    let mut connection = proxy.client.connect(Protocol::Http1).await.unwrap();
    let reply = gateway.teams_message().send_on(&mut connection).await;
    let line = reply.only_request_line().await;
    assert_eq!(line["client_ip"], "203.0.113.9", "{line}");
    // Who was there before stays.
    let reply = gateway.teams_message().send_on(&mut open).await;
    reply.forwarded().await;
}

//! `botgate check --online` says what is not so outside the file: keys, clock, certificate chain, bots.

use crate::support::raw_bot::RawBot;
use crate::support::tls_bot::TlsBot;
use crate::support::{APP_ID, new_channel};
use botgate::cli::demo::bot::EchoBot;
use botgate::cli::demo::channel::{Channel, Document, now};
use botgate::cli::demo::signing::SigningKey;
use http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

/// A folder with a `gateway.toml` whose cloud is `cloud`.
fn folder(cloud: &str, rest: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[keys]\ncache_dir = \"\"\nfetch_timeout = \"5s\"\n{cloud}\n{rest}"
    );
    std::fs::write(folder.path().join("gateway.toml"), text).unwrap();
    folder
}

fn bot(name: &str, backend: &str, more: &str) -> String {
    format!(
        "[[bots]]\nname = \"{name}\"\napp_id = \"{APP_ID}\"\npath = \"/{name}\"\ncloud = \"stand-in\"\nbackend = \"{backend}\"\n{more}\n"
    )
}

/// What `check --online` says there, and how it ends. The platform's roots are those in `roots.pem`.
async fn checked(folder: &Path) -> (String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_botgate"))
        .args(["check", "--online"])
        .env("SSL_CERT_FILE", folder.join("roots.pem"))
        .env_remove("SSL_CERT_DIR")
        .current_dir(folder)
        .output()
        .await
        .unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        output.status.code(),
    )
}

/// Root, intermediate, and a server's certificate with its key, as PEM.
struct Chain {
    root: String,
    intermediate: String,
    server: String,
    key: String,
}

impl Chain {
    fn made_for(name: &str) -> Self {
        let params = |name: &str| {
            let mut params = CertificateParams::new(vec![]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let (root, root_key) = (params("Everyone's Root"), KeyPair::generate().unwrap());
        let root_pem = root.self_signed(&root_key).unwrap().pem();
        let root = Issuer::new(root, root_key);
        let (middle, middle_key) = (params("The Intermediate"), KeyPair::generate().unwrap());
        let middle_pem = middle.signed_by(&middle_key, &root).unwrap().pem();
        let middle = Issuer::new(middle, middle_key);
        let key = KeyPair::generate().unwrap();
        let mut server = CertificateParams::new(vec![name.to_owned()]).unwrap();
        server.distinguished_name.push(DnType::CommonName, name);
        // Without the dates of 1975 and 4096 that rcgen writes unasked.
        server.not_before = rcgen::date_time_ymd(2020, 1, 1);
        server.not_after = rcgen::date_time_ymd(2090, 1, 1);
        Self {
            root: root_pem,
            intermediate: middle_pem,
            server: server.signed_by(&key, &middle).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn save(&self, folder: &Path, full: bool) {
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("roots.pem", &self.root);
        let chain = if full {
            format!("{}{}", self.server, self.intermediate)
        } else {
            self.server.clone()
        };
        write("server.pem", &chain);
        write("server.key", &self.key);
        let owner_only = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(folder.join("server.key"), owner_only).unwrap();
    }
}

const FILES: &str =
    "[server.tls]\nsource = \"files\"\ncert = \"server.pem\"\nkey = \"server.key\"\n";

#[tokio::test]
async fn a_good_setup_is_told_line_by_line() {
    let channel = new_channel().await;
    let echo = EchoBot::start().await.unwrap();
    let hosts = "hosts = [\"bot.example.com\"]";
    let rest = FILES.to_owned() + &bot("echo", &echo.messages_url(), hosts);
    let folder = folder(&channel.cloud_toml("stand-in"), &rest);
    Chain::made_for("bot.example.com").save(folder.path(), true);
    let (said, exit) = checked(folder.path()).await;
    assert_eq!(exit, Some(0), "{said}");
    let (_, online) = said.split_once("\nonline\n").unwrap();
    for words in [
        "  keys          https://api.botframework.com: 1 key, as http://127.0.0.1:",
        " s from that of http://127.0.0.1:",
        "  certificate   CN=bot.example.com, by CN=The Intermediate, until Jan  1 00:00:00 2090 +00:00: the chain of 2 leads to a root",
        "  names         echo: bot.example.com is covered",
        "  backend       echo: http://127.0.0.1:",
        "; online: no errors, no warnings",
    ] {
        assert!(online.contains(words), "{words:?} is not in\n{said}");
    }
    assert_eq!(echo.count(), 1, "one request, and no activity");
    assert_eq!(echo.seen()[0].method, "OPTIONS");
}

#[tokio::test]
async fn every_backend_of_a_list_is_asked() {
    let channel = new_channel().await;
    let echo = EchoBot::start().await.unwrap();
    let list = format!(
        "{}\", \"unix:there.sock:/api/messages\", \"unix:none.sock:/api/messages",
        echo.messages_url()
    );
    let quoted = format!("\"{list}\"");
    let bot = bot("echo", &list, "hosts = [\"bot.example.com\"]")
        .replace(&quoted, &format!("[{quoted}]"));
    let folder = folder(&channel.cloud_toml("stand-in"), &(FILES.to_owned() + &bot));
    Chain::made_for("bot.example.com").save(folder.path(), true);
    let there = RawBot::on_socket(&folder.path().join("there.sock"));
    let (said, exit) = checked(folder.path()).await;
    assert_eq!(exit, Some(1), "{said}");
    for words in [
        "  backend       echo: http://127.0.0.1:",
        "  backend       echo: unix:there.sock:/api/messages answers OPTIONS with 200",
        "error: bots[0].backend[2] of bot \"echo\", unix:none.sock:/api/messages, does not answer: Unix socket: No such file",
        "    hint: start the bot, or correct the path of its socket",
    ] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    assert_eq!((echo.count(), there.seen().requests.len()), (1, 1));
}

#[tokio::test]
async fn what_is_not_so_is_told_with_its_line_and_what_to_do() {
    let channel = new_channel().await;
    channel.publish_raw(serde_json::json!({ "kty": "EC", "kid": "elliptic" }));
    let away = EchoBot::start().await.unwrap();
    let private = TlsBot::start("inside.example", &["h2", "http/1.1"]).await;
    let rest = FILES.to_owned()
        + &bot(
            "away",
            &away.messages_url(),
            "hosts = [\"other.example.com\"]",
        )
        + &bot("private", &private.messages_url(), "");
    let folder = folder(&channel.cloud_toml("stand-in"), &rest);
    Chain::made_for("bot.example.com").save(folder.path(), false);
    away.close().await;
    let (said, exit) = checked(folder.path()).await;
    assert_eq!(exit, Some(1), "{said}");
    let text = std::fs::read_to_string(folder.path().join("gateway.toml")).unwrap();
    let line = |words: &str| {
        1 + text
            .lines()
            .position(|line| line.starts_with(words))
            .unwrap()
    };
    let second = 1 + text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("backend"))
        .nth(1)
        .unwrap()
        .0;
    for words in [
        format!(
            "gateway.toml:{}: error: server.tls misses an intermediate: CN=bot.example.com is signed by CN=The Intermediate, which is neither",
            line("cert =")
        ),
        "    hint: put that certificate behind the server's own in the file".to_owned(),
        format!(
            "gateway.toml:{}: error: bots[0].hosts names other.example.com, which the certificate is not for: it covers bot.example.com",
            line("hosts =")
        ),
        format!(
            "gateway.toml:{}: error: bots[0].backend of bot \"away\", http://127.0.0.1:",
            line("backend =")
        ),
        format!(
            "gateway.toml:{second}: error: bots[1].backend of bot \"private\", https://127.0.0.1:"
        ),
        "    hint: name the authority of its certificate in bots.backend_tls.ca".to_owned(),
        format!(
            "gateway.toml:{}: warning: keys of https://api.botframework.com: a key is left out: key 1: kty is not RSA",
            line("channel_metadata")
        ),
        "hosts is empty, so names cannot be checked".to_owned(),
        "; online: 4 errors, 1 warning".to_owned(),
    ] {
        assert!(said.contains(&words), "{words:?} is not in\n{said}");
    }
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_and_a_path_that_is_not_there() {
    let channel = new_channel().await;
    channel.serve_keys(Document::status(StatusCode::FORBIDDEN));
    // A stand-in channel is no bot: it has other paths.
    let other = new_channel().await;
    let rest = "[server.tls]\nsource = \"self-signed\"\n".to_owned()
        + &bot(
            "echo",
            &format!("{}/api/messages?code=hunter2", other.origin()),
            "",
        );
    let folder = folder(&channel.cloud_toml("stand-in"), &rest);
    let (said, exit) = checked(folder.path()).await;
    assert_eq!(exit, Some(1), "{said}");
    let text = std::fs::read_to_string(folder.path().join("gateway.toml")).unwrap();
    let line = 1 + text
        .lines()
        .position(|line| line.starts_with("channel_metadata"))
        .unwrap();
    let at = format!(
        "gateway.toml:{line}: error: keys of https://api.botframework.com cannot be fetched: http://127.0.0.1:"
    );
    for words in [
        at.as_str(),
        "status 403",
        "    hint: something answers there, but not with this issuer's keys: correct the address",
        "warning: bots[0].backend of bot \"echo\" is alive, but answers OPTIONS http://127.0.0.1:",
        "warning: server.tls shows a self-signed certificate",
        "; online: 1 error, 2 warnings",
    ] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}

/// Metadata and keys from a server whose clock is off by `seconds`.
async fn with_a_clock_off_by(seconds: i64) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let key = SigningKey::generate("a").unwrap().jwk();
    let keys = serde_json::json!({ "keys": [key] }).to_string();
    let metadata = serde_json::json!({ "issuer": "https://api.botframework.com", "jwks_uri": format!("{origin}/keys") }).to_string();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let body = if head.starts_with(b"GET /keys ") {
                &keys
            } else {
                &metadata
            };
            let then = UNIX_EPOCH + Duration::from_secs(now().checked_add_signed(seconds).unwrap());
            let date = httpdate::fmt_http_date(then);
            let answer = format!(
                "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let cloud = format!(
        "[clouds.stand-in]\nchannel_metadata = \"{origin}/metadata\"\nchannel_issuer = \"https://api.botframework.com\"\nservice_url_hosts = [\"127.0.0.1\"]"
    );
    (cloud, AbortOnDropHandle::new(task))
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_with_the_way_it_is_off() {
    let echo = EchoBot::start().await.unwrap();
    for (off, words, code) in [
        (
            3600,
            "error: keys needs a right clock: this machine's is 3",
            1,
        ),
        (-3600, " s ahead of that of http://127.0.0.1:", 1),
        (
            -120,
            "warning: keys needs a right clock: this machine's is 12",
            0,
        ),
    ] {
        let (cloud, _server) = with_a_clock_off_by(off).await;
        let rest = bot("echo", &echo.messages_url(), "") + "[server.tls]\nsource = \"off\"\n";
        let folder = folder(&cloud, &rest);
        let (said, exit) = checked(folder.path()).await;
        assert!(said.contains(words), "{words:?} is not in\n{said}");
        assert_eq!(exit, Some(code), "{said}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_good_is_told_before_anything_is_tried_out() {
    let channel = Channel::start().await.unwrap();
    let rest = FILES.to_owned() + &bot("echo", "http://127.0.0.1:1/", "");
    let folder = folder(&channel.cloud_toml("stand-in"), &rest);
    let (said, exit) = checked(folder.path()).await;
    assert_eq!(exit, Some(78), "{said}");
    assert!(!said.contains("online"), "{said}");
    assert_eq!(channel.fetches(), <_>::default());
}

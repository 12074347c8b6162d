//! What we want: `gateway.toml`, read, checked and complete.
//!
//! This room must not open sockets, and must not decide about requests; it builds the values that `judge` decides with.

mod about;
mod acme;
mod backend;
mod bots;
mod certificates;
mod clouds;
mod direct_line;
mod endpoint;
mod fetching;
mod file;
mod files;
mod identity;
mod keys;
mod policy;
mod problem;
mod proxies;
mod resolve;
mod roots;
mod schema;
mod server;
mod state;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod typed;
mod values;
mod wanted;
mod weak;
mod written;

pub use certificates::{Acme, AcmeChallenge, NamedCertificate, Tls, TlsSource, TlsVersion};
pub use files::{Files, lacks_descriptors};
pub use problem::{Problem, Severity};
pub use resolve::{Attempt, Lines, Loaded, StartFlags, attempt, load, parse};
pub use schema::schema;
pub use written::{Change, Written};

use crate::judge::direct_line::{Issuer, SiteIdentity, TrustedOrigins};
use crate::judge::{Cloud, Expect, Mode, Policy, Route, StrictLimits};
use crate::secret::Secret;
use http::HeaderName;
use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Everything a gateway needs to run. Checked and complete: no field that must be set is optional.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[server]`.
    pub server: Server,
    /// `[admin] listen`; `None` turns the admin listener off.
    pub admin: Option<SocketAddr>,
    /// `[log]`.
    pub log: Log,
    /// `[keys]`.
    pub keys: Keys,
    /// The clouds that at least one bot uses, each once.
    pub clouds: Vec<Arc<Cloud>>,
    /// The key sets that the bots' trust roots need, each once; [`KeySourceId`](crate::judge::KeySourceId) is the position here.
    pub key_sources: Vec<Arc<KeySource>>,
    /// `[state]`, where `store` is not `memory`: what all gateways of a fleet count in.
    pub shared_store: Option<SharedStore>,
    /// `[[bots]]`, in the order written; [`Bot::index`] is the position here.
    pub bots: Vec<Arc<Bot>>,
    /// `[[direct_line]]`, in the order written; [`DirectLine::index`] is the position here.
    pub direct_lines: Vec<Arc<DirectLine>>,
}

impl Settings {
    /// The position of the bot of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.bots.iter().position(|bot| bot.name == name)
    }
}

/// Where one set of signing keys comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySource {
    /// Unique; names the file in `keys.cache_dir`: `public`, `public+entra`, `public+TENANT`.
    pub name: String,
    /// Whose keys: log field and metric label, unique too.
    pub issuer: String,
    /// Where they are.
    pub origin: KeyOrigin,
}

impl KeySource {
    /// With what the names of those of sites begin; no cloud's has such a name.
    const OF_A_SITE: &str = "direct_line++";

    /// Whether a site signs its users in with them, for the pages of a broker. No channel needs them.
    pub fn is_of_a_site(&self) -> bool {
        self.name.starts_with(Self::OF_A_SITE)
    }
}

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// Where the Connector's OpenID metadata says, on its own host.
    Connector {
        /// URL of the metadata.
        metadata: String,
        /// What it must say its issuer is.
        issuer: String,
    },
    /// Where Entra's OpenID metadata says.
    Entra {
        /// URL of the metadata.
        metadata: String,
        /// Hosts the keys may be on, beside the metadata's own.
        key_hosts: Vec<String>,
    },
    /// At an address made from a tenant's id.
    EntraTenant {
        /// URLs of the key set: the next counts where one is not there (404). The built-in clouds have one each.
        keys: Vec<String>,
        /// URL of the metadata to turn to where no such address is there, as in clouds made for tests.
        metadata: String,
        /// Hosts the metadata's keys may be on, beside its own.
        key_hosts: Vec<String>,
    },
    /// At this address, without metadata that leads there.
    KeySet(String),
    /// A key set on disk.
    File(PathBuf),
}

/// `[server]`.
#[derive(Clone, Debug)]
pub struct Server {
    /// Addresses to listen on, at least one.
    pub listen: Vec<SocketAddr>,
    /// How long a shutdown waits for requests in flight.
    pub drain_timeout: Duration,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether those peers begin each connection with a PROXY protocol header, and nobody else may connect.
    pub proxy_protocol: bool,
    /// `[server.tls]`.
    pub tls: Tls,
    /// `[server.limits]`.
    pub limits: Limits,
}

/// `[server.limits]`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once.
    pub connections: usize,
    /// Connections open at once from one address.
    pub connections_per_ip: usize,
    /// For the whole request head.
    pub header_timeout: Duration,
    /// For the whole body.
    pub body_timeout: Duration,
    /// For an idle connection.
    pub keep_alive_timeout: Duration,
    /// Size of the request head, bytes.
    pub header_bytes: usize,
    /// Number of header fields.
    pub headers: usize,
    /// Size of the body, bytes.
    pub body_bytes: usize,
    /// Size of all bodies in memory, bytes; at least `body_bytes`.
    pub body_bytes_total: usize,
    /// Depth and member count of the activity.
    pub json: StrictLimits,
    /// Requests of one address, before any token is looked at.
    pub requests_per_ip: Quota,
}

/// A rate with a burst: `{ rate = "200/s", burst = 400 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Time for one more request to become allowed: one second for `1/s`, 6 s for `10/m`. Never zero.
    pub interval: Duration,
    /// Requests allowed at once, at least 1.
    pub burst: std::num::NonZeroU32,
}

/// `[state]` with `store = "redis"`: Redis 7 or Valkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedStore {
    /// Where it is.
    pub servers: StoreServers,
    /// `rediss://`.
    pub tls: Option<StoreTls>,
    /// `user` and `password`: of the server's access list.
    pub login: StoreLogin,
    /// What the names of all keys begin with.
    pub key_prefix: String,
    /// For one answer, in all. Who does not get one in time goes on without the store.
    pub timeout: Duration,
    /// What counts while the store is away: `true` refuses (503), `false` counts in each gateway by itself.
    pub denies_without: bool,
}

/// The servers of a shared store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreServers {
    /// One: `redis://HOST:PORT/DB`.
    One {
        /// Host and port.
        address: (String, u16),
        /// Number of the database.
        database: u16,
    },
    /// `redis+cluster://HOST:PORT,HOST:PORT`: nodes that know the others, at least one.
    Cluster(Vec<(String, u16)>),
    /// `redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB`: sentinels that know which server is the master.
    Sentinel {
        /// At least one.
        sentinels: Vec<(String, u16)>,
        /// Of the sentinels.
        login: StoreLogin,
        /// Under which name they know it.
        master: String,
        /// Number of the database.
        database: u16,
    },
}

/// Who a gateway is for a shared store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreLogin {
    /// `None` for the server's default user.
    pub user: Option<String>,
    /// `None` for none.
    pub password: Option<Secret<String>>,
}

/// TLS to a shared store. Contents are PEM, read when the file was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreTls {
    /// Trust these authorities instead of the platform's.
    pub ca: Option<Vec<u8>>,
    /// Client certificate chain and key.
    pub client_identity: Option<(Vec<u8>, Secret<Vec<u8>>)>,
}

/// `[log]`.
#[derive(Clone, Debug)]
pub struct Log {
    /// `json` or `text`.
    pub format: LogFormat,
    /// Level for everything but the request line, which is always written.
    pub level: tracing::level_filters::LevelFilter,
    /// How user and conversation ids are written.
    pub identifiers: Identifiers,
    /// Where the log goes; `None` for standard output.
    pub file: Option<PathBuf>,
    /// How long the files of past days are kept.
    pub retain_days: u16,
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For a person at a terminal.
    Text,
}

/// `log.identifiers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifiers {
    /// A keyed hash: equal ids look equal within one run of the gateway, and cannot be turned back.
    Hashed,
    /// As sent.
    Plain,
    /// Not at all.
    Omitted,
}

/// `[keys]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Full refresh of metadata and keys.
    pub refresh: Duration,
    /// At most one early refresh per this long for key ids never seen.
    pub unknown_key_refresh: Duration,
    /// How long the last good keys serve.
    pub max_stale: Duration,
    /// Where the last good documents are kept; `None` for nowhere.
    pub cache_dir: Option<PathBuf>,
    /// For one document, in all.
    pub fetch_timeout: Duration,
    /// Extra trusted certificate authorities for metadata hosts.
    pub ca_file: Option<PathBuf>,
    /// The proxy for fetching keys over https, of `keys.proxy` or of the environment.
    pub proxy: Option<Proxy>,
    /// Tolerance for `exp`, `nbf` and `iat`, seconds.
    pub clock_skew: Duration,
}

/// The way out to https hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// `http://` or `https://`, perhaps with user name and password.
    pub url: Secret<Url>,
    /// Hosts that are reached without it, as `NO_PROXY` lists them.
    pub not_for: String,
}

/// One `[[bots]]` entry.
#[derive(Clone, Debug)]
pub struct Bot {
    /// Position in [`Settings::bots`].
    pub index: usize,
    /// `name`: log field and metric label.
    pub name: String,
    /// The name of its cloud, one of [`Settings::clouds`].
    pub cloud: String,
    /// Hosts and path.
    pub route: Route,
    /// Where admitted activities go.
    pub backend: Backend,
    /// Which tokens are accepted.
    pub expect: Expect,
    /// What is accepted from a proven caller.
    pub policy: Policy,
    /// Budgets counted after authentication.
    pub rate_limits: RateLimits,
    /// Admitted requests at once, from admission to the end of the answer.
    pub in_flight: usize,
    /// How long a repeat of an answered activity is recognised; `None` for never, nor while the bot is at work on it.
    pub redelivery_window: Option<Duration>,
    /// Whether `X-Botgate-*` headers tell the backend what was proven.
    pub identity_headers: bool,
}

/// The bot behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// `backend`: the servers it runs on, at least one, each once.
    pub endpoints: Vec<Endpoint>,
    /// For a new connection: DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From the request's start to the response head, and from there to the end of the body.
    pub response_timeout: Duration,
    /// When the channel is told 202 although the bot is still at work, from the request's arrival on; `None` for never.
    pub acknowledge_after: Option<Duration>,
    /// `[bots.backend_tls]`.
    pub tls: BackendTls,
    /// `[bots.health]`; `None` where no path is set.
    pub health: Option<Health>,
}

/// One server of a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host and port, or the socket as written: log field and metric label, unique within the bot.
    pub name: String,
    /// `http` or `https` URL of the messaging endpoint. Behind a Unix socket the host is `localhost`.
    pub url: Url,
    /// The Unix socket to connect to, in place of the URL's host.
    pub socket: Option<PathBuf>,
}

/// `[bots.health]`: how the servers of a bot are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What to GET.
    pub path_and_query: String,
    /// From one question to the next.
    pub every: Duration,
}

/// `[bots.backend_tls]`. Contents are PEM, read when the file was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendTls {
    /// Trust these authorities instead of the platform's.
    pub ca: Option<Vec<u8>>,
    /// Client certificate chain and key.
    pub client_identity: Option<(Vec<u8>, Secret<Vec<u8>>)>,
    /// Name to verify instead of the URL's host.
    pub server_name: Option<String>,
}

/// One `[[direct_line]]` entry: a broker, at which web pages get tokens of Direct Line, while its secret stays here.
#[derive(Clone, Debug)]
pub struct DirectLine {
    /// Position in [`Settings::direct_lines`].
    pub index: usize,
    /// `name`: a part of the cookie's name, and of what user ids are made of.
    pub name: String,
    /// Hosts, and the path at which tokens are made.
    pub route: Route,
    /// One or two, the one to use first.
    pub secrets: Vec<Secret<String>>,
    /// `https://HOST`, or `http://` on this machine; no slash at its end.
    pub endpoint: String,
    /// Whose pages may ask.
    pub origins: TrustedOrigins,
    /// Requests of one address.
    pub per_ip: Quota,
    /// Requests of one session.
    pub per_session: Quota,
    /// For how long one conversation is refreshed; `None` for as long as the page wants.
    pub max_session: Option<Duration>,
    /// For one answer of the service, in all.
    pub timeout: Duration,
    /// Of the cookie.
    pub same_site: SameSite,
    /// Who the user of a page is.
    pub identity: PageIdentity,
    /// Makes and knows user ids and cookies.
    pub issuer: Arc<Issuer>,
    /// Whether ids and cookies are made with a key of their own, and so outlive the secret.
    pub has_id_key: bool,
    /// PEM of authorities trusted in place of the platform's.
    pub ca: Option<Vec<u8>>,
}

impl DirectLine {
    /// Where its tokens are refreshed.
    pub fn refresh_path(&self) -> String {
        direct_line::refresh_path(&self.route.path)
    }
}

/// `same_site`: with which requests browsers send a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// With those of pages of the same site.
    Lax,
    /// The same, and not where a link leads here.
    Strict,
    /// With all.
    None,
}

/// `identity`: who the user of a page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageIdentity {
    /// Nobody in particular: another one for each conversation.
    Random,
    /// Whom a token of the site names.
    Site(SiteIdentity),
    /// Whom a server before the gateway names.
    Header {
        /// In this header.
        name: HeaderName,
        /// The addresses of such servers.
        from: Vec<IpNet>,
    },
}

impl PageIdentity {
    /// How users are known, for people to read.
    pub const fn says(&self) -> &'static str {
        match self {
            Self::Random => "users at random",
            Self::Site(_) => "users by the site's own token",
            Self::Header { .. } => "users by a trusted header",
        }
    }
}

/// `[bots.rate_limits]`; `None` is unlimited.
#[derive(Clone, Debug, Default)]
pub struct RateLimits {
    /// Enforce or report.
    pub mode: Mode,
    /// All traffic of the bot.
    pub per_bot: Option<Quota>,
    /// One tenant's traffic.
    pub per_tenant: Option<Quota>,
    /// One conversation's traffic.
    pub per_conversation: Option<Quota>,
    /// One user's traffic.
    pub per_user: Option<Quota>,
}

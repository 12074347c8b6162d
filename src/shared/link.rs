//! Reaches the store: one server, a cluster, or the master that sentinels name.

use crate::config::{SharedStore, StoreLogin, StoreServers, StoreTls};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, RedisFuture, RedisResult,
    TlsCertificates, TlsMode, Value,
};
use std::time::Duration;

/// For a new connection: DNS, TCP, TLS and login together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A cluster's client says when it has lost the way sooner than a request gives up.
const CLUSTER_RETRIES: u32 = 1;

/// A way to the store. All requests go over one connection to each server, behind one another without waiting.
pub(super) struct Link {
    connection: Connection,
}

#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// # Errors
    /// What keeps the store from being reached.
    pub(super) async fn open(store: &SharedStore) -> Result<Self, String> {
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, open(store)).await;
        match opened {
            Ok(Ok(connection)) => Ok(Self { connection }),
            Ok(Err(error)) => Err(told(&error)),
            Err(_) => Err(format!("no connection within {CONNECT_TIMEOUT:?}")),
        }
    }

    pub(super) fn connection(&self) -> Connection {
        self.connection.clone()
    }
}

async fn open(store: &SharedStore) -> RedisResult<Connection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT));
    match &store.servers {
        StoreServers::One { address, database } => {
            let database = i64::from(*database);
            let info = info(address, store.tls.is_some())?;
            let login = login(&store.login).set_db(database);
            let info = info.set_redis_settings(login);
            let client = match &store.tls {
                Some(tls) => Client::build_with_tls(info, certificates(tls))?,
                None => Client::open(info)?,
            };
            let connection = client.get_multiplexed_async_connection_with_config(&config);
            connection.await.map(Connection::One)
        }
        StoreServers::Cluster(nodes) => {
            let nodes = nodes
                .iter()
                .map(|node| info(node, store.tls.is_some()))
                .collect::<RedisResult<Vec<_>>>()?;
            let mut builder = ClusterClientBuilder::new(nodes)
                .retries(CLUSTER_RETRIES)
                .connection_timeout(CONNECT_TIMEOUT)
                .response_timeout(CONNECT_TIMEOUT);
            if let Some(user) = &store.login.user {
                builder = builder.username(user);
            }
            if let Some(password) = &store.login.password {
                builder = builder.password(password.expose());
            }
            if let Some(tls) = &store.tls {
                builder = builder.tls(TlsMode::Secure).certs(certificates(tls));
            }
            let client = builder.build()?;
            client.get_async_connection().await.map(Connection::Cluster)
        }
        StoreServers::Sentinel {
            sentinels,
            login,
            master,
            database,
        } => {
            let is_tls = store.tls.is_some();
            let sentinels = sentinels.iter().map(|sentinel| address(sentinel, is_tls));
            let kind = SentinelServerType::Master;
            let mut builder = SentinelClientBuilder::new(sentinels, master, kind)?
                .set_client_to_redis_db(i64::from(*database));
            if let Some(user) = &store.login.user {
                builder = builder.set_client_to_redis_username(user);
            }
            if let Some(password) = &store.login.password {
                builder = builder.set_client_to_redis_password(password.expose());
            }
            if let Some(user) = &login.user {
                builder = builder.set_client_to_sentinel_username(user);
            }
            if let Some(password) = &login.password {
                builder = builder.set_client_to_sentinel_password(password.expose());
            }
            if let Some(tls) = &store.tls {
                builder = builder
                    .set_client_to_redis_tls_mode(TlsMode::Secure)
                    .set_client_to_redis_certificates(certificates(tls))
                    .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                    .set_client_to_sentinel_certificates(certificates(tls));
            }
            let mut client = builder.build()?;
            let connection = client.get_async_connection_with_config(&config);
            connection.await.map(Connection::One)
        }
    }
}

fn address((host, port): &(String, u16), is_tls: bool) -> ConnectionAddr {
    if is_tls {
        ConnectionAddr::TcpTls {
            host: host.clone(),
            port: *port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host.clone(), *port)
    }
}

fn info(server: &(String, u16), is_tls: bool) -> RedisResult<ConnectionInfo> {
    address(server, is_tls).into_connection_info()
}

fn login(login: &StoreLogin) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default();
    if let Some(user) = &login.user {
        info = info.set_username(user);
    }
    if let Some(password) = &login.password {
        info = info.set_password(password.expose());
    }
    info
}

fn certificates(tls: &StoreTls) -> TlsCertificates {
    let client_tls = tls
        .client_identity
        .as_ref()
        .map(|(chain, key)| ClientTlsConfig {
            client_cert: chain.clone(),
            client_key: key.expose().clone(),
        });
    TlsCertificates {
        client_tls,
        root_cert: tls.ca.clone(),
    }
}

/// An error, for the log. What a server says of a failed login repeats no password.
pub(super) fn told(error: &RedisError) -> String {
    error.to_string()
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

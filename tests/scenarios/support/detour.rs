//! Ways to a stand-in that are not the direct one: TLS before it, and an HTTP proxy.

use super::tls_bot::certificate;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// Takes TLS off and passes on what is inside. Dropping it closes the port.
pub(crate) struct TlsFront {
    address: SocketAddr,
    authority: String,
    _task: AbortOnDropHandle<()>,
}

impl TlsFront {
    /// Before whoever listens there, with a certificate for `localhost` of an authority of its own.
    pub(crate) async fn before(target: &str) -> Self {
        let (authority, config) = certificate("localhost");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let target = target.to_owned();
        let (address, task) = listen(move |stream| {
            let (acceptor, target) = (acceptor.clone(), target.clone());
            async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut target = TcpStream::connect(&target).await?;
                copy_bidirectional(&mut stream, &mut target).await?;
                Ok(())
            }
        })
        .await;
        Self {
            address,
            authority,
            _task: task,
        }
    }

    /// `https://localhost:PORT`.
    pub(crate) fn origin(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The certificate of its authority, as PEM.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }
}

/// A proxy for CONNECT. Dropping it closes the port.
pub(crate) struct ConnectProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl ConnectProxy {
    /// Opens tunnels for whoever sends this `Proxy-Authorization`; for everyone if there is none to send.
    pub(crate) async fn start(authorization: Option<&'static str>) -> Self {
        let asked = Arc::new(Mutex::new(vec![]));
        let told = Arc::clone(&asked);
        let (address, task) = listen(move |mut stream| {
            let told = Arc::clone(&told);
            async move {
                let head = head(&mut stream).await?;
                told.lock().expect("nobody panicked").push(head.clone());
                let wanted = authorization.map(|it| format!("proxy-authorization: {it}\r\n"));
                let is_allowed = wanted.is_none_or(|wanted| {
                    let head = head.replace("Proxy-Authorization:", "proxy-authorization:");
                    head.contains(&wanted)
                });
                if !is_allowed {
                    return refuse(&mut stream, "407 Proxy Authentication Required").await;
                }
                let target = head.split(' ').nth(1).unwrap_or_default();
                let Ok(mut target) = TcpStream::connect(target).await else {
                    return refuse(&mut stream, "502 Bad Gateway").await;
                };
                stream
                    .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    .await?;
                copy_bidirectional(&mut stream, &mut target).await?;
                Ok(())
            }
        })
        .await;
        Self {
            address,
            asked,
            _task: task,
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The request heads so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

async fn refuse(stream: &mut (impl AsyncWrite + Unpin), status: &str) -> io::Result<()> {
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

async fn listen<F>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, AbortOnDropHandle<()>)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // How a connection ends is for its two ends to notice.
            tokio::spawn(serve(stream));
        }
    });
    (address, AbortOnDropHandle::new(task))
}

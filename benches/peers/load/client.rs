//! HTTP/1.1 over one connection, hand-written: a request goes out in one piece, and of an answer only its status and its end
//! are looked at.

use super::super::job::Job;
use super::PATIENCE;
use botgate::cli::demo::client::SERVER_NAME;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs as crypto;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const ROOM: usize = 16 * 1024;
/// No wait at all: what has come is there.
const A_MOMENT: Duration = Duration::ZERO;

/// Makes connections.
pub(crate) struct Client {
    target: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Client {
    pub(crate) fn new(job: &Job) -> Self {
        Self {
            target: job.target,
            tls: job.certificate.as_ref().map(|path| {
                let certificate = CertificateDer::from_pem_file(path).expect("a certificate");
                Arc::new(tls(certificate))
            }),
        }
    }

    /// A client that resumes the sessions of its own connections.
    pub(crate) fn with_its_own_sessions(&self) -> Self {
        let tls = self.tls.as_deref().cloned().map(|mut tls| {
            tls.resumption = Resumption::in_memory_sessions(8);
            Arc::new(tls)
        });
        Self { tls, ..*self }
    }

    pub(crate) async fn connect(&self) -> io::Result<Connection> {
        let stream = timeout(PATIENCE, self.open()).await??;
        Ok(Connection {
            stream,
            room: vec![0; ROOM],
            filled: 0,
        })
    }

    async fn open(&self) -> io::Result<Stream> {
        let socket = TcpSocket::new_v4()?;
        let stream = socket.connect(self.target).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Stream::Plain(stream));
        };
        let name = ServerName::try_from(SERVER_NAME).expect("a name");
        let connector = TlsConnector::from(Arc::clone(tls));
        Ok(Stream::Tls(Box::new(
            connector.connect(name, stream).await?,
        )))
    }
}

/// One suite and one group, so that every server does the same work whatever it would like best.
fn tls(certificate: CertificateDer<'static>) -> ClientConfig {
    let provider = CryptoProvider {
        cipher_suites: vec![crypto::cipher_suite::TLS13_AES_256_GCM_SHA384],
        kx_groups: vec![crypto::kx_group::X25519],
        ..crypto::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Expected(certificate)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    config
}

/// Looks whether it is the very certificate, and spends no time on its signatures: it is on the same machine.
#[derive(Debug)]
struct Expected(CertificateDer<'static>);

impl ServerCertVerifier for Expected {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *certificate == self.0 {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General("another certificate".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub(crate) struct Connection {
    stream: Stream,
    room: Vec<u8>,
    filled: usize,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The other side will not take another request here.
    pub(crate) closes: bool,
}

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// The connection was closed before the first byte of one, as either side may do between requests.
    Closed,
    Broken(io::Error),
}

impl Connection {
    /// Sends a request and waits for the whole answer, without a limit: each would cost a timer. Who never gets one is found at the
    /// end.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer, NoAnswer> {
        match &mut self.stream {
            Stream::Plain(s) => exchange(s, request, &mut self.room, &mut self.filled).await,
            Stream::Tls(s) => exchange(&mut **s, request, &mut self.room, &mut self.filled).await,
        }
    }

    pub(crate) fn has_resumed(&self) -> bool {
        match &self.stream {
            Stream::Plain(_) => false,
            Stream::Tls(stream) => {
                stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
            }
        }
    }

    /// Whether the other side ended it without being asked anything. What it says after a handshake is no end.
    pub(crate) async fn was_closed(&mut self) -> bool {
        let read = match &mut self.stream {
            Stream::Plain(stream) => timeout(A_MOMENT, stream.read(&mut self.room)).await,
            Stream::Tls(stream) => timeout(A_MOMENT, stream.read(&mut self.room)).await,
        };
        matches!(read, Ok(Ok(0) | Err(_)))
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        let _ = match &mut self.stream {
            Stream::Plain(stream) => stream.shutdown().await,
            Stream::Tls(stream) => stream.shutdown().await,
        };
    }
}

async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &[u8],
    room: &mut [u8],
    filled: &mut usize,
) -> Result<Answer, NoAnswer> {
    // A refusal may come, and the connection end, before all of the request is written: it is read all the same.
    let written = stream.write_all(request).await;
    loop {
        match stream.read(&mut room[*filled..]).await {
            Ok(0) if *filled == 0 => return Err(NoAnswer::Closed),
            Ok(0) => return Err(NoAnswer::Broken(io::ErrorKind::UnexpectedEof.into())),
            Err(_) if *filled == 0 && written.is_err() => return Err(NoAnswer::Closed),
            Err(error) if *filled == 0 && is_close(&error) => return Err(NoAnswer::Closed),
            Err(error) => return Err(NoAnswer::Broken(error)),
            Ok(read) => *filled += read,
        }
        let Some((answer, length)) = parse(&room[..*filled]).map_err(NoAnswer::Broken)? else {
            continue;
        };
        room.copy_within(length..*filled, 0);
        *filled -= length;
        if answer.status == 100 {
            continue;
        }
        return Ok(answer);
    }
}

/// Whether the other side ended the connection.
pub(crate) fn is_close(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof
    )
}

/// The answer at the beginning and its length, once all of it is there.
fn parse(bytes: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let Some(head) = memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4) else {
        return Ok(None);
    };
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(&bytes[..head]).map_err(io::Error::other)?;
    let status = response.code.unwrap_or_default();
    let (mut length, mut closes, mut chunked) = (None, false, false);
    for header in response.headers.iter() {
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                length = std::str::from_utf8(header.value)
                    .ok()
                    .and_then(|text| text.parse::<usize>().ok());
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                closes = header.value.eq_ignore_ascii_case(b"close");
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => chunked = true,
            _ => {}
        }
    }
    let end = match (length, chunked, status) {
        (_, _, 100) => head,
        (Some(length), false, _) => head + length,
        (_, true, _) => match memchr::memmem::find(&bytes[head..], b"0\r\n\r\n") {
            Some(at) => head + at + 5,
            None => return Ok(None),
        },
        (None, false, _) => return Err(io::Error::other("an answer without a length")),
    };
    Ok((bytes.len() >= end).then_some((Answer { status, closes }, end)))
}

//! Stands between gateway and bot and keeps what the gateway sent.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Passes bytes on in both directions, until the runtime ends.
pub(crate) struct Tap {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    pub(crate) async fn before(bot: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let keep = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((gateway, _)) = listener.accept().await {
                let keep = Arc::clone(&keep);
                tokio::spawn(async move {
                    if let Ok(bot) = TcpStream::connect(bot).await {
                        pass(gateway, bot, &keep).await;
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// What `backend` is set to.
    pub(crate) fn messages_url(&self) -> String {
        format!("http://{}/api/messages", self.address)
    }

    /// The ids of all requests that the gateway sent.
    pub(crate) fn request_ids(&self) -> HashSet<String> {
        let seen = self.seen.lock().unwrap();
        let text = String::from_utf8_lossy(&seen);
        let ids = text.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("x-request-id")
                .then(|| value.trim().to_owned())
        });
        ids.collect()
    }
}

async fn pass(gateway: TcpStream, bot: TcpStream, keep: &Mutex<Vec<u8>>) {
    let (mut from_gateway, mut to_gateway) = gateway.into_split();
    let (mut from_bot, mut to_bot) = bot.into_split();
    let answers = tokio::io::copy(&mut from_bot, &mut to_gateway);
    let requests = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from_gateway.read(&mut buffer).await {
            keep.lock().unwrap().extend_from_slice(&buffer[..count]);
            if to_bot.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    // Whoever closes first ends both: a bot that is gone must look gone to the gateway.
    tokio::select! { _ = answers => (), () = requests => () }
}

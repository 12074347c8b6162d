//! Counts the connections to a bot, by standing before it.

use botgate::cli::demo::bot::{EchoBot, MESSAGES_PATH};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// Passes bytes on in both directions. Dropping it closes the port.
pub(crate) struct Tap {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Tap {
    pub(crate) async fn before(bot: &EchoBot) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let bot = bot
            .origin()
            .strip_prefix("http://")
            .expect("bots are plain")
            .to_owned();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::AcqRel);
                let bot = bot.clone();
                tokio::spawn(async move {
                    if let Ok(mut bot) = TcpStream::connect(bot).await {
                        let _ended = tokio::io::copy_bidirectional(&mut client, &mut bot).await;
                    }
                });
            }
        });
        Self {
            address,
            connections,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// What `backend` is set to.
    pub(crate) fn messages_url(&self) -> String {
        format!("http://{}{MESSAGES_PATH}", self.address)
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

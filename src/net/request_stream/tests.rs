#![allow(clippy::disallowed_methods, reason = "a task of a test ends with it")]

use super::*;
use crate::net::busy::Serving;
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

const LIMITS: Limits = Limits {
    head_bytes: 1024,
    fields: 20,
};

struct Pair {
    client: DuplexStream,
    stream: RequestStream<DuplexStream>,
    busy: Busy,
}

impl Pair {
    fn new() -> Self {
        let (client, server) = duplex(64 * 1024);
        let busy = Busy::default();
        let stream = RequestStream::new(server, LIMITS, busy.clone());
        Self {
            client,
            stream,
            busy,
        }
    }

    async fn write(&mut self, bytes: &str) {
        self.client.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// What hyper would read, in pieces of at most `size`, until there is nothing for now.
    async fn read(&mut self, size: usize) -> io::Result<String> {
        let mut all = vec![];
        let mut piece = vec![0; size];
        while let Ok(count) = timeout(Duration::from_millis(1), self.stream.read(&mut piece)).await
        {
            match count? {
                0 => break,
                count => all.extend_from_slice(&piece[..count]),
            }
        }
        Ok(String::from_utf8(all).unwrap())
    }

    fn serve(&self) -> Serving {
        self.busy.serve()
    }
}

const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
const GET: &str = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_request_passes_as_it_is_however_it_comes_and_is_taken() {
    let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n";
    for request in [POST, GET, chunked] {
        for (written, read) in [(1, 1), (1, 4096), (7, 3), (4096, 1), (4096, 4096)] {
            let mut pair = Pair::new();
            let mut seen = String::new();
            for piece in request.as_bytes().chunks(written) {
                pair.write(std::str::from_utf8(piece).unwrap()).await;
                seen += &pair.read(read).await.unwrap();
            }
            assert_eq!(seen, request, "written by {written}, read by {read}");
            assert_eq!(pair.stream.held.capacity(), 0, "nothing is kept");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_next_request_waits_for_the_answer() {
    let mut pair = Pair::new();
    pair.write(&format!("{POST}\r\n{GET}{POST}")).await;
    assert_eq!(pair.read(4096).await.unwrap(), POST);
    assert_eq!(
        pair.read(4096).await.unwrap(),
        "",
        "not before it is served"
    );
    let serving = pair.serve();
    assert_eq!(pair.read(4096).await.unwrap(), "", "nor while it is");
    drop(serving);
    assert_eq!(pair.read(4096).await.unwrap(), GET);
    drop(pair.serve());
    assert_eq!(pair.read(4096).await.unwrap(), POST);
}

#[tokio::test(start_paused = true)]
async fn a_refused_head_is_replaced_and_nothing_more_is_read() {
    for bad in [
        "GET / HTTP/1.1\nx: y\r\n\r\n",
        "garbage\r\n",
        "GET /\0",
        "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
    ] {
        let mut pair = Pair::new();
        pair.write(&format!("{bad}{GET}")).await;
        assert_eq!(pair.read(16).await.unwrap().as_bytes(), REFUSED);
        assert!(
            matches!(pair.serve().refused, Some(Flaw::Malformed(_))),
            "{bad:?}"
        );
        assert!(pair.serve().refused.is_none(), "it is told once");
        pair.write(GET).await;
        assert_eq!(pair.read(4096).await.unwrap(), "");
    }
    let mut pair = Pair::new();
    pair.write(&format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(2000)))
        .await;
    assert_eq!(pair.read(4096).await.unwrap().as_bytes(), REFUSED);
    assert!(matches!(pair.serve().refused, Some(Flaw::TooLarge(_))));
}

#[tokio::test(start_paused = true)]
async fn a_refused_next_head_is_told_to_nobody_but_itself() {
    let mut pair = Pair::new();
    pair.write(&format!("{POST}GET / HTTP/9.9\r\n\r\n")).await;
    assert_eq!(pair.read(4096).await.unwrap(), POST);
    let serving = pair.serve();
    assert!(serving.refused.is_none());
    drop(serving);
    assert_eq!(pair.read(4096).await.unwrap().as_bytes(), REFUSED);
    assert!(pair.serve().refused.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_is_an_error_after_what_came_before_it() {
    let mut pair = Pair::new();
    let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    pair.write(&format!("{head}3\r\nabc\r\nz\r\n")).await;
    let mut seen = vec![0; 4096];
    let count = pair.stream.read(&mut seen).await.unwrap();
    assert_eq!(&seen[..count], format!("{head}3\r\nabc\r\n").as_bytes());
    let error = pair.stream.read(&mut seen).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(error.to_string(), "a chunk without a size");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_is_served_is_noticed() {
    let mut pair = Pair::new();
    pair.write(POST).await;
    assert_eq!(pair.read(4096).await.unwrap(), POST);
    let _serving = pair.serve();
    let Pair {
        client, mut stream, ..
    } = pair;
    drop(client);
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_has_begun_is_told_to_the_stream_below() {
    let mut pair = Pair::new();
    assert!(!pair.busy.has_head_begun());
    pair.write(&GET[..10]).await;
    assert_eq!(pair.read(4096).await.unwrap(), "");
    assert!(pair.busy.has_head_begun());
    pair.write(&GET[10..]).await;
    assert_eq!(pair.read(4096).await.unwrap(), GET);
    assert!(!pair.busy.has_head_begun());
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_client_still_sends_is_thrown_away_within_bounds() {
    let mut pair = Pair::new();
    pair.write("garbage\r\n").await;
    assert_eq!(pair.read(4096).await.unwrap().as_bytes(), REFUSED);
    let Pair {
        mut client, stream, ..
    } = pair;
    let start = tokio::time::Instant::now();
    let lingering = tokio::spawn(stream.linger());
    client.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
    assert_eq!(
        client.read(&mut [0; 16]).await.unwrap(),
        0,
        "it is told the end at once"
    );
    lingering.await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(2));

    let mut pair = Pair::new();
    pair.write("garbage\r\n").await;
    assert_eq!(pair.read(4096).await.unwrap().as_bytes(), REFUSED);
    let Pair {
        mut client, stream, ..
    } = pair;
    let lingering = tokio::spawn(stream.linger());
    let written = client.write_all(&vec![b'x'; 8 << 20]).await;
    assert!(written.is_err(), "no more than 4 MiB are taken");
    lingering.await.unwrap();

    // An idle client has nothing to lose.
    let mut pair = Pair::new();
    assert_eq!(pair.read(4096).await.unwrap(), "");
    let start = tokio::time::Instant::now();
    pair.stream.linger().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn before_its_first_head_a_connection_holds_only_what_came() {
    let mut pair = Pair::new();
    for piece in POST.as_bytes()[..20].chunks(5) {
        pair.client.write_all(piece).await.unwrap();
        let early = timeout(Duration::from_millis(1), pair.stream.next_head()).await;
        assert!(early.is_err());
        assert!(pair.busy.has_head_begun());
    }
    pair.write(&POST[20..]).await;
    assert!(pair.stream.next_head().await.unwrap());
    assert_eq!(pair.read(7).await.unwrap(), POST);

    let mut after_an_empty_line = Pair::new();
    after_an_empty_line.write(&format!("\r\n{POST}")).await;
    assert!(after_an_empty_line.stream.next_head().await.unwrap());
    assert_eq!(after_an_empty_line.read(7).await.unwrap(), POST);

    let mut refused = Pair::new();
    refused.write("GET / HTTP/1.1\r\nhost : a\r\n").await;
    assert!(refused.stream.next_head().await.unwrap());
    assert_eq!(refused.read(64).await.unwrap().as_bytes(), REFUSED);

    let mut gone = Pair::new();
    gone.write("GET / HT").await;
    gone.client.shutdown().await.unwrap();
    assert!(!gone.stream.next_head().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_with_the_end_is_looked_at_before_hyper_hears_of_it() {
    let mut pair = Pair::new();
    pair.write(GET).await;
    pair.client.shutdown().await.unwrap();
    let mut all = [0; 256];
    let count = pair.stream.read(&mut all).await.unwrap();
    assert_eq!(&all[..count], GET.as_bytes());
    let serving = pair.serve();
    let mut polls = 0;
    let mut buf = ReadBuf::new(&mut all);
    let end = poll_fn(|cx| {
        polls += 1;
        Pin::new(&mut pair.stream).poll_read(cx, &mut buf)
    });
    end.await.unwrap();
    assert_eq!((polls, buf.filled().len()), (2, 0));
    drop(serving);
}

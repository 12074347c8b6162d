#![allow(clippy::disallowed_methods, reason = "a task of a test ends with it")]

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

const PATIENCE: Patience = Patience {
    head: Duration::from_secs(10),
    keep_alive: Duration::from_secs(75),
};

async fn outcome(stream: &mut Paced<tokio::io::DuplexStream>) -> (io::Result<usize>, u64) {
    let start = Instant::now();
    let outcome = stream.read(&mut [0; 16]).await;
    (outcome, start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_silent_new_connection_ends_after_the_head_timeout() {
    let (_client, server) = tokio::io::duplex(64);
    let (read, after) = outcome(&mut Paced::new(
        server,
        Protocol::Http1,
        PATIENCE,
        Busy::default(),
    ))
    .await;
    assert_eq!(
        (read.unwrap_err().kind(), after),
        (io::ErrorKind::TimedOut, 10)
    );
}

#[tokio::test(start_paused = true)]
async fn a_dripping_head_does_not_extend_its_deadline() {
    let (mut client, server) = tokio::io::duplex(64);
    let mut stream = Paced::new(server, Protocol::Http1, PATIENCE, Busy::default());
    tokio::time::sleep(Duration::from_secs(6)).await;
    client.write_all(b"P").await.unwrap();
    assert_eq!(outcome(&mut stream).await.0.unwrap(), 1);
    assert_eq!(outcome(&mut stream).await.1, 4);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_waits_for_keep_alive_and_a_served_request_for_nothing() {
    let (mut client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = Paced::new(server, Protocol::Http1, PATIENCE, busy.clone());
    client.write_all(b"POST").await.unwrap();
    assert_eq!(outcome(&mut stream).await.0.unwrap(), 4);
    let serving = busy.serve();
    let waited = tokio::time::timeout(Duration::from_secs(600), outcome(&mut stream)).await;
    assert!(waited.is_err(), "no deadline while a request is served");
    drop(serving);
    assert_eq!(outcome(&mut stream).await.1, 75);
}

#[tokio::test(start_paused = true)]
async fn frames_between_http2_requests_do_not_begin_a_head() {
    let (mut client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = Paced::new(server, Protocol::Http2, PATIENCE, busy.clone());
    client.write_all(b"a").await.unwrap();
    let serving = busy.serve();
    assert_eq!(outcome(&mut stream).await.0.unwrap(), 1);
    drop(serving);
    client.write_all(b"b").await.unwrap();
    assert_eq!(outcome(&mut stream).await.0.unwrap(), 1);
    assert_eq!(outcome(&mut stream).await.1, 75);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_came_in_part_while_a_request_was_served_has_its_time_from_the_answer() {
    let (mut client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = Paced::new(server, Protocol::Http1, PATIENCE, busy.clone());
    client.write_all(b"request, and a part").await.unwrap();
    assert_eq!(outcome(&mut stream).await.0.unwrap(), 16);
    let serving = busy.serve();
    tokio::time::sleep(Duration::from_secs(60)).await;
    busy.set_head_begun(true);
    drop(serving);
    assert_eq!(outcome(&mut stream).await.0.unwrap(), 3);
    assert_eq!(outcome(&mut stream).await.1, 10);
}

#[tokio::test(start_paused = true)]
async fn a_ping_neither_begins_a_head_nor_extends_an_idle_connection() {
    let (mut client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = Paced::new(server, Protocol::Http2, PATIENCE, busy.clone());
    let serving = busy.serve();
    client.write_all(b"request").await.unwrap();
    assert_eq!(outcome(&mut stream).await.0.unwrap(), 7);
    drop(serving);
    let early = tokio::time::timeout(Duration::from_secs(60), outcome(&mut stream)).await;
    assert!(early.is_err());
    client.write_all(b"ping").await.unwrap();
    assert_eq!(outcome(&mut stream).await.0.unwrap(), 4);
    assert_eq!(outcome(&mut stream).await.1, 15);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_ends_unseen_does_not_keep_the_connection_for_ever() {
    let (_client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = Paced::new(server, Protocol::Http2, PATIENCE, busy.clone());
    let serving = busy.serve();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(serving);
    });
    assert_eq!(outcome(&mut stream).await.1, 10 + 75);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_client_does_not_take_ends_the_connection() {
    let (_client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = Paced::new(server, Protocol::Http2, PATIENCE, busy.clone());
    let mut serving = busy.serve();
    serving.set_owed(true);
    let (read, after) = outcome(&mut stream).await;
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!((10..=20).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_for_the_bot_may_wait() {
    let (_client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = Paced::new(server, Protocol::Http2, PATIENCE, busy.clone());
    let mut serving = busy.serve();
    serving.set_owed(true);
    serving.set_owed(false);
    assert!(
        tokio::time::timeout(Duration::from_secs(600), outcome(&mut stream))
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_that_nobody_reads_ends() {
    let (_client, server) = tokio::io::duplex(4);
    let mut stream = Paced::new(server, Protocol::Http1, PATIENCE, Busy::default());
    let start = Instant::now();
    assert_eq!(
        stream
            .write_all(b"more than fits")
            .await
            .unwrap_err()
            .kind(),
        io::ErrorKind::TimedOut
    );
    assert_eq!(start.elapsed(), STALL);
}

#[tokio::test(start_paused = true)]
async fn answered_pings_do_not_hold_an_answer_that_the_client_does_not_take() {
    let (mut client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let stream = Paced::new(server, Protocol::Http2, PATIENCE, busy.clone());
    let (mut reads, mut writes) = tokio::io::split(stream);
    let mut serving = busy.serve();
    serving.set_owed(true);
    let start = Instant::now();
    let pings = async {
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(3)).await;
            writes.write_all(b"ack").await.unwrap();
            client.read_exact(&mut [0; 3]).await.unwrap();
        }
    };
    let ended = tokio::select! {
        ended = reads.read_u8() => ended,
        () = pings => panic!("held by pings"),
    };
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(
        start.elapsed() <= Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_client_goes_on_taking_may_take_long() {
    let (_client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = Paced::new(server, Protocol::Http2, PATIENCE, busy.clone());
    let mut serving = busy.serve();
    let taking = async {
        loop {
            serving.set_owed(true);
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    tokio::select! {
        ended = outcome(&mut stream) => panic!("{ended:?}"),
        () = taking => unreachable!("it goes on"),
        () = tokio::time::sleep(Duration::from_secs(600)) => {}
    }
}

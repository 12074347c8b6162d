#![allow(clippy::disallowed_methods, reason = "a task of a test ends with it")]

use super::super::frames::tests::frame;
use super::super::pressure::Crowd;
use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

const PATIENCE: Patience = Patience {
    head: Duration::from_secs(10),
    keep_alive: Duration::from_secs(75),
};

fn paced(server: tokio::io::DuplexStream, busy: Busy) -> Paced<tokio::io::DuplexStream> {
    Paced::new(
        server,
        PATIENCE,
        clock::deadline(PATIENCE.head),
        busy,
        Crowd::default(),
    )
}

async fn outcome(stream: &mut Paced<tokio::io::DuplexStream>) -> (io::Result<usize>, u64) {
    let start = Instant::now();
    let outcome = stream.read(&mut [0; 16]).await;
    (outcome, start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_silent_new_connection_ends_after_the_head_timeout() {
    let (_client, server) = tokio::io::duplex(64);
    let (read, after) = outcome(&mut paced(server, Busy::default())).await;
    assert_eq!(
        (read.unwrap_err().kind(), after),
        (io::ErrorKind::TimedOut, 10)
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_waits_for_keep_alive_and_a_served_request_for_nothing() {
    let (mut client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = paced(server, busy.clone());
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
    let mut stream = paced(server, busy.clone());
    client.write_all(b"a").await.unwrap();
    let serving = busy.serve();
    assert_eq!(outcome(&mut stream).await.0.unwrap(), 1);
    drop(serving);
    client.write_all(b"b").await.unwrap();
    assert_eq!(outcome(&mut stream).await.0.unwrap(), 1);
    assert_eq!(outcome(&mut stream).await.1, 75);
}

#[tokio::test(start_paused = true)]
async fn a_ping_neither_begins_a_head_nor_extends_an_idle_connection() {
    let (mut client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = paced(server, busy.clone());
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
    let mut stream = paced(server, busy.clone());
    let serving = busy.serve();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(serving);
    });
    assert_eq!(outcome(&mut stream).await.1, STALL.as_secs() + 75);
}

/// The head of an answer, after which its body is owed.
async fn begin_answer(stream: &mut Paced<tokio::io::DuplexStream>) {
    stream.write_all(&frame(1, 4, 1, b"head")).await.unwrap();
    stream.flush().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_client_does_not_take_ends_the_connection() {
    let (_client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = paced(server, busy.clone());
    let serving = busy.serve();
    begin_answer(&mut stream).await;
    // Held back by flow control, first while hyper has it, and then when it is all with h2.
    drop(serving);
    let (read, after) = outcome(&mut stream).await;
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(after, STALL.as_secs());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_for_the_bot_may_wait() {
    let (_client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = paced(server, busy.clone());
    let mut serving = busy.serve();
    begin_answer(&mut stream).await;
    serving.set_waiting(true);
    assert!(
        tokio::time::timeout(Duration::from_secs(600), outcome(&mut stream))
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_ended_or_was_given_up_is_not_owed() {
    for given_up in [false, true] {
        let (mut client, server) = tokio::io::duplex(64);
        let busy = Busy::default();
        let mut stream = paced(server, busy.clone());
        let serving = busy.serve();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        client.write_all(preface).await.unwrap();
        stream.read_exact(&mut [0; 24]).await.unwrap();
        begin_answer(&mut stream).await;
        drop(serving);
        if given_up {
            let reset = frame(3, 0, 1, &[0, 0, 0, 8]);
            client.write_all(&reset).await.unwrap();
            stream.read_exact(&mut [0; 13]).await.unwrap();
        } else {
            stream.write_all(&frame(0, 1, 1, b"body")).await.unwrap();
            stream.flush().await.unwrap();
        }
        assert_eq!(outcome(&mut stream).await.1, 75, "given up: {given_up}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_nobody_reads_ends() {
    let (_client, server) = tokio::io::duplex(4);
    let mut stream = paced(server, Busy::default());
    let start = Instant::now();
    let ended = stream.write_all(b"more than fits").await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let late = start.elapsed().checked_sub(STALL);
    let is_in_time = late.is_some_and(|late| late < Duration::from_millis(100));
    assert!(is_in_time, "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn answered_pings_do_not_hold_an_answer_that_the_client_does_not_take() {
    let (mut client, server) = tokio::io::duplex(64);
    let busy = Busy::default();
    let mut stream = paced(server, busy.clone());
    let _serving = busy.serve();
    begin_answer(&mut stream).await;
    client.read_exact(&mut [0; 13]).await.unwrap();
    let (mut reads, mut writes) = tokio::io::split(stream);
    let start = Instant::now();
    let pings = async {
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let pong = frame(6, 1, 0, &[0; 8]);
            if writes.write_all(&pong).await.is_err() {
                std::future::pending::<()>().await;
            }
            client.read_exact(&mut [0; 17]).await.unwrap();
        }
    };
    let ended = tokio::select! {
        ended = reads.read_u8() => ended,
        () = pings => panic!("held by pings"),
    };
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert!(start.elapsed() <= 2 * STALL, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_client_goes_on_taking_may_take_long() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let busy = Busy::default();
    let mut stream = paced(server, busy.clone());
    let _serving = busy.serve();
    begin_answer(&mut stream).await;
    let piece = frame(0, 0, 1, &[0; 8 * 1024]);
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stream.write_all(&piece).await.unwrap();
        client.read_exact(&mut vec![0; piece.len()]).await.unwrap();
    }
    // And one byte at a time is not going on.
    let drop = frame(0, 0, 1, b"x");
    let mut drops = 0;
    while stream.write_all(&drop).await.is_ok() {
        drops += 1;
        assert!(drops < 20, "held by drops");
        tokio::time::sleep(Duration::from_secs(1)).await;
        client
            .read_exact(&mut vec![0; drop.len()])
            .await
            .unwrap_or_default();
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_followed_by_the_last_words_and_the_end() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let busy = Busy::default();
    let mut stream = paced(server, busy.clone());
    let settings = frame(4, 0, 0, &[]).repeat(50);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    client
        .write_all(&[&preface[..], &settings].concat())
        .await
        .unwrap();
    let mut heard = vec![];
    stream.read_to_end(&mut heard).await.unwrap();
    assert_eq!(
        busy.flood().map(|flood| flood.as_str()),
        Some("settings_flood")
    );
    let (settings, last) = heard[preface.len()..].split_at(21 * 9);
    assert!(settings.chunks(9).all(|frame| frame[3] == 4));
    assert_eq!(last.len(), 32 * 9);
    assert!(last.chunks(9).skip(1).all(|frame| frame[3] == 9));
    // The client gets to read what is written now, even if it goes on sending, and not for ever.
    stream.write_all(b"goaway").await.unwrap();
    client.write_all(&[0; 1000]).await.unwrap();
    let start = Instant::now();
    stream.shutdown().await.unwrap();
    assert!(
        start.elapsed() <= Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    let mut goaway = vec![];
    client.read_to_end(&mut goaway).await.unwrap();
    assert_eq!(goaway, b"goaway");
}

#[tokio::test(start_paused = true)]
async fn a_header_block_that_does_not_end_ends_the_connection() {
    let (mut client, server) = tokio::io::duplex(1024);
    let busy = Busy::default();
    let mut stream = paced(server, busy.clone());
    // Even while another request is being served.
    let _serving = busy.serve();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let begun = frame(1, 0, 1, b"block");
    client
        .write_all(&[&preface[..], &begun].concat())
        .await
        .unwrap();
    let _dripping = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            client.write_all(&frame(9, 0, 1, b"x")).await.unwrap();
        }
    });
    let start = Instant::now();
    let ended = stream.read_to_end(&mut vec![]).await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), PATIENCE.head);
}

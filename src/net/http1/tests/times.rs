//! How long a client may take, and how a connection ends.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_is_not_worked_for() {
    // Some clients send an empty line behind a request, and mean nothing by it.
    for behind in ["", "\r\n"] {
        let mut pair = Pair::new();
        pair.write("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
        pair.answering(1).await;
        pair.write(behind).await;
        pair.client.shutdown().await.unwrap();
        pair.answering(0).await;
        assert_eq!(pair.end().await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_with_the_end_is_looked_at() {
    let mut pair = Pair::new();
    pair.write(POST).await;
    pair.client.shutdown().await.unwrap();
    assert_eq!(pair.answer().await, answer("abc"));
    assert_eq!(pair.end().await, 0);
    let mut pair = Pair::new();
    pair.write("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    pair.client.shutdown().await.unwrap();
    let door = Arc::clone(&pair.door);
    assert_eq!(pair.end().await, 0);
    assert_eq!(door.seen.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_has_its_time_and_no_more() {
    assert_eq!(Pair::new().end().await, 10, "it says nothing");

    let mut pair = Pair::new();
    tokio::time::sleep(Duration::from_secs(6)).await;
    pair.write("P").await;
    assert_eq!(pair.end().await, 4, "a head that drips");

    let mut pair = Pair::new();
    pair.write(POST).await;
    assert_eq!(pair.answer().await, answer("abc"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    pair.write("P").await;
    assert_eq!(pair.end().await, 10, "another head, late");

    let mut pair = Pair::new();
    pair.write(POST).await;
    assert_eq!(pair.answer().await, answer("abc"));
    assert!((74..=75).contains(&pair.end().await), "no other request");

    let mut pair = Pair::new();
    pair.write("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let waited = timeout(Duration::from_secs(600), pair.served).await;
    assert!(waited.is_err(), "no time runs while it waits for an answer");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_came_in_part_meanwhile_has_its_time_from_the_answer() {
    let mut pair = Pair::new();
    pair.write(&format!(
        "GET /stream HTTP/1.1\r\nhost: a\r\n\r\n{}",
        "GET /"
    ))
    .await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    pair.pieces = None;
    assert_eq!(pair.end().await, 10);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_the_bot_is_silent_is_noticed() {
    let mut pair = Pair::new();
    pair.write("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await;
    pair.read().await;
    pair.client.shutdown().await.unwrap();
    let pieces = pair.pieces.take().unwrap();
    pieces.closed().await;
    assert_eq!(pair.end().await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_drain_ends_a_connection_with_its_next_answer_and_the_closing_an_idle_one() {
    let mut pair = Pair::new();
    pair.write(POST).await;
    assert_eq!(pair.answer().await, answer("abc"));
    pair.drain.cancel();
    pair.write(POST).await;
    assert!(pair.answer().await.contains("connection: close\r\n"));

    let mut pair = Pair::new();
    pair.write(POST).await;
    assert_eq!(pair.answer().await, answer("abc"));
    pair.closing.cancel();
    assert_eq!(pair.end().await, 0);

    let mut pair = Pair::new();
    let (half, rest) = POST.split_at(20);
    pair.write(half).await;
    tokio::task::yield_now().await;
    pair.drain.cancel();
    pair.closing.cancel();
    assert_eq!(pair.answer().await, "");
    pair.write(rest).await;
    let text = pair.answer().await;
    assert!(
        text.contains("connection: close\r\n") && text.ends_with("abc"),
        "what has begun is waited for"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_client_still_sends_is_thrown_away_within_bounds() {
    let mut pair = Pair::new();
    pair.write("garbage\r\n").await;
    pair.read().await;
    let more = vec![b'x'; 64 * 1024];
    let mut sent = 0_usize;
    while pair.client.write_all(&more).await.is_ok() {
        sent += more.len();
        assert!(sent < 5 * 1024 * 1024);
    }
    assert!(sent >= 4 * 1024 * 1024 - more.len(), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_at_rest_holds_no_memory_for_requests() {
    let (mut peer, server) = duplex(64 * 1024);
    let first = clock::deadline(CAPS.header_timeout);
    let mut client = Client::new(server, CAPS, first, Crowd::default());
    peer.write_all(GET.as_bytes()).await.unwrap();
    let turn = poll_fn(|cx| client.poll_next(cx)).await;
    assert!(matches!(turn, Turn::Asks(Next::Head(_))));
    drop(turn);
    client.answered();
    for (milliseconds, rests, is_held) in [
        (500, false, true),
        (1000, true, false),
        (1000, false, false),
    ] {
        let turn = poll_fn(|cx| client.poll_next(cx));
        let turn = timeout(Duration::from_millis(milliseconds), turn).await;
        assert_eq!(matches!(turn, Ok(Turn::Rests)), rests);
        assert_eq!(turn.is_ok(), rests);
        assert_eq!(client.input.bytes.capacity() > 0, is_held);
    }
}

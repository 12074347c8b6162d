//! How answers are written, and to clients that do not take them.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_of_unknown_length_comes_piece_by_piece() {
    let mut pair = Pair::new();
    pair.write("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(pair.answer().await, head, "before there is a piece");
    let pieces = pair.pieces.take().unwrap();
    for (piece, chunk) in [
        ("abc", "3\r\nabc\r\n"),
        ("", ""),
        (&"x".repeat(3000), "bb8\r\n"),
    ] {
        let data = Bytes::copy_from_slice(piece.as_bytes());
        pieces.send(Ok(Frame::data(data))).await.unwrap();
        let text = pair.answer().await;
        assert!(text.starts_with(chunk) && text.contains(piece), "{text}");
    }
    drop(pieces);
    assert_eq!(pair.answer().await, "0\r\n\r\n");
    pair.write(POST).await;
    assert_eq!(pair.answer().await, answer("abc"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_is_not_ended_as_if_it_were_whole() {
    let mut pair = Pair::new();
    pair.write("GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let pieces = pair.pieces.take().unwrap();
    pieces
        .send(Ok(Frame::data(Bytes::from_static(b"abc"))))
        .await
        .unwrap();
    assert!(pair.answer().await.ends_with("\r\n\r\n3\r\nabc\r\n"));
    pieces.send(Err("broken".into())).await.unwrap();
    assert_eq!(pair.answer().await, "");
    assert_eq!(pair.end().await, 0);

    let mut pair = Pair::new();
    pair.write("GET /short HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let text = pair.answer().await;
    assert!(text.ends_with("content-length: 5\r\n\r\nab"), "{text}");
    assert_eq!(pair.end().await, 0);
}

#[tokio::test(start_paused = true)]
async fn heads_and_statuses_without_a_body_have_none() {
    let mut pair = Pair::new();
    for (request, expected) in [
        (
            "HEAD /long HTTP/1.1\r\nhost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n",
        ),
        (
            "POST /nothing HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\na",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ),
        (
            "GET /empty HTTP/1.1\r\nhost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ),
    ] {
        pair.write(request).await;
        assert_eq!(pair.answer().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_goes_on_as_version_and_options_say() {
    for (version, option, goes_on, said) in [
        ("1.1", "", true, ""),
        (
            "1.1",
            "connection: x, Close\r\n",
            false,
            "connection: close\r\n",
        ),
        ("1.0", "", false, "connection: close\r\n"),
        (
            "1.0",
            "connection: Keep-Alive\r\n",
            true,
            "connection: keep-alive\r\n",
        ),
        (
            "1.0",
            "connection: keep-alive, close\r\n",
            false,
            "connection: close\r\n",
        ),
    ] {
        let mut pair = Pair::new();
        pair.write(&format!("GET / HTTP/{version}\r\nhost: a\r\n{option}\r\n"))
            .await;
        let expected = format!("HTTP/{version} 200 OK\r\n{said}content-length: 0\r\n\r\n");
        assert_eq!(pair.answer().await, expected);
        pair.write(POST).await;
        assert_eq!(!pair.read().await.is_empty(), goes_on, "{version} {option}");
    }
    let mut pair = Pair::new();
    pair.write("GET /stream HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n")
        .await;
    pair.pieces = None;
    let expected = "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n";
    assert_eq!(
        pair.answer().await,
        expected,
        "its end is that of the connection"
    );
    drop(pair.client);
    pair.served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_client_does_not_take_ends_the_connection() {
    let mut pair = Pair::over(1024);
    pair.write("GET /long HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let after = pair.end().await;
    assert!((1..=2 * STALL.as_secs()).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_few_bytes_now_and_then_is_cut() {
    for (per_second, is_cut) in [(100, true), (MIN_BYTES, false)] {
        let mut pair = Pair::over(1024);
        pair.write("GET /long HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut taken = 0;
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut piece = vec![0; per_second];
            taken += usize::from(pair.client.read_exact(&mut piece).await.is_ok());
        }
        assert_eq!(taken < 30, is_cut, "{per_second} a second");
    }
}

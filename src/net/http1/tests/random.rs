//! Requests of all kinds, cut and held up at random.

use super::*;

/// Numbers that are the same each time (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }
}

/// What is sent, what the door sees of it, and what the client reads.
#[derive(Default)]
struct Talk {
    sent: Vec<u8>,
    seen: Vec<Seen>,
    answers: String,
}

impl Talk {
    fn of(random: &mut Random) -> Self {
        let mut talk = Self::default();
        for number in 0..=random.below(8) {
            let length = [0, 1, 37, 3000, 20_000][random.below(5)];
            let letter = |at: usize| char::from(b'a' + u8::try_from((at + number) % 26).unwrap());
            let body: String = (0..length).map(letter).collect();
            talk.add(random, &format!("/{number}"), &body);
        }
        talk
    }

    fn add(&mut self, random: &mut Random, path: &str, body: &str) {
        let length = body.len();
        if random.below(4) == 0 {
            self.sent.extend_from_slice(b"\r\n");
        }
        let method = ["POST", "POST", "HEAD"][random.below(3)];
        let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\n");
        if random.below(2) == 0 {
            let rest = format!("content-length: {length}\r\n\r\n{body}");
            self.sent.extend_from_slice((head + &rest).as_bytes());
        } else {
            let rest = "transfer-encoding: chunked\r\n\r\n";
            self.sent.extend_from_slice((head + rest).as_bytes());
            let mut rest = body;
            while !rest.is_empty() {
                let (chunk, more) = rest.split_at((1 + random.below(5000)).min(rest.len()));
                let chunk = format!("{:x}\r\n{chunk}\r\n", chunk.len());
                self.sent.extend_from_slice(chunk.as_bytes());
                rest = more;
            }
            self.sent.extend_from_slice(b"0\r\nx: y\r\n\r\n");
        }
        self.seen
            .push(seen(&format!("{method} {path} HTTP/1.1"), body));
        self.answers += &match (method, length) {
            ("HEAD", 0) => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            ("HEAD", _) => format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"),
            _ => answer(body),
        };
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_at_random_is_answered_in_order_and_nobody_is_left_waiting() {
    const DATE: &str = "date: Fri, 27 Nov 2026 10:04:02 GMT\r\n";
    for case in 1..100_u64 {
        let mut random = Random(case.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let talk = Talk::of(&mut random);
        let pair = Pair::over([3, 64, 1000, 64 * 1024][random.below(4)]);
        let start = Instant::now();
        let (mut reading, mut writing) = tokio::io::split(pair.client);
        let writer = async {
            let mut rest = &talk.sent[..];
            while !rest.is_empty() {
                let (piece, more) = rest.split_at((1 + random.below(3000)).min(rest.len()));
                writing.write_all(piece).await.unwrap();
                if random.below(2) == 0 {
                    tokio::task::yield_now().await;
                }
                rest = more;
            }
        };
        let reader = async {
            let mut text = vec![0; talk.answers.len() + talk.seen.len() * DATE.len()];
            reading.read_exact(&mut text).await.unwrap();
            let text = String::from_utf8(text).unwrap();
            let lines = text.split_inclusive("\r\n");
            let undated = lines.filter(|line| !line.starts_with("date: "));
            undated.collect::<String>()
        };
        let ((), answers) = tokio::join!(writer, reader);
        assert!(answers == talk.answers, "case {case}");
        assert_eq!(*pair.door.seen.lock().unwrap(), talk.seen, "case {case}");
        // No time passes unless somebody waits for it.
        assert!(start.elapsed() < Duration::from_millis(50), "case {case}");
        pair.served.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_many_chunks_lets_others_have_their_turn() {
    const CHUNKS: usize = 200_000;
    let mut pair = Pair::over(2 * 1024 * 1024);
    let turns = Arc::new(Mutex::new(0_usize));
    let counted = Arc::clone(&turns);
    let others = tokio::spawn(poll_fn(move |cx| {
        *counted.lock().unwrap() += 1;
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = "1\r\na\r\n".repeat(CHUNKS);
    pair.write(&format!("{head}{body}")).await;
    let before = *turns.lock().unwrap();
    pair.write("0\r\n\r\n").await;
    pair.client.read_exact(&mut [0; 1]).await.unwrap();
    let turns = *turns.lock().unwrap() - before;
    others.abort();
    // Eight pieces of 16 KiB each time.
    assert!(turns > 4, "{turns}");
    assert_eq!(pair.seen()[0].body.as_ref().map(String::len), Ok(CHUNKS));
}

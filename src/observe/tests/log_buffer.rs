//! The buffer of the log: whole lines, none lost without a word.

use super::*;
use crate::observe::LogGuard;
use crate::observe::log_buffer::{LogBuffer, MOST, Output};
use crate::observe::whole_lines::WholeLines;
use std::sync::mpsc;
use std::time::Duration;
use tokio::time::Instant;

impl Output for Written {
    fn put(&mut self, lines: &[u8]) -> u64 {
        self.0.lock().unwrap().extend_from_slice(lines);
        0
    }
}

/// Says when it is asked to write, and writes when it is let go.
struct Stuck {
    asked: mpsc::Sender<usize>,
    let_go: mpsc::Receiver<()>,
    written: Written,
}

impl Stuck {
    fn new() -> (Self, mpsc::Receiver<usize>, mpsc::Sender<()>, Written) {
        let (asked, asks) = mpsc::channel();
        let (lets_go, let_go) = mpsc::channel();
        let written = Written::default();
        let stuck = Self {
            asked,
            let_go,
            written: written.clone(),
        };
        (stuck, asks, lets_go, written)
    }
}

impl Output for Stuck {
    fn put(&mut self, lines: &[u8]) -> u64 {
        let _ = self.asked.send(lines.len());
        let _ = self.let_go.recv();
        self.written.put(lines)
    }
}

#[test]
fn lines_of_many_threads_are_whole_in_order_and_all_there() {
    const THREADS: usize = 8;
    const LINES: usize = 5_000;
    let written = Written::default();
    let (lines, writing) = LogBuffer::start(written.clone(), MOST).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let lines = &lines;
            scope.spawn(move || {
                for line in 0..LINES {
                    let filling = "x".repeat(line % 97);
                    lines.push(format!("{thread} {line} {filling}.\n").as_bytes());
                }
            });
        }
    });
    drop(writing);
    assert_eq!(lines.lost(), 0);
    let mut next = [0; THREADS];
    for line in written.text().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [thread, number, filling] = words[..] else {
            panic!("no whole line: {line:?}")
        };
        let next = &mut next[thread.parse::<usize>().unwrap()];
        assert_eq!(
            number,
            next.to_string(),
            "the lines of a thread stay in order"
        );
        assert_eq!(filling.len(), *next % 97 + 1);
        *next += 1;
    }
    assert_eq!(next, [LINES; THREADS]);
}

#[test]
fn what_does_not_fit_is_counted_and_told_once() {
    let (stuck, asks, lets_go, written) = Stuck::new();
    let (lines, writing) = LogBuffer::start(stuck, 700).unwrap();
    let observer = observer();
    let guard = LogGuard {
        lines: Arc::clone(&lines),
        format: LogFormat::Text,
        file: None,
        _writing: writing,
    };
    observer.watch_log(&guard);
    let line = [[b'x'; 99].as_slice(), b"\n"].concat();
    lines.push(&line);
    assert_eq!(
        asks.recv(),
        Ok(100),
        "a line after a pause is written at once"
    );
    for _ in 0..10 {
        lines.push(&line);
    }
    assert_eq!(lines.lost(), 4, "one is being written, six more fit");
    let told = json(|| {
        observer.tick();
        observer.tick();
    });
    let told = told.only_line();
    assert_eq!(
        (&told["event"], &told["level"], &told["count"]),
        (&"log_lines_lost".into(), &"WARN".into(), &4.into())
    );
    let metrics = observer.metrics().render();
    assert!(metrics.contains("botgate_log_lines_lost_total 4\n"));
    drop(lets_go);
    drop(guard);
    assert_eq!(asks.iter().collect::<Vec<_>>(), [600], "in one piece");
    assert_eq!(written.text().lines().count(), 7);
    assert_eq!(lines.lost(), 4);
    lines.push(&line);
    assert_eq!(lines.lost(), 5, "after the end there is nobody to write");
}

#[test]
fn lines_of_a_busy_gateway_are_gathered() {
    let (stuck, asks, lets_go, written) = Stuck::new();
    let (lines, writing) = LogBuffer::start(stuck, MOST).unwrap();
    for _ in 0..1_000_000 {
        lets_go.send(()).unwrap();
    }
    let began = Instant::now();
    let mut pushed = 0;
    while began.elapsed() < Duration::from_millis(200) {
        lines.push(b"a line\n");
        pushed += 1;
        std::thread::sleep(Duration::from_micros(50));
    }
    let took = began.elapsed();
    drop(writing);
    let writes = asks.iter().count();
    let most = took.as_millis() / 8 + 3;
    assert!(
        u128::try_from(writes).unwrap() <= most,
        "{writes} writes in {took:?}"
    );
    assert_eq!(written.text().lines().count(), pushed);
}

#[test]
fn a_burst_is_written_in_pieces_without_waiting() {
    let (stuck, asks, lets_go, written) = Stuck::new();
    let (lines, writing) = LogBuffer::start(stuck, MOST).unwrap();
    let line = [[b'x'; 999].as_slice(), b"\n"].concat();
    let long = [[b'y'; 100_000].as_slice(), b"\n"].concat();
    lines.push(&line);
    assert_eq!(asks.recv(), Ok(1_000));
    for _ in 0..1_000 {
        lines.push(&line);
    }
    lines.push(&long);
    lines.push(&line);
    drop(lets_go);
    drop(writing);
    let pieces: Vec<usize> = asks.iter().collect();
    assert!(
        pieces
            .iter()
            .all(|piece| *piece <= 65_536 || *piece == long.len())
    );
    assert!(pieces.len() <= 19, "{pieces:?}");
    assert_eq!(written.text().len(), 1_002 * 1_000 + long.len());
}

#[test]
fn the_end_does_not_wait_for_a_reader_who_is_gone() {
    let (stuck, asks, lets_go, _) = Stuck::new();
    let (lines, writing) = LogBuffer::start(stuck, MOST).unwrap();
    lines.push(b"a line\n");
    asks.recv().unwrap();
    let began = Instant::now();
    drop(writing);
    assert!(began.elapsed() < Duration::from_secs(9));
    drop(lets_go);
}

/// Takes so many bytes, and then fails until it is made to work again.
#[derive(Clone)]
struct Full(Written, Arc<Mutex<usize>>);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.1.lock().unwrap();
        let fits = bytes.len().min(*room);
        if fits == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *room -= fits;
        self.0.put(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_that_cannot_be_written_are_counted_and_half_a_line_is_ended() {
    let room = Arc::new(Mutex::new(11));
    let written = Written::default();
    let mut output = WholeLines::new(Full(written.clone(), Arc::clone(&room)), false);
    assert_eq!(
        output.put(b"one\ntwo\nthree\nfour\n"),
        2,
        "half a line is no line"
    );
    assert_eq!(output.put(b"five\n"), 1);
    *room.lock().unwrap() = 1;
    assert_eq!(output.put(b"six\n"), 1);
    *room.lock().unwrap() = 100;
    assert_eq!(output.put(b"seven\n"), 0);
    assert_eq!(written.text(), "one\ntwo\nthr\nseven\n");
}

#[test]
fn while_nothing_can_be_written_it_is_not_said_into_the_void() {
    let room = Arc::new(Mutex::new(0));
    let written = Written::default();
    let output = WholeLines::new(Full(written.clone(), Arc::clone(&room)), false);
    let (lines, writing) = LogBuffer::start(output, MOST).unwrap();
    let observer = observer();
    observer.watch_log(&LogGuard {
        lines: Arc::clone(&lines),
        format: LogFormat::Json,
        file: None,
        _writing: LogBuffer::start(Written::default(), MOST).unwrap().1,
    });
    ended(&observer, rejected(Reason::TokenMissing));
    let began = Instant::now();
    while lines.lost() == 0 && began.elapsed() < Duration::from_secs(9) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(json(|| observer.tick()).text(), "");
    *room.lock().unwrap() = usize::MAX;
    ended(&observer, rejected(Reason::TokenMissing));
    drop(writing);
    assert_eq!(written.lines().len(), 1);
    let told = json(|| observer.tick()).only_line();
    assert_eq!(
        (&told["event"], &told["count"]),
        (&"log_lines_lost".into(), &1.into())
    );
}

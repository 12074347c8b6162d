use super::super::frames::tests::frame;
use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn start() -> (FrameWatch, Instant) {
    let now = Instant::now();
    let mut watch = FrameWatch::new(now);
    assert_eq!(watch.take(PREFACE, now, |_| {}), None);
    (watch, now)
}

/// How many of these frames, one after the other, are let through before the flood is called one.
fn until_flood(frames: &[Vec<u8>], of: Flood) -> usize {
    let (mut watch, now) = start();
    for count in 0..100_000 {
        for frame in frames {
            match watch.take(frame, now, |_| {}) {
                None => {}
                Some(end) => {
                    assert_eq!(end, (frame.len(), of));
                    return count;
                }
            }
        }
    }
    panic!("{of:?} is never too much");
}

#[test]
fn every_flood_ends_and_a_few_frames_are_none() {
    let zeros = [0; 8];
    for (kind, flags, payload, flood, few) in [
        (0x0, 0, &zeros[..0], Flood::TinyData, 20),
        (0x0, 0, &zeros[..1], Flood::TinyData, 20),
        (0x2, 0, &zeros[..5], Flood::Priority, 20),
        (0x3, 0, &zeros[..4], Flood::RapidReset, 5),
        (0x4, 0, &zeros[..0], Flood::Settings, 5),
        (0x4, 1, &zeros[..0], Flood::Settings, 5),
        (0x6, 0, &zeros[..8], Flood::Ping, 20),
        (0x6, 1, &zeros[..8], Flood::Ping, 20),
        (0x7, 0, &zeros[..8], Flood::Other, 5),
        (0x8, 0, &zeros[..4], Flood::WindowUpdate, 100),
        (0x10, 0, &zeros[..8], Flood::Other, 20),
    ] {
        let count = until_flood(&[frame(kind, flags, stream_of(kind), payload)], flood);
        assert!((few..=1000).contains(&count), "{flood:?} after {count}");
    }
}

#[test]
fn streams_that_are_opened_and_reset_at_once_are_few() {
    let opened = frame(1, 5, 1, b"block");
    let reset = frame(3, 0, 1, &[0, 0, 0, 8]);
    let count = until_flood(&[opened, reset], Flood::RapidReset);
    assert!(count < 20, "{count}");
}

#[test]
fn requests_alone_are_no_flood() {
    let (mut watch, now) = start();
    for stream in 0..10_000_u32 {
        let request = [
            frame(1, 4, stream * 2 + 1, b"block"),
            frame(0, 0, stream * 2 + 1, &[b'x'; 100]),
            frame(0, 1, stream * 2 + 1, b""),
        ];
        assert_eq!(watch.take(&request.concat(), now, |_| {}), None);
    }
}

#[test]
fn a_client_that_gives_up_on_a_bot_that_hangs_is_no_flood() {
    let (mut watch, now) = start();
    for stream in 0..100 {
        watch.take(&frame(1, 5, stream * 2 + 1, b"block"), now, |_| {});
    }
    let later = now + Duration::from_secs(15);
    let mut gave_up = 0;
    for stream in 0..100 {
        let reset = frame(3, 0, stream * 2 + 1, &[0, 0, 0, 8]);
        assert_eq!(watch.take(&reset, later, |_| gave_up += 1), None);
    }
    assert_eq!(gave_up, 100);
    // The next ones are young again.
    let flooded = (100..200).any(|stream| {
        watch.take(&frame(1, 5, stream * 2 + 1, b"block"), later, |_| {});
        let reset = frame(3, 0, stream * 2 + 1, &[0, 0, 0, 8]);
        watch.take(&reset, later, |_| {}).is_some()
    });
    assert!(flooded);
}

#[test]
fn a_budget_refills() {
    let (mut watch, mut now) = start();
    let ping = frame(6, 0, 0, &[0; 8]);
    for _ in 0..10_000 {
        now += Duration::from_millis(100);
        assert_eq!(watch.take(&ping, now, |_| {}), None);
    }
}

#[test]
fn a_client_may_acknowledge_what_it_was_sent() {
    let (mut watch, now) = start();
    let update = frame(8, 0, 1, &[0, 0, 0x40, 0]);
    for _ in 0..10_000 {
        watch.sent_data(1);
        assert_eq!(watch.take(&update, now, |_| {}), None);
        assert_eq!(watch.take(&update, now, |_| {}), None);
    }
}

#[test]
fn a_header_block_has_an_end() {
    let (mut watch, now) = start();
    let most = [
        frame(1, 0, 1, &[0; 16_384]),
        frame(9, 0, 1, &[0; 16_384]),
        frame(9, 0, 1, &[0; 16_384]),
        frame(9, 4, 1, &[0; 16_384]),
    ]
    .concat();
    assert_eq!(watch.take(&most, now, |_| {}), None);
    assert!(!watch.is_in_block());
    let more = [
        &most[..most.len() - 16_384 - 9],
        &frame(9, 0, 1, &[0; 16_384]),
    ]
    .concat();
    assert_eq!(watch.take(&more, now, |_| {}), None);
    assert!(watch.is_in_block());
    assert_eq!(
        watch.take(&frame(9, 4, 1, b"x"), now, |_| {}),
        Some((10, Flood::HeaderBlock))
    );
}

#[test]
fn a_flood_is_cut_at_the_end_of_a_frame() {
    let (mut watch, now) = start();
    let flood = frame(4, 0, 0, &[0; 6]).repeat(100);
    let mut seen = 0;
    let cut = flood.chunks(7).find_map(|piece| {
        let cut = watch.take(piece, now, |_| {});
        seen += cut.map_or(piece.len(), |(bytes, _)| bytes);
        cut
    });
    assert!(cut.is_some());
    assert_eq!(seen % 15, 0, "{seen}");
}

#[test]
fn trailers_with_pseudo_fields_are_cut_off_where_they_begin() {
    let head = frame(1, 4, 1, b"\x84");
    let body = frame(0, 0, 1, b"body");
    let good = frame(1, 5, 1, b"\x00\x01x\x011");
    let bad = frame(1, 5, 1, b"\x84");
    let in_two = [frame(1, 1, 1, b"\x00\x01x"), frame(9, 4, 1, b"\x011\x84")].concat();
    let request = [&head[..], &body].concat();
    let (mut watch, now) = start();
    assert_eq!(
        watch.take(&[&request[..], &good].concat(), now, |_| {}),
        None
    );
    for (trailers, cut) in [(&bad, request.len()), (&in_two, request.len() + 12)] {
        let (mut watch, now) = start();
        let whole = [&request[..], trailers].concat();
        let expected = Some((cut, Flood::Trailers));
        assert_eq!(watch.take(&whole, now, |_| {}), expected);
    }
    // Byte by byte, nothing of the last frame can be taken back; its last byte can.
    let (mut watch, now) = start();
    let whole = [&request[..], &bad].concat();
    let cuts: Vec<_> = whole
        .chunks(1)
        .filter_map(|byte| watch.take(byte, now, |_| {}))
        .collect();
    assert_eq!(cuts, [(0, Flood::Trailers)]);
}

/// Frames about the whole connection stand on stream 0.
fn stream_of(kind: u8) -> u32 {
    u32::from(![4, 6, 7].contains(&kind))
}

#[test]
fn a_frame_of_the_wrong_size_is_cut_off() {
    for (kind, flags, bytes) in [
        (2, 0, 4),
        (3, 0, 5),
        (4, 0, 5),
        (4, 1, 6),
        (6, 0, 7),
        (7, 0, 7),
        (8, 0, 3),
    ] {
        let (mut watch, now) = start();
        let ping = frame(6, 0, 0, &[0; 8]);
        let wrong = frame(kind, flags, stream_of(kind), &vec![0; bytes]);
        let whole = [&ping[..], &wrong].concat();
        assert_eq!(
            watch.take(&whole, now, |_| {}),
            Some((ping.len(), Flood::FrameSize))
        );
    }
}

//! Logs as they are found: rotated, cut off, mixed with other things.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;

const TENANT: &str = "8c1f2e3d-4b5a-4968-8776-5a4b3c2d1e0f";
const OTHER: &str = "f0e1d2c3-b4a5-4697-8879-6a5b4c3d2e1f";

/// 2026-11-22T20:00:00Z.
const NOW: i64 = 1_795_377_600;

fn line(time: &str, verdict: &str, reason: &str, more: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-11-22T{time}.000Z","level":"INFO","event":"request","verdict":"{verdict}","reason":"{reason}","bot":"helpdesk","client_ip":"192.0.2.1"{more},"duration_ms":0.5}}"#
    ) + "\n"
}

fn foreign(time: &str, verdict: &str) -> String {
    let more = format!(
        r#","channel":"msteams","tenant":"{TENANT}","note":"conversation.tenantId is {TENANT}""#
    );
    line(time, verdict, "tenant_not_allowed", &more)
}

struct Told {
    exit: Exit,
    out: String,
    told: String,
}

fn ask(arguments: &[&str], stdin: &[u8]) -> Told {
    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }
    let arguments = std::iter::once(&"rejects").chain(arguments);
    let options = <Command as clap::Parser>::try_parse_from(arguments)
        .unwrap()
        .options;
    let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let exit = run(&options, &mut { stdin }, now, &mut out, &mut told).unwrap();
    Told {
        exit,
        out: String::from_utf8(out).unwrap(),
        told: String::from_utf8(told).unwrap(),
    }
}

fn rows(out: &str) -> Vec<Vec<&str>> {
    out.lines()
        .skip(3)
        .map(|row| row.split_whitespace().collect())
        .collect()
}

#[test]
fn refusals_are_counted_by_what_is_asked_for() {
    let log = [
        line("10:00:00", "forwarded", "", ""),
        foreign("10:00:01", "rejected"),
        foreign("10:00:03", "rejected"),
        foreign("10:00:02", "would_reject"),
        line("10:00:04", "rejected", "token_missing", ""),
        r#"{"timestamp":"2026-11-22T10:00:05.000Z","event":"suppressed","client_ip":"192.0.2.9","reason":"token_missing","count":40}"#.to_owned() + "\n",
        // An answer that broke midway: it was forwarded.
        line("10:00:06", "forwarded", "upstream_broken", ""),
    ]
    .concat();
    let told = ask(&[], log.as_bytes());
    assert_eq!((told.exit, told.told.as_str()), (Exit::Good, ""));
    assert!(
        told.out.starts_with(
            "3 refused, 1 would have been (report mode), 40 more counted in floods without a line each; \
             from 2026-11-22T10:00:01.000Z to 2026-11-22T10:00:05.000Z\n"
        ),
        "{}",
        told.out
    );
    let missing = ["token_missing", "1", "-", "40", "2026-11-22T10:00:05.000Z"];
    let tenant = [
        "tenant_not_allowed",
        "2",
        "1",
        "-",
        "2026-11-22T10:00:03.000Z",
    ];
    assert_eq!(
        rows(&told.out),
        [
            [&missing[..], &["helpdesk", "1"]].concat(),
            [&tenant[..], &["helpdesk", "3"]].concat()
        ]
    );
    for (by, first) in [
        ("client", "192.0.2.9"),
        ("tenant", "(none)"),
        ("channel", "(none)"),
    ] {
        let told = ask(&["--by", by], log.as_bytes());
        assert_eq!(rows(&told.out)[0][0], first, "{}", told.out);
    }
    let told = ask(&["--by", "tenant"], log.as_bytes());
    assert_eq!(rows(&told.out)[1][0], TENANT, "{}", told.out);
}

#[test]
fn of_very_many_the_most_frequent_are_shown() {
    let of = |number: u32| {
        let log = line("10:00:00", "rejected", "token_missing", "");
        log.replace(
            "192.0.2.1",
            &format!("10.0.{}.{}", number / 256, number % 256),
        )
    };
    let mut log: String = (0..1000).map(of).collect();
    log.push_str(&of(999));
    let told = ask(&["--by", "client"], log.as_bytes());
    let rows = rows(&told.out);
    assert_eq!(rows[0][..2], ["10.0.3.231", "2"]);
    assert_eq!(rows.len(), 201);
    assert_eq!(rows[200].join(" "), "... and 800 with fewer");
}

#[test]
fn files_rotated_and_packed_ones_and_standard_input_are_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("botgate.log");
    fs::write(&plain, foreign("10:00:00", "rejected")).unwrap();
    let packed = folder.path().join("botgate.log.2026-11-21.gz");
    // Two members, as `cat a.gz b.gz` makes them.
    let pack = |text: String| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let members = [
        pack(foreign("09:00:00", "rejected")),
        pack(foreign("09:30:00", "rejected")),
    ];
    fs::write(&packed, members.concat()).unwrap();
    let [plain, packed] = [&plain, &packed].map(|path| path.to_str().unwrap());
    let stdin = foreign("11:00:00", "rejected");
    let told = ask(&[plain, packed, "-"], stdin.as_bytes());
    assert!(
        told.out.starts_with("4 refused; from 2026-11-22T09:00:00"),
        "{}",
        told.out
    );
    let told = ask(&["-"], &pack(stdin));
    assert!(told.out.starts_with("1 refused"), "packed standard input");
}

#[test]
fn since_leaves_out_what_is_older() {
    let log = [
        foreign("18:59:59", "rejected"),
        foreign("19:00:00", "rejected"),
        foreign("19:59:00", "rejected"),
    ]
    .concat();
    for (since, left) in [
        ("1h", "2 refused"),
        ("1m", "1 refused"),
        ("1d", "3 refused"),
    ] {
        let told = ask(&["--since", since], log.as_bytes());
        assert!(told.out.starts_with(left), "{since}: {}", told.out);
    }
    let told = ask(&["--since", "1s"], log.as_bytes());
    assert_eq!(
        (told.exit, told.out.as_str()),
        (Exit::Good, "nothing was refused\n")
    );
    for wrong in ["1", "h", "1w", "-1h", "99999999999999999999d"] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
    // Longer than time goes back.
    let told = ask(&["--since", "9999999999999d"], log.as_bytes());
    assert!(told.out.starts_with("3 refused"), "{}", told.out);
}

#[test]
fn lines_that_are_none_are_counted_and_told() {
    let mut log = foreign("10:00:00", "rejected").into_bytes();
    log.extend(b"botgate-1  | ");
    log.extend(foreign("10:00:01", "rejected").bytes());
    log.extend(b"\n   \n{\"timestamp\":\"2026-11-22T10:00:02\",\"event\":\"requ");
    log.extend(b"\nStarting botgate...\n\xff\xfe\n[]\n{}\n{\"timestamp\":5}\n");
    log.extend(vec![b'x'; 1 << 20]);
    log.extend(b"\n");
    log.extend(foreign("10:00:03", "rejected").trim_end().bytes());
    let told = ask(&[], &log);
    assert_eq!(told.exit, Exit::Good);
    assert!(told.out.starts_with("3 refused"), "{}", told.out);
    assert_eq!(
        told.told,
        "botgate: 7 of 10 lines are no lines of the log and were left out\n"
    );
    let told = ask(&[], b"2026-11-22 INFO botgate: started\n");
    assert_eq!(told.exit, Exit::NotSo);
    assert!(told.told.contains("log.format = \"json\""), "{}", told.told);
    let told = ask(&[], b"");
    assert_eq!(
        (told.exit, told.out.as_str()),
        (Exit::Good, "nothing was refused\n")
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let told = ask(&["/nonexistent/botgate.log"], b"");
    assert_eq!(told.exit, Exit::Usage);
    assert!(
        told.told.contains("/nonexistent/botgate.log: "),
        "{}",
        told.told
    );
    // One that is still being written, after one that is whole.
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.gz");
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    let both = [
        foreign("10:00:00", "rejected"),
        foreign("10:00:01", "rejected"),
    ];
    packed.write_all(both.concat().as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    fs::write(&cut, &packed[..packed.len() - 30]).unwrap();
    let stdin = foreign("11:00:00", "rejected");
    let told = ask(&[cut.to_str().unwrap(), "-"], stdin.as_bytes());
    assert_eq!(told.exit, Exit::Usage, "{}", told.told);
    assert!(told.told.contains("cut.gz: "), "{}", told.told);
    assert!(
        told.out.starts_with("2 refused"),
        "the rest is there: {}",
        told.out
    );
}

#[test]
fn tenants_are_suggested_as_toml_with_what_is_known_of_them() {
    let mixed = line(
        "10:00:05",
        "rejected",
        "tenant_not_allowed",
        &format!(r#","tenant":"{TENANT}","note":"channelData.tenant.id is {OTHER}""#),
    );
    let of_another_bot = foreign("10:00:06", "rejected").replace("helpdesk", "sales");
    let log = [
        foreign("10:00:00", "rejected"),
        foreign("10:00:02", "rejected"),
        foreign("10:00:01", "would_reject"),
        line("10:00:03", "rejected", "tenant_missing", ""),
        mixed,
        of_another_bot,
    ]
    .concat();
    let told = ask(&["--suggest-tenants", "helpdesk"], log.as_bytes());
    assert_eq!((told.exit, told.told.as_str()), (Exit::Good, ""));
    let table: toml::Table = told.out.parse().unwrap();
    let allow = table["bots"]["tenants"]["allow"].as_array().unwrap();
    assert_eq!(allow.len(), 1, "{}", told.out);
    assert_eq!(allow[0].as_str(), Some(TENANT));
    assert!(
        told.out.contains(&format!(
            "\"{TENANT}\", # 2 refused, 1 would have been (report mode), last 2026-11-22T10:00:02.000Z, msteams\n"
        )),
        "{}",
        told.out
    );
    assert!(
        told.out
            .contains(&format!("# not suggested: \"{OTHER}\", 1 refused")),
        "{}",
        told.out
    );
    for (bot, why) in [("other", "is in no line"), ("sales", "")] {
        let told = ask(&["--suggest-tenants", bot], log.as_bytes());
        let wanted = if why.is_empty() {
            Exit::Good
        } else {
            Exit::NotSo
        };
        assert_eq!(told.exit, wanted, "{bot}");
        assert!(told.told.contains(why), "{}", told.told);
    }
}

#[test]
fn what_a_client_sent_obeys_nobody_and_breaks_no_toml() {
    let more =
        format!(r#","channel":"\u001b[2J\n]\u202e\"","tenant":"{TENANT}","note":"x is {TENANT}""#);
    let log = line("10:00:00", "rejected", "tenant_not_allowed", &more);
    let told = ask(&["--by", "channel"], log.as_bytes());
    assert!(
        !told.out.contains(['\u{1b}', '\u{202e}']) && told.out.lines().count() == 4,
        "{}",
        told.out
    );
    let told = ask(&["--suggest-tenants", "helpdesk"], log.as_bytes());
    let table: toml::Table = told.out.parse().unwrap();
    assert_eq!(
        table["bots"]["tenants"]["allow"].as_array().unwrap().len(),
        1
    );
    assert!(!told.out.contains('\u{202e}'));
}

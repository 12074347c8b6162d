//! `botgate demo` is what a stranger sees first.

use std::process::Command;

#[test]
fn the_demo_ends_green_and_is_plain_text_when_piped() {
    let output = Command::new(env!("CARGO_BIN_EXE_botgate"))
        .arg("demo")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{:?}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.trim_end().ends_with("17 of 17 as expected"), "{text}");
    assert!(
        !text.contains('\x1b'),
        "colour although it is no terminal: {text}"
    );
    // The one line of the log is shown as it is.
    let (log, prose): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('{'));
    assert_eq!(log.len(), 1, "{text}");
    assert!(
        log[0].contains("\"reason\":\"service_url_mismatch\""),
        "{text}"
    );
    let widest = prose
        .into_iter()
        .max_by_key(|line| line.chars().count())
        .unwrap();
    assert!(widest.chars().count() <= 110, "too wide: {widest}");
}

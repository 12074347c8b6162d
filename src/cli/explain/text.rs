//! The answer for people.

use super::keys::age_text;
use super::report::{Report, RuleTold};
use std::io::{self, Write};

/// Writes it: who asks what, the token, the keys, each rule, and the verdict at the end, where the eye is.
pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let bot = report.bot.as_deref().unwrap_or("none");
    line(out, "bot", bot)?;
    line(out, "at", &report.at)?;
    for remark in &report.remarks {
        line(out, "remark", remark)?;
    }
    if let Some(token) = &report.token {
        for (name, members) in [("header", &token.header), ("claims", &token.claims)] {
            match members {
                Some(members) => block(out, name, &serde_json::to_string_pretty(members)?)?,
                None => line(out, name, "not shown: not one JSON object")?,
            }
        }
        let signature = token
            .signature
            .as_deref()
            .unwrap_or("none that can be read");
        line(out, "signature", signature)?;
    }
    line(out, "keys", &keys(report))?;
    writeln!(out)?;
    for rule in &report.rules {
        write_rule(rule, out)?;
    }
    writeln!(out)?;
    let rule = report.rule.unwrap_or_default();
    let reason = report.reason.unwrap_or_default();
    match (report.verdict, report.status) {
        ("rejected", Some(200)) => writeln!(
            out,
            "rejected: {reason}, by {rule}; answered 200, as if handled"
        )?,
        ("rejected", status) => writeln!(
            out,
            "rejected: {} {reason}, by {rule}",
            status.unwrap_or_default()
        )?,
        ("would_reject", _) => writeln!(
            out,
            "forwarded; the log says would_reject {reason}, by {rule}, which is in report mode"
        )?,
        _ => writeln!(out, "forwarded")?,
    }
    if let Some(sees) = &report.caller_sees {
        let told = sees.headers.iter().filter(|(name, _)| {
            matches!(
                name.as_str(),
                "www-authenticate" | "retry-after" | "allow" | "upgrade"
            )
        });
        let headers: String = told
            .map(|(name, value)| format!(", {name}: {value}"))
            .collect();
        let body = if sees.body.is_empty() {
            "an empty body"
        } else {
            sees.body.as_str()
        };
        line(
            out,
            "caller sees",
            &format!("{}{headers}, {body}", sees.status),
        )?;
    }
    if let Some(remedy) = report.what_to_do {
        line(out, "what to do", remedy)?;
    }
    Ok(())
}

fn write_rule(rule: &RuleTold, out: &mut dyn Write) -> io::Result<()> {
    let answer = rule.answer.replace('_', " ");
    let mode = match rule.mode {
        Some("report") => ", in report mode",
        Some(_) | None => "",
    };
    let reason = match (rule.reason, rule.status) {
        (Some(reason), Some(status)) => format!(": {status} {reason}{mode}"),
        (_, _) => String::new(),
    };
    let is_refusal = rule.reason.is_some();
    let mark = if is_refusal { "!" } else { " " };
    let aside = match &rule.note {
        Some(note) if !is_refusal => format!(" ({})", plain(note)),
        Some(_) | None => String::new(),
    };
    writeln!(out, "{mark} {:<18} {answer}{reason}{aside}", rule.name)?;
    let told = [
        ("expected", &rule.expected),
        ("seen", &rule.seen),
        ("note", if is_refusal { &rule.note } else { &None }),
    ];
    for (name, text) in told {
        if let Some(text) = text {
            writeln!(out, "    {name:<8} {}", plain(text))?;
        }
    }
    Ok(())
}

fn keys(report: &Report) -> String {
    let keys = &report.keys;
    let place = keys.place.as_deref().unwrap_or_default();
    let origin = match keys.from {
        "file" => format!("from {place}"),
        "cache" => format!(
            "kept in {place}, {} old",
            age_text(keys.age_seconds.unwrap_or_default())
        ),
        "live" => format!("of {place}, fetched now"),
        _ => String::new(),
    };
    match (&keys.problem, keys.count) {
        (Some(why), _) => why.clone(),
        (None, Some(count)) => format!("{count} {origin}"),
        (None, None) => "none are needed".to_owned(),
    }
}

fn line(out: &mut dyn Write, name: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{name:<12} {}", plain(text))
}

/// JSON of several lines, each of them indented, so that none passes for one of ours.
fn block(out: &mut dyn Write, name: &str, json: &str) -> io::Result<()> {
    let lines: Vec<String> = json.split('\n').map(plain).collect();
    writeln!(out, "{name:<12} {}", lines.join("\n             "))
}

/// What a stranger sent must not command a terminal, nor pass for a line of ours.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if commands(c) {
            plain.extend(c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// The same for JSON, which leaves these as they are in strings. Outside of strings there is nothing but ASCII and line ends.
pub(super) fn plain_json(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for c in json.chars() {
        if commands(c) && c > '\u{1f}' {
            plain.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Control characters, line ends of Unicode's own, and what turns the direction of text round.
fn commands(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{block, plain, plain_json};

    #[test]
    fn nothing_in_a_request_commands_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[31m\u{9b}\u{202e}\u{200f}b"),
            "a\\u{1b}[31m\\u{9b}\\u{202e}\\u{200f}b"
        );
    }

    #[test]
    fn nothing_in_a_request_or_key_set_makes_a_line_of_its_own() {
        assert_eq!(
            plain("endorsed for x\nforwarded\u{2028}"),
            "endorsed for x\\u{a}forwarded\\u{2028}"
        );
        let mut out = Vec::new();
        block(&mut out, "claims", "[\nforwarded\r\n]").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "claims       [\n             forwarded\\u{d}\n             ]\n"
        );
    }

    #[test]
    fn json_says_the_same_without_commanding_the_terminal() {
        let said = serde_json::json!({ "a": "\u{1b}[2J\u{7f}\u{9b}31m\u{202e}\u{2028}\n\u{e9}" });
        let json = plain_json(&serde_json::to_string_pretty(&said).unwrap());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&json).unwrap(),
            said
        );
        assert!(
            !json.contains(['\u{7f}', '\u{9b}', '\u{202e}', '\u{2028}']),
            "{json}"
        );
        assert!(json.contains("{\n") && json.contains('\u{e9}'), "{json}");
    }
}

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
                Some(members) => line(
                    out,
                    name,
                    &indented(&serde_json::to_string_pretty(members)?),
                )?,
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

fn indented(text: &str) -> String {
    text.replace('\n', "\n             ")
}

/// What a stranger sent must not command a terminal.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if is_command(c) {
            plain.extend(c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// The same JSON, with such characters escaped as JSON escapes them: they stand within its texts only.
pub(super) fn plain_json(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for c in json.chars() {
        if is_command(c) {
            plain.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            plain.push(c);
        }
    }
    plain
}

fn is_command(c: char) -> bool {
    (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{plain, plain_json};

    #[test]
    fn nothing_in_a_request_commands_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[31m\u{9b}\u{202e}b\nc"),
            "a\\u{1b}[31m\\u{9b}\\u{202e}b\nc"
        );
        let said = serde_json::json!({ "a\u{9b}": "\u{1b}[31m\u{7f}\u{202e}b\nc" });
        let json = plain_json(&serde_json::to_string_pretty(&said).unwrap());
        assert!(json.is_ascii() && !json.contains('\u{1b}') && !json.contains('\u{7f}'));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&json).unwrap(),
            said
        );
    }
}

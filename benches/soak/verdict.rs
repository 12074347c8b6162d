//! Compares what clients, gateway and bots counted.

use super::Stage;
use super::bot::SteadyBot;
use super::gateway::{Log, Page};
use super::ledger::{Account, Promise};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Everything that does not add up.
pub(crate) fn of(
    stage: &Stage,
    page: &Page,
    log: &Log,
    steady: &SteadyBot,
    fragile: usize,
) -> Vec<String> {
    let mut wrong = gateway(stage, page, log);
    println!(
        "{:<24} {:>8} {:>8} {:>8}  answers",
        "client", "sent", "logged", "at bot"
    );
    for (name, account) in stage.ledger.accounts() {
        let address = account.address.to_string();
        let at_bot = match account.promise {
            Promise::Tried(_) => u64::try_from(fragile).unwrap_or(u64::MAX),
            Promise::Answered(_) | Promise::KeptOut | Promise::Unknown => steady.count(name),
        };
        println!(
            "{name:<24} {:>8} {:>8} {at_bot:>8}  {:?}{}",
            account.sent,
            log.lines(&address),
            account.answers,
            trouble(&account),
        );
        let found = client(&account, log, at_bot);
        wrong.extend(found.into_iter().map(|what| format!("{name}: {what}")));
    }
    wrong
}

fn trouble(account: &Account) -> String {
    let (unanswered, cut_off) = (account.unanswered, account.cut_off);
    match (unanswered, cut_off) {
        (0, 0) => String::new(),
        (0, _) => format!(", {cut_off} cut off"),
        (_, _) => format!(", {unanswered} unanswered: {}", account.last_trouble),
    }
}

/// What the gateway says of itself.
fn gateway(stage: &Stage, page: &Page, log: &Log) -> Vec<String> {
    let mut wrong = vec![];
    if log.odd_count > 0 {
        let (count, lines) = (log.odd_count, log.odd.join("\n    "));
        wrong.push(format!("{count} lines that should not be:\n    {lines}"));
    }
    if log.status != "exit status: 0" {
        wrong.push(format!("the gateway ended with {}", log.status));
    }
    let mut same = |what: &str, one: f64, other: f64| {
        if one != other {
            wrong.push(format!("{what}: {one} and {other}"));
        }
    };
    let requests = |verdict: &str| page.sum("botgate_requests_total", &[("verdict", verdict)]);
    let written = |verdict: &str| number(log.verdicts.get(verdict).copied().unwrap_or_default());
    for verdict in ["forwarded", "abandoned", "would_reject"] {
        same(
            &format!("requests counted and written, {verdict}"),
            requests(verdict),
            written(verdict),
        );
    }
    same(
        "requests counted, and written or suppressed, rejected",
        requests("rejected"),
        written("rejected") + number(log.suppressed),
    );
    same(
        "suppressed lines counted and written",
        page.sum("botgate_log_suppressed_total", &[]),
        number(log.suppressed),
    );
    same(
        "log lines lost",
        page.sum("botgate_log_lines_lost_total", &[]),
        0.0,
    );
    same(
        "connections left open",
        page.sum("botgate_connections", &[]),
        0.0,
    );
    same(
        "requests left in flight",
        page.sum("botgate_inflight_requests", &[]),
        0.0,
    );
    let refused = page.sum("botgate_connections_refused_total", &[]);
    same(
        "connections made, and handshakes begun or refused",
        number(stage.ledger.connections.load(Ordering::Relaxed)),
        page.sum("botgate_tls_handshakes_total", &[]) + refused,
    );
    wrong
}

/// What became of one client's requests.
fn client(account: &Account, log: &Log, at_bot: u64) -> Vec<String> {
    let address = account.address.to_string();
    let lines = log.statuses(&address);
    let forwarded: u64 = log
        .by_client
        .get(&address)
        .into_iter()
        .flatten()
        .filter(|((verdict, _), _)| verdict == "forwarded")
        .map(|(_, count)| count)
        .sum();
    let mut wrong = vec![];
    let mut must = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    match account.promise {
        Promise::Answered(statuses) | Promise::Tried(statuses) => {
            let answered: u64 = account.answers.values().sum();
            let (sent, answers) = (account.sent, &account.answers);
            must(
                account.unanswered == 0 && answered == sent,
                format!("{sent} sent, {answered} answered; {}", account.last_trouble),
            );
            must(
                account.cut_off == 0 || matches!(account.promise, Promise::Tried(_)),
                format!("{} answers were cut off", account.cut_off),
            );
            must(
                answers.keys().all(|status| statuses.contains(status)),
                format!("answers {answers:?}, where only {statuses:?} may be"),
            );
            must(
                same(&lines, answers),
                format!("answers {answers:?}, request lines {lines:?}"),
            );
        }
        Promise::KeptOut => {
            must(at_bot == 0, format!("{at_bot} reached the bot"));
            must(
                !account
                    .answers
                    .keys()
                    .any(|status| (200..300).contains(status)),
                format!("answers {:?}", account.answers),
            );
        }
        Promise::Unknown => must(
            at_bot <= account.sent,
            format!("{} sent, {at_bot} reached the bot", account.sent),
        ),
    }
    match account.promise {
        Promise::Answered(_) => must(
            at_bot == forwarded,
            format!("{forwarded} forwarded, {at_bot} reached the bot"),
        ),
        Promise::Tried(_) => must(
            (forwarded..=account.sent).contains(&at_bot),
            format!(
                "{forwarded} forwarded, {} sent, {at_bot} reached the bot",
                account.sent
            ),
        ),
        Promise::KeptOut => must(forwarded == 0, format!("{forwarded} forwarded")),
        Promise::Unknown => must(
            forwarded <= at_bot,
            format!("{forwarded} forwarded, {at_bot} reached the bot"),
        ),
    }
    wrong
}

fn same(one: &BTreeMap<u16, u64>, other: &BTreeMap<u16, u64>) -> bool {
    one == other
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
const fn number(count: u64) -> f64 {
    count as f64
}

//! Tests of the budgets.

use super::*;
use governor::clock::FakeRelativeClock;
use std::num::NonZeroU32;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn quota(interval: Duration, burst: u32) -> Quota {
    Quota {
        interval,
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

fn limiter(limits: RateLimits) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    let per_ip = quota(SECOND, 3);
    let in_flight = InFlight::with_caps(std::iter::once(1), 1);
    (
        Limiter::with_clock(per_ip, [limits].iter(), in_flight, &clock),
        clock,
    )
}

fn sender<'a>(user: &'a str, conversation: &'a str) -> Sender<'a> {
    Sender {
        channel: "msteams",
        tenant: TenantId::parse("3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11"),
        conversation: Some(conversation),
        user: Some(user),
    }
}

fn allowed(limiter: &Limiter<FakeRelativeClock>, sender: &Sender<'_>, times: usize) -> usize {
    (0..times)
        .filter(|_| limiter.take_for(0, sender).is_ok())
        .count()
}

fn refusal(limiter: &Limiter<FakeRelativeClock>, sender: &Sender<'_>) -> (Reason, Option<u64>) {
    let refusal = limiter.take_for(0, sender).unwrap_err();
    (refusal.reason(), refusal.retry_after_seconds())
}

#[test]
fn an_address_has_its_burst_and_then_its_rate() {
    let (limiter, clock) = limiter(RateLimits::default());
    let address = "192.0.2.1".parse().unwrap();
    let count = |times| {
        (0..times)
            .filter(|_| limiter.take_arrival(address).is_ok())
            .count()
    };
    assert_eq!(count(10), 3);
    clock.advance(SECOND * 2);
    assert_eq!(count(10), 2);
    clock.advance(SECOND * 100);
    assert_eq!(count(10), 3);
}

#[test]
fn retry_after_is_true_at_the_boundary() {
    let (limiter, clock) = limiter(RateLimits::default());
    let address = "192.0.2.1".parse().unwrap();
    while limiter.take_arrival(address).is_ok() {}
    clock.advance(Duration::from_millis(250));
    let refusal = limiter.take_arrival(address).unwrap_err();
    assert_eq!(refusal.reason(), Reason::RateLimitedIp);
    assert_eq!(refusal.retry_after_seconds(), Some(1));
    clock.advance(Duration::from_millis(750) - Duration::from_nanos(1));
    assert!(limiter.take_arrival(address).is_err());
    clock.advance(Duration::from_nanos(1));
    assert!(limiter.take_arrival(address).is_ok());
}

#[test]
fn one_customer_is_one_client_whatever_address_it_uses() {
    let (limiter, _) = limiter(RateLimits::default());
    let takes = |addresses: [&str; 4]| {
        addresses.map(|address| limiter.take_arrival(address.parse().unwrap()).is_ok())
    };
    let of_one_64 = [
        "2001:db8::1",
        "2001:db8::2",
        "2001:db8::ffff:1",
        "2001:db8:0:0:1::",
    ];
    assert_eq!(takes(of_one_64), [true, true, true, false]);
    assert_eq!(takes(["2001:db8:0:1::1"; 4]), [true, true, true, false]);
    let mapped = [
        "192.0.2.7",
        "::ffff:192.0.2.7",
        "192.0.2.7",
        "::ffff:192.0.2.7",
    ];
    assert_eq!(takes(mapped), [true, true, true, false]);
    assert_eq!(takes(["192.0.2.8"; 4]), [true, true, true, false]);
}

#[test]
fn every_kind_of_budget_refuses_with_its_own_reason() {
    let one = Some(quota(SECOND, 1));
    let none = RateLimits::default();
    for (limits, reason) in [
        (
            RateLimits {
                per_user: one,
                ..none.clone()
            },
            Reason::RateLimitedUser,
        ),
        (
            RateLimits {
                per_conversation: one,
                ..none.clone()
            },
            Reason::RateLimitedConversation,
        ),
        (
            RateLimits {
                per_tenant: one,
                ..none.clone()
            },
            Reason::RateLimitedTenant,
        ),
        (
            RateLimits {
                per_bot: one,
                ..none.clone()
            },
            Reason::RateLimitedBot,
        ),
    ] {
        let (limiter, _) = limiter(limits);
        assert_eq!(allowed(&limiter, &sender("u", "c"), 1), 1, "{reason:?}");
        let refusal = limiter.take_for(0, &sender("u", "c")).unwrap_err();
        assert_eq!(refusal.reason(), reason);
        assert!(
            refusal
                .note()
                .is_some_and(|note| note.contains("one per 1s, burst 1"))
        );
    }
    let (unlimited, _) = limiter(none);
    assert_eq!(allowed(&unlimited, &sender("u", "c"), 1000), 1000);
}

#[test]
fn a_user_over_its_own_budget_does_not_use_up_the_bots() {
    let (limiter, _) = limiter(RateLimits {
        per_user: Some(quota(SECOND, 2)),
        per_bot: Some(quota(SECOND, 5)),
        ..RateLimits::default()
    });
    assert_eq!(allowed(&limiter, &sender("loud", "c"), 100), 2);
    assert_eq!(allowed(&limiter, &sender("quiet", "c"), 2), 2);
    assert_eq!(allowed(&limiter, &sender("other", "c"), 2), 1);
    assert_eq!(
        refusal(&limiter, &sender("other", "c")).0,
        Reason::RateLimitedBot
    );
}

#[test]
fn what_a_wider_budget_refuses_costs_the_narrower_ones_nothing() {
    let (limiter, clock) = limiter(RateLimits {
        per_user: Some(quota(SECOND * 3600, 2)),
        per_tenant: Some(quota(SECOND * 4, 1)),
        ..RateLimits::default()
    });
    assert_eq!(allowed(&limiter, &sender("u", "c"), 50), 1);
    assert_eq!(
        refusal(&limiter, &sender("u", "c")),
        (Reason::RateLimitedTenant, Some(4))
    );
    clock.advance(SECOND * 4);
    assert_eq!(allowed(&limiter, &sender("u", "c"), 50), 1);
    assert_eq!(
        refusal(&limiter, &sender("u", "c")).0,
        Reason::RateLimitedUser
    );
}

#[test]
fn retry_after_counts_in_the_budget_that_takes_longest() {
    let (limiter, clock) = limiter(RateLimits {
        per_user: Some(quota(SECOND, 1)),
        per_conversation: Some(quota(SECOND * 30, 1)),
        ..RateLimits::default()
    });
    assert_eq!(allowed(&limiter, &sender("u", "c"), 2), 1);
    assert_eq!(
        refusal(&limiter, &sender("u", "c")),
        (Reason::RateLimitedUser, Some(30))
    );
    clock.advance(SECOND * 30);
    assert!(limiter.take_for(0, &sender("u", "c")).is_ok());
}

#[test]
fn budgets_are_kept_apart_by_what_they_are_for() {
    let (limiter, _) = limiter(RateLimits {
        per_user: Some(quota(SECOND, 1)),
        ..RateLimits::default()
    });
    let teams = sender("u", "c");
    assert!(limiter.take_for(0, &teams).is_ok());
    assert!(
        limiter
            .take_for(
                0,
                &Sender {
                    channel: "webchat",
                    ..sender("u", "c")
                }
            )
            .is_ok()
    );
    assert!(
        limiter
            .take_for(
                0,
                &Sender {
                    tenant: None,
                    ..sender("u", "c")
                }
            )
            .is_ok()
    );
    assert!(limiter.take_for(0, &sender("v", "c")).is_ok());
    let nobody = Sender {
        user: None,
        ..sender("u", "c")
    };
    assert_eq!(allowed(&limiter, &nobody, 9), 9, "no user, no user budget");
    assert_eq!(
        refusal(&limiter, &sender("u", "another")).0,
        Reason::RateLimitedUser
    );
}

/// Settings with these bots: name, and what stands under it.
fn settings(bots: &[(&str, &str)]) -> Settings {
    let mut text =
        "[server.tls]\nsource = \"self-signed\"\n[server]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    for (name, more) in bots {
        text.push_str(&format!(
            "[[bots]]\nname = \"{name}\"\napp_id = \"00000000-0000-0000-0000-000000000001\"\npath = \"/{name}\"\n\
             backend = \"http://127.0.0.1:3978/\"\n{more}\n"
        ));
    }
    let folder = std::path::Path::new(".");
    config::parse(&text, folder, config::StartFlags::default())
        .unwrap()
        .settings
}

#[test]
fn of_other_settings_budgets_that_are_as_before_go_on_wherever_their_bot_stands() {
    const TWO_AN_HOUR: &str = "rate_limits.per_bot = { rate = \"1/h\", burst = 2 }";
    const THREE_AN_HOUR: &str = "rate_limits.per_bot = { rate = \"1/h\", burst = 3 }";
    let first = settings(&[("a", TWO_AN_HOUR), ("b", TWO_AN_HOUR)]);
    let limiter = Limiter::new(&first);
    let left = |limiter: &Limiter, bot: usize| {
        let sender = sender("u", "c");
        (0..9)
            .filter(|_| limiter.take_for(bot, &sender).is_ok())
            .count()
    };
    let take = |limiter: &Limiter, bot: usize| limiter.take_for(bot, &sender("u", "c")).unwrap();
    take(&limiter, 0);
    take(&limiter, 1);
    take(&limiter, 1);
    // The first one is another one now, and the second one the first.
    let second = settings(&[("b", TWO_AN_HOUR), ("c", TWO_AN_HOUR), ("a", THREE_AN_HOUR)]);
    let renewed = limiter.renewed(&first, &second);
    assert_eq!(left(&renewed, 0), 0, "b has used its budget up");
    assert_eq!(left(&renewed, 1), 2, "c is new");
    assert_eq!(left(&renewed, 2), 3, "a has another budget");
    // A bot that went and came back begins anew.
    let third = settings(&[("a", THREE_AN_HOUR)]);
    let renewed = renewed.renewed(&second, &third);
    assert_eq!(left(&renewed, 0), 0);
    let renewed = renewed.renewed(&third, &second);
    assert_eq!(left(&renewed, 0), 2);
}

#[test]
fn places_that_are_taken_stay_taken_under_another_cap() {
    let first = settings(&[("a", "in_flight = 2")]);
    let limiter = Limiter::new(&first);
    let enter = |limiter: &Limiter, settings: &Settings| {
        limiter.enter(&settings.bots[0], limiter.body_room())
    };
    let held = [
        enter(&limiter, &first).unwrap(),
        enter(&limiter, &first).unwrap(),
    ];
    let more = settings(&[("a", "in_flight = 3")]);
    let renewed = limiter.renewed(&first, &more);
    let third = enter(&renewed, &more).unwrap();
    assert!(enter(&renewed, &more).is_err());
    let fewer = settings(&[("a", "in_flight = 1")]);
    let renewed = renewed.renewed(&more, &fewer);
    drop(held);
    assert!(
        enter(&renewed, &fewer).is_err(),
        "one is held under the settings before"
    );
    drop(third);
    assert!(enter(&renewed, &fewer).is_ok());
}

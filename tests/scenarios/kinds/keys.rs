//! Whose keys: each root has its own, and a key that Entra publishes for one issuer speaks for no other.

use super::{Kind, PARENT, World, signed_by, v1};
use crate::support::FOREIGN_TENANT;
use crate::support::table::Expected::{Forwarded, Stranger};
use crate::support::table::{Row, row};
use botgate::cli::demo::channel::ENTRA_KID;
use botgate::judge::Reason;

pub(super) fn rows(world: &World) -> Vec<Row> {
    let keys = &world.keys;
    let channel = world.gateway.channel();
    let unknown = Stranger(Reason::TokenKeyUnknown);
    let forged = Stranger(Reason::TokenSignatureInvalid);
    let mut rows = vec![
        row(
            "a channel's token by a key of Entra",
            signed_by(
                world.channel().to("all"),
                &channel.first_key().named(ENTRA_KID),
            ),
            unknown,
        ),
        row(
            "a channel's token by the key of its name in the channel's set",
            signed_by(world.channel().to("all"), &keys.shared.by_the_channel),
            Forwarded,
        ),
        row(
            "a channel's token by the key of that name in Entra's set",
            signed_by(world.channel().to("all"), &keys.shared.by_entra),
            forged,
        ),
    ];
    let kinds: [Kind; 3] = [
        ("emulator", World::emulator),
        ("skill", World::skill),
        ("agent", World::agent),
    ];
    let wrong_issuer = Stranger(Reason::TokenClaimsInvalid);
    for (kind, post) in kinds {
        for (name, key, expected) in [
            ("a key of the channel", channel.first_key(), unknown),
            (
                "the key of that name in Entra's set",
                &keys.shared.by_entra,
                Forwarded,
            ),
            (
                "the key of that name in the channel's set",
                &keys.shared.by_the_channel,
                forged,
            ),
            ("a key of its tenant", &keys.of_the_tenant, Forwarded),
            (
                "a key for any tenant, version 1",
                &keys.of_any_tenant_in_version_1,
                Forwarded,
            ),
            (
                "a key that names no issuer",
                &keys.of_nobody_in_particular,
                Forwarded,
            ),
            (
                "a key of another tenant",
                &keys.of_a_foreign_tenant,
                wrong_issuer,
            ),
            (
                "a key of another cloud",
                &keys.of_another_cloud,
                wrong_issuer,
            ),
            ("a key of nobody's", &keys.forged, unknown),
        ] {
            rows.push(row(
                format!("{kind}: signed by {name}"),
                signed_by(post(world).to("all"), key),
                expected,
            ));
            rows.push(row(
                format!("{kind}: signed by {name}, version 1"),
                signed_by(post(world).to("all"), key).token(v1),
                expected,
            ));
        }
        rows.push(row(
            format!("{kind}: a bit of the signature turned over"),
            post(world).to("all").token(|t| t.with_a_bit_flipped()),
            forged,
        ));
    }
    // The other way round: the foreign tenant's own token, where anyone may call.
    for (name, key, expected) in [
        ("its own key", &keys.of_a_foreign_tenant, Forwarded),
        (
            "a key of the listed tenant",
            &keys.of_the_tenant,
            wrong_issuer,
        ),
    ] {
        let post = world.issued_to(world.skill().to("skill-of-anyone"), FOREIGN_TENANT, PARENT);
        rows.push(row(
            format!("skill: a token of a foreign tenant signed by {name}"),
            signed_by(post, key),
            expected,
        ));
    }
    rows
}

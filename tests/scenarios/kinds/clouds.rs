//! Entra of Microsoft's clouds: one name of a key, other numbers in each, and no token of one cloud is worth anything in another.

use super::{PARENT, PLATFORM, agentic};
use crate::matrix::cloud;
use crate::support::client::Post;
use crate::support::table::Expected::{self, Forwarded, Stranger};
use crate::support::table::{Row, play, row};
use crate::support::{APP_ID, Gateway, TENANT};
use botgate::cli::demo::channel::{Channel, ENTRA_KID};
use botgate::judge::Reason;
use std::collections::BTreeSet;

/// Microsoft's own tenant in the US Government's cloud, whose version 1 issuer is the public cloud's.
const GOV_SERVICES: &str = "cab8a31a-1906-4287-a0d8-4eef66b95f6e";

/// One cloud: the stand-in that signs for it, and what its issuers and service URLs are.
struct Side {
    /// The path of its bot.
    bot: &'static str,
    channel: Channel,
    issuers: &'static [&'static str],
    service_url: &'static str,
}

const PUBLIC: &[&str] = &[
    "https://login.microsoftonline.com/TID/v2.0",
    "https://sts.windows.net/TID/",
];
const GOV: &[&str] = &[
    "https://login.microsoftonline.us/TID/v2.0",
    "https://login.microsoftonline.us/TID/",
];
const CHINA: &[&str] = &[
    "https://login.partner.microsoftonline.cn/TID/v2.0",
    "https://sts.chinacloudapi.cn/TID/",
    "https://login.partner.microsoftonline.cn/0b4a31a2-c1a0-475d-b363-5f26668660a3/TID/v2.0",
];

/// A gateway with a bot in each cloud, the keys on disk.
async fn gateway_of_three() -> (Gateway, [Side; 3]) {
    let side = async |bot, issuers: &'static [&'static str], service_url| {
        let channel = Channel::start().await.unwrap();
        let key_issuer = issuers[0].replace("TID", "{tenantid}");
        channel.publish_in_entra(&channel.first_key().named(ENTRA_KID), Some(&key_issuer));
        Side {
            bot,
            channel,
            issuers,
            service_url,
        }
    };
    let sides = [
        side("public", PUBLIC, "https://smba.trafficmanager.net/emea/").await,
        side(
            "gov",
            GOV,
            "https://smba.infra.gov.teams.microsoft.us/teams/",
        )
        .await,
        side(
            "china",
            CHINA,
            "https://frontend.botapi.msg.infra.teams.microsoftonline.cn/",
        )
        .await,
    ];
    let clouds: Vec<String> = sides
        .iter()
        .zip(["public", "us-gov", "china"])
        .map(|(side, like)| cloud(&format!("{}-cloud", side.bot), like, &side.channel))
        .collect();
    let fragment = format!(
        "keys.cache_dir = 'keys'\nserver.limits.requests_per_ip = {{ rate = '100000/s', burst = 100000 }}\n{}",
        clouds.join("\n")
    );
    let mut setup = Gateway::with(&fragment);
    for side in &sides {
        let more = format!(
            "cloud = '{0}-cloud'\naccept = ['channel', 'skill', 'agent']
            tenants.allow = ['{TENANT}', '{GOV_SERVICES}']\ncallers.allow = ['{PARENT}']",
            side.bot
        );
        setup = setup.bot_at(side.bot, &more);
    }
    (setup.start().await, sides)
}

/// A token of Entra as it is issued in one cloud.
fn from(
    gateway: &Gateway,
    side: &Side,
    issuer: &str,
    tenant: &'static str,
    caller: &'static str,
) -> Post {
    let channel = side.channel.clone();
    let issuer = issuer.replace("TID", tenant);
    gateway
        .teams_message()
        .with("/serviceUrl", side.service_url)
        .with("/recipient", agentic())
        .lacking("/recipient/tenantId")
        .lacking("/conversation/tenantId")
        .lacking("/channelData")
        .token(move |_| {
            channel
                .entra_token(APP_ID, tenant, caller)
                .claim("iss", issuer)
        })
}

fn rows(gateway: &Gateway, sides: &[Side; 3]) -> Vec<Row> {
    let mut rows = vec![];
    for side in sides {
        for (kind, caller) in [("skill", PARENT), ("agent", PLATFORM)] {
            for issuer in side.issuers {
                for there in sides {
                    let expected = if there.bot == side.bot {
                        Forwarded
                    } else {
                        Stranger(Reason::TokenIssuerUnknown)
                    };
                    let name = format!(
                        "{kind}: a token of {} by {issuer} at {}",
                        side.bot, there.bot
                    );
                    let post = from(gateway, side, issuer, TENANT, caller);
                    rows.push(row(name, post.to(there.bot), expected));
                }
            }
            // The issuer of another cloud, signed in this one by a key of the same name.
            for there in sides.iter().filter(|there| there.bot != side.bot) {
                rows.push(row(
                    format!("{kind}: {} signs in the name of {}", side.bot, there.bot),
                    from(gateway, side, there.issuers[0], TENANT, caller).to(there.bot),
                    Stranger(Reason::TokenSignatureInvalid),
                ));
            }
        }
    }
    rows
}

/// The one issuer that two clouds share: each takes it by its own keys.
fn shared_issuer(gateway: &Gateway, [public, gov, china]: &[Side; 3]) -> Vec<Row> {
    let forged = Stranger(Reason::TokenSignatureInvalid);
    let unknown = Stranger(Reason::TokenIssuerUnknown);
    let cases: [(&Side, &Side, Expected); 6] = [
        (gov, gov, Forwarded),
        (public, public, Forwarded),
        (public, gov, forged),
        (gov, public, forged),
        (gov, china, unknown),
        (china, gov, forged),
    ];
    cases
        .into_iter()
        .map(|(signs, there, expected)| {
            let name = format!(
                "{} signs for the tenant of the US Government's services at {}",
                signs.bot, there.bot
            );
            let issuer = "https://sts.windows.net/TID/";
            let post = from(gateway, signs, issuer, GOV_SERVICES, PARENT);
            row(
                name,
                post.with("/serviceUrl", there.service_url).to(there.bot),
                expected,
            )
        })
        .collect()
}

#[tokio::test]
async fn no_token_of_one_cloud_is_accepted_in_another() {
    let (gateway, sides) = gateway_of_three().await;
    let all = [rows(&gateway, &sides), shared_issuer(&gateway, &sides)];
    play(all.into_iter().flatten().collect()).await;

    // Each cloud was asked for its own keys only, and keeps them in files of their own.
    for side in &sides {
        let asked: BTreeSet<String> = side.channel.tenants_asked().into_iter().collect();
        assert_eq!(
            asked,
            [TENANT, GOV_SERVICES].map(str::to_owned).into(),
            "{}",
            side.bot
        );
    }
    let files: BTreeSet<String> = std::fs::read_dir(gateway.folder().join("keys"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected = sides.iter().flat_map(|side| {
        [
            "".to_owned(),
            "+entra".to_owned(),
            format!("+{TENANT}"),
            format!("+{GOV_SERVICES}"),
        ]
        .map(|source| format!("{}-cloud{source}.json", side.bot))
    });
    let expected: BTreeSet<String> = expected.chain(["stand-in.json".to_owned()]).collect();
    assert_eq!(files, expected);

    // Started again while every metadata host is down, it has the keys of each from the disk, and each in its place.
    let own = gateway.channel().clone();
    let again = gateway.stop().await;
    own.close().await;
    for side in &sides {
        side.channel.close().await;
    }
    let gateway = again.start().await;
    let all = [rows(&gateway, &sides), shared_issuer(&gateway, &sides)];
    play(all.into_iter().flatten().collect()).await;
}

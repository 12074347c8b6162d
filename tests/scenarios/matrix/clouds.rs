//! Microsoft's clouds: each has its own issuer, keys and hosts, and none speaks for another.

use super::World;
use crate::support::client::Post;
use crate::support::table::Expected::{Forwarded, Proven, Stranger};
use crate::support::table::{Row, row};
use botgate::judge::Reason;

const GOV: &str = "https://smba.infra.gov.teams.microsoft.us/teams/";
const CHINA: &str = "https://frontend.botapi.msg.infra.teams.microsoftonline.cn/";

pub(super) fn rows(world: &World) -> Vec<Row> {
    let unknown = Stranger(Reason::TokenIssuerUnknown);
    let mut rows = vec![
        row(
            "Teams of the US Government's cloud",
            gov(world).to("gov"),
            Forwarded,
        ),
        row(
            "Teams of China's cloud",
            china(world).to("china"),
            Forwarded,
        ),
        row(
            "Direct Line of the US Government's cloud",
            world
                .gateway
                .post("direct-line-message.json")
                .with("/serviceUrl", "https://directline.botframework.azure.us/")
                .through(&world.gov)
                .to("gov"),
            Forwarded,
        ),
        row(
            "a service URL of the public cloud from the US Government's",
            world.teams().through(&world.gov).to("gov"),
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        row(
            "a service URL of the US Government's cloud from the public one",
            world.teams().with("/serviceUrl", GOV),
            Proven(Reason::ServiceUrlNotAllowed),
        ),
        row(
            "the public cloud's key and the US Government's issuer",
            world
                .teams()
                .to("gov")
                .token(|t| t.claim("iss", "https://api.botframework.us")),
            Stranger(Reason::TokenSignatureInvalid),
        ),
    ];
    let crossed: [(&str, Post); 6] = [
        ("gov to public", gov(world)),
        ("china to public", china(world)),
        ("public to gov", world.teams().to("gov")),
        ("china to gov", china(world).to("gov")),
        ("public to china", world.teams().to("china")),
        ("gov to china", gov(world).to("china")),
    ];
    for (name, post) in crossed {
        rows.push(row(format!("a token from {name}"), post, unknown));
    }
    rows
}

fn gov(world: &World) -> Post {
    world.teams().with("/serviceUrl", GOV).through(&world.gov)
}

fn china(world: &World) -> Post {
    world
        .teams()
        .with("/serviceUrl", CHINA)
        .through(&world.china)
}

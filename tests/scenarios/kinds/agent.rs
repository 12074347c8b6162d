//! Calls by the platform of agents: its app id, the tenant that the issuer names, and an activity addressed to an agent of that tenant
//! (AUTHENTICATION 1.10).

use super::{PARENT, PARENTS_URL, PLATFORM, STRANGER, World, agentic, signed_by, v1};
use crate::support::client::Post;
use crate::support::table::Expected::{Forwarded, Proven, Stranger};
use crate::support::table::{Row, row};
use crate::support::{FOREIGN_TENANT, TENANT};
use botgate::cli::demo::channel::TEAMS_SERVICE_URL;
use botgate::judge::Reason;
use serde_json::{Value, json};

pub(super) fn rows(world: &World) -> Vec<Row> {
    [
        callers(world),
        recipients(world),
        unlisted(world),
        hosts(world),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn agent(world: &World) -> Post {
    world.agent().to("agent")
}

fn callers(world: &World) -> Vec<Row> {
    let denied = Proven(Reason::CallerNotAllowed);
    let invalid = Stranger(Reason::TokenClaimsInvalid);
    let mut rows = vec![
        row(
            "agent: the platform in upper case",
            world.claiming(agent(world), "azp", json!(PLATFORM.to_uppercase())),
            Forwarded,
        ),
        row(
            "agent: no azp, and the platform in appid",
            agent(world).token(|t| t.without_claim("azp").claim("appid", PLATFORM)),
            Forwarded,
        ),
        row(
            "agent: no ver",
            agent(world).token(|t| t.without_claim("ver")),
            Forwarded,
        ),
        row(
            "agent: neither azp nor appid",
            agent(world).token(|t| t.without_claim("azp")),
            invalid,
        ),
        row(
            "agent: another azp",
            world.claiming(agent(world), "azp", json!(STRANGER)),
            denied,
        ),
        row(
            "agent: another azp, and the platform in appid",
            agent(world).token(|t| t.claim("azp", STRANGER).claim("appid", PLATFORM)),
            denied,
        ),
        row(
            "agent: another appid, version 1",
            agent(world).token(|t| v1(t).claim("appid", STRANGER)),
            denied,
        ),
        row(
            "agent: the platform of the US Government's cloud",
            world.claiming(
                agent(world),
                "azp",
                json!("6f669b9e-7701-4e2b-b624-82c9207fde26"),
            ),
            denied,
        ),
        row(
            "agent: a list of callers is about skills",
            world.claiming(world.agent().to("all"), "azp", json!(STRANGER)),
            denied,
        ),
        row(
            "agent: a listed caller of skills is no platform",
            world.claiming(agent(world), "azp", json!(PARENT)),
            denied,
        ),
    ];
    for azp in [json!(null), json!(1), json!([PLATFORM]), json!("")] {
        let name = format!("agent: azp is {azp}, and the platform in appid");
        let post = agent(world).token(move |t| t.claim("azp", azp).claim("appid", PLATFORM));
        rows.push(row(name, post, invalid));
    }
    rows
}

fn recipients(world: &World) -> Vec<Row> {
    let field = Proven(Reason::ActivityFieldInvalid);
    let foreign = Proven(Reason::TenantNotAllowed);
    // As ordinary activities of channels are.
    let addressed_to_no_agent = Proven(Reason::CallerNotAllowed);
    let mut rows = vec![
        row(
            "agent: no recipient",
            agent(world).lacking("/recipient"),
            addressed_to_no_agent,
        ),
        row(
            "agent: no role",
            agent(world).lacking("/recipient/role"),
            addressed_to_no_agent,
        ),
        row(
            "agent: a role that is a number",
            agent(world).with("/recipient/role", 1),
            field,
        ),
        row(
            "agent: no tenant in the recipient",
            agent(world).lacking("/recipient/tenantId"),
            Forwarded,
        ),
        row(
            "agent: the recipient's tenant in upper case",
            agent(world).with("/recipient/tenantId", TENANT.to_uppercase()),
            Forwarded,
        ),
        row(
            "agent: a recipient of another tenant",
            agent(world).with("/recipient/tenantId", FOREIGN_TENANT),
            foreign,
        ),
        row(
            "agent: a recipient of no tenant that there is",
            agent(world).with("/recipient/tenantId", "contoso.com"),
            Proven(Reason::TenantMalformed),
        ),
        row(
            "agent: a conversation in another tenant",
            agent(world).with("/conversation/tenantId", FOREIGN_TENANT),
            foreign,
        ),
    ];
    let cases: [(&str, bool); 8] = [
        ("agenticUser", true),
        ("agenticAppInstance", true),
        ("AgenticUser", false),
        ("agenticuser ", false),
        ("agent", false),
        ("bot", false),
        ("skill", false),
        ("", false),
    ];
    for (role, is_agents) in cases {
        let expected = if is_agents {
            Forwarded
        } else {
            Proven(Reason::CallerNotAllowed)
        };
        let post = agent(world).with("/recipient/role", role);
        rows.push(row(
            format!("agent: recipient.role {role:?}"),
            post,
            expected,
        ));
    }
    rows
}

/// Tenants that no operator listed: refused before any key of theirs is looked for. The test that plays these rows looks at what
/// was fetched.
fn unlisted(world: &World) -> Vec<Row> {
    let unknown = Stranger(Reason::TokenIssuerUnknown);
    let foreign = |bot: &str| world.issued_to(world.agent().to(bot), FOREIGN_TENANT, PLATFORM);
    vec![
        row(
            "agent: a tenant that is not listed",
            foreign("agent"),
            unknown,
        ),
        row(
            "agent: a tenant that is not listed, version 1",
            foreign("agent").token(v1),
            unknown,
        ),
        row(
            "agent: a tenant that is not listed, where all kinds are accepted",
            foreign("all"),
            unknown,
        ),
        row(
            "agent: a tenant that is not listed with a body that names the listed one",
            foreign("agent").with("/recipient", agentic()),
            unknown,
        ),
        row(
            "agent: a made-up tenant and a made-up key",
            signed_by(
                world.agent().to("agent").token(|t| {
                    let tenant = "0badcafe-0bad-4bad-8bad-0badcafe0bad";
                    let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
                    t.claim("iss", issuer).claim("tid", tenant)
                }),
                &world.keys.forged,
            ),
            unknown,
        ),
        row(
            "agent: where no tenant is listed",
            world.agent().to("agent-of-nobody"),
            unknown,
        ),
        row(
            "agent: forged in the name of a listed tenant",
            {
                let forged = world.keys.forged.clone();
                agent(world).token(move |t| t.forged_by(&forged))
            },
            Stranger(Reason::TokenSignatureInvalid),
        ),
        row(
            "agent: forged in the name of a listed tenant with a key of its own",
            signed_by(agent(world), &world.keys.forged),
            Stranger(Reason::TokenKeyUnknown),
        ),
    ]
}

fn hosts(world: &World) -> Vec<Row> {
    let refused = Proven(Reason::ServiceUrlNotAllowed);
    let url = |url: &str| Value::from(url);
    let mut rows = vec![];
    for (bot, service_url, expected) in [
        ("agent", TEAMS_SERVICE_URL, Forwarded),
        ("agent", "https://webchat.botframework.com/", Forwarded),
        ("agent", PARENTS_URL, refused),
        (
            "agent",
            "https://smba.trafficmanager.net.evil.example/",
            refused,
        ),
        ("agent", "https://evil.trafficmanager.net/", refused),
        ("agent", "http://smba.trafficmanager.net/emea/", refused),
        ("agent", "http://localhost:3978/", refused),
        ("any-host", "https://evil.example/", refused),
    ] {
        rows.push(row(
            format!("agent: answered at {service_url}, at {bot}"),
            world.agent().to(bot).with("/serviceUrl", url(service_url)),
            expected,
        ));
    }
    rows.push(row(
        "agent: relatesTo leads elsewhere",
        agent(world).with(
            "/relatesTo",
            json!({ "serviceUrl": "https://evil.example/" }),
        ),
        refused,
    ));
    rows
}

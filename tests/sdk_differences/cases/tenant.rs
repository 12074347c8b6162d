//! Whose users are let in, by a bot entry that names one tenant.

use super::Right::{self, Accept, Refuse};
use super::{Case, Class, case};
use crate::keys::Keys;
use crate::post::Post;
use crate::stage::microsoft::TENANT;
use botgate::judge::Reason;
use serde_json::json;

const FOREIGN: &str = "8c1f2e3d-4b5a-4968-8776-5a4b3c2d1e0f";

pub(super) fn cases(keys: &Keys) -> Vec<Case> {
    let foreign = Refuse(Reason::TenantNotAllowed);
    let teams = || Post::teams(keys).for_one_tenant();
    let of =
        |name: &str, post: Post, right: Right| case(Class::Tenant, name, post, right).rows(&[31]);
    let in_url = |tenant: &str| {
        let url = format!("https://smba.trafficmanager.net/emea/{tenant}/");
        teams()
            .with("/serviceUrl", url.as_str())
            .claim("serviceurl", url)
    };
    let everywhere = |tenant: &str| {
        in_url(tenant)
            .with("/conversation/tenantId", tenant)
            .with("/channelData/tenant/id", tenant)
    };
    vec![
        of("the tenant that is allowed", everywhere(TENANT), Accept),
        of(
            "the allowed tenant in upper case",
            everywhere(&TENANT.to_uppercase()),
            Accept,
        ),
        of("a foreign tenant", everywhere(FOREIGN), foreign),
        of(
            "a foreign tenant in the conversation only",
            teams().with("/conversation/tenantId", FOREIGN),
            foreign,
        ),
        of(
            "a foreign tenant in channelData only",
            teams().with("/channelData/tenant/id", FOREIGN),
            foreign,
        ),
        of(
            "a foreign tenant in the signed service URL only",
            in_url(FOREIGN),
            foreign,
        ),
        of(
            "a foreign tenant of the sender only",
            teams().with("/from/tenantId", FOREIGN),
            foreign,
        ),
        of(
            "Teams without any tenant",
            teams()
                .lacking("/conversation/tenantId")
                .lacking("/channelData"),
            Refuse(Reason::TenantMissing),
        ),
        of(
            "a tenant that is no GUID",
            teams().with("/channelData/tenant/id", "contoso.example"),
            Refuse(Reason::TenantMalformed),
        ),
        of(
            "a tenant that is a number",
            teams().with("/channelData/tenant/id", 1),
            Refuse(Reason::ActivityFieldInvalid),
        ),
        of(
            "Direct Line, whose client writes a foreign tenant into channelData",
            Post::direct_line(keys)
                .for_one_tenant()
                .with("/channelData", json!({"tenant": {"id": FOREIGN}})),
            Accept,
        ),
    ]
}

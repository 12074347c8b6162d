//! Documents of Entra that say where its parts are.

use super::microsoft::TENANT;
use serde_json::{Value, json};

/// What MSAL asks to make sure that an authority is Microsoft's.
pub(crate) fn instance_discovery() -> Value {
    json!({
        "tenant_discovery_endpoint": format!("https://login.microsoftonline.com/{TENANT}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{
            "preferred_network": "login.microsoftonline.com",
            "preferred_cache": "login.windows.net",
            "aliases": ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"],
        }],
    })
}

/// The OpenID metadata of a tenant, or of `common`.
pub(crate) fn metadata(tenant: &str) -> Value {
    let base = format!("https://login.microsoftonline.com/{tenant}");
    json!({
        "issuer": format!("{base}/v2.0"),
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
        "end_session_endpoint": format!("{base}/oauth2/v2.0/logout"),
    })
}

//! Every key there is, and what a key that is not there was probably meant to be.

use super::file::{Section, joined, unindexed};
use super::values;

/// What may stand at a key.
#[derive(Debug)]
pub(super) enum Node {
    /// A value; its type is checked by whoever reads it.
    Value,
    /// `[key]`.
    Table(Fields),
    /// `[[key]]`.
    Tables(Fields),
    /// `[key.NAME]`, the name freely chosen.
    Named(Fields),
}

/// The keys of one table.
pub(super) type Fields = &'static [(&'static str, Node)];

use Node::{Named, Table, Tables, Value};

/// The whole file. The example in the documentation, and a test beside `resolve`, walk the same keys.
pub(super) const ROOT: Fields = &[
    ("server", Table(SERVER)),
    ("admin", Table(&[("listen", Value)])),
    (
        "log",
        Table(&[
            ("format", Value),
            ("level", Value),
            ("identifiers", Value),
            ("file", Value),
            ("retain_days", Value),
        ]),
    ),
    ("keys", Table(KEYS)),
    ("clouds", Named(CLOUD)),
    ("state", Table(STATE)),
    ("bots", Tables(BOT)),
    ("direct_line", Tables(DIRECT_LINE_BROKER)),
];

const SERVER: Fields = &[
    ("listen", Value),
    ("drain_timeout", Value),
    ("trusted_proxies", Value),
    ("proxy_protocol", Value),
    ("tls", Table(TLS)),
    ("limits", Table(LIMITS)),
];

const TLS: Fields = &[
    ("source", Value),
    ("cert", Value),
    ("key", Value),
    ("min_version", Value),
    ("client_ca", Value),
    ("handshake_timeout", Value),
    (
        "sni",
        Tables(&[("names", Value), ("cert", Value), ("key", Value)]),
    ),
    ("acme", Table(ACME)),
];

const ACME: Fields = &[
    ("directory", Value),
    ("domains", Value),
    ("contact", Value),
    ("storage", Value),
    ("challenge", Value),
    ("http_listen", Value),
    ("ca_file", Value),
];

const LIMITS: Fields = &[
    ("connections", Value),
    ("connections_per_ip", Value),
    ("header_timeout", Value),
    ("body_timeout", Value),
    ("keep_alive_timeout", Value),
    ("header_bytes", Value),
    ("headers", Value),
    ("body_bytes", Value),
    ("body_bytes_total", Value),
    ("json_depth", Value),
    ("json_members", Value),
    ("requests_per_ip", Table(QUOTA)),
];

const QUOTA: Fields = &[("rate", Value), ("burst", Value)];

const KEYS: Fields = &[
    ("refresh", Value),
    ("unknown_key_refresh", Value),
    ("max_stale", Value),
    ("cache_dir", Value),
    ("fetch_timeout", Value),
    ("proxy", Value),
    ("ca_file", Value),
    ("clock_skew", Value),
];

const CLOUD: Fields = &[
    ("channel_metadata", Value),
    ("channel_issuer", Value),
    ("entra_metadata", Value),
    ("entra_issuers", Value),
    ("agent_platforms", Value),
    ("service_url_hosts", Value),
];

const STATE: Fields = &[
    ("store", Value),
    ("redis", Value),
    ("user", Value),
    ("password", Value),
    ("sentinel_user", Value),
    ("sentinel_password", Value),
    ("on_store_failure", Value),
    ("key_prefix", Value),
    ("timeout", Value),
    (
        "tls",
        Table(&[("ca", Value), ("client_cert", Value), ("client_key", Value)]),
    ),
];

const BOT: Fields = &[
    ("name", Value),
    ("app_id", Value),
    ("hosts", Value),
    ("path", Value),
    ("backend", Value),
    ("cloud", Value),
    ("accept", Value),
    ("mode", Value),
    ("in_flight", Value),
    (
        "backend_tls",
        Table(&[
            ("ca", Value),
            ("client_cert", Value),
            ("client_key", Value),
            ("server_name", Value),
        ]),
    ),
    (
        "timeouts",
        Table(&[
            ("connect", Value),
            ("response", Value),
            ("acknowledge_after", Value),
        ]),
    ),
    ("health", Table(&[("path", Value), ("every", Value)])),
    (
        "tenants",
        Table(&[
            ("mode", Value),
            ("allow", Value),
            ("deny", Value),
            ("required", Value),
            ("on_reject", Value),
        ]),
    ),
    (
        "channels",
        Table(&[("mode", Value), ("allow", Value), ("unendorsed", Value)]),
    ),
    (
        "activities",
        Table(&[("mode", Value), ("allow", Value), ("deny_invoke", Value)]),
    ),
    (
        "service_urls",
        Table(&[
            ("mode", Value),
            ("allow_hosts", Value),
            ("extra_hosts", Value),
        ]),
    ),
    (
        "callers",
        Table(&[("mode", Value), ("allow", Value), ("callback_path", Value)]),
    ),
    (
        "direct_line",
        Table(&[
            ("require_dl_user_id", Value),
            ("enhanced_authentication", Value),
            ("issued_ids_only", Value),
        ]),
    ),
    ("rate_limits", Table(RATE_LIMITS)),
    ("redelivery", Table(&[("window", Value)])),
    ("identity_headers", Table(&[("enabled", Value)])),
];

const RATE_LIMITS: Fields = &[
    ("mode", Value),
    ("per_bot", Table(QUOTA)),
    ("per_tenant", Table(QUOTA)),
    ("per_conversation", Table(QUOTA)),
    ("per_user", Table(QUOTA)),
];

const DIRECT_LINE_BROKER: Fields = &[
    ("name", Value),
    ("hosts", Value),
    ("path", Value),
    ("secret", Value),
    ("endpoint", Value),
    ("trusted_origins", Value),
    ("per_ip", Table(QUOTA)),
    ("per_session", Table(QUOTA)),
    ("max_session", Value),
    ("timeout", Value),
    ("same_site", Value),
    ("id_key", Value),
    ("ca", Value),
    (
        "identity",
        Table(&[
            (
                "jwt",
                Table(&[
                    ("issuer", Value),
                    ("jwks", Value),
                    ("audience", Value),
                    ("claim", Value),
                ]),
            ),
            ("header", Table(&[("name", Value), ("from", Value)])),
        ]),
    ),
];

/// Notes every key that is not in [`ROOT`].
pub(super) fn refuse_unknown(root: &Section<'_>) {
    refuse_in(root, ROOT);
}

fn refuse_in(section: &Section<'_>, fields: Fields) {
    for key in section.keys() {
        match fields
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, node)| node)
        {
            None => section.error(
                key,
                "is not a key that botgate knows",
                meant(section.at(), key, fields),
            ),
            Some(Value) => {}
            Some(Table(inner) | Tables(inner)) => {
                for table in section.inside(key) {
                    refuse_in(&table, inner);
                }
            }
            Some(Named(inner)) => {
                for names in section.inside(key) {
                    for table in names.keys().flat_map(|name| names.inside(name)) {
                        refuse_in(&table, inner);
                    }
                }
            }
        }
    }
}

/// What to do about an unknown key: a sibling that is spelled almost so, the table where it belongs, or what there is.
fn meant(at: &str, key: &str, siblings: Fields) -> String {
    let names = || siblings.iter().map(|(name, _)| *name);
    let (close, likeness) = values::nearest(key, names()).unwrap_or_default();
    if likeness >= 0.8 {
        return format!("did you mean \"{close}\"?");
    }
    let mut homes = Vec::new();
    find(key, ROOT, "", &mut homes);
    if !homes.is_empty() && homes.len() <= 3 {
        return format!(
            "\"{key}\" belongs {}; here it stands {}",
            homes.join(" or "),
            place(&unindexed(at))
        );
    }
    if likeness >= 0.6 {
        return format!("did you mean \"{close}\"?");
    }
    format!(
        "the nearest known key is \"{close}\"; known here: {}",
        names().collect::<Vec<_>>().join(", ")
    )
}

/// Where keys of this name stand, each as a place to write it.
fn find(key: &str, fields: Fields, at: &str, homes: &mut Vec<String>) {
    for (name, node) in fields {
        if *name == key {
            homes.push(place(at));
        }
        match node {
            Value => {}
            Table(inner) | Tables(inner) => find(key, inner, &joined(at, name), homes),
            Named(inner) => find(key, inner, &joined(&joined(at, name), "NAME"), homes),
        }
    }
}

fn place(table: &str) -> String {
    match table {
        "" => "at the top of the file".to_owned(),
        "bots" | "direct_line" => format!("under [[{table}]], above its [{table}.*] tables"),
        _ => format!("under [{table}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_explained_by_its_nearest_sibling_or_its_home() {
        for (at, key, siblings, expected) in [
            ("server", "lisen", SERVER, "did you mean \"listen\"?"),
            (
                "server.limits",
                "Body-Bytes",
                LIMITS,
                "did you mean \"body_bytes\"?",
            ),
            ("", "bot", ROOT, "did you mean \"bots\"?"),
            (
                "",
                "limits",
                ROOT,
                "\"limits\" belongs under [server]; here it stands at the top of the file",
            ),
            (
                "server",
                "body_bytes",
                SERVER,
                "\"body_bytes\" belongs under [server.limits]; here it stands under [server]",
            ),
            (
                "bots[0].tenants",
                "backend",
                BOT_TENANTS,
                "\"backend\" belongs under [[bots]], above its [bots.*] tables; here it stands under [bots.tenants]",
            ),
            (
                "admin",
                "colour",
                &[("listen", Value)],
                "the nearest known key is \"listen\"; known here: listen",
            ),
        ] {
            assert_eq!(meant(at, key, siblings), expected, "{at} {key}");
        }
    }

    const BOT_TENANTS: Fields = &[
        ("mode", Value),
        ("allow", Value),
        ("deny", Value),
        ("required", Value),
        ("on_reject", Value),
    ];
}

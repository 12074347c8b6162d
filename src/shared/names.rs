//! Names of keys: what may be counted by is hashed, and all that one request touches is in one place.

use crate::config::{SharedStore, StoreServers};
use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where the keys of one request are: keys of the same tag are on the same server of a cluster ("hash tag").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// Outside a cluster everything is in one place. In one, a script may only touch keys of one place: those of a bot, or, where
    /// nothing is counted for all of the bot, those of one of its tenants.
    pub fn of(store: &SharedStore, bot: &str, tenant: Option<&str>) -> Self {
        match store.servers {
            StoreServers::Cluster(_) => Self(hash(&["tag", bot, tenant.unwrap_or_default()])),
            StoreServers::One { .. } | StoreServers::Sentinel { .. } => Self("all".to_owned()),
        }
    }

    /// A key's name. `kind` is one letter, for people who look into the store; what is named is only in the hash.
    pub fn key(&self, prefix: &str, kind: char, named: &[&str]) -> String {
        let (tag, hash) = (&self.0, hash(named));
        format!("{prefix}:{{{tag}}}:{kind}:{hash}")
    }
}

/// 128 bits of SHA-256. Each text goes in with its length, so that no two lists make the same bytes.
fn hash(texts: &[&str]) -> String {
    let mut digest = Context::new(&SHA256);
    for text in texts {
        digest.update(&text.len().to_le_bytes());
        digest.update(text.as_bytes());
    }
    let digest = digest.finish();
    let (short, _) = digest.as_ref().split_at_checked(16).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn store(servers: StoreServers) -> SharedStore {
        SharedStore {
            servers,
            tls: None,
            login: crate::config::StoreLogin::default(),
            key_prefix: "botgate".to_owned(),
            timeout: Duration::from_millis(20),
            denies_without: false,
        }
    }

    #[test]
    fn a_key_says_its_kind_and_nothing_of_whom_it_is_for() {
        let one = StoreServers::One {
            address: ("127.0.0.1".to_owned(), 6379),
            database: 0,
        };
        let tag = Tag::of(&store(one), "helpdesk", Some("contoso"));
        let key = tag.key("botgate", 'u', &["helpdesk", "29:mary"]);
        assert_eq!(key, "botgate:{all}:u:P5jE45nqqOO-PY1GSCuu-A");
        assert_ne!(key, tag.key("botgate", 'u', &["helpdesk2", "9:mary"]));
    }

    #[test]
    fn in_a_cluster_the_keys_of_a_bot_or_of_its_tenant_stay_together() {
        let store = store(StoreServers::Cluster(vec![]));
        let tag = Tag::of(&store, "helpdesk", None);
        assert_eq!(tag, Tag::of(&store, "helpdesk", None));
        assert_ne!(tag, Tag::of(&store, "sales", None));
        assert_ne!(tag, Tag::of(&store, "helpdesk", Some("contoso")));
        let key = tag.key("botgate", 'b', &["helpdesk"]);
        assert!(
            key.starts_with("botgate:{") && key.contains("}:b:"),
            "{key}"
        );
        assert_eq!(key.matches(['{', '}']).count(), 2, "{key}");
    }
}

//! An activity: whatever the strict reader accepts, every other reader reads the same way.

use super::json::{READERS, Tree};
use botgate::judge::{Activity, NamedTenant, StrictLimits, TenantId};
use bytes::Bytes;
use serde_json::Value;
use url::Url;

pub const LIMITS: StrictLimits = StrictLimits {
    depth: 32,
    members: 2_000,
};

pub fn check(body: &[u8]) -> bool {
    let Ok(activity) = Activity::parse(Bytes::copy_from_slice(body), LIMITS) else {
        return false;
    };
    assert_eq!(activity.raw(), body, "the bytes are kept as received");
    let value: Value = serde_json::from_slice(body).expect("what was accepted is JSON");
    let tree = Tree::read(body).expect("what was accepted is JSON");
    assert!(!tree.repeats_a_name(), "a name occurs twice");
    assert!(tree.depth() <= LIMITS.depth, "deeper than the limit");
    assert!(
        tree.members() <= LIMITS.members,
        "more members than the limit"
    );
    for (path, seen) in guarded(&activity) {
        let pointer = format!("/{}", path.join("/"));
        let plain = value.pointer(&pointer).and_then(Value::as_str);
        assert_eq!(plain, seen.as_deref(), "serde_json at {pointer}");
        for reader in READERS {
            assert_eq!(reader.text(&tree, path), seen, "{reader:?} at {pointer}");
        }
    }
    assert!(activity.channel().starts_with(activity.base_channel()));
    assert!(!activity.base_channel().is_empty());
    let url = Url::parse(activity.service_url()).expect("an absolute URL");
    assert_eq!(url.host_str(), activity.service_url_host());
    true
}

fn guarded(activity: &Activity) -> Vec<(&'static [&'static str], Option<String>)> {
    let tenants = activity.tenants();
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let tenant = |named: Option<NamedTenant<'_>>| {
        named.map(|named| {
            assert_eq!(named.id, TenantId::parse(named.text));
            named.text.to_owned()
        })
    };
    vec![
        (&["type"], owned(Some(activity.kind()))),
        (&["channelId"], owned(Some(activity.channel()))),
        (&["serviceUrl"], owned(Some(activity.service_url()))),
        (&["name"], owned(activity.name())),
        (&["deliveryMode"], owned(activity.delivery_mode())),
        (
            &["conversation", "id"],
            owned(Some(activity.conversation())),
        ),
        (&["conversation", "tenantId"], tenant(tenants.conversation)),
        (&["from", "id"], owned(activity.user())),
        (&["from", "tenantId"], tenant(tenants.from)),
        (&["recipient", "tenantId"], tenant(tenants.recipient)),
        (&["recipient", "role"], owned(activity.recipient_role())),
        (
            &["relatesTo", "serviceUrl"],
            owned(activity.relates_to_service_url()),
        ),
        (
            &["channelData", "tenant", "id"],
            tenant(tenants.channel_data),
        ),
    ]
}

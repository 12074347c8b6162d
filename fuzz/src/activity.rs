//! An activity: whatever the strict reader accepts, every other reader reads the same way.

use super::json::{READERS, Tree};
use botgate::judge::{Activity, StrictLimits};
use bytes::Bytes;
use serde_json::Value;

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
    assert!(activity.channel.starts_with(activity.base_channel()));
    assert!(!activity.base_channel().is_empty());
    true
}

fn guarded(activity: &Activity) -> Vec<(&'static [&'static str], Option<String>)> {
    let tenants = &activity.tenants;
    vec![
        (&["type"], Some(activity.kind.clone())),
        (&["channelId"], Some(activity.channel.clone())),
        (&["serviceUrl"], Some(activity.service_url.clone())),
        (&["name"], activity.name.clone()),
        (&["deliveryMode"], activity.delivery_mode.clone()),
        (&["conversation", "id"], Some(activity.conversation.clone())),
        (&["conversation", "tenantId"], tenants.conversation.clone()),
        (&["from", "id"], activity.user.clone()),
        (&["from", "tenantId"], tenants.from.clone()),
        (&["recipient", "tenantId"], tenants.recipient.clone()),
        (&["recipient", "role"], activity.recipient_role.clone()),
        (
            &["relatesTo", "serviceUrl"],
            activity.relates_to_service_url.clone(),
        ),
        (
            &["channelData", "tenant", "id"],
            tenants.channel_data.clone(),
        ),
    ]
}

//! What was said in each conversation, in order.

use super::super::loopback::hold;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Mutex;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;

/// All conversations, by id.
#[derive(Default)]
pub(super) struct Conversations(Mutex<HashMap<String, watch::Sender<Vec<Value>>>>);

impl Conversations {
    /// Begins one; says whether it is new.
    pub(super) fn begin(&self, conversation: &str) -> bool {
        let mut all = hold(&self.0);
        let is_new = !all.contains_key(conversation);
        all.entry(conversation.to_owned()).or_default();
        is_new
    }

    /// Follows one that was begun.
    pub(super) fn follow(&self, conversation: &str) -> Option<watch::Receiver<Vec<Value>>> {
        hold(&self.0)
            .get(conversation)
            .map(watch::Sender::subscribe)
    }

    /// Appends an activity, and gives it back with the id and time that the service gives each.
    pub(super) fn append(&self, conversation: &str, mut activity: Value) -> Option<Value> {
        let all = hold(&self.0);
        let said = all.get(conversation)?;
        said.send_modify(|said| {
            stamp(&mut activity, conversation, said.len());
            said.push(activity.clone());
        });
        Some(activity)
    }
}

/// An id of the form the service gives, and the time.
pub(super) fn stamp(activity: &mut Value, conversation: &str, number: usize) {
    let Some(members) = activity.as_object_mut() else {
        return;
    };
    let seconds = i64::try_from(super::super::channel::now()).unwrap_or_default();
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    members.insert(
        "id".to_owned(),
        json!(format!("{conversation}|{number:07}")),
    );
    members.insert(
        "timestamp".to_owned(),
        json!(time.format(&Rfc3339).unwrap_or_default()),
    );
    members.insert("conversation".to_owned(), json!({ "id": conversation }));
}

/// What was said since a watermark, and the next watermark.
pub(super) fn since(said: &[Value], watermark: usize) -> Value {
    let new: Vec<_> = said.iter().skip(watermark).collect();
    json!({ "activities": new, "watermark": said.len().to_string() })
}

//! What an echo bot made with the SDK does.

use super::answer::Answer;
use super::loopback::ask;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use url::{Host, Url};

/// Answers a message through the Connector, an invoke in the response itself.
pub(super) async fn echo(activity: &Value) -> Answer {
    let text = |name: &str| {
        activity
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match (text("type"), text("name")) {
        ("message", _) => {
            let reply = json!({
                "type": "message",
                "channelId": activity.get("channelId"),
                "from": activity.get("recipient"),
                "recipient": activity.get("from"),
                "conversation": activity.get("conversation"),
                "replyToId": activity.get("id"),
                "text": format!("echo: {}", text("text")),
            });
            if text("deliveryMode") == "expectReplies" {
                return Answer::json(&json!({ "activities": [reply] }));
            }
            if let Some(url) = reply_url(activity) {
                // A Connector that is away is not this bot's concern.
                let _delivered = ask(Method::POST, &url, Bytes::from(reply.to_string())).await;
            }
            Answer::status(StatusCode::OK)
        }
        ("invoke", "adaptiveCard/action") => Answer::json(&json!({
            "statusCode": 200,
            "type": "application/vnd.microsoft.activity.message",
            "value": "approved",
        })),
        (
            "invoke",
            "task/fetch" | "composeExtension/query" | "signin/tokenExchange" | "signin/verifyState",
        ) => Answer::json(&json!({ "echo": text("name") })),
        // What the SDK answers to an invoke it has no handler for.
        ("invoke", _) => Answer::status(StatusCode::NOT_IMPLEMENTED),
        _ => Answer::status(StatusCode::OK),
    }
}

/// Where to reply; `None` unless the service URL is a stand-in Connector on this machine.
fn reply_url(activity: &Value) -> Option<String> {
    let mut url = Url::parse(activity.get("serviceUrl")?.as_str()?).ok()?;
    let is_loopback = match url.host()? {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => name == "localhost",
    };
    if url.scheme() != "http" || !is_loopback {
        return None;
    }
    let conversation = activity.pointer("/conversation/id")?.as_str()?;
    url.path_segments_mut().ok()?.pop_if_empty().extend([
        "v3",
        "conversations",
        conversation,
        "activities",
    ]);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_replies_to_a_service_url_off_this_machine() {
        for url in [
            "https://smba.trafficmanager.net/emea/",
            "http://example.com/",
            "https://127.0.0.1/",
            "nonsense",
        ] {
            assert_eq!(
                reply_url(&json!({ "serviceUrl": url, "conversation": { "id": "a" } })),
                None,
                "{url}"
            );
        }
    }
}

use super::super::loopback::ask as ask_plainly;
use super::*;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;

const PAGE: &str = "https://www.example.com";

async fn ask(
    service: &DirectLine,
    line: &str,
    token: &str,
    origin: Option<&str>,
    body: Value,
) -> (StatusCode, Value) {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}/v3/directline/{path}", service.origin()))
        .header("authorization", format!("Bearer {token}"));
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = request.body(Full::new(Bytes::from(body.to_string())));
    let response = client.request(request.unwrap()).await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// A token for `dl_ada` on [`PAGE`], and its conversation.
async fn generated(service: &DirectLine) -> (String, String) {
    let wish = json!({ "user": { "id": "dl_ada" }, "trustedOrigins": [PAGE] });
    let (status, given) = ask(service, "POST tokens/generate", "the secret", None, wish).await;
    assert_eq!(status, 200, "{given}");
    assert_eq!(given["expires_in"], 1800);
    let text = |name: &str| given[name].as_str().unwrap().to_owned();
    (text("token"), text("conversationId"))
}

fn recording(service: &DirectLine) -> mpsc::UnboundedReceiver<Value> {
    let (sender, receiver) = mpsc::unbounded_channel();
    service.deliver_with(move |activity| {
        let is_bad = activity["text"] == "bad";
        sender.send(activity).unwrap();
        Box::pin(async move {
            Ok(if is_bad {
                StatusCode::FORBIDDEN
            } else {
                StatusCode::OK
            })
        })
    });
    receiver
}

#[tokio::test]
async fn a_conversation_from_the_token_to_the_bots_answer() {
    let service = DirectLine::start("the secret").await.unwrap();
    let mut delivered = recording(&service);
    let (token, conversation) = generated(&service).await;
    let (status, started) = ask(
        &service,
        "POST conversations",
        &token,
        Some(PAGE),
        json!({}),
    )
    .await;
    assert_eq!(
        (status, &started["conversationId"]),
        (StatusCode::CREATED, &json!(conversation))
    );
    let update = delivered.recv().await.unwrap();
    assert_eq!(update["type"], "conversationUpdate");
    assert_eq!(update["membersAdded"][1]["id"], "dl_ada");
    let say = format!("POST conversations/{conversation}/activities");
    let message =
        json!({ "type": "message", "text": "hello", "from": { "id": "dl_eve", "name": "Eve" } });
    let (status, id) = ask(&service, &say, &token, Some(PAGE), message).await;
    assert_eq!(
        (status, &id["id"]),
        (StatusCode::OK, &json!(format!("{conversation}|0000000")))
    );
    let message = delivered.recv().await.unwrap();
    assert_eq!(
        message["from"],
        json!({ "id": "dl_ada", "name": "Eve" }),
        "the token's user counts"
    );
    assert_eq!(message["channelId"], "directline");
    let url = format!(
        "{}v3/conversations/{conversation}/activities/1",
        message["serviceUrl"].as_str().unwrap()
    );
    let reply = ask_plainly(Method::POST, &url, Bytes::from_static(br#"{"text":"hi"}"#)).await;
    assert_eq!(reply.unwrap().status(), StatusCode::CREATED);
    let follow = format!("GET conversations/{conversation}/activities?watermark=1");
    let (_, set) = ask(&service, &follow, &token, Some(PAGE), Value::Null).await;
    assert_eq!(
        (&set["activities"][0]["text"], &set["watermark"]),
        (&json!("hi"), &json!("2"))
    );
    let (status, again) = ask(
        &service,
        "POST conversations",
        &token,
        Some(PAGE),
        json!({}),
    )
    .await;
    assert_eq!(
        (status, &again["conversationId"]),
        (StatusCode::OK, &json!(conversation))
    );
    let (status, refused) = ask(&service, &say, &token, Some(PAGE), json!({ "text": "bad" })).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (StatusCode::BAD_GATEWAY, &json!("BotRejectedActivity"))
    );
}

#[tokio::test]
async fn the_documented_rules_hold() {
    let service = DirectLine::start("the secret").await.unwrap();
    let (token, conversation) = generated(&service).await;
    let code = async |line: &str, token: &str, origin: Option<&str>, body: Value| {
        let (status, answer) = ask(&service, line, token, origin, body).await;
        let code = answer["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (status.as_u16(), code)
    };
    let refused = |status, code: &str| (status, code.to_owned());
    let wish = json!({ "user": { "id": "ada" } });
    assert_eq!(
        code("POST tokens/generate", "the secret", None, wish).await,
        refused(400, "BadArgument")
    );
    assert_eq!(
        code("POST tokens/generate", &token, None, json!({})).await,
        refused(403, "NotAllowed")
    );
    assert_eq!(
        code("POST tokens/refresh", "made up", None, json!({})).await,
        refused(403, "NotAllowed")
    );
    let elsewhere = Some("https://evil.example");
    assert_eq!(
        code("POST conversations", &token, elsewhere, json!({})).await,
        refused(403, "NotAllowed")
    );
    assert_eq!(
        code("POST conversations", &token, Some(PAGE), json!({}))
            .await
            .0,
        201
    );
    let (other, _) = generated(&service).await;
    let follow = format!("GET conversations/{conversation}/activities");
    assert_eq!(
        code(&follow, &other, None, Value::Null).await,
        refused(403, "NotAllowed")
    );
    let upload = format!("POST conversations/{conversation}/upload");
    assert_eq!(
        code(&upload, &token, None, json!({})).await,
        refused(501, "NotSupported")
    );
    let (_, renewed) = ask(
        &service,
        "POST tokens/refresh",
        &token,
        Some(PAGE),
        json!({}),
    )
    .await;
    assert_eq!(renewed["conversationId"], json!(conversation));
    service.advance(1800);
    assert_eq!(
        code("POST tokens/refresh", &token, Some(PAGE), json!({})).await,
        refused(403, "TokenExpired")
    );
    assert_eq!(
        code(&follow, &token, Some(PAGE), Value::Null).await,
        refused(403, "TokenExpired")
    );
    assert!(
        service
            .asked()
            .iter()
            .filter(|asked| asked.with_secret)
            .count()
            >= 3
    );
}

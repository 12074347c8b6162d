//! The two halves of the promise, each once.

use crate::support::Gateway;
use botgate::judge::Reason;

#[tokio::test]
async fn a_valid_teams_message_is_forwarded() {
    let gateway = Gateway::start().await;
    let reply = gateway.teams_message().send().await;
    reply.forwarded().await;
    assert_eq!(reply.status, 200);
    assert!(gateway.terminate().await.success());
}

#[tokio::test]
async fn a_message_without_a_token_is_refused() {
    let gateway = Gateway::start().await;
    gateway
        .teams_message()
        .without_token()
        .send()
        .await
        .refused_before_proof(Reason::TokenMissing)
        .await;
}

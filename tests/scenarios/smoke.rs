//! The two halves of the promise, each once in every way that a request can be sent.

use crate::support::Gateway;
use crate::support::client::send_raw;
use botgate::cli::demo::client::Protocol;
use botgate::cli::demo::token::TokenSpec;
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

#[tokio::test]
async fn both_protocols_and_connections_kept_open_are_served() {
    let gateway = Gateway::start().await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut connection = gateway.client().connect(protocol).await.unwrap();
        gateway
            .teams_message()
            .send_on(&mut connection)
            .await
            .forwarded()
            .await;
        let reply = gateway
            .teams_message()
            .without_token()
            .send_on(&mut connection)
            .await;
        reply.refused_before_proof(Reason::TokenMissing).await;
    }
    gateway
        .teams_message()
        .over_http2()
        .send()
        .await
        .forwarded()
        .await;
}

#[tokio::test]
async fn bytes_written_by_hand_are_judged_like_any_others() {
    let gateway = Gateway::start().await;
    let valid = gateway.teams_message().into_bytes();
    send_raw(&gateway, &valid).await.unwrap().forwarded().await;
    let forged = gateway
        .teams_message()
        .token(TokenSpec::with_a_bit_flipped)
        .into_bytes();
    let reply = send_raw(&gateway, &forged).await.unwrap();
    reply
        .refused_before_proof(Reason::TokenSignatureInvalid)
        .await;
    assert!(gateway.terminate().await.success());
}

//! `botgate explain` and the gateway agree on every row of the matrix.

use super::{World, rows};
use crate::explain::agree;

#[tokio::test]
async fn explain_says_of_every_row_what_the_gateway_does() {
    let world = World::start().await;
    agree(&world.gateway, rows(&world)).await;
}

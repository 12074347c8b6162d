//! HTTP/2 that breaks the rules is refused, floods end their connection, and nobody else notices.

mod cases;
mod floods;

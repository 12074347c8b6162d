//! What the broker of Direct Line tokens decides by: which pages may ask, which user ids and which sessions are its own, and whose
//! the site's own token is. Neither time nor chance is found here: both are arguments.

mod ids;
mod jar;
mod origin;
mod session;
mod site_user;

pub use ids::{Issuer, UserId};
pub use jar::{Jar, PLACES, cookie_name};
pub use origin::{Flaw as OriginFlaw, TrustedOrigins};
pub use session::{Session, SessionId, new_token};
pub use site_user::{SiteIdentity, SiteToken, header_user};

use super::{Reason, Rejection, UnixSeconds};

/// The longest Direct Line token that is taken. Real ones have some hundred bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Whether something can be a token of Direct Line: to everybody but Direct Line it is a word without a meaning.
pub fn is_token(text: &str) -> bool {
    (1..=MAX_TOKEN_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

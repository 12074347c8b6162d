//! The texts of a request line, in one piece of memory: every request has some ten of them, and they end together.

/// Which text of a request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// `X-Request-Id`, the client's or our own.
    RequestId,
    /// From `traceparent`.
    TraceId,
    /// Name of the Direct Line broker that it is for.
    Broker,
    /// HTTP method.
    Method,
    /// Path without query: a query may hold secrets.
    Path,
    /// `iss` of the token.
    TokenIssuer,
    /// `kid` of the token.
    KeyId,
    /// App id of the calling bot (skill and agent tokens).
    CallerAppId,
    /// `channelId` of the activity.
    Channel,
    /// `type` of the activity.
    ActivityType,
    /// `name` of an invoke.
    InvokeName,
    /// Host of the service URL.
    ServiceUrlHost,
    /// `conversation.id`; written as `log.identifiers` says.
    Conversation,
    /// `from.id`; written as `log.identifiers` says.
    User,
    /// The request of the same activity that the bot got, where this one was not forwarded but answered as that one was.
    RepeatOf,
}

/// How many there are.
const KINDS: usize = Text::RepeatOf as usize + 1;
/// Most requests have no more; for one more the memory grows.
const USUAL_BYTES: usize = 512;

/// See the module. What is written anew, or taken back, keeps its memory until all of them end: that is seldom.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct Texts {
    all: String,
    /// By kind.
    places: [Option<Place>; KINDS],
}

/// Where a text stands. Of 32 bits, since a request is moved about with all of its places.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    end: u32,
}

impl Texts {
    pub(super) fn new() -> Self {
        Self {
            all: String::with_capacity(USUAL_BYTES),
            places: [None; KINDS],
        }
    }

    #[inline]
    pub(super) fn get(&self, kind: Text) -> Option<&str> {
        let Place { start, end } = self.places.get(kind as usize).copied().flatten()?;
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
        self.all.get(start..end)
    }

    pub(super) fn set(&mut self, kind: Text, text: Option<&str>) {
        let place = text.and_then(|text| self.keep(text));
        if let Some(kept) = self.places.get_mut(kind as usize) {
            *kept = place;
        }
    }

    /// Four gigabytes of text are never in one request; they would not be told.
    fn keep(&mut self, text: &str) -> Option<Place> {
        let start = u32::try_from(self.all.len()).ok()?;
        let end = u32::try_from(self.all.len().checked_add(text.len())?).ok()?;
        self.all.push_str(text);
        Some(Place { start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_was_said_last() {
        let mut texts = Texts::new();
        assert_eq!(texts.get(Text::Path), None);
        texts.set(Text::Path, Some("/ä"));
        texts.set(Text::Method, Some(""));
        texts.set(Text::RepeatOf, Some("r"));
        texts.set(Text::Path, Some("/b"));
        assert_eq!(texts.get(Text::Path), Some("/b"));
        // Empty is not absent.
        assert_eq!(texts.get(Text::Method), Some(""));
        assert_eq!(texts.get(Text::RepeatOf), Some("r"));
        texts.set(Text::RepeatOf, None);
        assert_eq!(texts.get(Text::RepeatOf), None);
        let long = "x".repeat(3 * USUAL_BYTES);
        texts.set(Text::User, Some(&long));
        assert_eq!(texts.get(Text::User), Some(long.as_str()));
        assert_eq!(texts.get(Text::Path), Some("/b"));
    }
}

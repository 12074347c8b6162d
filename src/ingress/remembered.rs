//! An answer of a bot, kept for whoever sends the same again.

use crate::shared::Kept;
use crate::upstream::{Answer, is_event_stream};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use std::sync::Arc;

/// The longest answer that is kept, bytes; so much is read ahead for it.
pub(super) const WHOLE_BYTES: usize = 64 * 1024;

/// What a bot answered.
#[derive(Debug)]
pub(super) struct Remembered {
    /// Request id of the one that the bot got.
    pub(super) first: Arc<str>,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Remembered {
    /// Nothing where there is more to come than was read ahead. A copy: the bytes at hand are a part of the connection's buffer.
    pub(super) fn of(response: &Response<Answer>, first: &Arc<str>) -> Option<Self> {
        let body = response.body().whole()?;
        if is_event_stream(response.headers()) {
            return None;
        }
        let mut headers = HeaderMap::new();
        for name in KEPT_HEADERS {
            for value in response.headers().get_all(name) {
                headers.append(name, value.clone());
            }
        }
        Some(Self {
            first: Arc::clone(first),
            status: response.status(),
            headers,
            body: Bytes::copy_from_slice(body),
        })
    }

    /// Whether it says that the bot is done with the activity. Bots answer 501 to invokes that they do not know, and Teams sends
    /// those again (AUTHENTICATION 5.5). 408, 425 and 429 ask for another try (RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4).
    pub(super) fn is_of_handled(&self, is_invoke: bool) -> bool {
        match self.status {
            StatusCode::NOT_IMPLEMENTED => is_invoke,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                false
            }
            status => !status.is_server_error(),
        }
    }

    /// The answer, once more.
    pub(super) fn response(&self) -> Response<Answer> {
        let mut response = Response::new(Answer::from(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }

    /// As the other gateways of a fleet are told.
    pub(super) fn kept(&self) -> Kept {
        let headers = self.headers.keys().map(|name| {
            let values: Vec<&[u8]> = self
                .headers
                .get_all(name)
                .iter()
                .map(HeaderValue::as_bytes)
                .collect();
            // Fields of one name are one list (RFC 9110 5.3).
            (
                name.as_str().to_owned(),
                Bytes::from(values.join(&b", "[..])),
            )
        });
        Kept {
            first: self.first.as_ref().to_owned(),
            status: self.status.as_u16(),
            headers: headers.collect(),
            body: self.body.clone(),
        }
    }

    /// What another gateway kept; nothing where it is no answer of a bot that could have been kept.
    pub(super) fn of_kept(kept: Kept) -> Option<Self> {
        if kept.body.len() > WHOLE_BYTES || kept.status < 200 {
            return None;
        }
        let mut headers = HeaderMap::new();
        for (name, value) in kept.headers {
            let name = KEPT_HEADERS.iter().find(|known| known.as_str() == name)?;
            headers.insert(name, HeaderValue::from_maybe_shared(value).ok()?);
        }
        Some(Self {
            first: Arc::from(kept.first),
            status: StatusCode::from_u16(kept.status).ok()?,
            headers,
            body: kept.body,
        })
    }

    /// What it takes in memory: body and headers.
    pub(super) fn bytes(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len().saturating_add(value.len()));
        headers.fold(self.body.len(), usize::saturating_add)
    }
}

/// What a repeat gets beside status and body. Cookies, dates and the like belong to the first answer.
const KEPT_HEADERS: &[HeaderName] = &[
    CONTENT_TYPE,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CACHE_CONTROL,
];

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ETAG, SET_COOKIE};

    fn answer(status: u16) -> Remembered {
        let response = Response::builder()
            .status(status)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip")
            .header(SET_COOKIE, "id=1")
            .header(ETAG, "\"1\"")
            .body(Answer::from(Bytes::from_static(b"{}")));
        Remembered::of(&response.unwrap(), &Arc::from("r-1")).unwrap()
    }

    #[test]
    fn a_repeat_gets_status_and_body_and_what_is_needed_to_read_it() {
        let answer = answer(203);
        let again = answer.response();
        assert_eq!(again.status(), 203);
        assert_eq!(again.body().whole(), Some(&b"{}"[..]));
        let names: Vec<&str> = again.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type", "content-encoding"]);
        assert_eq!(answer.bytes(), 2 + 12 + 16 + 16 + 4);
    }

    #[test]
    fn failures_and_pleas_for_another_try_do_not_mean_that_it_was_handled() {
        for status in [200, 201, 202, 204, 302, 400, 401, 403, 404, 412] {
            assert!(answer(status).is_of_handled(false), "{status}");
        }
        for status in [408, 425, 429, 500, 501, 502, 503, 504, 599] {
            assert!(!answer(status).is_of_handled(false), "{status}");
            assert_eq!(
                answer(status).is_of_handled(true),
                status == 501,
                "{status}"
            );
        }
    }

    #[test]
    fn what_is_kept_for_the_fleet_is_the_same_answer() {
        let kept = answer(203).kept();
        let again = Remembered::of_kept(kept.clone()).unwrap();
        assert_eq!(again.kept(), kept);
        assert_eq!(again.response().headers(), answer(203).response().headers());
        assert_eq!(again.response().body().whole(), Some(&b"{}"[..]));
    }

    #[test]
    fn what_no_gateway_would_have_kept_is_no_answer() {
        let kept = answer(203).kept();
        let but = |change: fn(&mut Kept)| {
            let mut kept = kept.clone();
            change(&mut kept);
            Remembered::of_kept(kept)
        };
        assert!(but(|_| {}).is_some());
        assert!(but(|kept| kept.status = 101).is_none());
        assert!(but(|kept| kept.status = 1000).is_none());
        assert!(but(|kept| kept.body = vec![b' '; WHOLE_BYTES + 1].into()).is_none());
        let header = |name: &str, value: &'static str| (name.to_owned(), Bytes::from(value));
        assert!(but(|kept| kept.headers.clear()).is_some());
        let cookie = header("set-cookie", "id=1");
        assert!(
            Remembered::of_kept(Kept {
                headers: vec![cookie],
                ..kept.clone()
            })
            .is_none()
        );
        let split = header("content-type", "a\r\nb: c");
        assert!(
            Remembered::of_kept(Kept {
                headers: vec![split],
                ..kept.clone()
            })
            .is_none()
        );
    }

    #[test]
    fn a_stream_is_not_kept_although_it_ended() {
        let response = Response::builder()
            .header(CONTENT_TYPE, "text/event-stream; charset=utf-8")
            .body(Answer::from(Bytes::from_static(b"data: 1\n\n")));
        assert!(Remembered::of(&response.unwrap(), &Arc::from("r-1")).is_none());
    }
}

//! What the store says.

use bytes::Bytes;
use redis::{FromRedisValue, Value};
use std::collections::HashMap;
use std::time::Duration;

/// The answer to a [`Question`](super::Question).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is no repeat, and every budget had room: all is counted, and marked.
    Taken,
    /// A budget has no room. Nothing is counted.
    Refused {
        /// Its position among those asked for.
        which: usize,
        /// Until all of them have room.
        wait: Duration,
    },
    /// A bot is at work on it, behind one of the gateways.
    AtWork {
        /// Request id of the first one.
        first: String,
        /// Its client was told 202.
        is_acknowledged: bool,
    },
    /// A bot has answered it.
    Answered(Kept),
}

/// An answer that is kept for repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Request id of the first one.
    pub first: String,
    /// Status code.
    pub status: u16,
    /// Names and values of the headers that are kept.
    pub headers: Vec<(String, Bytes)>,
    /// The body.
    pub body: Bytes,
}

pub(super) const STATUS: &str = "status";
pub(super) const BODY: &str = "body";
pub(super) const FIRST: &str = "first";
pub(super) const ACKNOWLEDGED: &str = "acknowledged";
/// What the fields of headers begin with.
pub(super) const HEADER: &str = "header:";

impl Said {
    /// `None` where it is not what the script says.
    pub(super) fn read(value: Value) -> Option<Self> {
        let Value::Array(mut values) = value else {
            return None;
        };
        match values.first()? {
            Value::Int(0) => Some(Self::Taken),
            Value::Int(1) => {
                let [_, Value::Int(position), Value::Int(micros)] = values.as_slice() else {
                    return None;
                };
                let which = usize::try_from(*position).ok()?.checked_sub(1)?;
                let wait = Duration::from_micros(u64::try_from(*micros).ok()?);
                Some(Self::Refused { which, wait })
            }
            Value::Int(2) => {
                values.remove(0);
                let fields = HashMap::<String, Vec<u8>>::from_redis_value(Value::Array(values));
                Self::of_mark(fields.ok()?)
            }
            _ => None,
        }
    }

    fn of_mark(mut fields: HashMap<String, Vec<u8>>) -> Option<Self> {
        let first = fields.remove(FIRST).unwrap_or_default();
        let first = String::from_utf8(first).ok()?;
        let Some(status) = fields.remove(STATUS) else {
            let is_acknowledged = fields.contains_key(ACKNOWLEDGED);
            return Some(Self::AtWork {
                first,
                is_acknowledged,
            });
        };
        let status = std::str::from_utf8(&status).ok()?.parse().ok()?;
        let body = fields.remove(BODY).unwrap_or_default().into();
        let headers = fields.into_iter().filter_map(|(name, value)| {
            let name = name.strip_prefix(HEADER)?.to_owned();
            Some((name, Bytes::from(value)))
        });
        Some(Self::Answered(Kept {
            first,
            status,
            headers: headers.collect(),
            body,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn what_the_script_says_is_understood() {
        let said = |values: Vec<Value>| Said::read(Value::Array(values));
        assert_eq!(said(vec![Value::Int(0)]), Some(Said::Taken));
        let wait = Duration::from_millis(3);
        assert_eq!(
            said(vec![Value::Int(1), Value::Int(2), Value::Int(3000)]),
            Some(Said::Refused { which: 1, wait })
        );
        let at_work = |is_acknowledged| {
            let first = "r-1".to_owned();
            Some(Said::AtWork {
                first,
                is_acknowledged,
            })
        };
        let mut mark = vec![
            Value::Int(2),
            text("owner"),
            text("o"),
            text("first"),
            text("r-1"),
        ];
        assert_eq!(said(mark.clone()), at_work(false));
        mark.extend([text("acknowledged"), text("1")]);
        assert_eq!(said(mark.clone()), at_work(true));
        mark.extend([text("status"), text("200"), text("body"), text("{}")]);
        mark.extend([text("header:content-type"), text("application/json")]);
        let kept = Kept {
            first: "r-1".to_owned(),
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".into())],
            body: "{}".into(),
        };
        assert_eq!(said(mark), Some(Said::Answered(kept)));
    }

    #[test]
    fn anything_else_is_not() {
        for values in [
            vec![],
            vec![Value::Int(3)],
            vec![Value::Int(1), Value::Int(0), Value::Int(1)],
            vec![Value::Int(1), Value::Int(-1), Value::Int(1)],
            vec![Value::Int(1), Value::Int(1)],
            vec![Value::Int(2), text("status"), text("many")],
            vec![text("0")],
        ] {
            assert_eq!(Said::read(Value::Array(values.clone())), None, "{values:?}");
        }
        assert_eq!(Said::read(Value::Nil), None);
    }
}

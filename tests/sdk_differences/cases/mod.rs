//! The table of requests: what each is, what is right, and where that is written.
//!
//! What AUTHENTICATION.md section 10 asks for and no case here does:
//!
//! | item | why not here |
//! | --- | --- |
//! | gov and China, two app ids | one registration in the public cloud is what all four bots have; `tests/scenarios` has them |
//! | boundaries to the second | two bots and a gateway have to be asked first; `tests/scenarios` has them |
//! | metadata down, refresh, `jwks_uri` elsewhere, endorsement change | key sets that change; some SDKs look once an hour |
//! | 429, upstream statuses, event streams, `x-botgate-*`, tokens in logs | nothing that an SDK decides |

mod activity;
mod channel;
mod claims;
mod entra;
mod head;
mod service_url;
mod tenant;
mod token;

use crate::exceptions;
use crate::keys::Keys;
use crate::post::Post;
use botgate::judge::Reason;
use std::collections::HashSet;

/// One request.
pub(crate) struct Case {
    /// In the words of the field, and unique.
    pub(crate) name: String,
    pub(crate) class: Class,
    /// Rows of the table in AUTHENTICATION.md section 8 that it stands for. The others are of section 10's matrix.
    pub(crate) rows: &'static [u8],
    pub(crate) right: Right,
    pub(crate) post: Post,
}

/// What has to become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Accept,
    Refuse(Reason),
}

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    Head,
    Authorization,
    TokenForm,
    Algorithm,
    Key,
    Issuer,
    Audience,
    Time,
    OtherKind,
    Channel,
    ServiceUrl,
    Tenant,
    BodyForm,
    FieldNames,
    Fields,
}

/// All of them, in the order of the document.
pub(crate) const CLASSES: [Class; 15] = [
    Class::Head,
    Class::Authorization,
    Class::TokenForm,
    Class::Algorithm,
    Class::Key,
    Class::Issuer,
    Class::Audience,
    Class::Time,
    Class::OtherKind,
    Class::Channel,
    Class::ServiceUrl,
    Class::Tenant,
    Class::BodyForm,
    Class::FieldNames,
    Class::Fields,
];

/// Rows of section 8 that no request can show.
pub(crate) const NOT_HERE: &[(u8, &str)] = &[
    (
        25,
        "a bot without an app id: the gateway does not start for one",
    ),
    (
        30,
        "what comes later on an open streaming connection: the gateway opens none",
    ),
];

/// How many rows section 8 has.
const ROWS: u8 = 35;

/// Every case.
pub(crate) fn all(keys: &Keys) -> Vec<Case> {
    let cases: Vec<_> = [
        head::cases(keys),
        token::cases(keys),
        claims::cases(keys),
        entra::cases(keys),
        channel::cases(keys),
        service_url::cases(keys),
        tenant::cases(keys),
        activity::cases(keys),
    ]
    .into_iter()
    .flatten()
    .collect();

    let mut names = HashSet::new();
    for case in &cases {
        assert!(
            names.insert(&case.name),
            "two cases have the name {:?}",
            case.name
        );
    }
    for name in exceptions::ALL.iter().flat_map(|exception| exception.cases) {
        assert!(
            cases.iter().any(|case| case.name == *name),
            "an exception is about {name:?}, which no case is"
        );
    }
    for row in 1..=ROWS {
        let shown = cases.iter().any(|case| case.rows.contains(&row));
        let listed = NOT_HERE.iter().any(|(other, _)| *other == row);
        assert!(
            shown != listed,
            "row {row} of section 8 is to be shown by a case, or listed with the reason why not"
        );
    }
    cases
}

fn case(class: Class, name: impl Into<String>, post: Post, right: Right) -> Case {
    Case {
        name: name.into(),
        class,
        rows: &[],
        right,
        post,
    }
}

impl Case {
    /// Names the rows of section 8 that it stands for.
    const fn rows(mut self, rows: &'static [u8]) -> Self {
        self.rows = rows;
        self
    }
}

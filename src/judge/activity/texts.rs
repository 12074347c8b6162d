//! The texts of an activity, in one piece of memory.

use crate::judge::{NamedTenant, TenantId};

/// Texts, one after another: twelve of them cost no more than one.
#[derive(Clone, Debug)]
pub(super) struct Texts(String);

/// Where a text stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

impl Texts {
    /// Room for what is kept of a body of so many bytes; it grows where that was too little.
    pub(super) fn with_room_for(body: usize) -> Self {
        const USUAL_BYTES: usize = 512;
        Self(String::with_capacity(body.min(USUAL_BYTES)))
    }

    pub(super) fn keep(&mut self, text: &str) -> Span {
        let start = self.0.len();
        self.0.push_str(text);
        Span {
            start,
            end: self.0.len(),
        }
    }

    pub(super) fn keep_some(&mut self, text: Option<&str>) -> Option<Span> {
        text.map(|text| self.keep(text))
    }

    /// Keeps what should be a tenant id, with what it says.
    pub(super) fn keep_tenant(
        &mut self,
        named: Option<NamedTenant<'_>>,
    ) -> Option<(Span, Option<TenantId>)> {
        named.map(|NamedTenant { text, id }| (self.keep(text), id))
    }

    pub(super) fn at(&self, span: Span) -> &str {
        self.0.get(span.start..span.end).unwrap_or_default()
    }
}

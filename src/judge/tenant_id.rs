//! An Entra tenant id.

use uuid::Uuid;

/// A GUID in canonical 8-4-4-4-12 form; two ids that differ only in case are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantId(Uuid);

/// As one number: bytes would be written with their count.
impl std::hash::Hash for TenantId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u128(self.0.as_u128());
    }
}

impl TenantId {
    /// Bytes of the canonical form.
    pub const LENGTH: usize = 36;

    /// Reads the canonical form only: no braces, no `urn:uuid:`, no bare 32 digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != Self::LENGTH {
            return None;
        }
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl std::fmt::Display for TenantId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_a_tenant() {
        let id = TenantId::parse("3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11");
        assert!(id.is_some());
        assert_eq!(id, TenantId::parse("3F0C8A5E-7F0B-4F3E-9D55-6F2B1B0A9C11"));
        for text in [
            "",
            "contoso",
            "{3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11}",
            "3f0c8a5e7f0b4f3e9d556f2b1b0a9c11",
            "3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c1g",
        ] {
            assert_eq!(TenantId::parse(text), None, "{text}");
        }
    }
}

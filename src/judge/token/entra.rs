//! Entra issuers: every tenant has its own, and the name says which.

use crate::judge::TenantId;

/// An Entra issuer of a cloud: `https://sts.windows.net/{tenant}/`, or one tenant's written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntraIssuer {
    before: String,
    after: String,
    /// The only tenant, where the tenant is written out.
    only: Option<TenantId>,
}

impl EntraIssuer {
    /// Reads `{tenant}`, or the last path segment that is a tenant id; nothing where there is neither.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((before, after)) = text.split_once("{tenant}") {
            return (!after.contains("{tenant}")).then(|| Self {
                before: before.to_owned(),
                after: after.to_owned(),
                only: None,
            });
        }
        let segment = text.rsplit('/').find(|segment| read(segment).is_some())?;
        let (before, after) = text.rsplit_once(segment)?;
        Some(Self {
            before: before.to_owned(),
            after: after.to_owned(),
            only: read(segment),
        })
    }

    /// The tenant whose issuer this is. Compared byte for byte; the tenant stands in lower case, as Entra writes it.
    pub fn tenant_of(&self, issuer: &str) -> Option<TenantId> {
        let tenant = issuer
            .strip_prefix(self.before.as_str())?
            .strip_suffix(self.after.as_str())?;
        read(tenant).filter(|tenant| self.only.is_none_or(|only| only == *tenant))
    }
}

/// As it is written in `gateway.toml`.
impl std::fmt::Display for EntraIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenant = self.only.map(|tenant| tenant.to_string());
        let tenant = tenant.as_deref().unwrap_or("{tenant}");
        write!(f, "{}{tenant}{}", self.before, self.after)
    }
}

fn read(segment: &str) -> Option<TenantId> {
    TenantId::parse(segment).filter(|_| !segment.bytes().any(|b| b.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11";

    #[test]
    fn the_tenant_is_read_from_its_place_and_nowhere_else() {
        let v2 = EntraIssuer::parse("https://login.microsoftonline.com/{tenant}/v2.0").unwrap();
        let issuer = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
        assert_eq!(v2.tenant_of(&issuer(T)), TenantId::parse(T));
        for wrong in [
            issuer("common"),
            issuer(""),
            issuer(&T.to_uppercase()),
            issuer(&format!("{T}/{T}")),
            format!("https://login.microsoftonline.com/{T}/v2.0/"),
            format!("https://login.microsoftonline.com/{T}"),
            format!("https://login.microsoftonline.com.evil.example/{T}/v2.0"),
            format!("HTTPS://login.microsoftonline.com/{T}/v2.0"),
        ] {
            assert_eq!(v2.tenant_of(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_tenant_that_is_written_out_is_the_only_one() {
        let one = EntraIssuer::parse(&format!("https://sts.windows.net/{T}/")).unwrap();
        assert_eq!(
            one.tenant_of(&format!("https://sts.windows.net/{T}/")),
            TenantId::parse(T)
        );
        let other = "11111111-2222-4333-8444-555555555555";
        assert_eq!(
            one.tenant_of(&format!("https://sts.windows.net/{other}/")),
            None
        );
        assert_eq!(EntraIssuer::parse("https://api.botframework.com"), None);
        assert_eq!(EntraIssuer::parse("https://x/{tenant}/{tenant}"), None);
    }
}

//! The certificate.

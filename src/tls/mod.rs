//! stub
use crate::config::{Tls, TlsSource};
use std::sync::Arc;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
/// stub
#[derive(Debug)]
pub struct Loaded { /// c
 pub config: Arc<rustls::ServerConfig> }
/// stub
pub fn server_config(tls: &Tls) -> Result<Option<Loaded>, String> {
    let (c, k) = match &tls.source {
        TlsSource::Off => return Ok(None),
        TlsSource::Files { cert, key } => (std::fs::read(cert).map_err(|e| e.to_string())?, std::fs::read(key).map_err(|e| e.to_string())?),
        TlsSource::SelfSigned { dir, names } => {
            let ck = rcgen::generate_simple_self_signed(names.clone()).map_err(|e| e.to_string())?;
            let _ = std::fs::create_dir_all(dir);
            let _ = std::fs::write(dir.join("self-signed.pem"), ck.cert.pem());
            (ck.cert.pem().into_bytes(), ck.signing_key.serialize_pem().into_bytes())
        }
    };
    let chain = CertificateDer::pem_slice_iter(&c).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(&k).map_err(|e| e.to_string())?;
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider())).with_safe_default_protocol_versions().map_err(|e| e.to_string())?.with_no_client_auth().with_single_cert(chain, key).map_err(|e| e.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Loaded { config: Arc::new(config) }))
}

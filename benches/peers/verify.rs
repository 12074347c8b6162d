//! What nobody can save who checks a token for the first time: one signature by RSA-2048, with the library that botgate uses.

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::fs::read_to_string;
use std::path::Path;

const COUNT: u32 = 40_000;

/// Prints microseconds of CPU time.
pub(crate) fn run(material: &Path) {
    let pem = read_to_string(material.join("signing.pem")).expect("a key");
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(der).expect("a key");
    let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).expect("a key");
    let tokens = read_to_string(material.join("repeated.txt")).expect("tokens");
    let tokens: Vec<_> = tokens
        .lines()
        .map(|token| {
            let (message, signature) = token.rsplit_once('.').expect("a token");
            (
                message,
                URL_SAFE_NO_PAD.decode(signature).expect("a signature"),
            )
        })
        .collect();
    let before = super::proc::cpu_seconds(std::process::id());
    for (message, signature) in tokens.iter().cycle().take(COUNT as usize) {
        key.verify_sig(message.as_bytes(), signature)
            .expect("a good signature");
    }
    let took = super::proc::cpu_seconds(std::process::id()) - before;
    println!("{}", took * 1e6 / f64::from(COUNT));
}

//! A saved request, as `explain` reads it: what it makes of the bytes, `httparse` makes of them, too.

use botgate::cli::explain::read_request;
use botgate::config::{StartFlags, parse};
use bytes::Bytes;
use std::path::Path;
use std::sync::LazyLock;

static LIMITS: LazyLock<botgate::config::Limits> = LazyLock::new(|| {
    let text = r#"
[[bots]]
name = "helpdesk"
app_id = "0b7c1d9e-54a2-4c7c-8a44-3f0d2f6f7a10"
backend = "http://127.0.0.1:3978/api/messages"
[bots.tenants]
allow = ["3f0c8a5e-7f0b-4f3e-9d55-6f2b1b0a9c11"]
[server]
listen = ["127.0.0.1:0"]
[server.tls]
source = "self-signed"
"#;
    let loaded = parse(text, Path::new(""), StartFlags::default()).expect("a configuration");
    loaded.settings.server.limits
});

pub fn check(bytes: &[u8]) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let reading = read_request(Bytes::copy_from_slice(bytes), &LIMITS);
    let Ok(read) = runtime.expect("a runtime").block_on(reading) else {
        return false;
    };
    let Ok(head) = read.head else {
        return false;
    };
    let mut fields = vec![httparse::EMPTY_HEADER; LIMITS.headers];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(bytes).expect("httparse reads it, too");
    let httparse::Status::Complete(end) = parsed else {
        panic!("httparse finds no end of the head");
    };
    assert_eq!(request.method, Some(head.method.as_str()));
    assert!(head.headers.len() <= request.headers.len());
    for (name, value) in &head.headers {
        let stands_there = |field: &httparse::Header<'_>| {
            field.name.eq_ignore_ascii_case(name.as_str()) && field.value == value.as_bytes()
        };
        assert!(request.headers.iter().any(stands_there), "{name}");
    }
    if let Ok(body) = read.body
        && !head.headers.contains_key("transfer-encoding")
    {
        let rest = &bytes[end..];
        assert!(rest.starts_with(&body), "the body is what follows the head");
        if let Some(length) = head.headers.get("content-length") {
            let length = length.to_str().ok().and_then(|length| length.parse().ok());
            assert_eq!(length, Some(body.len()));
        }
    }
    true
}

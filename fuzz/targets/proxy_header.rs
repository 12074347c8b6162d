#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    botgate_fuzz::proxy_header::check(data);
});

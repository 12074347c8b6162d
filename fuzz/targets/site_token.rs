#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    botgate_fuzz::site_token::check(data);
});

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| credgate_core::fuzz::basic(data));

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dynamo_tests::fuzz::http(bytes));

#![no_main]

#[allow(dead_code)]
#[path = "../../crates/bantam-server/tests/hostile/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::form(bytes));

//! What a process is told of its memory and time. A process of its own: memory that other tests take and give back would count, too.

#![cfg(target_os = "linux")]

use bantam_kernels::memory::{cpu_seconds, current_bytes, peak_bytes, reset_peak};

#[test]
fn memory_and_time_grow_with_use() {
    // Linux keeps these counts by processor and adds them up now and then: a few hundred KiB may be missing.
    let near = |bytes: u64, expected: u64| bytes.abs_diff(expected) < 2 << 20;
    let (before, size) = (current_bytes(), 64 << 20);
    let data = std::hint::black_box(vec![1u8; size]);
    let with_data = before + size as u64;
    assert!(near(current_bytes(), with_data) && near(peak_bytes(), with_data));
    drop(data);
    assert!(near(current_bytes(), before) && near(peak_bytes(), with_data));
    reset_peak();
    assert!(near(peak_bytes(), before) || near(peak_bytes(), with_data), "forgotten, or refused by a sandbox");

    let (before, start) = (cpu_seconds(), std::time::Instant::now());
    while cpu_seconds() - before < 0.02 {
        assert!(start.elapsed().as_secs() < 60, "the processor time stands still");
    }
}

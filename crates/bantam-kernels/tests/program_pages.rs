//! The program's own pages are given back, and come back when they are needed. A process of its own: other tests would run meanwhile.

#![cfg(target_os = "linux")]

use bantam_kernels::gemm::{Epilogue, PackedFormat, PackedMatrix};
use bantam_kernels::memory::{current_bytes, give_back_program};

#[test]
fn what_ran_already_takes_no_memory_and_runs_again() {
    let product = || {
        let mut out = [0.0; 6];
        PackedMatrix::pack(&[1.0, 2.0, 3.0, 4.0], 2, 2, PackedFormat::F32).multiply(
            &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0],
            3,
            &mut out,
            &Epilogue::default(),
        );
        out
    };
    assert_eq!(product(), [1.0, 3.0, 2.0, 4.0, 3.0, 7.0]);
    let before = current_bytes();
    give_back_program();
    let after = current_bytes();
    assert!(after + (64 << 10) < before, "{before} bytes before, {after} after");
    assert_eq!(product(), [1.0, 3.0, 2.0, 4.0, 3.0, 7.0]);
}

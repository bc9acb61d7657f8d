//! Bytes from outside, whole and damaged: none ends in a panic, and none takes more memory than its size is worth. The inputs that are kept come
//! first, then damaged ones, the same on every run, until the time is over: BANTAM_FUZZ_SECONDS for each kind, 8 when absent.
//!
//! An input that fails is written beside the program's other output; once it is fixed, it belongs into `fuzz/corpus/`. `fuzz/README.md` says how
//! the same is done for hours.

mod damage;
mod seeds;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bantam_kernels::memory::Counting;
use bantam_model::Random;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What any input may take: tables of expressions, threads of the server, what a conversation compiles.
const FREE_BYTES: usize = 48 << 20;
/// What an input may take for each of its bytes: numbers of four bits become f32, twice while they are laid out; JSON becomes maps.
const BYTES_PER_BYTE: usize = 128;

fn seconds() -> f64 {
    std::env::var("BANTAM_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(8.0)
}

fn run(target: &str, work: fn(&[u8]), input: &[u8], what: &str) {
    let mut outcome = Ok(());
    let most = Counting::most_during(|| outcome = catch_unwind(AssertUnwindSafe(|| work(input))));
    let limit = FREE_BYTES + BYTES_PER_BYTE * input.len();
    let fault = match outcome {
        Err(_) => "it panicked".to_owned(),
        Ok(()) if most > limit => format!("it took {most} bytes"),
        Ok(()) => return,
    };
    let path = std::env::temp_dir().join(format!("bantam-{target}-{what}"));
    std::fs::write(&path, input).unwrap();
    panic!("{target}, {what}, {} bytes: {fault}; the input is in {}", input.len(), path.display());
}

// One test after another: the bytes in use are those of the whole program.
#[test]
fn no_input_panics_or_takes_more_memory_than_its_size_is_worth() {
    let is_writing = std::env::var("BANTAM_FUZZ_SEEDS").is_ok_and(|value| value == "write");
    let only = std::env::var("BANTAM_FUZZ_ONLY").ok();
    for (target, work) in targets::TARGETS {
        if only.as_deref().is_some_and(|only| only != target) {
            continue;
        }
        if is_writing {
            seeds::write(target);
        }
        let kept = seeds::kept(target);
        for (index, input) in kept.iter().enumerate() {
            run(target, work, input, &format!("kept-{index}"));
        }
        let until = Instant::now() + Duration::from_secs_f64(seconds());
        let mut count = 0;
        while Instant::now() < until {
            let mut random = Random::new(count, 0x6675_7a7a);
            let (seed, other) = (&kept[random.below(kept.len())], &kept[random.below(kept.len())]);
            run(target, work, &damage::damaged(seed, other, &mut random), &format!("damaged-{count}"));
            count += 1;
        }
        assert!(count > 0 && !kept.is_empty(), "{target}: nothing was tried");
    }
}

//! What an answer costs on this machine: latency, throughput, processor time and memory.

use std::time::Instant;

use bantam_kernels::{memory, pool};
use serde::{Deserialize, Serialize};

use crate::Classifier;
use crate::interval::quantile;

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CostOptions {
    /// Seconds given to each of the two measurements (single requests, batches).
    pub seconds: f64,
    /// Single requests that are timed at least, however long they take.
    pub least_requests: usize,
    /// Requests answered first, and not timed.
    pub warm_up: usize,
    /// Requests per batch where throughput is measured.
    pub batch: usize,
}

impl Default for CostOptions {
    /// One second each, at least 200 requests, 20 to warm up, batches of 64.
    fn default() -> Self {
        Self { seconds: 1.0, least_requests: 200, warm_up: 20, batch: 64 }
    }
}

/// What answering costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Half of the single requests take at most this long, on one thread.
    pub latency_p50_microseconds: f64,
    /// 99 of 100 single requests take at most this long, on one thread.
    pub latency_p99_microseconds: f64,
    /// Requests per second in batches on all threads.
    pub requests_per_second: f64,
    /// Processor seconds (user and system, whole process) per 1,000 single requests on one thread.
    pub cpu_seconds_per_1000: f64,
    /// Memory that answering takes, about: the model's bytes, and the most that the process grew by while it answered.
    /// What else the process holds is not in it, nor is the model's tokenizer.
    pub peak_bytes: u64,
    /// Threads that the batches could use.
    pub threads: usize,
}

/// Times a classifier on `texts`, which are asked in turn as often as the time allows. `None` without a text.
///
/// Processor time and memory are those of the process: nothing else should run in it meanwhile.
pub fn measure_cost(classifier: &dyn Classifier, texts: &[&str], options: &CostOptions) -> Option<Cost> {
    if texts.is_empty() {
        return None;
    }
    // What others left behind for reuse would hide what this one needs.
    memory::release();
    memory::reset_peak();
    let before = memory::current_bytes();
    let (mut microseconds, cpu_seconds) = pool::with_threads(1, || single_requests(classifier, texts, options));
    microseconds.sort_by(f64::total_cmp);
    let requests_per_second = batches(classifier, texts, options);
    Some(Cost {
        latency_p50_microseconds: quantile(&microseconds, 0.5),
        latency_p99_microseconds: quantile(&microseconds, 0.99),
        requests_per_second,
        cpu_seconds_per_1000: cpu_seconds / microseconds.len() as f64 * 1_000.0,
        peak_bytes: classifier.bytes() + memory::peak_bytes().saturating_sub(before),
        threads: pool::threads(),
    })
}

/// The time of each request, and the processor time of all.
fn single_requests(classifier: &dyn Classifier, texts: &[&str], options: &CostOptions) -> (Vec<f64>, f64) {
    for text in texts.iter().cycle().take(options.warm_up) {
        std::hint::black_box(classifier.scores(&[text]));
    }
    let mut microseconds = Vec::new();
    let (cpu_before, start) = (memory::cpu_seconds(), Instant::now());
    for text in texts.iter().cycle() {
        let begun = Instant::now();
        std::hint::black_box(classifier.scores(&[text]));
        microseconds.push(begun.elapsed().as_secs_f64() * 1e6);
        if microseconds.len() >= options.least_requests && start.elapsed().as_secs_f64() >= options.seconds {
            break;
        }
    }
    (microseconds, memory::cpu_seconds() - cpu_before)
}

/// Requests per second when they come in batches.
fn batches(classifier: &dyn Classifier, texts: &[&str], options: &CostOptions) -> f64 {
    let size = options.batch.max(1);
    let mut next = texts.iter().copied().cycle();
    let mut batch = || next.by_ref().take(size).collect::<Vec<&str>>();
    std::hint::black_box(classifier.scores(&batch()));
    let (start, mut answered) = (Instant::now(), 0);
    loop {
        answered += std::hint::black_box(classifier.scores(&batch())).len();
        let seconds = start.elapsed().as_secs_f64();
        if seconds >= options.seconds && answered > 0 {
            return answered as f64 / seconds;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers after a fixed time of busy waiting, a hundred times as long for one text in fifty.
    struct Busy;

    impl Classifier for Busy {
        fn name(&self) -> &str {
            "busy"
        }
        fn parameters(&self) -> u64 {
            0
        }
        fn bytes(&self) -> u64 {
            0
        }
        fn scores(&self, texts: &[&str]) -> Vec<Vec<f32>> {
            let wait = |text: &&str| {
                let (start, limit) = (Instant::now(), if *text == "slow" { 2e-2 } else { 2e-4 });
                while start.elapsed().as_secs_f64() < limit {
                    std::hint::spin_loop();
                }
                vec![0.0, 1.0]
            };
            texts.iter().map(wait).collect()
        }
    }

    #[test]
    fn a_known_cost_is_found_again() {
        let mut texts = vec!["quick"; 49];
        texts.push("slow");
        let options = CostOptions { seconds: 0.2, least_requests: 200, warm_up: 2, batch: 8 };
        let cost = measure_cost(&Busy, &texts, &options).unwrap();
        // A busy machine only ever makes it slower.
        assert!(cost.latency_p50_microseconds >= 200.0 && cost.latency_p50_microseconds < 2_000.0, "{cost:?}");
        assert!(cost.latency_p99_microseconds >= 20_000.0, "{cost:?}");
        // 49 * 0.2 ms + 20 ms per 50 requests: 0.6 ms each on average.
        assert!(cost.requests_per_second < 1_700.0 && cost.requests_per_second > 50.0, "{cost:?}");
        assert!(cost.cpu_seconds_per_1000 > 0.1, "{cost:?}");
        assert_eq!(measure_cost(&Busy, &[], &options), None);
    }

    /// Holds 64 MiB while it answers.
    struct Roomy;

    impl Classifier for Roomy {
        fn name(&self) -> &str {
            "roomy"
        }
        fn parameters(&self) -> u64 {
            0
        }
        fn bytes(&self) -> u64 {
            10 << 20
        }
        fn scores(&self, texts: &[&str]) -> Vec<Vec<f32>> {
            let room = std::hint::black_box(vec![1_u8; 64 << 20]);
            texts.iter().map(|_| vec![f32::from(room[0]), 0.0]).collect()
        }
    }

    #[test]
    fn memory_is_the_models_and_not_what_else_the_process_holds() {
        let ballast = std::hint::black_box(vec![1_u8; 512 << 20]);
        let options = CostOptions { seconds: 0.0, least_requests: 2, warm_up: 1, batch: 2 };
        let mebibytes = measure_cost(&Roomy, &["a"], &options).unwrap().peak_bytes >> 20;
        // Linux counts pages in each thread first, and other tests run meanwhile: not to the byte.
        assert!((60..300).contains(&mebibytes), "{mebibytes} MiB");
        drop(ballast);
    }
}

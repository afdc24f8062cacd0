//! The rate of MD5 on one processor, by instructions and streams advanced at once: the best of many
//! short runs, which other load on the machine disturbs least.
//!
//! `cargo run --release --example md5_lanes` prints one JSON object per line.

use std::time::{Duration, Instant};

use lodestore::md5::{BLOCK_BYTES, Block, Kernel, START};

/// Blocks of each stream: 16 streams of it stay in the second cache.
const BLOCKS: usize = 512;
const RUNS: usize = 4000;

fn main() {
    for kernel in Kernel::available() {
        for streams in [1, 2, 3, 4, 8, 16] {
            println!(
                "{}",
                serde_json::json!({
                    "op": "md5",
                    "lanes": kernel.lanes(),
                    "streams": streams,
                    "gb_per_s": gb_per_s(kernel, streams),
                })
            );
        }
    }
}

fn gb_per_s(kernel: Kernel, streams: usize) -> f64 {
    let content: Vec<Block> = vec![[0xC3; BLOCK_BYTES]; BLOCKS * streams];
    let runs: Vec<&[Block]> = content.chunks(BLOCKS).collect();
    let mut states = vec![START; streams];
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let begin = Instant::now();
        std::hint::black_box(kernel.compress(&mut states, &runs));
        best = best.min(begin.elapsed());
    }
    content.as_flattened().len() as f64 / best.as_secs_f64() / 1e9
}

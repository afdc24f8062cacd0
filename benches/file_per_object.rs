//! What durable small objects cost as one file each: write a temporary file, fdatasync, rename, sync
//! the directory.
//!
//! `cargo run --release --example file_per_object -- DIRECTORY [BYTES] [THREADS] [SECONDS]`
//! prints one JSON object.

use std::fs::{File, create_dir_all, remove_dir_all, rename};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lodestore::bench::Histogram;
use lodestore::config::parse_bytes;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(parent) = words.first() else {
        anyhow::bail!("usage: file_per_object DIRECTORY [BYTES] [THREADS] [SECONDS]");
    };
    let word = |at: usize, default: &str| words.get(at).cloned().unwrap_or(default.to_owned());
    let bytes = usize::try_from(parse_bytes(&word(1, "4KiB"))?)?;
    let threads: usize = word(2, "64").parse()?;
    let duration = Duration::from_secs(word(3, "10").parse()?);
    let directory = PathBuf::from(parent).join("file-per-object");
    create_dir_all(&directory)?;
    let measured = measure(&directory, bytes, threads, duration);
    remove_dir_all(&directory)?;
    let (histogram, elapsed_s) = measured?;
    let us = |share| histogram.quantile(share).as_secs_f64() * 1e6;
    let figures = serde_json::json!({
        "op": "file_per_object",
        "size_bytes": bytes,
        "threads": threads,
        "operations": histogram.count(),
        "ops_per_s": histogram.count() as f64 / elapsed_s,
        "latency_us": { "p50": us(0.5), "p99": us(0.99), "p999": us(0.999) },
    });
    println!("{figures}");
    Ok(())
}

fn measure(
    directory: &Path,
    bytes: usize,
    threads: usize,
    duration: Duration,
) -> anyhow::Result<(Histogram, f64)> {
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let writers: Vec<_> = (0..threads)
        .map(|_| {
            let (directory, next) = (directory.to_owned(), Arc::clone(&next));
            std::thread::spawn(move || write_until(&directory, bytes, start + duration, &next))
        })
        .collect();
    let mut all = Histogram::default();
    for writer in writers {
        let histogram = writer.join().map_err(|_| anyhow::anyhow!("a writer died"))??;
        all.merge(&histogram);
    }
    Ok((all, start.elapsed().as_secs_f64()))
}

fn write_until(
    directory: &Path,
    bytes: usize,
    deadline: Instant,
    next: &AtomicU64,
) -> std::io::Result<Histogram> {
    let body = vec![0x5A; bytes];
    let handle = File::open(directory)?;
    let mut histogram = Histogram::default();
    while Instant::now() < deadline {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        let draft = directory.join(format!("{number}.new"));
        let mut file = File::create(&draft)?;
        file.write_all(&body)?;
        file.sync_data()?;
        rename(&draft, directory.join(number.to_string()))?;
        handle.sync_all()?;
        histogram.record(start.elapsed());
    }
    Ok(histogram)
}

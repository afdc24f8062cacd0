//! What the device itself needs for one durable 4 KiB write: pwrite with O_DIRECT into a file that
//! was written before, then fdatasync. The floor of any store on it.
//!
//! `cargo run --release --example device_sync -- DIRECTORY [COUNT]` prints one JSON object.

use std::fs::{OpenOptions, remove_file};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use lodestore::bench::Histogram;
use rustix::fs::OFlags;
use storage_engine::media::{Sector, sector_bytes};

const FILE_SECTORS: usize = 4096;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(parent) = words.first() else {
        anyhow::bail!("usage: device_sync DIRECTORY [COUNT]");
    };
    let count: usize = words.get(1).map_or(Ok(2000), |word| word.parse())?;
    let path = PathBuf::from(parent).join("device-sync");
    let measured = measure(&path, count);
    remove_file(&path)?;
    let (histogram, direct) = measured?;
    let us = |share| histogram.quantile(share).as_secs_f64() * 1e6;
    let figures = serde_json::json!({
        "op": "device_sync",
        "direct": direct,
        "count": histogram.count(),
        "latency_us": {
            "mean": histogram.mean().as_secs_f64() * 1e6,
            "p50": us(0.5), "p90": us(0.9), "p99": us(0.99), "p999": us(0.999),
        },
    });
    println!("{figures}");
    Ok(())
}

fn measure(path: &Path, count: usize) -> anyhow::Result<(Histogram, bool)> {
    let sectors = vec![Sector([0xC3; 4096]); FILE_SECTORS];
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(sector_bytes(&sectors))?;
    file.sync_all()?;
    let flags = i32::try_from(OFlags::DIRECT.bits())?;
    let direct = OpenOptions::new().write(true).custom_flags(flags).open(path);
    let is_direct = direct.is_ok();
    let file = direct.unwrap_or(file);
    let mut histogram = Histogram::default();
    for number in 0..count {
        let start = Instant::now();
        let offset = u64::try_from(number % FILE_SECTORS)? * 4096;
        file.write_all_at(sector_bytes(&sectors[..1]), offset)?;
        file.sync_data()?;
        histogram.record(start.elapsed());
    }
    Ok((histogram, is_direct))
}

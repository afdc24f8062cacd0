//! What the device and the processor allow, the floor of any store on them: the time of one durable
//! 4 KiB write (pwrite with O_DIRECT into a file that was written before, then fdatasync), the rate of
//! durable 1 MiB writes, and the rate of MD5 on one processor.
//!
//! `cargo run --release --example device_sync -- DIRECTORY [COUNT]` prints one JSON object.

use std::fs::{File, OpenOptions, remove_file};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use lodestore::bench::Histogram;
use md5::Digest;
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
    let Measured { small, large, direct } = measured?;
    let us = |share| small.quantile(share).as_secs_f64() * 1e6;
    let figures = serde_json::json!({
        "op": "device_sync",
        "direct": direct,
        "count": small.count(),
        "latency_us": {
            "mean": small.mean().as_secs_f64() * 1e6,
            "p50": us(0.5), "p90": us(0.9), "p99": us(0.99), "p999": us(0.999),
        },
        "write_mib_per_s": 1.0 / large.mean().as_secs_f64(),
        "md5_mib_per_s": md5_mib_per_s(),
    });
    println!("{figures}");
    Ok(())
}

struct Measured {
    small: Histogram,
    large: Histogram,
    direct: bool,
}

fn measure(path: &Path, count: usize) -> anyhow::Result<Measured> {
    let sectors = vec![Sector([0xC3; 4096]); FILE_SECTORS];
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(sector_bytes(&sectors))?;
    file.sync_all()?;
    let flags = i32::try_from(OFlags::DIRECT.bits())?;
    let opened = OpenOptions::new().write(true).custom_flags(flags).open(path);
    let direct = opened.is_ok();
    let file = opened.unwrap_or(file);
    let small = write(&file, &sectors[..1], count)?;
    let large = write(&file, &sectors[..256], count.div_ceil(10))?;
    Ok(Measured { small, large, direct })
}

/// Writes `sectors` durably, one place of the file after the other.
fn write(file: &File, sectors: &[Sector], count: usize) -> anyhow::Result<Histogram> {
    let mut histogram = Histogram::default();
    for number in 0..count {
        let start = Instant::now();
        let offset = number * sectors.len() % FILE_SECTORS * 4096;
        file.write_all_at(sector_bytes(sectors), u64::try_from(offset)?)?;
        file.sync_data()?;
        histogram.record(start.elapsed());
    }
    Ok(histogram)
}

fn md5_mib_per_s() -> f64 {
    let piece = vec![0x3C; 1024 * 1024];
    let start = Instant::now();
    let mut hasher = md5::Md5::new();
    for _ in 0..256 {
        hasher.update(&piece);
    }
    std::hint::black_box(hasher.finalize());
    256.0 / start.elapsed().as_secs_f64()
}

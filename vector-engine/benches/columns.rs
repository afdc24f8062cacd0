//! What the filter index costs: building it, its bytes a row, and filters over a million rows.
//!
//! `cargo run --release -p vector-engine --example columns`

use std::time::Instant;

use serde_json::{Value, json};
use vector_engine::{
    Columns, ColumnsBuilder, Filter, FilterLimits, Metadata, MetadataLimits, Result,
};

/// How often each filter is asked.
const ROUNDS: u32 = 50;

/// A row of five keys: ten values, a hundred values, a timestamp, a flag, an id of its own.
fn row(row: u32) -> Value {
    let mixed = row.wrapping_mul(2_654_435_761) >> 7;
    json!({
        "tenth": format!("section-{}", mixed % 10),
        "hundredth": mixed / 10 % 100,
        "time": 1_700_000_000_000u64 + u64::from(mixed) * 37,
        "flag": mixed.is_multiple_of(3),
        "id": format!("document-{row:08}"),
    })
}

fn rows(count: u32) -> Result<Vec<Metadata>> {
    (0..count).map(|at| Metadata::from_json(&row(at), &[], &MetadataLimits::default())).collect()
}

fn built(rows: &[Metadata], of: Option<&str>) -> Columns {
    let others: Vec<String> = ["tenth", "hundredth", "time", "flag", "id"]
        .into_iter()
        .filter(|key| of.is_some_and(|of| of != *key))
        .map(str::to_owned)
        .collect();
    let mut builder = ColumnsBuilder::new(&others);
    for (at, metadata) in (0..).zip(rows) {
        builder.add(at, metadata);
    }
    builder.finish()
}

fn main() -> Result<()> {
    for count in [100_000u32, 1_000_000] {
        let rows = rows(count)?;
        let held: usize = rows.iter().map(Metadata::memory_bytes).sum();
        println!("{count} rows of metadata: {:.1} B a row", held as f64 / f64::from(count));
        let start = Instant::now();
        let columns = built(&rows, None);
        println!(
            "built in {:.0} ms, {:.1} B a row",
            start.elapsed().as_secs_f64() * 1e3,
            columns.memory_bytes() as f64 / f64::from(count)
        );
        for key in ["tenth", "hundredth", "time", "flag", "id"] {
            let bytes = built(&rows, Some(key)).memory_bytes();
            println!("  {key}: {:.2} B a row", bytes as f64 / f64::from(count));
        }
        ask(&columns, &rows, count)?;
    }
    Ok(())
}

fn ask(columns: &Columns, rows: &[Metadata], count: u32) -> Result<()> {
    let middle = 1_700_000_000_000u64 + (1u64 << 24) * 37;
    for (what, document) in [
        ("10 %", json!({"tenth": "section-3"})),
        ("1 %", json!({"hundredth": 42})),
        ("one id", json!({"id": "document-00012345"})),
        ("all but 10 %", json!({"tenth": {"$ne": "section-3"}})),
        ("and of 10 % and 1 %", json!({"tenth": "section-3", "hundredth": 42})),
        ("1 % range of rare values", json!({"time": {"$gte": middle, "$lt": middle + 12_400_000}})),
        ("half, range of rare values", json!({"time": {"$gte": middle}})),
        ("half, range of a hundred", json!({"hundredth": {"$lt": 50}})),
        ("ids by prefix, 1000", json!({"id": {"$startsWith": "document-00012"}})),
        ("one of 50 values", json!({"hundredth": {"$in": (0..50).collect::<Vec<u32>>()}})),
    ] {
        let filter = Filter::parse(&document, &FilterLimits::default())?;
        let found = columns.matches(&filter, count)?.len();
        let start = Instant::now();
        for _ in 0..ROUNDS {
            std::hint::black_box(columns.matches(&filter, count)?);
        }
        let matches_us = start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
        let start = Instant::now();
        for _ in 0..ROUNDS {
            std::hint::black_box(columns.estimate(&filter, count)?);
        }
        let estimate_us = start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
        println!("  {what}: {found} rows in {matches_us:.1} us, estimated in {estimate_us:.1} us");
    }
    let filter = Filter::parse(&json!({"hundredth": 42}), &FilterLimits::default())?;
    let start = Instant::now();
    let found = rows.iter().filter(|metadata| filter.matches(metadata)).count();
    let row_ns = start.elapsed().as_secs_f64() * 1e9 / f64::from(count);
    println!("  row by row, {found} rows: {row_ns:.0} ns a row");
    Ok(())
}

//! What distances, estimates and scans cost on this machine, and what recall codes give.
//!
//! `codes [DATA [SET...]]`: without `DATA` only the costs; with it, for each set that it holds
//! (`SET.base.npy`, `SET.query.npy`, of `f32`), recall of the ten nearest by rows compared exactly.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark ends at any failure")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use roaring::RoaringBitmap;
use vector_engine::Metric;
use vector_engine::code::{CodeBits, Codebook};
use vector_engine::kernel::{Probe, QuantizedRows};
use vector_engine::scan::{self, Rows};

const TOP: usize = 10;
const QUERIES: usize = 300;
const SEED: u64 = 7;
const METRICS: [Metric; 3] = [Metric::Euclidean, Metric::Cosine, Metric::InnerProduct];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(data) = arguments.next() else {
        for dimension in [128, 384, 768] {
            costs(dimension);
        }
        return;
    };
    let sets: Vec<String> = arguments.collect();
    let sets =
        if sets.is_empty() { ["c128", "l768", "deb384"].map(Into::into).into() } else { sets };
    for set in sets {
        let read = |part| Table::read(&Path::new(&data).join(format!("{set}.{part}.npy")));
        let (base, query) = (read("base"), read("query"));
        for metric in METRICS {
            recall(&set, metric, &base, &query);
        }
    }
}

/// Rows of one length.
struct Table {
    dimension: usize,
    values: Vec<f32>,
}

impl Table {
    fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> + Clone {
        self.values.chunks_exact(self.dimension)
    }

    fn row(&self, row: u32) -> &[f32] {
        &self.values[row as usize * self.dimension..][..self.dimension]
    }

    /// Numbers by chance, about zero.
    fn random(rows: usize, dimension: usize) -> Self {
        let mut state = SEED;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
        };
        let values = (0..rows * dimension).map(|_| next() + next() + next()).collect();
        Self { dimension, values }
    }

    /// A file of numpy's: two dimensions of little-endian `f32`, rows first.
    fn read(path: &Path) -> Self {
        let bytes =
            std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let header_bytes = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let header = std::str::from_utf8(&bytes[10..10 + header_bytes]).unwrap();
        assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"), "{header}");
        let shape = header.split(['(', ')']).nth(1).expect("a shape");
        let dimension = shape.split(',').nth(1).expect("two dimensions").trim().parse().unwrap();
        let numbers = bytes[10 + header_bytes..].as_chunks().0.iter();
        Self { dimension, values: numbers.map(|number| f32::from_le_bytes(*number)).collect() }
    }
}

fn codes_of(codebook: &Codebook, rows: &Table) -> Vec<u8> {
    let mut codes = vec![0; rows.rows().len() * codebook.code_bytes()];
    for (row, code) in rows.rows().zip(codes.chunks_exact_mut(codebook.code_bytes())) {
        codebook.encode_row(row, code);
    }
    codes
}

/// The shortest of several runs: the machine has other work.
fn shortest(mut run: impl FnMut()) -> Duration {
    let times = (0..25).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().unwrap()
}

fn per(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}

fn costs(dimension: usize) {
    const ROWS: usize = 100_000;
    const NEAR_ROWS: usize = 64;
    let table = Table::random(ROWS, dimension);
    for metric in METRICS {
        let probe = Probe::new(metric, table.row(0));
        let near = shortest(|| {
            for _ in 0..100 {
                for row in table.rows().take(NEAR_ROWS) {
                    black_box(probe.distance(black_box(row)));
                }
            }
        });
        let far = shortest(|| {
            for row in table.rows() {
                black_box(probe.distance(row));
            }
        });
        println!(
            "{dimension} {metric:?}: f32 {:.1} ns in cache, {:.1} ns streamed",
            per(near, 100 * NEAR_ROWS),
            per(far, ROWS)
        );
        let mut quantized = QuantizedRows::new(metric, &vec![0.0; dimension]);
        table.rows().take(NEAR_ROWS).for_each(|row| quantized.push(row));
        let near = shortest(|| {
            for _ in 0..100 {
                for row in 0..NEAR_ROWS as u32 {
                    black_box(quantized.distance(black_box(3), row));
                }
            }
        });
        println!("{dimension} {metric:?}: i8 {:.1} ns in cache", per(near, 100 * NEAR_ROWS));
    }
    for bits in [CodeBits::One, CodeBits::Two, CodeBits::Four] {
        let centroid = vec![0.0; dimension];
        let codebook = Codebook::with_bits(Metric::Euclidean, SEED, centroid, bits).unwrap();
        let start = Instant::now();
        let codes = codes_of(&codebook, &table);
        let encode = per(start.elapsed(), ROWS);
        let prepare = shortest(|| drop(black_box(codebook.prepare(table.row(0)))));
        let query = codebook.prepare(table.row(0));
        let bytes = codebook.code_bytes();
        let hop: Vec<u32> = (0..64).map(|at| at * 1531 % ROWS as u32).collect();
        let mut estimates = Vec::new();
        let together = shortest(|| {
            for _ in 0..100 {
                codebook.estimate_rows(&query, black_box(&codes), &hop, &mut estimates);
            }
        });
        let one = shortest(|| {
            for code in codes.chunks_exact(bytes).take(1000) {
                black_box(codebook.estimate(&query, black_box(code)));
            }
        });
        let dead = RoaringBitmap::new();
        let scan = shortest(|| {
            black_box(scan::best(&codebook, &query, &codes, Rows::Live { dead: &dead }, 60));
        });
        let matching: RoaringBitmap = (0..ROWS as u32).filter(|row| row % 10 == 3).collect();
        let rows = Rows::Matching { matching: &matching, dead: &dead };
        let matched = shortest(|| drop(black_box(scan::best(&codebook, &query, &codes, rows, 60))));
        println!(
            "{dimension} {} bit ({bytes} B): encode {encode:.0} ns, prepare {:.1} us, one estimate {:.1} ns, of 64 {:.1} ns, \
             scan of 100k {:.3} ms ({:.1} ns a row, {:.1} GB/s), of a tenth {:.3} ms",
            bits.count(),
            per(prepare, 1000),
            per(one, 1000),
            per(together, 6400),
            scan.as_secs_f64() * 1e3,
            per(scan, ROWS),
            codes.len() as f64 / scan.as_secs_f64() / 1e9,
            matched.as_secs_f64() * 1e3,
        );
    }
}

fn recall(set: &str, metric: Metric, base: &Table, query: &Table) {
    let dead = RoaringBitmap::new();
    let queries: Vec<&[f32]> = query.rows().take(QUERIES).collect();
    let truths: Vec<Vec<u32>> = queries
        .iter()
        .map(|query| {
            let found = scan::exact(&Probe::new(metric, query), (0..).zip(base.rows()), 100);
            found.iter().map(|candidate| candidate.row).collect()
        })
        .collect();
    let centroid = Codebook::of_rows(metric, SEED, base.dimension, base.rows()).unwrap();
    for bits in [CodeBits::One, CodeBits::Two, CodeBits::Four] {
        let codebook =
            Codebook::with_bits(metric, SEED, centroid.centroid().to_vec(), bits).unwrap();
        let codes = codes_of(&codebook, base);
        let mut line = format!("{set} {metric:?} {} bit", bits.count());
        for (top, depths) in [
            (TOP, [10, 20, 30, 40, 50, 60, 80, 100, 150, 200]),
            (100, [100, 120, 150, 180, 200, 240, 300, 400, 500, 700]),
        ] {
            line += &format!(" | @{top}:");
            for depth in depths {
                let (mut found, mut time) = (0, Duration::ZERO);
                for (query, truth) in queries.iter().zip(&truths) {
                    let start = Instant::now();
                    let prepared = codebook.prepare(query);
                    let near =
                        scan::best(&codebook, &prepared, &codes, Rows::Live { dead: &dead }, depth);
                    let rows = near.iter().map(|near| (near.row, base.row(near.row)));
                    let nearest = scan::exact(&Probe::new(metric, query), rows, top);
                    time += start.elapsed();
                    found += nearest.iter().filter(|near| truth[..top].contains(&near.row)).count();
                }
                let recall = found as f64 / (top * queries.len()) as f64;
                line += &format!(" {depth}={recall:.4}");
                if depth == 50 || depth == 200 {
                    line += &format!("({:.0}us)", time.as_secs_f64() * 1e6 / queries.len() as f64);
                }
                if recall > 0.9985 {
                    break;
                }
            }
        }
        println!("{line}");
        for top in [TOP, 100] {
            let (mut found, mut depths) = (0, Vec::new());
            for (query, truth) in queries.iter().zip(&truths) {
                let prepared = codebook.prepare(query);
                let (live, keep) = (Rows::Live { dead: &dead }, codebook.rerank_rows(top));
                let near = scan::best(&codebook, &prepared, &codes, live, keep);
                let depth = scan::worth_comparing(&codebook, &prepared, &codes, &near, top);
                let rows = near[..depth].iter().map(|near| (near.row, base.row(near.row)));
                let nearest = scan::exact(&Probe::new(metric, query), rows, top);
                found += nearest.iter().filter(|near| truth[..top].contains(&near.row)).count();
                depths.push(depth);
            }
            depths.sort_unstable();
            let recall = found as f64 / (top * queries.len()) as f64;
            let mean = depths.iter().sum::<usize>() as f64 / depths.len() as f64;
            let line = format!(
                "{set} {metric:?} {} bit @{top}, as many as are worth it: {recall:.4} of {mean:.0} \
                 (p90 {})",
                bits.count(),
                depths[depths.len() * 9 / 10]
            );
            println!("{line}");
        }
    }
}

//! What scans find, against looking at every row.

use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::{Candidate, Nearest, Rows, best, exact, worth_comparing};
use crate::Metric;
use crate::code::Codebook;
use crate::code::tests::Numbers;
use crate::kernel::Probe;

const METRICS: [Metric; 3] = [Metric::Euclidean, Metric::Cosine, Metric::InnerProduct];

/// Rows around centres, as embeddings lie: within a cluster they differ in a few directions most.
fn clustered(dimension: usize, count: usize) -> Vec<Vec<f32>> {
    let mut numbers = Numbers::new(dimension as u64);
    let clusters: Vec<[Vec<f32>; 9]> =
        (0..25).map(|_| std::array::from_fn(|_| numbers.row(dimension))).collect();
    let rows = (0..count).map(|at| {
        let [centre, directions @ ..] = &clusters[at * 7 % clusters.len()];
        let mut row: Vec<f32> =
            numbers.row(dimension).iter().zip(centre).map(|(own, of)| of + 0.1 * own).collect();
        for (share, direction) in numbers.row(directions.len()).iter().zip(directions) {
            row.iter_mut().zip(direction).for_each(|(value, of)| *value += 0.4 * share * of);
        }
        row
    });
    rows.collect()
}

fn codes_of(codebook: &Codebook, rows: &[Vec<f32>]) -> Vec<u8> {
    let mut codes = vec![0; rows.len() * codebook.code_bytes()];
    for (row, code) in rows.iter().zip(codes.chunks_exact_mut(codebook.code_bytes())) {
        codebook.encode_row(row, code);
    }
    codes
}

fn indexed(rows: &[Vec<f32>]) -> impl Iterator<Item = (u32, &[f32])> {
    (0..).zip(rows).map(|(row, values)| (row, values.as_slice()))
}

#[test]
fn a_scan_and_a_rerank_find_the_nearest() {
    const TOP: usize = 10;
    const QUERIES: usize = 30;
    for dimension in [64, 128, 384, 768] {
        let all = clustered(dimension, 2000 + QUERIES);
        let (queries, rows) = all.split_at(QUERIES);
        for metric in METRICS {
            let slices = rows.iter().map(Vec::as_slice);
            let codebook = Codebook::of_rows(metric, 5, dimension, slices).expect("a codebook");
            let codes = codes_of(&codebook, rows);
            let dead = RoaringBitmap::new();
            let (mut found, mut compared) = (0, 0);
            for query in queries {
                let probe = Probe::new(metric, query);
                let truth = exact(&probe, indexed(rows), TOP);
                let live = Rows::Live { dead: &dead };
                let keep = codebook.rerank_rows(TOP);
                let prepared = codebook.prepare(query);
                let near = best(&codebook, &prepared, &codes, live, keep);
                assert_eq!(near.len(), keep);
                let depth = worth_comparing(&codebook, &prepared, &codes, &near, TOP);
                compared += depth;
                let near = &near[..depth];
                let near = near.iter().map(|near| (near.row, rows[near.row as usize].as_slice()));
                let nearest = exact(&probe, near, TOP);
                found += nearest.iter().filter(|near| truth.contains(near)).count();
            }
            let recall = found as f64 / (TOP * QUERIES) as f64;
            assert!(recall >= 0.99, "{metric:?} of {dimension}: {recall}");
            assert!(compared < 150 * QUERIES, "{metric:?} of {dimension}: {compared} compared");
        }
    }
}

#[test]
fn a_scan_estimates_as_one_code_does_and_passes_over_the_dead_and_what_does_not_match() {
    let rows = clustered(100, 300);
    let slices = rows.iter().map(Vec::as_slice);
    let codebook = Codebook::of_rows(Metric::Euclidean, 5, 100, slices).expect("a codebook");
    let codes = codes_of(&codebook, &rows);
    let query = codebook.prepare(&rows[17]);
    let dead: RoaringBitmap = (0..300).filter(|row| row % 3 == 0).collect();
    // Some match that are not there.
    let matching: RoaringBitmap = (0..400).filter(|row| row % 2 == 0).collect();
    let none = RoaringBitmap::new();
    let selections = [
        (Rows::Live { dead: &none }, 0, 1, 300),
        (Rows::Live { dead: &dead }, 1, 1, 200),
        (Rows::Matching { matching: &matching, dead: &none }, 0, 2, 150),
        (Rows::Matching { matching: &matching, dead: &dead }, 1, 2, 100),
        (Rows::Matching { matching: &none, dead: &dead }, 0, 1, 0),
    ];
    for (selection, without_thirds, every, count) in selections {
        let mut expected: Vec<Candidate> = (0..300)
            .filter(|row| row % every == 0 && (without_thirds == 0 || row % 3 != 0))
            .take(count)
            .zip(std::iter::repeat(&codes))
            .map(|(row, codes)| {
                let code = &codes[row as usize * codebook.code_bytes()..][..codebook.code_bytes()];
                Candidate { row, estimate: codebook.estimate(&query, code) }
            })
            .collect();
        expected.sort_by(|left, right| {
            left.estimate.total_cmp(&right.estimate).then(left.row.cmp(&right.row))
        });
        assert_eq!(expected.len(), count);
        for keep in [0, 1, 10, 300, 1000] {
            let found = best(&codebook, &query, &codes, selection, keep);
            assert_eq!(found, expected[..keep.min(count)], "{keep} of {selection:?}");
        }
    }
    // A row's code that is cut short is no row.
    let cut = &codes[..codes.len() - 1];
    assert_eq!(best(&codebook, &query, cut, Rows::Live { dead: &none }, 300).len(), 299);
    assert_eq!(best(&codebook, &query, &[], Rows::Live { dead: &none }, 300), []);
}

#[test]
fn no_more_is_worth_comparing_than_there_is_and_no_less_than_is_asked_for() {
    let rows = clustered(64, 50);
    let slices = rows.iter().map(Vec::as_slice);
    let codebook = Codebook::of_rows(Metric::Cosine, 5, 64, slices).expect("a codebook");
    let (codes, query) = (codes_of(&codebook, &rows), codebook.prepare(&rows[3]));
    let dead = RoaringBitmap::new();
    let near = best(&codebook, &query, &codes, Rows::Live { dead: &dead }, 50);
    for (top, least, most) in [(0, 0, 0), (1, 1, 50), (50, 50, 50), (60, 50, 50)] {
        let worth = worth_comparing(&codebook, &query, &codes, &near, top);
        assert!((least..=most).contains(&worth), "{worth} for {top}");
    }
    assert_eq!(worth_comparing(&codebook, &query, &codes, &[], 10), 0);
}

#[test]
fn estimates_of_many_are_those_of_each() {
    let rows = clustered(100, 150);
    let slices = rows.iter().map(Vec::as_slice);
    let codebook = Codebook::of_rows(Metric::Euclidean, 5, 100, slices).expect("a codebook");
    let (codes, query) = (codes_of(&codebook, &rows), codebook.prepare(&rows[3]));
    let asked: Vec<u32> = (0..200).rev().collect();
    let mut estimates = vec![7.0];
    codebook.estimate_rows(&query, &codes, &asked, &mut estimates);
    assert_eq!(estimates.len(), asked.len());
    for (row, estimate) in asked.iter().zip(estimates) {
        let at = *row as usize * codebook.code_bytes();
        let code = codes.get(at..at + codebook.code_bytes()).unwrap_or_default();
        assert_eq!(estimate, codebook.estimate(&query, code), "row {row}");
    }
}

#[test]
fn rows_of_one_distance_come_by_their_index() {
    let same = vec![vec![1.0_f32, 2.0]; 200];
    let probe = Probe::new(Metric::Euclidean, &[0.0, 0.0]);
    let found = exact(&probe, indexed(&same).collect::<Vec<_>>().into_iter().rev(), 3);
    assert_eq!(found.iter().map(|near| near.row).collect::<Vec<_>>(), [0, 1, 2]);
}

fn distances() -> impl Strategy<Value = Vec<f32>> {
    let special = [0.0, -0.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-45, -1.5];
    let one = prop_oneof![
        (-3_i8..3).prop_map(f32::from),
        proptest::sample::select(special.to_vec()),
        any::<f32>()
    ];
    proptest::collection::vec(one, 0..400)
}

proptest! {
    #[test]
    fn the_nearest_are_those_of_sorting_all(distances in distances(), keep in 0_usize..50) {
        let mut nearest = Nearest::new(keep);
        let mut expected: Vec<(u32, f32)> = (0..).zip(distances.iter().copied()).collect();
        for (row, distance) in &expected {
            nearest.push(*row, *distance);
        }
        let plain = |distance: f32| if distance.is_nan() { f32::NAN.copysign(1.0) } else { distance + 0.0 };
        expected.sort_by(|left, right| {
            plain(left.1).total_cmp(&plain(right.1)).then(left.0.cmp(&right.0))
        });
        expected.truncate(keep);
        let found = nearest.into_sorted();
        prop_assert_eq!(found.len(), expected.len());
        for (found, (row, distance)) in found.iter().zip(expected) {
            prop_assert_eq!(found.row, row);
            prop_assert!(found.estimate == distance || distance.is_nan() && found.estimate.is_nan());
        }
    }
}

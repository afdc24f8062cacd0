//! What codes keep of a row, and what a codebook's bytes are taken for.

use proptest::prelude::*;

use super::estimate::SPREADS;
use super::{CodeBits, Codebook, DIMENSION_MAX, HEADER_BYTES, Rotation, rounding};
use crate::kernel::{Kernel, Probe};
use crate::{Error, Metric};

const METRICS: [Metric; 3] = [Metric::Euclidean, Metric::Cosine, Metric::InnerProduct];
const BITS: [CodeBits; 3] = [CodeBits::One, CodeBits::Two, CodeBits::Four];

/// Numbers spread about like the normal distribution, of spread 1.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn row(&mut self, length: usize) -> Vec<f32> {
        self.take(length).collect()
    }
}

impl Iterator for Numbers {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        let mut sum = 0.0;
        for _ in 0..3 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            sum += (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0;
        }
        Some(sum)
    }
}

fn code_of(codebook: &Codebook, row: &[f32]) -> Vec<u8> {
    let mut code = vec![0xA5; codebook.code_bytes()];
    codebook.encode_row(row, &mut code);
    code
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

#[test]
fn a_rotation_keeps_products_and_spreads_what_is_in_one_number() {
    for dimension in (1..=8).chain([63, 64, 65, 100, 128, 129, 300, 384, 768, 1000, 1536, 4096]) {
        for kernel in Kernel::available() {
            let rotation = Rotation::new(dimension, 3);
            let rotated = |row: &[f32]| {
                let mut row = row.to_vec();
                row.resize(rotation.padded(), 0.0);
                rotation.apply(kernel, &mut row);
                row
            };
            let mut numbers = Numbers::new(1);
            let (left, right) = (numbers.row(dimension), numbers.row(dimension));
            let (turned_left, turned_right) = (rotated(&left), rotated(&right));
            let allowed = 1e-4 * (dimension as f32 + 1.0);
            assert!((dot(&turned_left, &turned_right) - dot(&left, &right)).abs() < allowed);
            assert!((dot(&turned_left, &turned_left) - dot(&left, &left)).abs() < allowed);

            let mut unit = vec![0.0; dimension];
            unit[dimension / 2] = 1.0;
            let mean = (rotation.padded() as f32).sqrt().recip();
            let greatest = rotated(&unit).iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            assert!(greatest < 8.0 * mean, "{dimension}: {greatest}, a mean of {mean}");
        }
    }
}

#[test]
fn integers_point_where_the_row_does() {
    // The cosine of numbers of the normal distribution and their best rounding.
    for (bits, cosine) in BITS.into_iter().zip([0.79, 0.935, 0.993]) {
        let row = Numbers::new(2).row(512);
        let rounded = rounding::round(bits, &row);
        let integers: Vec<f32> = rounded
            .levels
            .iter()
            .map(|level| f32::from(2 * i16::from(*level) + 1 - (1 << bits.count())))
            .collect();
        assert!((dot(&row, &integers) - rounded.product).abs() < 0.01 * rounded.product);
        assert!((dot(&integers, &integers) - rounded.square).abs() < 0.01 * rounded.square);
        let found = rounded.product / (rounded.square * dot(&row, &row)).sqrt();
        assert!(found > cosine && found < 1.0, "{bits:?}: {found}");
    }
}

#[test]
fn numbers_lie_where_the_table_says() {
    for bits in BITS {
        let levels: Vec<u8> =
            (0..192_u32).map(|at| (at * 7 % 16) as u8 % (1 << bits.count())).collect();
        let bytes = levels.len() * bits.count() / 8;
        let mut packed = vec![0xFF; bytes];
        rounding::pack(bits, &levels, &mut packed);
        for (at, level) in levels.iter().enumerate() {
            let stored = match bits {
                CodeBits::One => packed[at / 8] >> (at % 8) & 1,
                CodeBits::Two => packed[at % bytes] >> (2 * (at / bytes)) & 3,
                CodeBits::Four => packed[at % bytes] >> (4 * (at / bytes)) & 15,
            };
            assert_eq!(stored, *level, "{bits:?}, number {at}");
        }
    }
}

#[test]
fn over_rotations_the_estimate_is_right_in_the_mean() {
    const ROTATIONS: u64 = 300;
    for metric in METRICS {
        for (bits, dimension) in BITS.into_iter().zip([256, 100, 40]) {
            let mut numbers = Numbers::new(5);
            let centroid =
                numbers.row(dimension).iter().map(|value| 0.02 * value).collect::<Vec<_>>();
            let row = numbers.row(dimension);
            let query = numbers.row(dimension);
            let exact = f64::from(Probe::new(metric, &query).distance(&row));
            let (mut sum, mut square, mut spread) = (0.0, 0.0, 0.0);
            for seed in 0..ROTATIONS {
                let codebook =
                    Codebook::with_bits(metric, seed, centroid.clone(), bits).expect("a codebook");
                let (query, code) = (codebook.prepare(&query), code_of(&codebook, &row));
                let estimate = codebook.estimate(&query, &code);
                let off = f64::from(estimate) - exact;
                sum += off;
                square += off * off;
                spread += f64::from(estimate - codebook.lower_bound(&query, &code, estimate))
                    / f64::from(SPREADS);
            }
            let count = ROTATIONS as f64;
            let (mean, root) = (sum / count, (square / count).sqrt());
            let what = format!("{metric:?}, {bits:?}, distance {exact}, off {mean}, spread {root}");
            // The mean of so many has a spread of its own.
            assert!(mean.abs() < 4.0 * root / count.sqrt(), "{what}");
            assert!(root > 0.0, "{what}");
            let told = spread / count;
            assert!((0.75..1.35).contains(&(told / root)), "{what}, told {told}");
        }
    }
}

/// Of so many estimates some are off by more than three spreads; rows of real sets by more than four.
#[test]
fn no_row_is_nearer_than_its_bound() {
    for metric in METRICS {
        for (bits, dimension) in BITS.into_iter().zip([192, 96, 64]) {
            let mut numbers = Numbers::new(8);
            let codebook = Codebook::with_bits(metric, 11, numbers.row(dimension), bits);
            let codebook = codebook.expect("a codebook");
            let rows: Vec<_> = (0..200).map(|_| numbers.row(dimension)).collect();
            let codes: Vec<_> = rows.iter().map(|row| code_of(&codebook, row)).collect();
            for _ in 0..200 {
                let query = numbers.row(dimension);
                let (probe, prepared) = (Probe::new(metric, &query), codebook.prepare(&query));
                for (row, code) in rows.iter().zip(&codes) {
                    let estimate = codebook.estimate(&prepared, code);
                    let bound = codebook.lower_bound(&prepared, code, estimate);
                    let exact = probe.distance(row);
                    assert!(exact >= bound, "{metric:?}, {bits:?}: {exact} is nearer than {bound}");
                }
            }
        }
    }
}

#[test]
fn the_centroid_itself_and_rows_without_direction_are_exact() {
    for metric in METRICS {
        for bits in BITS {
            let mut numbers = Numbers::new(9);
            let centroid = numbers.row(70);
            let query = numbers.row(70);
            let codebook =
                Codebook::with_bits(metric, 1, centroid.clone(), bits).expect("a codebook");
            let probe = Probe::new(metric, &query);
            let prepared = codebook.prepare(&query);
            // Under cosine rows are of length 1, and this centroid is not.
            if metric != Metric::Cosine {
                let (estimate, exact) = (
                    codebook.estimate(&prepared, &code_of(&codebook, &centroid)),
                    probe.distance(&centroid),
                );
                assert!((estimate - exact).abs() < 1e-3 * exact.abs(), "{estimate}, not {exact}");
            }
            for odd in [vec![0.0; 70], vec![1e-30; 70], vec![1e25; 70], vec![f32::NAN; 70], vec![]]
            {
                let code = code_of(&codebook, &odd);
                let estimate = codebook.estimate(&prepared, &code);
                let bound =
                    codebook.lower_bound(&prepared, &code, codebook.estimate(&prepared, &code));
                if odd.first().is_none_or(|first| *first == 0.0) {
                    let exact = probe.distance(&[0.0; 70]);
                    let off = (estimate - exact).abs();
                    let allowed = (estimate - bound) * 1.5 + 1e-3;
                    assert!(off <= allowed, "{metric:?}, {bits:?}: {estimate}, not {exact}");
                }
                let odd = codebook.prepare(&odd);
                let _: f32 = codebook.estimate(&odd, &code);
            }
            assert_eq!(codebook.estimate(&prepared, &[]), f32::INFINITY);
            assert_eq!(codebook.estimate(&prepared, &[0; 11]), f32::INFINITY);
        }
    }
}

#[test]
fn every_kernel_estimates_alike() {
    for metric in METRICS {
        for bits in BITS {
            for dimension in [1, 64, 100, 384, 700] {
                let mut numbers = Numbers::new(12);
                let mut codebook = Codebook::with_bits(metric, 1, numbers.row(dimension), bits)
                    .expect("a codebook");
                let (row, query) = (numbers.row(dimension), numbers.row(dimension));
                let code = code_of(&codebook, &row);
                let prepared = codebook.prepare(&query);
                let estimate = codebook.estimate(&prepared, &code);
                for kernel in Kernel::available() {
                    codebook.kernel = kernel;
                    assert_eq!(codebook.estimate(&prepared, &code), estimate, "{kernel:?}");
                }
            }
        }
    }
}

#[test]
fn codes_take_the_memory_they_are_meant_to() {
    for (dimension, bytes) in [
        (1, 44),
        (64, 44),
        (65, 44),
        (128, 44),
        (256, 76),
        (384, 60),
        (768, 108),
        (1536, 204),
        (4096, 524),
    ] {
        let codebook = Codebook::new(Metric::Cosine, 0, vec![0.0; dimension]).expect("a codebook");
        assert_eq!(codebook.code_bytes(), bytes, "{dimension}");
        assert!(bytes <= dimension / 8 + 64, "{dimension}");
    }
}

#[test]
fn a_codebook_is_read_as_it_was_written() {
    for metric in METRICS {
        for dimension in [1, 3, 64, 384, DIMENSION_MAX] {
            let rows: Vec<Vec<f32>> =
                (1..4).map(|seed| Numbers::new(seed).row(dimension)).collect();
            let codebook = Codebook::of_rows(metric, 99, dimension, rows.iter().map(Vec::as_slice));
            let codebook = codebook.expect("a codebook");
            let bytes = codebook.encode();
            let read = Codebook::decode(&bytes).expect("what was written");
            assert_eq!(read.encode(), bytes);
            assert_eq!((read.metric(), read.bits()), (codebook.metric(), codebook.bits()));
            assert_eq!(read.centroid(), codebook.centroid());
            assert_eq!(code_of(&read, &rows[0]), code_of(&codebook, &rows[0]));
            for cut in [0, 7, HEADER_BYTES - 1, HEADER_BYTES, bytes.len() - 1] {
                assert!(matches!(Codebook::decode(&bytes[..cut]), Err(Error::Corrupt(_))), "{cut}");
            }
        }
    }
}

#[test]
fn the_mean_of_rows_is_that_of_directions_under_cosine() {
    let rows: [&[f32]; 3] = [&[3.0, 0.0], &[0.0, 5.0], &[0.0, 0.0]];
    let centroid = |metric| {
        let codebook = Codebook::of_rows(metric, 0, 2, rows.into_iter()).expect("a codebook");
        codebook.centroid().to_vec()
    };
    assert_eq!(centroid(Metric::Euclidean), [1.0, 5.0 / 3.0]);
    assert_eq!(centroid(Metric::Cosine), [1.0 / 3.0, 1.0 / 3.0]);
    let none = Codebook::of_rows(Metric::Cosine, 0, 2, std::iter::empty()).expect("a codebook");
    assert_eq!(none.centroid(), [0.0, 0.0]);
}

#[test]
fn dimensions_and_centroids_that_cannot_be_are_refused() {
    for centroid in [vec![], vec![0.0; DIMENSION_MAX + 1], vec![0.0, f32::NAN], vec![f32::INFINITY]]
    {
        assert!(matches!(Codebook::new(Metric::Cosine, 0, centroid), Err(Error::Invalid(_))));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_codebook_or_corrupt(
        header in proptest::option::of((0_u8..4, 0_u8..6, 0_u32..20)),
        rest in proptest::collection::vec(any::<u8>(), 0..100),
        code in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut bytes = Vec::new();
        if let Some((metric, bits, dimension)) = header {
            bytes.extend_from_slice(b"LSvcodes\x01\0");
            bytes.extend_from_slice(&[metric, bits]);
            bytes.extend_from_slice(&dimension.to_le_bytes());
            bytes.extend_from_slice(&[7; 8]);
            bytes.resize(HEADER_BYTES + 4 * dimension as usize, 1);
            let end = bytes.len();
            bytes.iter_mut().skip(HEADER_BYTES).zip(&rest).for_each(|(to, from)| *to = *from);
            prop_assert_eq!(bytes.len(), end);
        } else {
            bytes.clone_from(&rest);
        }
        match Codebook::decode(&bytes) {
            Ok(codebook) => {
                prop_assert_eq!(codebook.encode(), bytes);
                let query = codebook.prepare(&vec![1.0; codebook.dimension()]);
                let estimate = codebook.estimate(&query, &code);
                prop_assert_eq!(estimate == f32::INFINITY && code.len() < 12, code.len() < 12);
            }
            Err(error) => prop_assert!(matches!(error, Error::Corrupt(_))),
        }
    }
}

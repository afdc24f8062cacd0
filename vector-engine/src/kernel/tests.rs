//! Every kernel against sums written out, and against the portable one.

use proptest::prelude::*;

use super::{Codes, Form, Kernel, PART_BYTES, Part, Probe, QuantizedRows};
use crate::Metric;

const METRICS: [Metric; 3] = [Metric::Euclidean, Metric::Cosine, Metric::InnerProduct];

/// Numbers that repeat only after very many, from -1 to 1.
fn numbers(seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    })
}

fn row(seed: u64, length: usize) -> Vec<f32> {
    numbers(seed).take(length).collect()
}

fn wide_sum(left: &[f32], right: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    left.iter().zip(right).map(|(left, right)| term((*left).into(), (*right).into())).sum()
}

fn assert_near(value: f32, exact: f64, length: usize, what: &str) {
    let allowed = 1e-6 * (length as f64 + 1.0);
    assert!(
        (f64::from(value) - exact).abs() <= allowed,
        "{what} of {length}: {value}, not {exact}"
    );
}

#[test]
fn every_kernel_sums_rows_of_every_length() {
    for length in (0..=200).chain([255, 256, 257, 384, 767, 768, 769, 1536, 4095, 4096]) {
        let (left, right) = (row(1, length), row(2, length));
        let dot = wide_sum(&left, &right, |left, right| left * right);
        let square = wide_sum(&right, &right, |left, right| left * right);
        let distance = wide_sum(&left, &right, |left, right| (left - right).powi(2));
        for kernel in Kernel::available() {
            assert_near(kernel.dot(&left, &right), dot, length, "dot");
            assert_near(kernel.square_distance(&left, &right), distance, length, "distance");
            let both = kernel.dot_and_square(&left, &right);
            assert_near(both.0, dot, length, "dot of both");
            assert_near(both.1, square, length, "square of both");
            let same = kernel.dot_and_square(&left, &left);
            assert_eq!(same, (same.1, kernel.dot(&left, &left)), "{kernel:?}, {length}");
        }
    }
}

#[test]
fn the_longer_of_two_rows_is_cut() {
    let (short, long) = (row(1, 37), row(2, 90));
    for kernel in Kernel::available() {
        assert_eq!(kernel.dot(&short, &long), kernel.dot(&long[..37], &short));
        assert_eq!(
            kernel.square_distance(&long, &short),
            kernel.square_distance(&long[..37], &short)
        );
        assert_eq!(kernel.dot_and_square(&[], &long), (0.0, 0.0));
    }
}

fn bytes(length: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), length)
}

fn whole_rows() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    (0_usize..20).prop_flat_map(|parts| (bytes(parts * PART_BYTES), bytes(parts * PART_BYTES)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_kernel_sums_products_of_bytes_alike((left, right) in whole_rows()) {
        let (left, right): (&[i8], &[i8]) =
            (bytemuck::cast_slice(&left), bytemuck::cast_slice(&right));
        let sum = right.iter().map(|number| i32::from(*number)).sum();
        let products = left.iter().zip(right).map(|(l, r)| i32::from(*l) * i32::from(*r));
        let dot: i32 = products.sum();
        for kernel in Kernel::available() {
            prop_assert_eq!(kernel.dot_i8(left, right, sum), dot, "{:?}", kernel);
        }
    }

    /// Codes of any bytes, of any stride, cut anywhere; rows that are there and rows that are not.
    #[test]
    fn every_kernel_sums_codes_alike(
        form in prop_oneof![Just(Form::Planes), Just(Form::Crumbs), Just(Form::Nibbles)],
        code_words in 1_usize..40,
        head in 0_usize..13,
        query in bytes(5 * 6 * PART_BYTES),
        codes in bytes(2100),
        length in 0_usize..=2100,
        rows in proptest::collection::vec(0_u32..12, 0..20),
    ) {
        let code_bytes = code_words * 8;
        let mut query = query.into_iter();
        let mut parts: Vec<Part> = Vec::new();
        for chunk in 0..code_bytes.div_ceil(PART_BYTES) {
            for _ in 0..form.parts() {
                // Beyond the code, a query has zeros.
                let inside = code_bytes - chunk * PART_BYTES;
                let mut part = [0; PART_BYTES];
                part.iter_mut().take(inside).zip(&mut query).for_each(|(to, from)| *to = from);
                parts.push(part);
            }
        }
        let codes = Codes { bytes: &codes[..length], stride: head + code_bytes, offset: head };
        let mut expected = vec![7; rows.len()];
        for (row, dot) in rows.iter().zip(&mut expected) {
            *dot = written_out(form, &parts, codes, *row);
        }
        for kernel in Kernel::available() {
            let mut dots = vec![7; rows.len()];
            kernel.code_dots(form, &parts, codes, &rows, &mut dots);
            prop_assert_eq!(&dots, &expected, "{:?}", kernel);
        }
    }
}

/// The sum number by number.
fn written_out(form: Form, parts: &[Part], codes: Codes<'_>, row: u32) -> i32 {
    let start = row as usize * codes.stride + codes.offset;
    let mut dot = 0;
    for (index, parts) in parts.chunks(form.parts()).enumerate() {
        for (part, numbers) in parts.iter().enumerate() {
            for (at, number) in numbers.iter().enumerate() {
                let byte = codes.bytes.get(start + index * PART_BYTES + at).copied().unwrap_or(0);
                dot += match form {
                    Form::Planes => {
                        let weight = [1, 2, 4, 8, 16, -32][part];
                        let both = (0..8).filter(|bit| byte >> bit & number >> bit & 1 == 1);
                        weight * both.count() as i32
                    }
                    Form::Crumbs => {
                        i32::from(byte >> (2 * part) & 3) * i32::from(number.cast_signed())
                    }
                    Form::Nibbles => {
                        i32::from(byte >> (4 * part) & 15) * i32::from(number.cast_signed())
                    }
                };
            }
        }
    }
    dot
}

#[test]
fn a_transform_twice_is_the_row_times_its_length() {
    for kernel in Kernel::available() {
        for length in [1, 2, 4, 8, 64, 512, 4096] {
            let before = row(3, length);
            let mut after = before.clone();
            kernel.hadamard(&mut after);
            assert_near(
                after[0],
                before.iter().map(|value| f64::from(*value)).sum(),
                length,
                "sum",
            );
            kernel.hadamard(&mut after);
            for (after, before) in after.iter().zip(&before) {
                assert_near(*after / length as f32, (*before).into(), 1, "value");
            }
        }
    }
}

#[test]
fn a_probe_orders_by_the_distance_of_its_metric() {
    let (query, other) = (row(4, 100), row(5, 100));
    for kernel in Kernel::available() {
        let distance = |metric| Probe::on(kernel, metric, &query).distance(&other);
        let dot = wide_sum(&query, &other, |left, right| left * right);
        let norms = wide_sum(&query, &query, |left, right| left * right).sqrt()
            * wide_sum(&other, &other, |left, right| left * right).sqrt();
        assert_near(distance(Metric::InnerProduct), -dot, 100, "inner product");
        assert_near(distance(Metric::Cosine), 1.0 - dot / norms, 1, "cosine");
        let square = wide_sum(&query, &other, |left, right| (left - right).powi(2));
        assert_near(distance(Metric::Euclidean), square, 100, "square");
    }
}

#[test]
fn a_row_is_at_no_distance_from_itself() {
    for kernel in Kernel::available() {
        for length in (1..=130).chain([384, 768, 4096]) {
            for factor in [1e-30_f32, 1e-12, 1.0, 3e4, 1e15, 1e30] {
                let query: Vec<f32> = row(6, length).iter().map(|value| value * factor).collect();
                let probe = Probe::on(kernel, Metric::Cosine, &query);
                assert!(probe.distance(&query) <= 1e-7, "{length} numbers times {factor}");
                assert!(probe.distance(&query) >= 0.0);
                let opposite: Vec<f32> = query.iter().map(|value| -value).collect();
                assert!((probe.distance(&opposite) - 2.0).abs() <= 1e-6);
            }
            let query = row(6, length);
            assert_eq!(Probe::on(kernel, Metric::Euclidean, &query).distance(&query), 0.0);
        }
    }
}

#[test]
fn a_row_without_direction_is_as_far_as_a_right_angle() {
    for kernel in Kernel::available() {
        let (zero, some) = ([0.0; 20], row(7, 20));
        assert_eq!(Probe::on(kernel, Metric::Cosine, &zero).distance(&some), 1.0);
        assert_eq!(Probe::on(kernel, Metric::Cosine, &some).distance(&zero), 1.0);
        assert_eq!(Probe::on(kernel, Metric::Cosine, &zero).distance(&zero), 1.0);
    }
}

#[test]
fn rows_of_bytes_are_about_as_far_apart_as_the_rows() {
    for metric in METRICS {
        for dimension in [1, 3, 64, 100, 768] {
            let centroid = row(9, dimension);
            let mut quantized = QuantizedRows::new(metric, &centroid);
            let rows: Vec<Vec<f32>> = (10..20).map(|seed| row(seed, dimension)).collect();
            rows.iter().for_each(|row| quantized.push(row));
            assert_eq!(quantized.len(), 10);
            for (left, query) in (0..).zip(&rows) {
                let probe = Probe::new(metric, query);
                for (right, row) in (0..).zip(&rows) {
                    let allowed = match metric {
                        Metric::Euclidean | Metric::InnerProduct => 0.015 * dimension as f32,
                        Metric::Cosine => 0.02,
                    };
                    let (near, exact) = (quantized.distance(left, right), probe.distance(row));
                    assert!(
                        (near - exact).abs() <= allowed,
                        "{metric:?} of {dimension}: {near}, not {exact}"
                    );
                    assert_eq!(near, quantized.distance(right, left));
                }
                let mut space = Vec::new();
                let query = quantized.quantize(query, &mut space);
                let stored = quantized.row(left).expect("a row");
                assert_eq!(
                    quantized.distance_of(query, stored),
                    quantized.distance(left, left),
                    "a query is made bytes as a row is"
                );
            }
        }
    }
}

#[test]
fn rows_of_bytes_are_at_no_distance_from_themselves_and_take_anything() {
    let mut quantized = QuantizedRows::new(Metric::Euclidean, &row(1, 70));
    for row in [row(2, 70), row(3, 70).iter().map(|value| value * 1e-20).collect(), vec![0.0; 70]] {
        quantized.push(&row);
    }
    for row in 0..3 {
        assert_eq!(quantized.distance(row, row), 0.0);
    }
    assert_eq!(quantized.distance(0, 3), f32::INFINITY);
    for metric in METRICS {
        let mut quantized = QuantizedRows::new(metric, &[0.0; 3]);
        for row in [&[f32::NAN, 1.0, 1.0][..], &[f32::INFINITY; 3], &[1e-45; 3], &[1.0; 9], &[]] {
            quantized.push(row);
        }
        let right_angle = if metric == Metric::Cosine { 1.0 } else { 0.0 };
        assert_eq!(quantized.distance(1, 1), right_angle, "no direction is left of it");
        if metric == Metric::Cosine {
            assert!(quantized.distance(2, 3) < 1e-6, "the smallest number has a direction");
        }
    }
}

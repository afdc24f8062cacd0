//! Vectors in fewer bytes than a list of numbers takes: base64 of little-endian floats, and small
//! integers. Amazon S3 Vectors knows none of them; its clients never send them.
//!
//! All are floats of 32 bits from here on, exactly: those hold every one of 16 bits, and every integer
//! of 8.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// `float32Base64`: base64, with its padding, of floats of 32 bits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PackedFloats(pub(super) Vec<f32>);

/// `float16Base64`: base64, with its padding, of floats of 16 bits (IEEE 754 binary16).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PackedHalves(pub(super) Vec<f32>);

/// `int8`: integers from -128 to 127.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bytes(pub(super) Vec<f32>);

impl<'de> Deserialize<'de> for PackedFloats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_str(Base64)?;
        let (floats, rest) = bytes.as_chunks();
        match rest {
            [] => Ok(Self(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())),
            _ => Err(D::Error::custom("not floats of 4 bytes")),
        }
    }
}

impl<'de> Deserialize<'de> for PackedHalves {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_str(Base64)?;
        let (halves, rest) = bytes.as_chunks();
        match rest {
            [] => {
                Ok(Self(halves.iter().map(|bytes| widened(u16::from_le_bytes(*bytes))).collect()))
            }
            _ => Err(D::Error::custom("not floats of 2 bytes")),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let integers = Vec::<i8>::deserialize(deserializer)?;
        Ok(Self(integers.into_iter().map(f32::from).collect()))
    }
}

/// The bytes of a base64 text.
struct Base64;

impl Visitor<'_> for Base64 {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        STANDARD.decode(text).map_err(|_| E::custom("not base64"))
    }
}

/// The float of 32 bits that is the one of 16 bits.
fn widened(half: u16) -> f32 {
    /// Exponents of the two count from 127 and from 15.
    const EXPONENT_SHIFT: u32 = 127 - 15;
    /// What the last digit of a float without exponent counts.
    const SUBNORMAL_UNIT: f32 = 1.0 / (1 << 24) as f32;
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = u32::from(half >> 10) & 0x1f;
    let fraction = half & 0x03ff;
    let digits = u32::from(fraction) << 13;
    let bits = match exponent {
        0 => (f32::from(fraction) * SUBNORMAL_UNIT).to_bits(),
        0x1f => 0x7f80_0000 | digits,
        _ => ((exponent + EXPONENT_SHIFT) << 23) | digits,
    };
    f32::from_bits(sign | bits)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::{Bytes, PackedFloats, PackedHalves, widened};

    #[test]
    fn halves_are_the_floats_that_the_standard_says() {
        for (half, float) in [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3bff, 0.999_511_7),
            (0x3c00, 1.0),
            (0x3c01, 1.000_976_6),
            (0x4248, 3.140_625),
            (0x7bff, 65504.0),
            (0xc000, -2.0),
            (0xfbff, -65504.0),
            (0x8001, -5.960_464_5e-8),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(widened(half), float, "{half:#06x}");
        }
        assert_eq!(widened(0x8000).to_bits(), (-0.0_f32).to_bits());
        assert!(widened(0x7e00).is_nan() && widened(0x7c01).is_nan() && widened(0xffff).is_nan());
    }

    #[test]
    fn all_halves_rise_with_their_bits() {
        let all: Vec<f32> = (0..=0x7c00).map(widened).collect();
        assert!(all.is_sorted_by(|a, b| a < b));
        assert!((0..=0x7c00).all(|half| widened(half | 0x8000) == -widened(half)));
    }

    #[test]
    fn floats_come_back_to_the_bit() {
        let floats = [0.1_f32, -0.0, f32::MAX, f32::from_bits(1), f32::NAN, f32::NEG_INFINITY];
        let bytes: Vec<u8> = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
        // As some clients write JSON: with slashes escaped.
        let text = STANDARD.encode(bytes).replace('/', "\\/");
        let PackedFloats(read) = serde_json::from_str(&format!("\"{text}\"")).unwrap();
        let bits = |floats: &[f32]| floats.iter().map(|float| float.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&floats));
        let PackedHalves(read) = serde_json::from_str("\"ADwAwA==\"").unwrap();
        assert_eq!(read, [1.0, -2.0]);
        let Bytes(read) = serde_json::from_str("[-128, 0, 127]").unwrap();
        assert_eq!(read, [-128.0, 0.0, 127.0]);
        let PackedHalves(none) = serde_json::from_str("\"\"").unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn what_is_not_packed_so_is_refused() {
        for text in
            ["\"AAAAAA\"", "\"AAAA\"", "\"AA==AAAA\"", "\"-_8AAA==\"", "\" \"", "[1]", "7", "null"]
        {
            assert!(serde_json::from_str::<PackedFloats>(text).is_err(), "{text}");
            assert!(serde_json::from_str::<PackedHalves>(text).is_err(), "{text}");
        }
        for text in
            ["[128]", "[-129]", "[1.0]", "[1e0]", "[\"1\"]", "[null]", "[true]", "\"AQ==\"", "{}"]
        {
            assert!(serde_json::from_str::<Bytes>(text).is_err(), "{text}");
        }
    }
}

//! Sizes and durations as people write them.

use std::time::Duration;

/// A text that is no size or no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseQuantityError(&'static str);

impl std::fmt::Display for ParseQuantityError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ParseQuantityError {}

const NO_SIZE: ParseQuantityError =
    ParseQuantityError("no size: give a whole number of bytes, KiB, MiB, GiB or TiB, as in 4KiB");
const NO_DURATION: ParseQuantityError =
    ParseQuantityError("no duration: give a whole number of ms, s, m, h or d, as in 10s");

/// Units of sizes, largest first; a bare K, M, G or T is binary, as everywhere in storage tools.
const SIZE_UNITS: [(&str, u64); 13] = [
    ("tib", 1 << 40),
    ("gib", 1 << 30),
    ("mib", 1 << 20),
    ("kib", 1 << 10),
    ("tb", 1_000_000_000_000),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("t", 1 << 40),
    ("g", 1 << 30),
    ("m", 1 << 20),
    ("k", 1 << 10),
    ("b", 1),
];

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Bytes from `4096`, `4KiB`, `4 kib`, `16MB`.
pub fn parse_bytes(text: &str) -> Result<u64, ParseQuantityError> {
    let (number, unit) = split(text).ok_or(NO_SIZE)?;
    let scale = if unit.is_empty() { 1 } else { scale_of(&unit, &SIZE_UNITS).ok_or(NO_SIZE)? };
    number.checked_mul(scale).ok_or(NO_SIZE)
}

/// A duration from `500ms`, `10s`, `2m`, `1h`, `14d`.
pub fn parse_duration(text: &str) -> Result<Duration, ParseQuantityError> {
    let (number, unit) = split(text).ok_or(NO_DURATION)?;
    let scale = scale_of(&unit, &DURATION_UNITS).ok_or(NO_DURATION)?;
    number.checked_mul(scale).map(Duration::from_millis).ok_or(NO_DURATION)
}

/// `4 KiB`, `16 MiB`, `5000 B`: the largest binary unit that divides it.
pub fn format_bytes(bytes: u64) -> String {
    let units = [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, scale) in units {
        if bytes >= scale && bytes.is_multiple_of(scale) {
            return format!("{} {unit}", bytes / scale);
        }
    }
    format!("{bytes} B")
}

/// `500ms`, `10s`.
pub fn format_duration(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

fn split(text: &str) -> Option<(u64, String)> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim().to_ascii_lowercase()))
}

fn scale_of(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_written() {
        let cases = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("4KiB", Some(4096)),
            ("4 kib", Some(4096)),
            ("4k", Some(4096)),
            ("4KB", Some(4000)),
            ("16MiB", Some(16 << 20)),
            ("1GiB", Some(1 << 30)),
            ("2TiB", Some(2 << 40)),
            ("7b", Some(7)),
            ("", None),
            ("KiB", None),
            ("1.5GiB", None),
            ("-1", None),
            ("1 XiB", None),
            ("99999999999999999999", None),
            ("18446744073709551615KiB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text).ok(), bytes, "{text:?}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        let cases = [
            ("10s", Some(10_000)),
            ("500ms", Some(500)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("1d", Some(86_400_000)),
            ("10", None),
            ("s", None),
            ("1.5s", None),
            ("", None),
        ];
        for (text, ms) in cases {
            let read = parse_duration(text).ok();
            assert_eq!(read, ms.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn a_formatted_size_reads_back() {
        for bytes in [0, 1, 1023, 1024, 4096, 5000, 1 << 20, 3 << 30, 1 << 40, u64::MAX] {
            assert_eq!(parse_bytes(&format_bytes(bytes)), Ok(bytes));
        }
    }
}

//! A row between a file and the API, and its JSON.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::VectorsError;

/// A vector with its key and metadata.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) vector: Vec<f32>,
    /// As it stood in the file or the answer.
    pub(super) metadata: Option<Box<RawValue>>,
}

/// A row as JSON has it, in a file of JSON lines or in an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JsonRow {
    pub(super) key: Option<String>,
    pub(super) vector: Option<Vec<f32>>,
    pub(super) data: Option<JsonData>,
    pub(super) metadata: Option<Box<RawValue>>,
}

/// The API's way to write a vector.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JsonData {
    pub(super) float32: Vec<f32>,
}

impl JsonRow {
    /// Its vector, however it is written.
    pub(super) fn take_vector(&mut self) -> Result<Vec<f32>, String> {
        match (self.vector.take(), self.data.take()) {
            (Some(vector), None) => Ok(vector),
            (None, Some(data)) => Ok(data.float32),
            (None, None) => Err("it has no \"vector\"".to_owned()),
            (Some(_), Some(_)) => Err("it has both \"vector\" and \"data\"".to_owned()),
        }
    }
}

impl Row {
    /// Writes it as an item of `PutVectors`.
    pub(super) fn write_put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"key\":");
        write_text(out, &self.key);
        out.extend_from_slice(b",\"data\":{\"float32\":");
        write_floats(out, &self.vector);
        out.push(b'}');
        self.write_end(out);
    }

    /// Writes it as a line of a file.
    pub(super) fn write_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"key\":");
        write_text(out, &self.key);
        out.extend_from_slice(b",\"vector\":");
        write_floats(out, &self.vector);
        self.write_end(out);
        out.push(b'\n');
    }

    /// Writes key and metadata as a line of a file beside the vectors.
    pub(super) fn write_companion(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"key\":");
        write_text(out, &self.key);
        self.write_end(out);
        out.push(b'\n');
    }

    fn write_end(&self, out: &mut Vec<u8>) {
        if let Some(metadata) = &self.metadata {
            out.extend_from_slice(b",\"metadata\":");
            out.extend_from_slice(metadata.get().as_bytes());
        }
        out.push(b'}');
    }
}

/// Reads an array of numbers.
pub(super) fn read_vector(text: &str) -> Result<Vec<f32>, VectorsError> {
    let vector: Vec<f32> = serde_json::from_str(text)
        .map_err(|error| VectorsError::new(format!("vector: not an array of numbers: {error}")))?;
    match vector.iter().all(|component| component.is_finite()) {
        true => Ok(vector),
        false => Err(VectorsError::new("vector: a component is too large for f32")),
    }
}

/// Writes a text with its quotes.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    // Writing into memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

/// Writes numbers with the fewest digits that tell the `f32` apart, also for those who read `f64`
/// and round.
pub(super) fn write_floats(out: &mut Vec<u8>, floats: &[f32]) {
    out.push(b'[');
    for (nth, float) in floats.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        let _ = match float.to_bits() & !SIGN == TWICE_ROUNDED {
            true => serde_json::to_writer(&mut *out, &f64::from(*float)),
            false => serde_json::to_writer(&mut *out, float),
        };
    }
    out.push(b']');
}

/// The one `f32` of all whose shortest digits, `7.038531e-26`, are another when they are first
/// rounded to `f64`.
const TWICE_ROUNDED: u32 = 0x15ae_43fd;
const SIGN: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(floats: &[f32]) -> String {
        let mut out = Vec::new();
        write_floats(&mut out, floats);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_come_back_through_f64_as_they_were() {
        let twice = f32::from_bits(TWICE_ROUNDED);
        let smallest = f32::from_bits(1);
        let floats = [0.1, -0.0, 1.0, f32::MAX, f32::MIN_POSITIVE, smallest, 1e-9, twice, -twice];
        let doubles: Vec<f64> = serde_json::from_str(&written(&floats)).unwrap();
        for (float, double) in floats.iter().zip(doubles) {
            #[expect(clippy::cast_possible_truncation, reason = "as the server rounds")]
            let rounded = double as f32;
            assert_eq!(rounded.to_bits(), float.to_bits(), "{float:e}");
        }
        assert_eq!(written(&[0.1, -7.25]), "[0.1,-7.25]");
    }

    #[test]
    fn rows_are_written_for_the_api_and_for_files() {
        let metadata = RawValue::from_string(r#"{"a": [1]}"#.to_owned()).unwrap();
        let row = Row { key: "k\"\n".to_owned(), vector: vec![0.5, 2.0], metadata: Some(metadata) };
        let bare = Row { key: String::new(), vector: vec![1.0], metadata: None };
        for (write, whole, short) in [
            (
                Row::write_put as fn(&Row, &mut Vec<u8>),
                r#"{"key":"k\"\n","data":{"float32":[0.5,2.0]},"metadata":{"a": [1]}}"#,
                r#"{"key":"","data":{"float32":[1.0]}}"#,
            ),
            (
                Row::write_line,
                "{\"key\":\"k\\\"\\n\",\"vector\":[0.5,2.0],\"metadata\":{\"a\": [1]}}\n",
                "{\"key\":\"\",\"vector\":[1.0]}\n",
            ),
            (
                Row::write_companion,
                "{\"key\":\"k\\\"\\n\",\"metadata\":{\"a\": [1]}}\n",
                "{\"key\":\"\"}\n",
            ),
        ] {
            for (row, text) in [(&row, whole), (&bare, short)] {
                let mut out = Vec::new();
                write(row, &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), text);
            }
        }
    }
}

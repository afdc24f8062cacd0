//! Rows packed into bodies of `PutVectors`: so many rows and bytes at most, and no key twice.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use serde_json::Value;

use super::row::Row;

/// A body: 20 MiB is what the API takes.
pub(super) const BODY_BYTES_MAX: usize = 20 << 20;
const END: &[u8] = b"]}";

/// A body with the rows in it.
#[derive(Debug)]
pub(super) struct Batch {
    /// Number of its first row; the others follow it.
    pub(super) first_row: u64,
    pub(super) rows: u64,
    /// Hashes of its keys.
    pub(super) keys: HashSet<u64>,
    pub(super) body: Bytes,
}

/// Packs rows.
pub(super) struct Packer {
    /// What a body begins with.
    head: Vec<u8>,
    rows_max: u64,
    bytes_max: usize,
    hasher: RandomState,
    first_row: u64,
    rows: u64,
    keys: HashSet<u64>,
    body: Vec<u8>,
    item: Vec<u8>,
}

impl Packer {
    /// For bodies with these members, of so many rows.
    pub(super) fn new(members: &Value, rows_max: u64) -> Self {
        Self::with_bytes_max(members, rows_max, BODY_BYTES_MAX)
    }

    fn with_bytes_max(members: &Value, rows_max: u64, bytes_max: usize) -> Self {
        let mut head = members.to_string().into_bytes();
        // The object goes on.
        head.pop();
        head.extend_from_slice(b",\"vectors\":[");
        Self {
            head,
            rows_max,
            bytes_max,
            hasher: RandomState::new(),
            first_row: 0,
            rows: 0,
            keys: HashSet::new(),
            body: Vec::new(),
            item: Vec::new(),
        }
    }

    /// Adds a row; answers the batch before it when it does not fit in there.
    pub(super) fn push(&mut self, number: u64, row: &Row) -> Result<Option<Batch>, String> {
        self.item.clear();
        row.write_put(&mut self.item);
        let alone = self.head.len() + self.item.len() + END.len();
        if alone > self.bytes_max {
            let most = self.bytes_max;
            return Err(format!("it takes {alone} bytes as a request; at most {most}"));
        }
        let key = self.hasher.hash_one(&row.key);
        let fits = self.rows < self.rows_max
            && self.body.len() + self.item.len() + 1 + END.len() <= self.bytes_max
            && !self.keys.contains(&key);
        let before = if fits { None } else { self.take() };
        if self.rows == 0 {
            self.first_row = number;
            self.body.extend_from_slice(&self.head);
        } else {
            self.body.push(b',');
        }
        self.body.extend_from_slice(&self.item);
        self.keys.insert(key);
        self.rows += 1;
        Ok(before)
    }

    /// The rows that wait; none: none do.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.rows == 0 {
            return None;
        }
        let usual = self.body.capacity();
        let mut body = std::mem::replace(&mut self.body, Vec::with_capacity(usual));
        body.extend_from_slice(END);
        let keys = std::mem::take(&mut self.keys);
        let rows = std::mem::take(&mut self.rows);
        Some(Batch { first_row: self.first_row, rows, keys, body: Bytes::from(body) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Sizes of the batches that rows of these keys make.
    fn sizes(keys: &[&str], rows_max: u64, bytes_max: usize) -> Vec<u64> {
        let members = json!({ "indexName": "i" });
        let mut packer = Packer::with_bytes_max(&members, rows_max, bytes_max);
        let mut batches = Vec::new();
        for (number, key) in (7..).zip(keys) {
            let row = Row { key: (*key).to_owned(), vector: vec![1.0], metadata: None };
            batches.extend(packer.push(number, &row).unwrap());
        }
        batches.extend(packer.take());
        assert!(packer.take().is_none());
        let mut row = 7;
        for batch in &batches {
            assert_eq!(batch.first_row, row);
            assert!(batch.body.len() <= bytes_max);
            let body: Value = serde_json::from_slice(&batch.body).unwrap();
            assert_eq!(body["indexName"], "i");
            assert_eq!(body["vectors"].as_array().unwrap().len() as u64, batch.rows);
            row += batch.rows;
        }
        batches.iter().map(|batch| batch.rows).collect()
    }

    #[test]
    fn a_batch_is_bounded_by_rows_bytes_and_a_key_that_comes_again() {
        let rows = ["a", "b", "c", "d", "e"];
        assert_eq!(sizes(&rows, 500, 1000), [5]);
        assert_eq!(sizes(&rows, 5, 1000), [5]);
        assert_eq!(sizes(&rows, 2, 1000), [2, 2, 1]);
        // An item takes 36 bytes, what is around them 30.
        assert_eq!(sizes(&rows, 500, 30 + 2 * 36 + 1), [2, 2, 1]);
        assert_eq!(sizes(&rows, 500, 30 + 2 * 36), [1, 1, 1, 1, 1]);
        assert_eq!(sizes(&["a", "b", "a", "a", "c"], 500, 1000), [2, 1, 2]);
        assert_eq!(sizes(&[], 500, 1000), [0; 0]);
    }

    #[test]
    fn a_row_that_fits_in_no_body_is_refused() {
        let mut packer = Packer::with_bytes_max(&json!({ "indexName": "i" }), 5, 60);
        let row = Row { key: "a".to_owned(), vector: vec![1.0], metadata: None };
        assert_eq!(packer.push(0, &row).unwrap_err(), "it takes 66 bytes as a request; at most 60");
    }
}

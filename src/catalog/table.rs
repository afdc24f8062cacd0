//! Every record in memory, in name order: what requests read.
//!
//! Holds what the engine holds as soon as a change is acknowledged; the caller of `show` and `hide`
//! brings changes in the engine's order.

use std::collections::BTreeMap;
use std::ops::Bound;

use storage_engine::{Error, Result};

use super::limits::{RECORD_BYTES_MAX, RECORDS_MAX, TABLE_BYTES_MAX};
use super::{CatalogRecord, Change, Kind};

/// The records of all kinds.
#[derive(Debug, Default)]
pub(super) struct Table {
    buckets: BTreeMap<String, CatalogRecord>,
    settings: BTreeMap<String, CatalogRecord>,
    vector_buckets: BTreeMap<String, CatalogRecord>,
    vector_indexes: BTreeMap<String, CatalogRecord>,
    bytes: usize,
}

impl Table {
    pub(super) fn get(&self, kind: Kind, name: &str) -> Option<&CatalogRecord> {
        self.of(kind).get(name)
    }

    /// Records of a kind in name order, from behind `after`.
    pub(super) fn after<'a>(
        &'a self,
        kind: Kind,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = &'a CatalogRecord> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.of(kind).range::<str, _>((from, Bound::Unbounded)).map(|(_, record)| record)
    }

    /// Records of a kind with names that begin with `prefix`, counted up to `most`.
    pub(super) fn count_within(&self, kind: Kind, prefix: &str, most: usize) -> usize {
        let from = Bound::Included(prefix);
        let records = self.of(kind).range::<str, _>((from, Bound::Unbounded));
        records.take(most).take_while(|(name, _)| name.starts_with(prefix)).count()
    }

    /// Is there room for what `change` brings? Deleting and shrinking always pass.
    pub(super) fn admit(&self, change: &Change) -> Result<()> {
        let Some(bytes) = &change.bytes else { return Ok(()) };
        if bytes.len() > RECORD_BYTES_MAX {
            let (got, most) = (bytes.len(), RECORD_BYTES_MAX);
            return Err(Error::Invalid(format!("catalog record of {got} bytes; {most} at most")));
        }
        let held = self.get(change.kind, &change.name);
        if held.is_none() && self.count() >= RECORDS_MAX {
            return Err(Error::Invalid(format!("the catalog holds its {RECORDS_MAX} records")));
        }
        let held_bytes = held.map_or(0, |record| record.bytes.len());
        if bytes.len() > held_bytes && self.bytes + bytes.len() - held_bytes > TABLE_BYTES_MAX {
            return Err(Error::Invalid(format!("the catalog holds its {TABLE_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    /// Shows the new state of a record.
    pub(super) fn show(&mut self, kind: Kind, record: CatalogRecord) {
        self.bytes += record.bytes.len();
        let replaced = self.of_mut(kind).insert(record.name.clone(), record);
        self.bytes -= replaced.map_or(0, |old| old.bytes.len());
    }

    /// Shows that a record is gone; returns what was shown.
    pub(super) fn hide(&mut self, kind: Kind, name: &str) -> Option<CatalogRecord> {
        let removed = self.of_mut(kind).remove(name)?;
        self.bytes -= removed.bytes.len();
        Some(removed)
    }

    fn count(&self) -> usize {
        Kind::ALL.into_iter().map(|kind| self.of(kind).len()).sum()
    }

    fn of(&self, kind: Kind) -> &BTreeMap<String, CatalogRecord> {
        match kind {
            Kind::Bucket => &self.buckets,
            Kind::Setting => &self.settings,
            Kind::VectorBucket => &self.vector_buckets,
            Kind::VectorIndex => &self.vector_indexes,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut BTreeMap<String, CatalogRecord> {
        match kind {
            Kind::Bucket => &mut self.buckets,
            Kind::Setting => &mut self.settings,
            Kind::VectorBucket => &mut self.vector_buckets,
            Kind::VectorIndex => &mut self.vector_indexes,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::Expect;
    use super::*;

    fn record(name: &str, sequence: u64, bytes: Vec<u8>) -> CatalogRecord {
        CatalogRecord { name: name.to_owned(), sequence, time_ms: 0, bytes: Bytes::from(bytes) }
    }

    fn put(name: &str, bytes: Vec<u8>) -> Change {
        Change {
            kind: Kind::Bucket,
            name: name.to_owned(),
            expect: Expect::Absent,
            bytes: Some(Bytes::from(bytes)),
            conditions: Vec::new(),
            operations: Vec::new(),
        }
    }

    fn names(table: &Table, after: Option<&str>) -> Vec<String> {
        table.after(Kind::Bucket, after).map(|record| record.name.clone()).collect()
    }

    #[test]
    fn records_are_listed_in_name_order_within_their_kind() {
        let mut table = Table::default();
        for name in ["b", "a-b", "a", "a.b"] {
            table.show(Kind::Bucket, record(name, 1, vec![]));
        }
        table.show(Kind::Setting, record("a0", 2, vec![]));
        assert_eq!(names(&table, None), ["a", "a-b", "a.b", "b"]);
        assert_eq!(names(&table, Some("a")), ["a-b", "a.b", "b"]);
        assert_eq!(names(&table, Some("a-c")), ["a.b", "b"]);
        assert_eq!(names(&table, Some("b")), Vec::<String>::new());
        for (prefix, most, count) in
            [("", 9, 4), ("a", 9, 3), ("a", 2, 2), ("a.", 9, 1), ("c", 9, 0)]
        {
            assert_eq!(table.count_within(Kind::Bucket, prefix, most), count, "{prefix}");
        }
    }

    #[test]
    fn bytes_are_counted_through_every_change() {
        let mut table = Table::default();
        table.show(Kind::Bucket, record("a", 1, vec![0; 10]));
        table.show(Kind::Bucket, record("a", 2, vec![0; 4]));
        table.show(Kind::Bucket, record("b", 3, vec![0; 5]));
        assert_eq!(table.bytes, 9);
        assert_eq!(table.hide(Kind::Bucket, "a").map(|record| record.sequence), Some(2));
        assert_eq!(table.hide(Kind::Bucket, "a"), None);
        assert_eq!(table.bytes, 5);
    }

    #[test]
    fn a_full_table_still_shrinks() {
        let mut table = Table::default();
        table.show(Kind::Bucket, record("a", 1, vec![0; 10]));
        table.bytes = TABLE_BYTES_MAX;
        assert!(table.admit(&put("b", vec![0; 1])).is_err());
        assert!(table.admit(&put("a", vec![0; 11])).is_err());
        assert!(table.admit(&put("a", vec![0; 10])).is_ok());
        assert!(table.admit(&Change { bytes: None, ..put("a", vec![]) }).is_ok());
        assert!(Table::default().admit(&put("a", vec![0; RECORD_BYTES_MAX + 1])).is_err());
    }
}

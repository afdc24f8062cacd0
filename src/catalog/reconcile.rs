//! At open: the table from the engine's root space, sparing a read for each row that the view
//! already has right, and the changes that put the view right.
//!
//! A watermark could not do this: a removal has no sequence of its own, so two states of the root
//! space can share their highest one. The engine's index is in memory; comparing row by row costs
//! a hash of each.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use storage_engine::{Engine, Entry, Error, ROOT_SPACE, Result, Scan, ScanItem};

use super::row::Row;
use super::table::Table;
use super::view::ViewChange;
use super::{CatalogRecord, Kind};

const PAGE_ITEMS: usize = 1000;

/// What [`reconcile`] makes.
#[derive(Debug, Default)]
pub(super) struct Reconciled {
    /// Every record.
    pub(super) table: Table,
    /// What the view has wrong.
    pub(super) repairs: Vec<ViewChange>,
}

/// Compares the view's `rows` with the root space.
pub(super) async fn reconcile(
    engine: &Engine,
    mut rows: BTreeMap<Bytes, Row>,
) -> Result<Reconciled> {
    let mut reconciled = Reconciled::default();
    for kind in Kind::ALL {
        let mut from = Bound::Unbounded;
        loop {
            let page = engine.scan(
                ROOT_SPACE,
                &Scan {
                    prefix: Bytes::from_static(kind.prefix().as_bytes()),
                    delimiter: Bytes::new(),
                    from,
                    limit: PAGE_ITEMS,
                },
            )?;
            let mut last = None;
            for item in page.items {
                let ScanItem::Version { name, entry, .. } = item else { continue };
                let row = rows.remove(&name);
                reconciled.add(engine, kind, &name, &entry, row).await?;
                last = Some(name);
            }
            match last {
                Some(name) if page.more => from = Bound::Excluded(name),
                _ => break,
            }
        }
    }
    reconciled.repairs.extend(rows.into_keys().map(ViewChange::Remove));
    Ok(reconciled)
}

impl Reconciled {
    async fn add(
        &mut self,
        engine: &Engine,
        kind: Kind,
        row_name: &Bytes,
        entry: &Entry,
        row: Option<Row>,
    ) -> Result<()> {
        let name = own_name(kind, row_name)?;
        let record = match row {
            Some(row) if row.agrees(entry) => row.into_record(name),
            _ => {
                let bytes = engine.load(ROOT_SPACE, row_name, entry).await?.meta;
                let (sequence, time_ms) = (entry.sequence, entry.time_ms);
                let record = CatalogRecord { name, sequence, time_ms, bytes };
                self.repairs.push(ViewChange::set(row_name.clone(), &Row::of(&record)));
                record
            }
        };
        self.table.show(kind, record);
        Ok(())
    }
}

/// The name within `kind` of a record of the root space.
fn own_name(kind: Kind, row_name: &[u8]) -> Result<String> {
    row_name
        .strip_prefix(kind.prefix().as_bytes())
        .and_then(|name| std::str::from_utf8(name).ok())
        .map(str::to_owned)
        .ok_or_else(|| {
            let shown = row_name.escape_ascii();
            Error::Invalid(format!("catalog record name \"{shown}\" is not one of ours"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_kind_and_nothing_else() {
        for (row_name, own) in [
            (&b"bucket/a"[..], Some("a")),
            (b"bucket/setting/a", Some("setting/a")),
            (b"setting/a", None),
            (b"bucket/\xff", None),
        ] {
            assert_eq!(own_name(Kind::Bucket, row_name).ok().as_deref(), own);
        }
        let name = Kind::Bucket.record_name("näme");
        assert_eq!(own_name(Kind::Bucket, &name).ok().as_deref(), Some("näme"));
    }
}

//! A run of growing rows in memory, immutable: sorted by key hash, like every set of rows here.
//!
//! - A write makes a chunk of its own; neighbours of like size are merged, so that there are few.
//! - What only some queries need (filter columns, text indexes) is made by the first that does.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use roaring::RoaringBitmap;

use crate::code::Codebook;
use crate::columns::{Columns, ColumnsBuilder};
use crate::delta::DeltaRow;
use crate::error::Result;
use crate::key_hash::{HashSecret, KeyHash};
use crate::limits::CODED_ROWS_MIN;
use crate::metadata::Metadata;
use crate::row::{IndexSettings, Owner, TextField};
use crate::text::{TextBuilder, TextIndex};

/// Seed of the rotation of growing codes: they last as long as the process.
const CODE_SEED: u64 = 1;

/// What a row says besides its vector.
#[derive(Debug)]
pub(crate) struct ChunkRow {
    pub(crate) key: String,
    pub(crate) owner: Option<Owner>,
    pub(crate) metadata: Metadata,
}

/// Codes of all rows of a chunk.
#[derive(Debug)]
pub(crate) struct ChunkCodes {
    pub(crate) book: Codebook,
    pub(crate) codes: Vec<u8>,
}

/// Growing rows.
#[derive(Debug)]
pub(crate) struct Chunk {
    dimension: usize,
    hashes: Vec<KeyHash>,
    rows: Vec<Arc<ChunkRow>>,
    vectors: Vec<f32>,
    codes: Option<ChunkCodes>,
    memory_bytes: usize,
    columns: OnceLock<Columns>,
    texts: Mutex<HashMap<String, Arc<TextIndex>>>,
}

impl Chunk {
    /// The rows of one write.
    pub(crate) fn of_write(
        settings: &IndexSettings,
        secret: &HashSecret,
        rows: Vec<DeltaRow>,
    ) -> Result<Self> {
        let mut sorted: Vec<(KeyHash, DeltaRow)> =
            rows.into_iter().map(|row| (KeyHash::of(secret, &row.row.key), row)).collect();
        sorted.sort_by_key(|(hash, _)| *hash);
        let mut chunk = Self::with_capacity(settings, sorted.len());
        for (hash, DeltaRow { row, owner }) in sorted {
            chunk.hashes.push(hash);
            chunk.vectors.extend_from_slice(&row.vector);
            let row = ChunkRow { key: row.key, owner, metadata: row.metadata };
            chunk.rows.push(Arc::new(row));
        }
        chunk.coded(settings)
    }

    /// The living rows of both; no key lives in both.
    pub(crate) fn merged(
        settings: &IndexSettings,
        (a, a_dead): (&Self, &RoaringBitmap),
        (b, b_dead): (&Self, &RoaringBitmap),
    ) -> Result<Self> {
        let mut chunk = Self::with_capacity(settings, a.hashes.len() + b.hashes.len());
        let (mut in_a, mut in_b) = (a.living(a_dead).peekable(), b.living(b_dead).peekable());
        loop {
            let from_a = match (in_a.peek(), in_b.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(x), Some(y)) => a.hash(*x) <= b.hash(*y),
            };
            let (source, row) = if from_a { (a, in_a.next()) } else { (b, in_b.next()) };
            if let Some(row) = row {
                chunk.push_from(source, row);
            }
        }
        chunk.coded(settings)
    }

    fn with_capacity(settings: &IndexSettings, rows: usize) -> Self {
        Self {
            dimension: settings.dimension,
            hashes: Vec::with_capacity(rows),
            rows: Vec::with_capacity(rows),
            vectors: Vec::with_capacity(rows * settings.dimension),
            codes: None,
            memory_bytes: 0,
            columns: OnceLock::new(),
            texts: Mutex::default(),
        }
    }

    fn push_from(&mut self, source: &Self, row: u32) {
        self.hashes.push(source.hash(row));
        self.rows.extend(source.rows.get(row as usize).cloned());
        self.vectors.extend_from_slice(source.vector(row));
    }

    fn coded(mut self, settings: &IndexSettings) -> Result<Self> {
        if self.hashes.len() >= CODED_ROWS_MIN {
            let rows = self.vectors.chunks(self.dimension);
            let book = Codebook::of_rows(settings.metric, CODE_SEED, self.dimension, rows)?;
            let mut codes = vec![0; book.code_bytes() * self.hashes.len()];
            for (row, code) in
                self.vectors.chunks(self.dimension).zip(codes.chunks_mut(book.code_bytes()))
            {
                book.encode_row(row, code);
            }
            self.codes = Some(ChunkCodes { book, codes });
        }
        let row_bytes = |row: &Arc<ChunkRow>| 64 + row.key.len() + row.metadata.memory_bytes();
        let rows: usize = self.rows.iter().map(row_bytes).sum();
        let codes = self.codes.as_ref().map_or(0, |codes| codes.codes.len());
        let hashes = self.hashes.len() * KeyHash::BYTES;
        self.memory_bytes = self.vectors.len() * 4 + hashes + rows + codes;
        Ok(self)
    }

    /// Number of rows, dead ones too.
    pub(crate) fn len(&self) -> u32 {
        self.hashes.len() as u32
    }

    /// Rows that are not dead.
    pub(crate) fn living<'a>(
        &self,
        dead: &'a RoaringBitmap,
    ) -> impl Iterator<Item = u32> + use<'a> {
        (0..self.len()).filter(|row| !dead.contains(*row))
    }

    /// Bytes of memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// True when it is as large as chunks become.
    pub(crate) fn is_settled(&self) -> bool {
        self.codes.is_some()
    }

    /// The row of a key.
    pub(crate) fn find(&self, hash: KeyHash) -> Option<u32> {
        self.hashes.binary_search(&hash).ok().map(|row| row as u32)
    }

    /// The hash of a row; of no row, the last of all hashes.
    pub(crate) fn hash(&self, row: u32) -> KeyHash {
        self.hashes.get(row as usize).copied().unwrap_or(KeyHash([0xff; KeyHash::BYTES]))
    }

    /// All hashes, in order.
    pub(crate) fn hashes(&self) -> &[KeyHash] {
        &self.hashes
    }

    /// The vector of a row; empty when there is no such row.
    pub(crate) fn vector(&self, row: u32) -> &[f32] {
        let start = row as usize * self.dimension;
        self.vectors.get(start..start + self.dimension).unwrap_or_default()
    }

    /// What a row says.
    pub(crate) fn row(&self, row: u32) -> Option<&Arc<ChunkRow>> {
        self.rows.get(row as usize)
    }

    /// Codes, where the chunk has enough rows.
    pub(crate) fn codes(&self) -> Option<&ChunkCodes> {
        self.codes.as_ref()
    }

    /// The filter columns.
    pub(crate) fn columns(&self, settings: &IndexSettings) -> &Columns {
        self.columns.get_or_init(|| {
            let mut builder = ColumnsBuilder::new(&settings.non_filterable);
            for (number, row) in self.rows.iter().enumerate() {
                builder.add(number as u32, &row.metadata);
            }
            builder.finish()
        })
    }

    /// The text index of a field.
    pub(crate) fn text(&self, field: &TextField) -> Result<Arc<TextIndex>> {
        let mut texts = self.texts.lock();
        let name = field.part_name();
        if let Some(made) = texts.get(&name) {
            return Ok(Arc::clone(made));
        }
        let analyzer = field.analyzer();
        let mut builder = TextBuilder::new(&analyzer);
        for (number, row) in self.rows.iter().enumerate() {
            field.add(&mut builder, number as u32, &row.metadata)?;
        }
        let made = Arc::new(builder.finish()?);
        texts.insert(name, Arc::clone(&made));
        Ok(made)
    }
}

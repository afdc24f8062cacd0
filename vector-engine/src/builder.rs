//! Makes a sealed segment out of a source: two passes where it has a graph, one where not.
//!
//! - What it wrote and nobody put is given back: an error or a crash leaves nothing.
//! - Building yields: it asks its [`Pace`] between runs of rows.

use bytes::{Bytes, BytesMut};
use futures::executor::block_on;
use roaring::RoaringBitmap;
use storage_engine::{Operation, Placement, ValueWriter};

use crate::code::{Codebook, Mean};
use crate::columns::ColumnsBuilder;
use crate::error::{Error, Result};
use crate::graph::{self, Graph, GraphOptions};
use crate::kernel::ByteRows;
use crate::key_hash::KeyHash;
use crate::layout::{Layout, Locator};
use crate::limits::GRAPH_ROWS_MIN;
use crate::member::Rows;
use crate::pace::Pace;
use crate::properties::put_properties;
use crate::row::{IndexSettings, TextField};
use crate::sealed::Resident;
use crate::source::{Pass, Source, SourceRow};
use crate::store::{Part, SegmentId, Store, part_name};
use crate::text::TextBuilder;

/// Bytes handed to the storage engine at once.
const WRITE_BYTES: usize = 1024 * 1024;

/// The parts of a segment, sealed and not yet put.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) id: SegmentId,
    pub(crate) rows: u32,
    pub(crate) operations: Vec<Operation>,
}

/// Builds segments of one index.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    pub(crate) store: &'a Store,
    pub(crate) settings: &'a IndexSettings,
    pub(crate) pace: &'a dyn Pace,
    /// Rows from which a segment has a graph.
    pub(crate) graph_rows_min: usize,
}

impl Builder<'_> {
    /// Writes all parts of segment `id`.
    pub(crate) fn build(&self, id: SegmentId, source: &Source) -> Result<Built> {
        let with_graph = source.rows() as usize >= self.graph_rows_min.max(2);
        let first = self.first_pass(source, with_graph)?;
        let graph = match first.bytes {
            Some(rows) => Some(graph::build(&rows, &GraphOptions::default(), &mut || self.pace.step())?),
            None => None,
        };
        let vectors = match first.vectors {
            Some(output) => output.finish()?,
            None => self.write_nodes(source, graph.as_ref(), &first.locators)?,
        };
        let resident = Resident {
            metric: self.settings.metric,
            dimension: self.settings.dimension,
            rows: first.rows,
            degree: graph.as_ref().map_or(0, Graph::degree),
            entries: graph.as_ref().map_or(Vec::new(), |graph| graph.entries().to_vec()),
            book: first.book,
            owned: first.owned,
            properties_bytes: first.properties.bytes,
            hashes: first.hashes.into(),
            codes: first.codes.into(),
        };
        let mut operations = Vec::new();
        let mut put = |part: Part, value| {
            operations.push(self.store.put(part_name(id, &part), value));
        };
        put(Part::Vectors, vectors);
        put(Part::Properties, first.properties.finish()?);
        put(Part::Resident, block_on(self.store.seal(resident.encode()?.into()))?);
        let columns = first.columns.finish().encode();
        put(Part::Columns, block_on(self.store.seal(columns.into()))?);
        for (field, builder) in first.texts {
            let text = builder.finish().encode();
            put(Part::Text(field.part_name()), block_on(self.store.seal(text.into()))?);
        }
        Ok(Built { id, rows: first.rows, operations })
    }

    fn first_pass(&self, source: &Source, with_graph: bool) -> Result<FirstPass> {
        let rows = source.rows() as usize;
        let book = self.codebook(source)?;
        let layout = Layout::new(self.settings.dimension, 0);
        let vectors = match with_graph {
            true => None,
            false => Some(Output::new(self.store, Some(layout.bytes(rows as u32)))?),
        };
        let bytes = with_graph
            .then(|| ByteRows::with_capacity(self.settings.dimension, self.settings.metric, rows));
        let fields = self.settings.text.iter();
        let mut pass = FirstPass {
            rows: 0,
            hashes: Vec::with_capacity(rows * KeyHash::BYTES),
            codes: vec![0; rows * book.code_bytes()],
            owned: RoaringBitmap::new(),
            columns: ColumnsBuilder::new(&self.settings.non_filterable),
            texts: fields.map(|field| (field.clone(), field.builder())).collect(),
            properties: Output::new(self.store, None)?,
            vectors,
            bytes,
            locators: Vec::new(),
            book,
            layout,
        };
        source.for_each(Pass::Whole, |row| {
            self.pace.step()?;
            pass.take(&row)
        })?;
        match pass.rows as usize == rows {
            true => Ok(pass),
            false => Err(Error::Corrupt(format!("{} rows of {rows} were found", pass.rows))),
        }
    }

    /// The codebook around the mean of what is there: of growing rows themselves, of sealed segments
    /// by their centroids.
    fn codebook(&self, source: &Source) -> Result<Codebook> {
        let mut mean = Mean::new(self.settings.dimension, self.settings.metric);
        for member in source.members() {
            match &member.rows {
                Rows::Growing(chunk) => {
                    for row in chunk.living(&member.dead) {
                        mean.add(chunk.vector(row));
                    }
                }
                Rows::Sealed(sealed) => {
                    mean.add_weighted(sealed.resident.book.centroid(), member.living());
                }
            }
        }
        Ok(mean.codebook())
    }

    /// The second pass: vectors with the neighbours that the graph gave them.
    fn write_nodes(
        &self,
        source: &Source,
        graph: Option<&Graph>,
        locators: &[u64],
    ) -> Result<storage_engine::Value> {
        let degree = graph.map_or(0, Graph::degree);
        let layout = Layout::new(self.settings.dimension, degree);
        let mut output = Output::new(self.store, Some(layout.bytes(locators.len() as u32)))?;
        let mut number = 0;
        source.for_each(Pass::Vectors, |row| {
            self.pace.step()?;
            let neighbours = graph.map_or(&[][..], |graph| graph.neighbours(number));
            let locator = locators.get(number as usize).copied().unwrap_or_default();
            put_row(&mut output.buffer, &layout, number, &row.vector, locator, neighbours);
            number += 1;
            output.settle()
        })?;
        output.finish()
    }
}

/// What the first pass gathers.
struct FirstPass {
    rows: u32,
    hashes: Vec<u8>,
    codes: Vec<u8>,
    owned: RoaringBitmap,
    columns: ColumnsBuilder,
    texts: Vec<(TextField, TextBuilder)>,
    properties: Output,
    /// Written in this pass when there is no graph.
    vectors: Option<Output>,
    /// Gathered when there is one.
    bytes: Option<ByteRows>,
    locators: Vec<u64>,
    book: Codebook,
    layout: Layout,
}

impl FirstPass {
    fn take(&mut self, row: &SourceRow) -> Result<()> {
        let number = self.rows;
        self.rows += 1;
        self.hashes.extend_from_slice(&row.hash.0);
        let code_bytes = self.book.code_bytes();
        if let Some(code) = self.codes.chunks_mut(code_bytes).nth(number as usize) {
            self.book.encode_row(&row.vector, code);
        }
        if row.owner.is_some() {
            self.owned.insert(number);
        }
        self.columns.add(number, &row.metadata);
        for (field, builder) in &mut self.texts {
            row.metadata.for_each_text(&field.key, |text| builder.add(number, text));
        }
        let offset = self.properties.bytes;
        let before = self.properties.buffer.len();
        let mut bytes = std::mem::take(&mut self.properties.scratch);
        bytes.clear();
        put_properties(&mut bytes, &row.key, row.owner, &row.metadata)?;
        self.properties.buffer.extend_from_slice(&bytes);
        self.properties.scratch = bytes;
        let len = self.properties.buffer.len() - before;
        self.properties.bytes += len as u64;
        let locator = Locator { offset, len: len as u32 }.pack()?;
        self.properties.settle()?;
        match &mut self.vectors {
            Some(output) => {
                put_row(&mut output.buffer, &self.layout, number, &row.vector, locator, &[]);
                output.settle()
            }
            None => {
                self.locators.push(locator);
                if let Some(bytes) = &mut self.bytes {
                    bytes.push(&row.vector);
                }
                Ok(())
            }
        }
    }
}

fn put_row(
    out: &mut BytesMut,
    layout: &Layout,
    number: u32,
    vector: &[f32],
    locator: u64,
    neighbours: &[u32],
) {
    let end = out.len() + layout.stride();
    for component in vector {
        out.extend_from_slice(&component.to_le_bytes());
    }
    out.extend_from_slice(&locator.to_le_bytes());
    if layout.degree() > 0 {
        out.extend_from_slice(&(neighbours.len() as u32).to_le_bytes());
        for neighbour in neighbours.iter().take(layout.degree()) {
            out.extend_from_slice(&neighbour.to_le_bytes());
        }
    }
    out.resize(end + layout.gap(number), 0);
}

/// A part on its way to the storage engine.
struct Output {
    writer: ValueWriter,
    buffer: BytesMut,
    scratch: Vec<u8>,
    /// Bytes that were given to it (the properties count them; vectors know their length).
    bytes: u64,
}

impl Output {
    fn new(store: &Store, len: Option<u64>) -> Result<Self> {
        let writer = store.writer(Placement::Pages, len)?;
        let buffer = BytesMut::with_capacity(WRITE_BYTES * 2);
        Ok(Self { writer, buffer, scratch: Vec::new(), bytes: 0 })
    }

    /// Writes what is full.
    fn settle(&mut self) -> Result<()> {
        if self.buffer.len() >= WRITE_BYTES {
            let full: Bytes = self.buffer.split().freeze();
            block_on(self.writer.write(full))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<storage_engine::Value> {
        let rest = self.buffer.split().freeze();
        block_on(self.writer.write(rest))?;
        Ok(block_on(self.writer.finish())?)
    }
}

//! Makes a sealed segment out of a source: two passes where it has a graph, one where not.
//!
//! - What it wrote and nobody put is given back: an error or a crash leaves nothing.
//! - Building yields: it asks its [`Pace`] between runs of rows.

use std::num::NonZeroUsize;

use crate::wait::wait;
use bytes::{Bytes, BytesMut};
use roaring::RoaringBitmap;
use storage_engine::{Operation, Placement, ValueWriter};

use crate::code::Codebook;
use crate::columns::ColumnsBuilder;
use crate::error::{Error, Result};
use crate::graph::{self, BuildOptions, Graph, RowSpace};
use crate::key_hash::KeyHash;
use crate::layout::{Layout, Locator};
use crate::member::Rows;
use crate::metrics::{BuildingGraph, Counters};
use crate::pace::Pace;
use crate::properties::put_properties;
use crate::row::{IndexSettings, TextField};
use crate::sealed::Resident;
use crate::source::{Pass, Source, SourceRow};
use crate::store::{Part, SegmentId, Store, part_name};
use crate::text::{Analyzer, TextBuilder};

/// Bytes handed to the storage engine at once.
const WRITE_BYTES: usize = 1024 * 1024;

/// The parts of a segment, sealed and not yet put.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) id: SegmentId,
    /// Its key hashes, in the order of its rows.
    pub(crate) hashes: Bytes,
    pub(crate) operations: Vec<Operation>,
}

/// Builds segments of one index.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    pub(crate) store: &'a Store,
    pub(crate) settings: &'a IndexSettings,
    pub(crate) pace: &'a dyn Pace,
    pub(crate) counters: &'a Counters,
    /// Rows from which a segment has a graph.
    pub(crate) graph_rows_min: usize,
}

impl Builder<'_> {
    /// Writes all parts of segment `id`.
    pub(crate) fn build(&self, id: SegmentId, source: &Source) -> Result<Built> {
        let form = match source.rows() as usize >= self.graph_rows_min.max(2) {
            true => Form::Graph,
            false => Form::Flat,
        };
        let building = match form {
            Form::Graph => Some(self.counters.begin_graph(source.rows().into())),
            Form::Flat => None,
        };
        let fields = self.settings.text.iter();
        let analyzers: Vec<(&TextField, Analyzer)> =
            fields.map(|field| (field, field.analyzer())).collect();
        let first = self.first_pass(id, source, form, &analyzers)?;
        let graph = match (first.space, &building) {
            (Some(rows), Some(building)) => Some(self.build_graph(&rows.finish(), building)?),
            _ => None,
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
        put(Part::Resident, wait(self.store.seal(resident.encode()?.into()))?);
        let columns = first.columns.finish().encode();
        put(Part::Columns, wait(self.store.seal(columns.into()))?);
        for (field, builder) in first.texts {
            let text = builder.finish()?.encode();
            put(Part::Text(field.part_name()), wait(self.store.seal(text))?);
        }
        Ok(Built { id, hashes: resident.hashes, operations })
    }

    fn first_pass<'a>(
        &self,
        id: SegmentId,
        source: &Source,
        form: Form,
        analyzers: &'a [(&'a TextField, Analyzer)],
    ) -> Result<FirstPass<'a>> {
        let rows = source.rows() as usize;
        let book = self.codebook(id, source)?;
        let layout = Layout::new(self.settings.dimension, 0);
        let (vectors, space) = match form {
            Form::Flat => {
                let bytes = layout.bytes(rows as u32);
                (Some(Output::new(self.store, Some(bytes))?), None)
            }
            Form::Graph => {
                let mut space = RowSpace::new(self.settings.metric, book.centroid());
                space.reserve(rows);
                (None, Some(space))
            }
        };
        let texts = analyzers.iter();
        let mut pass = FirstPass {
            rows: 0,
            hashes: Vec::with_capacity(rows * KeyHash::BYTES),
            codes: vec![0; rows * book.code_bytes()],
            owned: RoaringBitmap::new(),
            columns: ColumnsBuilder::new(&self.settings.non_filterable),
            texts: texts.map(|(field, by)| (*field, TextBuilder::new(by))).collect(),
            properties: Output::new(self.store, None)?,
            vectors,
            space,
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
    fn codebook(&self, id: SegmentId, source: &Source) -> Result<Codebook> {
        let (metric, dimension) = (self.settings.metric, self.settings.dimension);
        let mut sums = vec![0.0_f64; dimension];
        let mut weight = 0.0;
        let mut growing = Vec::new();
        for member in source.members() {
            match &member.rows {
                Rows::Growing(chunk) => growing.push((chunk, &member.dead)),
                Rows::Sealed(sealed) => {
                    let rows = f64::from(member.living());
                    let centroid = sealed.resident.book.centroid().iter();
                    for (sum, value) in sums.iter_mut().zip(centroid) {
                        *sum += f64::from(*value) * rows;
                    }
                    weight += rows;
                }
            }
        }
        if weight > 0.0 {
            let centroid = sums.into_iter().map(|sum| (sum / weight) as f32).collect();
            return Codebook::new(metric, id.0, centroid);
        }
        let rows = growing
            .iter()
            .flat_map(|(chunk, dead)| chunk.living(dead).map(|row| chunk.vector(row)));
        Codebook::of_rows(metric, id.0, dimension, rows)
    }

    fn build_graph(&self, rows: &RowSpace, building: &BuildingGraph<'_>) -> Result<Graph> {
        let workers = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let options = BuildOptions { workers, ..BuildOptions::default() };
        let watch = |progress: graph::Progress| {
            building.note_joined(progress.done.into());
            match self.pace.step() {
                Ok(()) => graph::Pace::Continue,
                Err(_) => graph::Pace::Stop,
            }
        };
        graph::build(rows, &options, &watch).ok_or(Error::Stopped)
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

/// Whether a segment has a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Vectors alone: written in the first pass.
    Flat,
    /// Vectors with their neighbours, which are known after the first pass.
    Graph,
}

/// What the first pass gathers.
struct FirstPass<'a> {
    rows: u32,
    hashes: Vec<u8>,
    codes: Vec<u8>,
    owned: RoaringBitmap,
    columns: ColumnsBuilder,
    texts: Vec<(&'a TextField, TextBuilder<'a>)>,
    properties: Output,
    /// Written in this pass when there is no graph.
    vectors: Option<Output>,
    /// Gathered when there is one.
    space: Option<RowSpace>,
    locators: Vec<u64>,
    book: Codebook,
    layout: Layout,
}

impl FirstPass<'_> {
    fn take(&mut self, row: &SourceRow) -> Result<()> {
        let number = self.rows;
        self.rows += 1;
        self.hashes.extend_from_slice(&row.hash.0);
        let code_bytes = self.book.code_bytes();
        let start = number as usize * code_bytes;
        if let Some(code) = self.codes.get_mut(start..start + code_bytes) {
            self.book.encode_row(&row.vector, code);
        }
        if row.owner.is_some() {
            self.owned.insert(number);
        }
        self.columns.add(number, &row.metadata);
        for (field, builder) in &mut self.texts {
            field.add(builder, number, &row.metadata)?;
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
                if let Some(space) = &mut self.space {
                    space.push(&row.vector);
                }
                Ok(())
            }
        }
    }
}

/// Appends row `number` as it lies in its pages, with the gap behind it.
pub(crate) fn put_row(
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
            wait(self.writer.write(full))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<storage_engine::Value> {
        let rest = self.buffer.split().freeze();
        wait(self.writer.write(rest))?;
        Ok(wait(self.writer.finish())?)
    }
}

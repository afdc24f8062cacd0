//! The pages of a chunk: heads, checksums, compression, and where levels and values begin.
//!
//! A page is a head (Thrift) and its bytes. Those of a dictionary are values. Those of data are the
//! levels of repetition, those of definition, and values: in the first version compressed together
//! and the levels behind their lengths of 4 bytes, in the second only the values are compressed and
//! the head has the lengths. A level that is always 0 takes no bytes.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;

use super::footer::Chunk;
use super::hybrid::Hybrid;
use super::packed::Cursor;
use super::schema::Leaf;
use super::thrift::{Kind, Thrift};
use super::too_soon;
use super::values::{Dictionary, Values};

/// Writers end a page at 1 MB, DuckDB at 100 MB.
const PAGE_BYTES_MAX: u32 = 256 << 20;
/// Heads have the least and the greatest value, which may be long texts.
const HEAD_BYTES_MAX: u64 = 4 << 20;
/// Read from the file at once: as many columns are read as there are metadata keys.
const BUFFER_BYTES: usize = 64 * 1024;

/// Pages of a chunk, one after the other.
pub(super) struct Pages {
    input: BufReader<Section>,
    leaf: Leaf,
    codec: i32,
    dictionary: Option<Arc<Dictionary>>,
    /// Values that pages still have.
    left: u64,
}

/// Levels and values that are left of a page of data.
pub(super) struct Page {
    /// Levels of each kind; fewer values.
    pub(super) left: u64,
    pub(super) repetition: Hybrid,
    pub(super) definition: Hybrid,
    pub(super) values: Values,
}

/// What a page's head says.
#[derive(Debug, Default)]
struct Head {
    kind: i32,
    bytes: i32,
    packed_bytes: i32,
    checksum: Option<i32>,
    values: i32,
    encoding: i32,
    /// In the first version: how levels are written.
    definition_encoding: i32,
    repetition_encoding: i32,
    /// In the second: their lengths, and whether values are compressed.
    definition_bytes: i32,
    repetition_bytes: i32,
    compression: Compression,
}

/// Whether the values of a page are compressed as its chunk is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Compression {
    #[default]
    OfChunk,
    None,
}

/// A page's bytes, taken apart.
struct Parts {
    repetition: Bytes,
    definition: Bytes,
    values: Bytes,
}

impl Head {
    fn codec(&self, of_chunk: i32) -> i32 {
        match self.compression {
            Compression::OfChunk => of_chunk,
            Compression::None => NONE,
        }
    }
}

const DATA: i32 = 0;
const INDEX: i32 = 1;
const DICTIONARY: i32 = 2;
const DATA_OF_VERSION_2: i32 = 3;
/// The encoding of levels; the other one has not been written since 2013.
const RLE: i32 = 3;

impl Pages {
    /// Reads them where they lie.
    pub(super) fn new(file: Arc<File>, chunk: Chunk, leaf: Leaf) -> Self {
        let section = Section { file, at: chunk.start, end: chunk.end };
        let input = BufReader::with_capacity(BUFFER_BYTES, section);
        Self { input, leaf, codec: chunk.codec, dictionary: None, left: chunk.values }
    }

    /// The next page of data; none: there are no more.
    pub(super) fn next(&mut self) -> Result<Option<Page>, String> {
        while self.left > 0 {
            let head = self.head().map_err(|why| format!("the head of a page: {why}"))?;
            let packed = self.packed(&head)?;
            match head.kind {
                DATA | DATA_OF_VERSION_2 => {
                    let values = u64::try_from(head.values).ok();
                    let left = values.and_then(|values| self.left.checked_sub(values));
                    self.left = left.ok_or_else(|| {
                        format!("a page of {} values where {} are left", head.values, self.left)
                    })?;
                    return self.page(&head, packed).map(Some);
                }
                DICTIONARY if self.dictionary.is_none() => {
                    let bytes = unpacked(self.codec, packed, page_bytes(head.bytes)?)?;
                    let dictionary = Dictionary::new(self.leaf.physical, bytes, head.values);
                    let dictionary = dictionary.map_err(|why| format!("its dictionary: {why}"))?;
                    self.dictionary = Some(Arc::new(dictionary));
                }
                DICTIONARY => return Err("it has two dictionaries".to_owned()),
                INDEX => {}
                other => return Err(format!("a page of kind {other} is not known")),
            }
        }
        Ok(None)
    }

    fn head(&mut self) -> Result<Head, String> {
        head(&mut Thrift::new((&mut self.input).take(HEAD_BYTES_MAX)))
    }

    /// The bytes of a page as they lie in the file.
    fn packed(&mut self, head: &Head) -> Result<Bytes, String> {
        let bytes = page_bytes(head.packed_bytes)?;
        let there = self.input.get_ref().left() + self.input.buffer().len() as u64;
        if bytes as u64 > there {
            return Err(format!("a page of {bytes} bytes where {there} are left"));
        }
        let mut packed = vec![0; bytes];
        self.input.read_exact(&mut packed).map_err(|error| error.to_string())?;
        if let Some(checksum) = head.checksum {
            let there = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, &packed);
            if there != u64::from(checksum.cast_unsigned()) {
                return Err("the checksum of a page does not match".to_owned());
            }
        }
        Ok(Bytes::from(packed))
    }

    fn page(&self, head: &Head, packed: Bytes) -> Result<Page, String> {
        let left = u64::from(head.values.unsigned_abs());
        let parts = match head.kind {
            DATA => self.parts_of_version_1(head, packed)?,
            _ => self.parts_of_version_2(head, packed)?,
        };
        let (physical, dictionary) = (self.leaf.physical, self.dictionary.as_ref());
        Ok(Page {
            left,
            repetition: Hybrid::new(parts.repetition, self.repetition_width())?,
            definition: Hybrid::new(parts.definition, self.definition_width())?,
            values: Values::new(physical, head.encoding, parts.values, left, dictionary)?,
        })
    }

    fn parts_of_version_1(&self, head: &Head, packed: Bytes) -> Result<Parts, String> {
        let mut rest = Cursor::new(unpacked(self.codec, packed, page_bytes(head.bytes)?)?);
        let mut levels = |width, encoding| match (width, encoding) {
            (0, _) => Ok(Bytes::new()),
            (_, RLE) => rest.sized(),
            (_, other) => Err(format!("encoding {other} of levels is not known")),
        };
        let repetition = levels(self.repetition_width(), head.repetition_encoding)?;
        let definition = levels(self.definition_width(), head.definition_encoding)?;
        Ok(Parts { repetition, definition, values: rest.rest() })
    }

    fn parts_of_version_2(&self, head: &Head, packed: Bytes) -> Result<Parts, String> {
        let mut rest = Cursor::new(packed);
        let repetition = rest.take(page_bytes(head.repetition_bytes)?)?;
        let definition = rest.take(page_bytes(head.definition_bytes)?)?;
        let bytes = page_bytes(head.bytes)?.checked_sub(repetition.len() + definition.len());
        let values = unpacked(head.codec(self.codec), rest.rest(), bytes.ok_or_else(too_soon)?)?;
        Ok(Parts { repetition, definition, values })
    }

    fn repetition_width(&self) -> u32 {
        width(self.leaf.shape.repetition_max())
    }

    fn definition_width(&self) -> u32 {
        width(self.leaf.shape.definition_max())
    }
}

/// Bits of a level.
fn width(level_max: u32) -> u32 {
    u32::BITS - level_max.leading_zeros()
}

fn page_bytes(bytes: i32) -> Result<usize, String> {
    match u32::try_from(bytes) {
        Ok(bytes) if bytes <= PAGE_BYTES_MAX => Ok(bytes as usize),
        _ => Err(format!("a page of {bytes} bytes; at most {PAGE_BYTES_MAX}")),
    }
}

fn head<R: Read>(input: &mut Thrift<R>) -> Result<Head, String> {
    let mut head = Head { kind: -1, bytes: -1, packed_bytes: -1, values: -1, ..Head::default() };
    let mut last = 0;
    while let Some(field) = input.field(&mut last)? {
        match (field.id, field.kind) {
            (1, Kind::Int) => head.kind = input.int()?,
            (2, Kind::Int) => head.bytes = input.int()?,
            (3, Kind::Int) => head.packed_bytes = input.int()?,
            (4, Kind::Int) => head.checksum = Some(input.int()?),
            (5, Kind::Structure) => version_1(input, &mut head)?,
            // The dictionary's has the same first fields as that of the first version.
            (7, Kind::Structure) => version_1(input, &mut head)?,
            (8, Kind::Structure) => version_2(input, &mut head)?,
            (_, kind) => input.skip(kind)?,
        }
    }
    Ok(head)
}

fn version_1<R: Read>(input: &mut Thrift<R>, head: &mut Head) -> Result<(), String> {
    let mut last = 0;
    while let Some(field) = input.field(&mut last)? {
        match (field.id, field.kind) {
            (1, Kind::Int) => head.values = input.int()?,
            (2, Kind::Int) => head.encoding = input.int()?,
            (3, Kind::Int) => head.definition_encoding = input.int()?,
            (4, Kind::Int) => head.repetition_encoding = input.int()?,
            (_, kind) => input.skip(kind)?,
        }
    }
    Ok(())
}

fn version_2<R: Read>(input: &mut Thrift<R>, head: &mut Head) -> Result<(), String> {
    let mut last = 0;
    while let Some(field) = input.field(&mut last)? {
        match (field.id, field.kind) {
            (1, Kind::Int) => head.values = input.int()?,
            (4, Kind::Int) => head.encoding = input.int()?,
            (5, Kind::Int) => head.definition_bytes = input.int()?,
            (6, Kind::Int) => head.repetition_bytes = input.int()?,
            (7, Kind::False) => head.compression = Compression::None,
            (_, kind) => input.skip(kind)?,
        }
    }
    Ok(())
}

const NONE: i32 = 0;
const SNAPPY: i32 = 1;
const ZSTD: i32 = 6;

/// The bytes of a page as they were before they were compressed.
fn unpacked(codec: i32, packed: Bytes, bytes: usize) -> Result<Bytes, String> {
    let name = match codec {
        NONE => "no compression",
        SNAPPY => "Snappy",
        ZSTD => "Zstandard",
        other => {
            let name = match other {
                2 => "gzip",
                3 => "LZO",
                4 => "Brotli",
                5 | 7 => "LZ4",
                _ => "what is not known",
            };
            return Err(format!("it is compressed with {name}; Snappy and Zstandard are read"));
        }
    };
    if codec == NONE && packed.len() == bytes {
        return Ok(packed);
    }
    // Writers compress nothing to nothing.
    if bytes == 0 && packed.is_empty() {
        return Ok(packed);
    }
    let mut unpacked = vec![0; bytes];
    let there = match codec {
        SNAPPY => snap::raw::Decoder::new()
            .decompress(&packed, &mut unpacked)
            .map_err(|error| format!("a page of Snappy: {error}"))?,
        ZSTD => ruzstd::decoding::FrameDecoder::new()
            .decode_all(&packed, &mut unpacked)
            .map_err(|error| format!("a page of Zstandard: {error}"))?,
        _ => packed.len(),
    };
    match there == bytes {
        true => Ok(Bytes::from(unpacked)),
        false => Err(format!("a page of {bytes} bytes has {there} with {name}")),
    }
}

/// A part of a file.
struct Section {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Section {
    fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = usize::try_from(self.left()).unwrap_or(usize::MAX).min(buffer.len());
        let Some(room) = buffer.get_mut(..room) else { return Ok(0) };
        let count = self.file.read_at(room, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

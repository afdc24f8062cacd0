//! Parquet files made byte by byte, so that each part can be spoilt.

/// A structure of Thrift in the making: fields with rising ids.
#[derive(Clone, Default)]
pub(super) struct Structure {
    bytes: Vec<u8>,
    last: u8,
}

pub(super) fn structure() -> Structure {
    Structure::default()
}

impl Structure {
    fn head(mut self, id: u8, kind: u8) -> Self {
        self.bytes.push((id - self.last) << 4 | kind);
        self.last = id;
        self
    }

    fn with(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(super) fn int(self, id: u8, number: i32) -> Self {
        self.head(id, 5).with(&signed(number.into()))
    }

    pub(super) fn long(self, id: u8, number: i64) -> Self {
        self.head(id, 6).with(&signed(number))
    }

    pub(super) fn text(self, id: u8, text: &str) -> Self {
        self.head(id, 8).with(&unsigned(text.len() as u64)).with(text.as_bytes())
    }

    pub(super) fn no(self, id: u8) -> Self {
        self.head(id, 2)
    }

    pub(super) fn part(self, id: u8, part: Structure) -> Self {
        self.head(id, 12).with(&part.end())
    }

    pub(super) fn list(self, id: u8, parts: Vec<Structure>) -> Self {
        let head = [vec![0xfc], unsigned(parts.len() as u64)].concat();
        let parts: Vec<u8> = parts.into_iter().flat_map(Structure::end).collect();
        self.head(id, 9).with(&head).with(&parts)
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

pub(super) fn unsigned(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn signed(number: i64) -> Vec<u8> {
    unsigned((number << 1 ^ number >> 63).cast_unsigned())
}

/// A leaf of the schema; others are made of it by adding fields.
pub(super) fn leaf(name: &str, kind: i32, repetition: i32) -> Structure {
    structure().int(1, kind).int(3, repetition).text(4, name)
}

/// A group of the schema.
pub(super) fn group(name: &str, repetition: i32, children: i32) -> Structure {
    structure().int(3, repetition).text(4, name).int(5, children)
}

pub(super) const REQUIRED: i32 = 0;
pub(super) const OPTIONAL: i32 = 1;
pub(super) const REPEATED: i32 = 2;
pub(super) const BOOLEAN: i32 = 0;
pub(super) const INT32: i32 = 1;
pub(super) const INT64: i32 = 2;
pub(super) const INT96: i32 = 3;
pub(super) const FLOAT: i32 = 4;
pub(super) const DOUBLE: i32 = 5;
pub(super) const BYTES: i32 = 6;
pub(super) const FIXED: i32 = 7;
/// Ids of a converted type and of the kind of a logical one.
pub(super) const CONVERTED: u8 = 6;
pub(super) const LOGICAL: u8 = 10;
pub(super) const UTF8: i32 = 0;
pub(super) const LIST: i32 = 3;

/// A page of the first version, plain, with so many values.
pub(super) fn page(values: i32, parts: &[&[u8]]) -> Vec<u8> {
    page_of(structure().int(1, values).int(2, 0).int(3, 3).int(4, 3), &parts.concat())
}

/// A page with this head of data.
pub(super) fn page_of(data: Structure, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as i32;
    let head = structure().int(1, 0).int(2, length).int(3, length).part(5, data);
    [head.end(), bytes.to_vec()].concat()
}

/// Levels in a run of their own each, behind their length.
pub(super) fn levels(levels: &[u8]) -> Vec<u8> {
    let runs: Vec<u8> = levels.iter().flat_map(|level| [2, *level]).collect();
    [(runs.len() as u32).to_le_bytes().as_slice(), &runs].concat()
}

/// A file of one row group.
pub(super) struct Written {
    /// The root is added.
    pub(super) schema: Vec<Structure>,
    pub(super) columns: i32,
    pub(super) rows: i64,
    pub(super) chunks: Vec<Chunk>,
}

/// A chunk, and what the footer says of it.
#[derive(Clone)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) codec: i32,
    pub(super) values: i64,
    /// Added to where it begins and to its length.
    pub(super) start_off: i64,
    pub(super) length_off: i64,
}

impl Chunk {
    pub(super) fn new(values: i64, bytes: Vec<u8>) -> Self {
        Self { bytes, codec: 0, values, start_off: 0, length_off: 0 }
    }

    fn told(&self, start: i64) -> Structure {
        let length = self.bytes.len() as i64 + self.length_off;
        let of = structure().int(4, self.codec).long(5, self.values).long(7, length);
        structure().long(2, 0).part(3, of.long(9, start + self.start_off))
    }
}

impl Written {
    /// A file with one column.
    pub(super) fn of(schema: Vec<Structure>, rows: i64, chunk: Chunk) -> Self {
        Self { schema, columns: 1, rows, chunks: vec![chunk] }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.bytes_with(|schema, chunks| footer(schema, self.rows, self.rows, chunks).end())
    }

    /// The file with a footer that is made of its schema and its chunks.
    pub(super) fn bytes_with(
        &self,
        footer: impl FnOnce(Vec<Structure>, Vec<Structure>) -> Vec<u8>,
    ) -> Vec<u8> {
        let root = structure().text(4, "root").int(5, self.columns);
        let schema = std::iter::once(root).chain(self.schema.iter().cloned()).collect();
        let mut file = b"PAR1".to_vec();
        let mut told = Vec::new();
        for chunk in &self.chunks {
            told.push(chunk.told(file.len() as i64));
            file.extend_from_slice(&chunk.bytes);
        }
        let footer = footer(schema, told);
        let length = (footer.len() as u32).to_le_bytes();
        [file.as_slice(), &footer, &length, b"PAR1"].concat()
    }
}

/// A footer that counts so many rows, with one row group of so many.
pub(super) fn footer(
    schema: Vec<Structure>,
    rows: i64,
    group_rows: i64,
    chunks: Vec<Structure>,
) -> Structure {
    let group = structure().list(1, chunks).long(2, 0).long(3, group_rows);
    structure().int(1, 1).list(2, schema).long(3, rows).list(4, vec![group])
}

//! The format stays what it is: the bytes of every record of an index, and decoders on any bytes.
//!
//! A change of these bytes is a change of the format: a new version, which reads the old one. The
//! bytes of codes and of graphs are held by the tests beside them and by `tests/format.rs`.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};
use roaring::RoaringBitmap;
use storage_engine::media::SeededRandom;

use crate::builder::put_row;
use crate::code::Codebook;
use crate::columns::ColumnsBuilder;
use crate::delta::{Delta, DeltaKey, DeltaRow};
use crate::error::Error;
use crate::key_hash::{HashSecret, KeyHash};
use crate::layout::{Layout, Locator};
use crate::manifest::Manifest;
use crate::metadata::Metadata;
use crate::metric::Metric;
use crate::properties::put_properties;
use crate::row::{NewRow, Owner};
use crate::sealed::Resident;
use crate::store::{DeltaNumber, Part, SegmentId, dead_name, delta_name, manifest_name, part_name};
use crate::text::{Analyzer, Language, TextBuilder};
use crate::verify::decode_record;

const DIMENSION: usize = 2;
/// Rounds of the bounded run; the fuzz target goes on for as long as it is let.
const ROUNDS: usize = 20_000;

/// `{"color": "red", "live": true, "score": -1.5, "size": 7, "tags": ["a", 2]}`: lists of mixed kinds
/// are not taken in, and are read.
const METADATA: &[u8] = b"\x05color\x05\x03red\x04live\x01\x05score\x04\0\0\0\0\0\0\xf8\xbf\
    \x04size\x02\x07\x04tags\x06\x05\x05\x01a\x02\x02";

fn metadata() -> Metadata {
    Metadata::decode(METADATA).unwrap()
}

fn delta() -> Delta {
    let row = |key: &str, owner| {
        let (key, vector) = (key.to_owned(), vec![1.0, -0.5]);
        DeltaRow { row: NewRow { key, vector, metadata: metadata() }, owner }
    };
    let key = |key: &str, owner| DeltaKey { key: key.to_owned(), owner };
    let owner = Some(Owner(*b"an owner's bytes"));
    Delta {
        rows: vec![row("free", None), row("owned", owner)],
        deleted: vec![key("gone", None), key("lost", owner)],
    }
}

fn resident() -> Resident {
    let book = Codebook::new(Metric::Cosine, 3, vec![0.25, -1.0]).unwrap();
    let codes = vec![0xC0; 2 * book.code_bytes()].into();
    Resident {
        metric: Metric::Cosine,
        dimension: DIMENSION,
        rows: 2,
        degree: 48,
        entries: vec![1],
        book,
        owned: RoaringBitmap::from([1]),
        properties_bytes: 0x0102,
        hashes: [[0x0A; KeyHash::BYTES], [0x0B; KeyHash::BYTES]].concat().into(),
        codes,
    }
}

/// One of each record, with a different value in every field.
fn samples() -> Vec<(&'static str, Bytes, Vec<u8>)> {
    let segment = SegmentId(7);
    let manifest = Manifest {
        secret: HashSecret(*b"a secret of hash"),
        watermark: DeltaNumber(0x0102),
        next_segment: SegmentId(9),
        segments: vec![SegmentId(7), SegmentId(8)],
    };
    let mut properties = Vec::new();
    for owner in [None, Some(Owner(*b"an owner's bytes"))] {
        put_properties(&mut properties, "key", owner, &metadata()).unwrap();
    }
    let mut columns = ColumnsBuilder::new(&["score".to_owned()]);
    columns.add(0, &metadata());
    columns.add(2, &metadata());
    let analyzer = Analyzer::new(Some(Language::English));
    let mut text = TextBuilder::new(&analyzer);
    text.add(0, "red fish").unwrap();
    text.add(2, "red red reed").unwrap();
    let mut dead = Vec::new();
    RoaringBitmap::from([1, 3]).serialize_into(&mut dead).unwrap();
    let part = |part: &Part| part_name(segment, part);
    vec![
        ("delta", delta_name(DeltaNumber(1)), delta().encode(DIMENSION).unwrap()),
        ("manifest", manifest_name(), manifest.encode()),
        ("resident", part(&Part::Resident), resident().encode().unwrap()),
        ("properties", part(&Part::Properties), properties),
        ("columns", part(&Part::Columns), columns.finish().encode()),
        ("text", part(&Part::Text("en/text".into())), text.finish().unwrap().encode().to_vec()),
        ("dead rows", dead_name(segment), dead),
    ]
}

/// Rows as they lie in pages, each with its neighbours, and their layout.
fn rows(degree: usize) -> (Layout, Vec<u8>) {
    let layout = Layout::new(DIMENSION, degree);
    let mut out = BytesMut::new();
    for number in 0..2 {
        let locator = Locator { offset: 0x0102 + u64::from(number), len: 9 }.pack().unwrap();
        put_row(&mut out, &layout, number, &[1.0, -0.5], locator, &[1 - number][..degree.min(1)]);
    }
    (layout, out.to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

const GOLDEN: [(&str, &str); 9] = [
    (
        "delta",
        "4c4f44455644454c0100000002000000020000000200000004000000330000006672656505636f6c6f7205\
         03726564046c697665010573636f726504000000000000f8bf0473697a6502070474616773060505016102\
         020000803f000000bf05000100330000006f776e6564616e206f776e6572277320627974657305636f6c6f\
         720503726564046c697665010573636f726504000000000000f8bf0473697a650207047461677306050501\
         6102020000803f000000bf04000000676f6e65040001006c6f7374616e206f776e65722773206279746573",
    ),
    (
        "manifest",
        "4c4f4445564d414e01006120736563726574206f6620686173680201000000000000090000000000000002\
         00000007000000000000000800000000000000",
    ),
    (
        "resident",
        "4c4f4445565345470100010002000000020000003000000001000000200000001200000000000000020100\
         0000000000010000004c5376636f646573010001040200000003000000000000000000803e000080bf3a30\
         000001000000000000001000000001000a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0b0b0b0b0b0b0b0b0b0b0b\
         0b0b0b0b0bc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
         c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0\
         c0c0c0c0c0c0c0",
    ),
    (
        "properties",
        "03000000330000006b657905636f6c6f720503726564046c697665010573636f726504000000000000f8bf\
         0473697a65020704746167730605050161020203000100330000006b6579616e206f776e65722773206279\
         74657305636f6c6f720503726564046c697665010573636f726504000000000000f8bf0473697a65020704\
         7461677306050501610202",
    ),
    (
        "columns",
        "4c4f4445434f4c5301000000030000000400000034000000000000007000000000000000a8000000000000\
         00ea00000000000000050000000100000000000000000000000f00000000000000636f6c6f720000000000\
         0000000000000000000000000100020001000404726564020001040000000100000000000000000000000c\
         000000000000006c6976650000000000000000000000000000000000010002000100010202000104000000\
         010000000000000000000000160000000000000073697a6500000000000000000000000000000000000100\
         020001000b03c01c0000000000000000020001040000000100000000000000010000001d00000000000000\
         7461677300000000000000000000000000000000000100020001000b03c000000000000000000002000100\
         020461020001",
    ),
    (
        "text",
        "4c445354544558540100010101000000030000000200000005000000000000000300000000000000150000\
         00000000000500000000000000020003000000000000000000046669736801010003726564020302026564\
         01010101020205",
    ),
    ("dead rows", "3a30000001000000000001001000000001000300"),
    ("rows", "0000803f000000bf02010000000900000000803f000000bf0301000000090000"),
    (
        "rows of a graph",
        "0000803f000000bf02010000000900000100000001000000000000000000803f000000bf03010000000900\
         00010000000000000000000000",
    ),
];

#[test]
fn every_record_has_its_golden_bytes() {
    let mut found: Vec<(&str, String)> =
        samples().iter().map(|(what, _, bytes)| (*what, hex(bytes))).collect();
    found.push(("rows", hex(&rows(0).1)));
    found.push(("rows of a graph", hex(&rows(2).1)));
    if std::env::var("LODESTORE_PRINT_GOLDEN").is_ok() {
        for (what, hex) in &found {
            println!("GOLDEN {what}|{hex}");
        }
    }
    assert_eq!(found.len(), GOLDEN.len());
    for ((what, hex), (name, golden)) in found.iter().zip(GOLDEN) {
        assert_eq!((*what, hex.as_str()), (name, golden));
    }
}

#[test]
fn rows_are_read_from_their_bytes_and_end_where_those_do() {
    for degree in [0, 2] {
        let (layout, bytes) = rows(degree);
        for (number, row) in (0..).zip(bytes.chunks(layout.stride())) {
            let offset = 0x0102 + u64::from(number);
            assert_eq!(layout.vector(row), [1.0_f32, -0.5].map(f32::to_le_bytes).concat());
            assert_eq!(layout.locator(row), Some(Locator { offset, len: 9 }));
            let neighbours: Vec<u32> = layout.neighbours(row).collect();
            assert_eq!(neighbours, if degree == 0 { vec![] } else { vec![1 - number] });
        }
        for len in 0..layout.stride() {
            let cut = &bytes[..len];
            assert_eq!(layout.locator(cut).is_some(), len >= DIMENSION * 4 + 8);
            assert!(layout.vector(cut).len() <= len && layout.neighbours(cut).count() <= degree);
        }
        let garbage = vec![0xFF; layout.stride()];
        assert_eq!(layout.neighbours(&garbage).count(), degree);
    }
}

#[test]
fn every_record_is_read_and_none_is_read_short() {
    for (what, name, bytes) in samples() {
        let bytes = Bytes::from(bytes);
        decode_record(&name, &bytes, DIMENSION).unwrap();
        for len in 0..bytes.len() {
            // Properties may end after any of them.
            let ends = what == "properties" && [0, bytes.len() / 2 - 8].contains(&len);
            let read = decode_record(&name, &bytes.slice(..len), DIMENSION);
            assert_eq!(read.is_ok(), ends, "{len} bytes of {what}");
        }
    }
}

#[test]
fn what_was_encoded_comes_back() {
    let (one, bytes) = (delta(), delta().encode(DIMENSION).unwrap());
    let again = Delta::decode(&bytes, DIMENSION).unwrap();
    assert_eq!(again.encode(DIMENSION).unwrap(), bytes);
    assert_eq!(again.deleted, one.deleted);
    assert!(matches!(Delta::decode(&bytes, DIMENSION + 1), Err(Error::Corrupt(_))));
    let bytes = Bytes::from(resident().encode().unwrap());
    assert_eq!(Resident::decode(&bytes).unwrap().encode().unwrap(), bytes);
}

#[test]
fn no_decoder_panics_on_any_bytes() {
    let samples = samples();
    let mut random = SeededRandom::new(1);
    for _ in 0..ROUNDS {
        let (what, name, sample) = &samples[random.position(samples.len())];
        let mut bytes = sample.clone();
        match random.below(5) {
            0 => {
                bytes = vec![0; random.position(300)];
                random.fill(&mut bytes);
            }
            1 => bytes.truncate(random.position(sample.len())),
            2 => bytes.extend_from_within(random.position(sample.len())..),
            _ => {}
        }
        for _ in 0..random.below(5) {
            let at = random.position(bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = if random.percent(30) { 0xFF } else { random.next_u64() as u8 };
            }
        }
        let bytes = Bytes::from(bytes);
        match decode_record(name, &bytes, DIMENSION) {
            Ok(()) | Err(Error::Corrupt(_) | Error::Invalid(_)) => {}
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

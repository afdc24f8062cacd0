//! Spoilt files: each fault is told in words, none is a panic.

use std::io::Write;

use super::super::{Columns, Parquet, Rows};
use super::*;

/// Changed files of each sample.
const CHANGED: usize = 1500;

/// A list that may be null, of floats that may be.
fn nullable_list() -> Vec<Structure> {
    let outer = group("x", OPTIONAL, 1).int(CONVERTED, LIST);
    vec![outer, group("list", REPEATED, 1), leaf("element", FLOAT, OPTIONAL)]
}

/// What is wrong with a file of two columns, `x` and vectors `v` of one number.
fn fault_of(x: Structure, rows: i64, chunk: Vec<u8>) -> String {
    let numbers = floats(&vec![1.0; rows as usize]);
    let there = vec![1; rows as usize];
    let vectors = page(rows as i32, &[&levels(&vec![0; rows as usize]), &levels(&there), &numbers]);
    let chunks = vec![Chunk::new(rows, vectors), Chunk::new(rows, chunk)];
    let schema = vec![leaf("v", FLOAT, REPEATED), x];
    let files = Files::new();
    files.write("a.parquet", Written { schema, columns: 2, rows, chunks }.bytes());
    files.read("a.parquet", &["--vector-column", "v"]).1.unwrap_or_default()
}

#[test]
fn columns_of_other_kinds_are_refused_by_name() {
    let fixed = |bytes| structure().int(1, FIXED).int(2, bytes).int(3, REQUIRED).text(4, "x");
    let logical = |id| structure().part(id, structure());
    let list = || group("x", OPTIONAL, 1).int(CONVERTED, LIST);
    for (schema, told) in [
        (vec![leaf("x", INT32, OPTIONAL).int(CONVERTED, 6)], "a date"),
        (vec![leaf("x", INT32, OPTIONAL).part(LOGICAL, logical(6))], "a date"),
        (vec![leaf("x", INT32, OPTIONAL).int(CONVERTED, 7)], "a time of day"),
        (vec![leaf("x", INT64, OPTIONAL).part(LOGICAL, logical(8))], "a timestamp"),
        (vec![leaf("x", INT96, OPTIONAL)], "a timestamp"),
        (vec![leaf("x", INT64, OPTIONAL).int(CONVERTED, 5)], "a decimal"),
        (vec![leaf("x", INT32, OPTIONAL).part(LOGICAL, logical(11))], "always null"),
        (vec![leaf("x", BYTES, OPTIONAL)], "bytes"),
        (vec![leaf("x", BYTES, OPTIONAL).int(CONVERTED, 20)], "BSON"),
        (vec![fixed(16).part(LOGICAL, logical(14))], "a UUID"),
        (vec![fixed(12).int(CONVERTED, 21)], "an interval"),
        (vec![fixed(12)], "bytes of a fixed length"),
        (vec![leaf("x", BOOLEAN, REPEATED)], "a list of booleans"),
        (vec![leaf("x", INT32, REPEATED).int(CONVERTED, 6)], "a list of dates"),
        (vec![group("x", OPTIONAL, 1), leaf("y", INT32, OPTIONAL)], "a structure"),
        (vec![group("x", REPEATED, 1), leaf("y", INT32, OPTIONAL)], "a list of structures"),
        (vec![group("x", OPTIONAL, 1).int(CONVERTED, 1), leaf("y", INT32, REPEATED)], "a map"),
        (
            vec![group("x", OPTIONAL, 1).part(LOGICAL, logical(2)), leaf("y", INT32, OPTIONAL)],
            "a map",
        ),
        (
            vec![
                list(),
                group("list", REPEATED, 1),
                list(),
                group("list", REPEATED, 1),
                leaf("y", INT32, OPTIONAL),
            ],
            "a list of lists",
        ),
        (
            vec![
                list(),
                group("list", REPEATED, 2),
                leaf("y", INT32, OPTIONAL),
                leaf("z", INT32, OPTIONAL),
            ],
            "a list of structures",
        ),
    ] {
        let schema = [schema, vec![leaf("v", FLOAT, REPEATED)]].concat();
        let file = Written { schema, columns: 2, rows: 0, chunks: Vec::new() };
        let files = Files::new();
        files.write("a.parquet", file.bytes_with(|schema, _| structure().list(2, schema).end()));
        let right = format!(
            "a.parquet: column `x` is {told}; metadata is a text, a number, a boolean, or a list of texts or numbers"
        );
        let (_, fault) = files.read("a.parquet", &["--vector-column", "v"]);
        assert_eq!(fault, Some(format!("{right}; --metadata-columns names those to take")));
        let named = ["--vector-column", "v", "--metadata-columns", "x"];
        assert_eq!(files.read("a.parquet", &named).1, Some(right));
        let others = ["--vector-column", "v", "--metadata-columns", ""];
        assert_eq!(files.read("a.parquet", &others), (Vec::new(), None));
    }
}

#[test]
fn rows_at_fault_are_named_with_their_column() {
    for (rows, starts, there, numbers, right) in [
        (1, &[0][..], &[0][..], &[][..], "row 0: column `x`: the vector is null"),
        (1, &[0], &[1], &[], "row 0: its vector is empty"),
        (1, &[0, 1], &[3, 2], &[1.0], "row 0: column `x`: component 1 is null"),
        (
            2,
            &[0, 1, 0],
            &[3, 3, 3],
            &[1.0, 2.0, 3.0],
            "row 1: 1 components, but the rows before have 2",
        ),
        (1, &[0, 1], &[3, 3], &[1.0, f32::NAN], "row 0: component 1 is not a finite f32"),
        (1, &[1], &[3], &[1.0], "row 0: column `x`: it goes on with a list that has not begun"),
        (
            1,
            &[0, 1],
            &[3, 1],
            &[1.0],
            "row 0: column `x`: it goes on with a list that is not there",
        ),
        (1, &[0], &[3], &[], "row 0: column `x`: it ends too soon"),
        (1, &[0], &[4], &[1.0], "row 0: column `x`: a level of 4; at most 3"),
        (2, &[0], &[3], &[1.0], "row 1: column `x`: it ends before the other columns"),
        (
            1,
            &[0, 0],
            &[3, 3],
            &[1.0, 2.0],
            "row 1: column `x`: it goes on behind the other columns",
        ),
    ] {
        let parts = [levels(starts), levels(there), floats(numbers)];
        let parts = parts.each_ref().map(Vec::as_slice);
        let read = rows_of(nullable_list(), rows, starts.len() as i32, &parts);
        assert_eq!(read, Err(right.to_owned()));
    }
    let long = 65_537;
    let run = |level| [vec![4, 0, 0, 0], unsigned(long << 1), vec![level]].concat();
    let [there, zeros] = [run(3), vec![0; 4 * long as usize]];
    let starts = [&[7, 0, 0, 0, 2, 0][..], &unsigned((long - 1) << 1), &[1]].concat();
    let starts = [&(starts.len() as u32 - 4).to_le_bytes(), &starts[4..]].concat();
    let there = [&(there.len() as u32 - 4).to_le_bytes(), &there[4..]].concat();
    let read = rows_of(nullable_list(), 1, long as i32, &[&starts, &there, &zeros]);
    assert_eq!(read, Err("row 0: column `x`: more than 65536 components".to_owned()));
}

#[test]
fn a_row_at_fault_may_be_passed_over() {
    let files = Files::new();
    let parts = [levels(&[0, 0, 0]), levels(&[3, 0, 3]), floats(&[1.0, 2.0])];
    let chunk = Chunk::new(3, page(3, &parts.each_ref().map(Vec::as_slice)));
    files.write("a.parquet", Written::of(nullable_list(), 3, chunk).bytes());
    let vector = ["--vector-column", "x"];
    let (rows, fault) = files.read("a.parquet", &vector);
    assert_eq!((rows.len(), fault.is_some()), (1, true));
    let (rows, fault) = files.read("a.parquet", &[&vector[..], &["--from-row", "2"]].concat());
    assert_eq!((rows, fault), (vec!["2 [2.0]".to_owned()], None));
}

#[test]
fn metadata_at_fault_is_named_with_its_column() {
    let text = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes(), bytes].concat();
    let texts = leaf("x", BYTES, REQUIRED).int(CONVERTED, UTF8);
    let outer = "a.parquet: row 0: column `x`: ";
    for (column, chunk, right) in [
        (texts.clone(), page(1, &[&text(b"\xff")]), "a text is not UTF-8"),
        (texts.clone(), page(1, &[&text(b"abc")[..6]]), "it ends too soon"),
        (texts.clone(), page(1, &[&u32::MAX.to_le_bytes()]), "it ends too soon"),
        (
            texts,
            page(1, &[&text(&vec![b'a'; 5 << 20])]),
            "the row's metadata takes more than 4194304 bytes",
        ),
        (
            leaf("x", DOUBLE, REQUIRED),
            page(1, &[&f64::NAN.to_le_bytes()]),
            "NaN is no number of JSON",
        ),
        (
            leaf("x", FLOAT, REQUIRED),
            page(1, &[&f32::INFINITY.to_le_bytes()]),
            "inf is no number of JSON",
        ),
    ] {
        assert_eq!(fault_of(column, 1, chunk), format!("{outer}{right}"));
    }
}

#[test]
fn pages_at_fault_are_refused() {
    let good = [levels(&[0]), levels(&[1]), floats(&[1.0])].concat();
    let long = good.len() as i32;
    let head = |kind, bytes, packed: i32| structure().int(1, kind).int(2, bytes).int(3, packed);
    let data = || structure().int(1, 1).int(2, 0).int(3, 3).int(4, 3);
    let with = |head: Structure, bytes: &[u8]| [&head.end(), bytes].concat();
    let dictionary = |count: i32, floats: &[u8]| {
        let length = floats.len() as i32;
        with(head(2, length, length).part(7, structure().int(1, count).int(2, 0)), floats)
    };
    let names = |bytes: &[u8]| {
        page_of(
            structure().int(1, 1).int(2, 8).int(3, 3).int(4, 3),
            &[&levels(&[0]), &levels(&[1]), bytes].concat(),
        )
    };
    let encoded =
        |encoding, levels| structure().int(1, 1).int(2, encoding).int(3, levels).int(4, 3);
    let second = |values, bytes| {
        let of = structure().int(1, 1).int(2, 0).int(3, 1).int(4, 0).int(5, bytes).int(6, 2);
        with(head(3, values, 8).part(8, of.no(7)), &[2, 0, 2, 1, 0, 0, 0x80, 0x3f])
    };
    let one = dictionary(1, &floats(&[1.0]));
    let good_page = page(1, &[&good]);
    for (chunk, codec, right) in [
        (good_page.clone(), 0, ""),
        (second(8, 2), 0, ""),
        ([one.clone(), names(&[0, 2, 0])].concat(), 0, ""),
        (second(3, 2), 0, "it ends too soon"),
        (second(8, -1), 0, "a page of -1 bytes; at most 268435456"),
        (second(8, 7), 0, "it ends too soon"),
        (second(9, 2), 0, "a page of 5 bytes has 4 with no compression"),
        (vec![], 0, "the head of a page: it ends too soon"),
        (good_page[..5].to_vec(), 0, "the head of a page: it ends too soon"),
        (vec![0x15, 0xff], 0, "the head of a page: it ends too soon"),
        (
            vec![0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            0,
            "the head of a page: a number has more than 32 bits",
        ),
        (good_page[..good_page.len() - 1].to_vec(), 0, "a page of 16 bytes where 15 are left"),
        (with(head(9, 0, 0), &[]), 0, "a page of kind 9 is not known"),
        (with(head(0, 0, -1), &[]), 0, "a page of -1 bytes; at most 268435456"),
        (with(structure().int(1, 0), &[]), 0, "a page of -1 bytes; at most 268435456"),
        (
            with(head(0, 1 << 30, long).part(5, data()), &good),
            0,
            "a page of 1073741824 bytes; at most 268435456",
        ),
        (
            with(head(0, long + 1, long).part(5, data()), &good),
            0,
            "a page of 17 bytes has 16 with no compression",
        ),
        (
            with(head(0, long, long).int(4, 7).part(5, data()), &good),
            0,
            "the checksum of a page does not match",
        ),
        (with(head(0, long, long), &good), 0, "a page of -1 values where 1 are left"),
        (page(2, &[&good]), 0, "a page of 2 values where 1 are left"),
        (page_of(encoded(99, 3), &good), 0, "encoding 99 of Float is not known"),
        (page_of(encoded(5, 3), &good), 0, "encoding 5 of Float is not known"),
        (page_of(encoded(0, 4), &good), 0, "encoding 4 of levels is not known"),
        (page_of(encoded(9, 3), &good[..15]), 0, "it ends too soon"),
        (page_of(encoded(0, 3), &[9, 0, 0, 0, 2]), 0, "it ends too soon"),
        (names(&[0, 2, 0]), 0, "it has no dictionary"),
        ([one.clone(), names(&[1, 2, 1])].concat(), 0, "value 1 of a dictionary of 1"),
        ([one.clone(), names(&[33, 2, 1])].concat(), 0, "numbers of 33 bits; at most 32"),
        ([one.clone(), one].concat(), 0, "it has two dictionaries"),
        (dictionary(2, &floats(&[1.0])), 0, "its dictionary: it ends too soon"),
        (dictionary(-1, &floats(&[1.0])), 0, "its dictionary: a dictionary of -1 values"),
        (good_page.clone(), 1, "a page of Snappy: snappy: "),
        (good_page.clone(), 6, "a page of Zstandard: "),
        (good_page.clone(), 2, "it is compressed with gzip; Snappy and Zstandard are read"),
        (good_page.clone(), 3, "it is compressed with LZO; Snappy and Zstandard are read"),
        (good_page.clone(), 4, "it is compressed with Brotli; Snappy and Zstandard are read"),
        (good_page.clone(), 7, "it is compressed with LZ4; Snappy and Zstandard are read"),
        (good_page, 99, "it is compressed with what is not known; Snappy and Zstandard are read"),
    ] {
        let chunk = Chunk { codec, ..Chunk::new(1, chunk) };
        let read = read(&Written::of(vec![leaf("x", FLOAT, REPEATED)], 1, chunk).bytes());
        match (right, read) {
            ("", read) => assert_eq!(read, Ok(vec!["0 [1.0]".to_owned()])),
            (right, read) => {
                let said = read.unwrap_err();
                let outer = format!("row 0: column `x`: {right}");
                let is_whole = right.ends_with(": ");
                assert!(
                    if is_whole { said.starts_with(&outer) } else { said == outer },
                    "{said}, not {right}"
                );
            }
        }
    }
}

#[test]
fn footers_at_fault_are_refused() {
    let good = page(1, &[&levels(&[0]), &levels(&[1]), &floats(&[1.0])]);
    let chunk = Chunk::new(1, good);
    let file = |chunk| Written::of(vec![leaf("x", FLOAT, REPEATED)], 1, chunk);
    let whole = file(chunk.clone());
    let of = |made: fn(Vec<Structure>, Vec<Structure>) -> Structure| {
        whole.bytes_with(|schema, chunks| made(schema, chunks).end())
    };
    let schema = |parts: Vec<Structure>, columns| {
        let root = structure().text(4, "root").int(5, columns);
        whole.bytes_with(|_, chunks| footer([vec![root], parts].concat(), 1, 1, chunks).end())
    };
    let off =
        |start_off, length_off| file(Chunk { start_off, length_off, ..chunk.clone() }).bytes();
    let deep = [vec![0x59], vec![0x19; 100]].concat();
    let unreadable = |why: &str| format!("its footer cannot be read: {why}");
    let bytes = whole.bytes();
    let last = |end: &[u8]| [&bytes[..bytes.len() - end.len()], end].concat();
    for (bytes, right) in [
        (Vec::new(), "it is no Parquet file".to_owned()),
        (b"PAR1".to_vec(), "it is no Parquet file".to_owned()),
        (b"PK\x03\x04 archive".to_vec(), "it is no Parquet file".to_owned()),
        (
            bytes[..bytes.len() - 1].to_vec(),
            "it is cut off: the footer of a Parquet file is missing".to_owned(),
        ),
        (
            b"PAR1\xff\xff\xff\xffPAR1".to_vec(),
            "a footer of 4294967295 bytes in a file of 12".to_owned(),
        ),
        (last(b"PARE"), "its footer is encrypted".to_owned()),
        (last(b"\0\0\0\0PAR1"), unreadable("it ends too soon")),
        (last(b"\x01\0\0\0PAR1"), unreadable("it has no schema")),
        (of(|_, _| structure()), unreadable("it has no schema")),
        (of(|_, _| structure().list(2, Vec::new())), unreadable("it has no columns")),
        (whole.bytes_with(|_, _| deep), unreadable("it is nested too deep")),
        (whole.bytes_with(|_, _| vec![0x0e]), unreadable("it ends too soon")),
        (whole.bytes_with(|_, _| vec![0x1e]), unreadable("a value of kind 14 is not known")),
        (
            whole.bytes_with(|_, _| vec![0x29, 0xfc, 0xff, 0xff, 0x7f]),
            unreadable("a schema of 2097151 parts; at most 65536"),
        ),
        (
            whole.bytes_with(|_, _| vec![0x29, 0x15]),
            unreadable("its schema is no list of structures"),
        ),
        (schema(vec![leaf("x", FLOAT, REPEATED)], 2), unreadable("its schema ends too soon")),
        (schema(vec![leaf("x", 8, REPEATED)], 1), unreadable("values of kind 8 are not known")),
        (schema(vec![leaf("x", FIXED, REPEATED)], 1), unreadable("values of 0 bytes")),
        (schema(vec![group("x", REPEATED, -1)], 1), unreadable("a group of -1 columns")),
        (
            schema(vec![leaf("x", FLOAT, REPEATED), leaf("x", FLOAT, REPEATED)], 2),
            "2 columns are named `x`".to_owned(),
        ),
        (
            of(|schema, chunks| footer(schema, 2, 1, chunks)),
            "its footer counts 2 rows, its row groups 1".to_owned(),
        ),
        (of(|schema, chunks| footer(schema, 1, -1, chunks)), "row group 0: -1 rows".to_owned()),
        (of(|schema, chunks| footer(schema, -1, 1, chunks)), "-1 rows".to_owned()),
        (
            of(|schema, _| footer(schema, 1, 1, Vec::new())),
            "row group 0: chunk 0: it is missing".to_owned(),
        ),
        (
            of(|schema, _| footer(schema, 1, 1, vec![structure().part(3, structure().long(5, 1))])),
            "row group 0: chunk 0: it does not say where it lies".to_owned(),
        ),
        (
            of(|schema, _| footer(schema, 1, 1, vec![structure().text(1, "b")])),
            "row group 0: chunk 0: it lies in another file".to_owned(),
        ),
        (
            of(|schema, _| footer(schema, 1, 1, vec![structure().part(8, structure())])),
            "row group 0: chunk 0: it is encrypted".to_owned(),
        ),
        (off(-5, 0), "row group 0: chunk 0: -1 bytes before it".to_owned()),
        (off(-4, 0), "row group 0: chunk 0: 33 bytes at 0 are not in the file".to_owned()),
        (off(0, 1), "row group 0: chunk 0: 34 bytes at 4 are not in the file".to_owned()),
        (
            off(0, i64::MAX - 33),
            format!("row group 0: chunk 0: {} bytes at 4 are not in the file", i64::MAX),
        ),
        (off(0, -34), "row group 0: chunk 0: -1 bytes".to_owned()),
        (
            of(|schema, _| footer(schema, 1, 1, vec![structure()])),
            "row 0: column `x`: it ends before the other columns".to_owned(),
        ),
        (
            file(Chunk { values: -1, ..chunk.clone() }).bytes(),
            "row group 0: chunk 0: -1 values".to_owned(),
        ),
    ] {
        assert_eq!(read(&bytes), Err(right));
    }
    assert_eq!(read(&bytes), Ok(vec!["0 [1.0]".to_owned()]));
}

/// How many rows a file of the samples' columns has.
fn rows_in(bytes: &[u8]) -> Result<usize, String> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let columns =
        Columns { key: Some("id".to_owned()), vector: "embedding".to_owned(), metadata: None };
    let mut parquet = Parquet::open(file, &columns)?;
    let mut rows = 0;
    while parquet.read()?.is_some() {
        rows += 1;
    }
    Ok(rows)
}

#[test]
fn files_that_are_cut_off_are_refused() {
    for (_, whole) in SAMPLES {
        for length in 0..whole.len() {
            let fault = rows_in(&whole[..length]).unwrap_err();
            assert!(fault.starts_with("it is no Parquet") || fault.starts_with("it is cut off"));
        }
    }
}

#[test]
fn files_with_changed_bytes_have_rows_or_a_fault() {
    let mut state = 1_u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) as usize % below
    };
    let (mut whole, mut refused) = (0, 0);
    for (_, bytes) in SAMPLES {
        for _ in 0..CHANGED {
            let mut bytes = bytes.to_vec();
            for _ in 0..=next(3) {
                let place = next(bytes.len());
                bytes[place] = [0, 0xff, bytes[place] ^ 1 << next(8), next(256) as u8][next(4)];
            }
            match rows_in(&bytes) {
                Ok(rows) => whole += usize::from(rows <= 5),
                Err(_) => refused += 1,
            }
        }
    }
    assert_eq!(whole + refused, SAMPLES.len() * CHANGED);
    assert!(whole > CHANGED / 2 && refused > CHANGED / 2, "{whole} whole, {refused} refused");
}

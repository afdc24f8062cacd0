//! Spoilt files: each fault is told in words, none is a panic.

use std::io::Write as _;

use ::parquet::basic::Compression;
use ::parquet::file::metadata::{ColumnChunkMetaDataBuilder, ParquetMetaDataWriter};

use super::*;

/// Changed files of each sample.
const CHANGED: usize = 1500;
const NULLABLE_LIST: &str =
    "OPTIONAL GROUP x (LIST) { REPEATED GROUP list { OPTIONAL FLOAT element; } }";

#[test]
fn columns_of_other_kinds_are_refused_by_name() {
    let list =
        |items: &str| format!("OPTIONAL GROUP x (LIST) {{ REPEATED GROUP list {{ {items} }} }}");
    let lists = list("OPTIONAL GROUP y (LIST) { REPEATED GROUP list { OPTIONAL INT32 z; } }");
    let structures = list("OPTIONAL INT32 y; OPTIONAL INT32 z;");
    for (schema, what) in [
        ("OPTIONAL INT32 x (DATE);", "a date"),
        ("OPTIONAL INT32 x (TIME_MILLIS);", "a time of day"),
        ("OPTIONAL INT64 x (TIME(NANOS,true));", "a time of day"),
        ("OPTIONAL INT64 x (TIMESTAMP_MICROS);", "a timestamp"),
        ("OPTIONAL INT64 x (TIMESTAMP(NANOS,true));", "a timestamp"),
        ("OPTIONAL INT96 x;", "a timestamp"),
        ("OPTIONAL INT64 x (DECIMAL(9,2));", "a decimal"),
        ("OPTIONAL BYTE_ARRAY x;", "bytes"),
        ("OPTIONAL BYTE_ARRAY x (BSON);", "BSON"),
        ("OPTIONAL FIXED_LEN_BYTE_ARRAY (16) x (UUID);", "a UUID"),
        ("OPTIONAL FIXED_LEN_BYTE_ARRAY (12) x (INTERVAL);", "an interval"),
        ("REQUIRED FIXED_LEN_BYTE_ARRAY (12) x;", "bytes of a fixed length"),
        ("REPEATED BOOLEAN x;", "a list of booleans"),
        ("REPEATED INT32 x (DATE);", "a list of dates"),
        ("OPTIONAL GROUP x { OPTIONAL INT32 y; }", "a structure"),
        ("REPEATED GROUP x { OPTIONAL INT32 y; }", "a list of structures"),
        (
            "OPTIONAL GROUP x (MAP) { REPEATED GROUP y { REQUIRED INT32 key; OPTIONAL INT32 value; } }",
            "a map",
        ),
        (
            "OPTIONAL GROUP x (LIST) { REPEATED GROUP array { REQUIRED INT32 y; } }",
            "a list of structures",
        ),
        (
            "OPTIONAL GROUP x (LIST) { REPEATED GROUP x_tuple { REQUIRED INT32 y; } }",
            "a list of structures",
        ),
        (&lists, "a list of lists"),
        (&structures, "a list of structures"),
    ] {
        let schema = parse_message_type(&format!("message root {{ {schema} REPEATED FLOAT v; }}"));
        let schema = Arc::new(schema.unwrap());
        let bytes = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
        let bytes = bytes.into_inner().unwrap();
        let right = format!(
            "column `x` is {what}; metadata is a text, a number, a boolean, or a list of texts or numbers"
        );
        let vector = ["--vector-column", "v", "--metadata-columns"];
        assert_eq!(
            read_with(&bytes, &vector[..2]),
            Err(format!("{right}; --metadata-columns names those to take"))
        );
        assert_eq!(read_with(&bytes, &[&vector[..], &["x"]].concat()), Err(right));
        assert_eq!(read_with(&bytes, &[&vector[..], &[""]].concat()), Ok(Vec::new()));
    }
}

#[test]
fn rows_at_fault_are_named_with_their_column() {
    for (there, starts, numbers, right) in [
        (&[0][..], &[0][..], &[][..], "row 0: column `x`: the vector is null"),
        (&[1], &[0], &[], "row 0: its vector is empty"),
        (&[3, 2], &[0, 1], &[1.0], "row 0: column `x`: component 1 is null"),
        (
            &[3, 3, 3],
            &[0, 1, 0],
            &[1.0, 2.0, 3.0],
            "row 1: 1 components, but the rows before have 2",
        ),
        (&[3, 3], &[0, 1], &[1.0, f32::NAN], "row 0: component 1 is not a finite f32"),
    ] {
        let numbers = column::<FloatType>(there, starts, numbers);
        assert_eq!(read(&file(NULLABLE_LIST, vec![numbers])), Err(right.to_owned()));
    }
    let odd = ByteArray::from(vec![0; 6]).into();
    let block = column::<FixedLenByteArrayType>(&[], &[], &[odd]);
    let block = file("REQUIRED FIXED_LEN_BYTE_ARRAY (6) x;", vec![block]);
    assert_eq!(read(&block), Err("row 0: column `x`: 6 bytes are no f32 of 4 each".to_owned()));
}

#[test]
fn a_row_at_fault_may_be_passed_over() {
    let numbers = column::<FloatType>(&[3, 0, 3], &[0, 0, 0], &[1.0, 2.0]);
    let bytes = file(NULLABLE_LIST, vec![numbers]);
    assert_eq!(read(&bytes), Err("row 1: column `x`: the vector is null".to_owned()));
    let rows = read_with(&bytes, &["--vector-column", "x", "--from-row", "2"]);
    assert_eq!(rows, Ok(vec!["2 [2.0]".to_owned()]));
}

#[test]
fn metadata_at_fault_is_named_with_its_column() {
    let text = |bytes: Vec<u8>| column::<ByteArrayType>(&[], &[], &[bytes.into()]);
    let vector = || column::<FloatType>(&[1], &[0], &[1.0]);
    for (schema, write, right) in [
        (
            "REQUIRED BYTE_ARRAY y (UTF8);",
            text(b"\xff".to_vec()),
            "not a parquet file that can be read: Error reading BYTE_ARRAY as String. Bytes: ",
        ),
        (
            "REQUIRED BYTE_ARRAY y (UTF8);",
            text(vec![b'a'; 5 << 20]),
            "the row's metadata takes more than 4194304 bytes",
        ),
        (
            "REQUIRED DOUBLE y;",
            column::<DoubleType>(&[], &[], &[f64::NAN]),
            "NaN is no number of JSON",
        ),
        (
            "REQUIRED FLOAT y;",
            column::<FloatType>(&[], &[], &[f32::INFINITY]),
            "inf is no number of JSON",
        ),
    ] {
        let said = read(&file(&format!("{schema} REPEATED FLOAT x;"), vec![write, vector()]));
        let said = said.unwrap_err();
        assert!(said.starts_with(&format!("row 0: column `y`: {right}")), "{said}");
    }
    let items = column::<Int32Type>(&[3, 2], &[0, 1], &[1]);
    let list = "OPTIONAL GROUP y (LIST) { REPEATED GROUP list { OPTIONAL INT32 element; } }";
    let said = read(&file(&format!("{list} REPEATED FLOAT x;"), vec![items, vector()]));
    assert_eq!(said, Err("row 0: column `y`: item 1 of a list is null".to_owned()));
}

/// The file with a footer that says something else of its one chunk and of how many rows it has.
fn retold(
    bytes: &[u8],
    rows: i64,
    chunk: impl Fn(ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder,
) -> Vec<u8> {
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    let footer = SerializedFileReader::new(bytes.clone()).unwrap().metadata().clone();
    let mut footer = footer.into_builder();
    for group in footer.take_row_groups() {
        let chunk = chunk(group.column(0).clone().into_builder()).build().unwrap();
        let group = group.into_builder().set_num_rows(rows).set_column_metadata(vec![chunk]);
        footer = footer.add_row_group(group.build().unwrap());
    }
    let [.., a, b, c, d, _, _, _, _] = bytes[..] else { panic!("no footer") };
    let data_end = bytes.len() - 8 - u32::from_le_bytes([a, b, c, d]) as usize;
    let mut made = bytes[..data_end].to_vec();
    ParquetMetaDataWriter::new(&mut made, &footer.build()).finish().unwrap();
    made
}

#[test]
fn footers_at_fault_are_refused() {
    let bytes = file("REPEATED FLOAT x;", vec![column::<FloatType>(&[1, 1], &[0, 0], &[1.0, 2.0])]);
    let same = |chunk| chunk;
    let mut counted = bytes.clone();
    // In the footer, in front of the row groups.
    let rows_at = bytes.windows(3).rposition(|bytes| bytes == b"\x16\x04\x19").unwrap();
    counted[rows_at + 1] = 6;
    let last = |end: &[u8]| [&bytes[..bytes.len() - end.len()], end].concat();
    for (bytes, right) in [
        (Vec::new(), "it is no Parquet file"),
        (b"PAR1".to_vec(), "it is no Parquet file"),
        (b"PK\x03\x04 archive".to_vec(), "it is no Parquet file"),
        (last(b"PAR"), "it is cut off: the footer of a Parquet file is missing"),
        (b"PAR1\xff\xff\xff\xffPAR1".to_vec(), "a footer of 4294967295 bytes in a file of 12"),
        (last(b"PARE"), "its footer is encrypted"),
        (last(b"\0\0\0\0PAR1"), "not a parquet file that can be read: "),
        (counted, "its footer counts 3 rows, its row groups 2"),
        (retold(&bytes, -1, same), "row group 0: -1 rows"),
        (
            retold(&bytes, 2, |of| of.set_num_values(1)),
            "row group 0: column `x`: 1 values in 2 rows",
        ),
        (retold(&bytes, 2, |of| of.set_num_values(-1)), "row group 0: column `x`: -1 values"),
        (
            retold(&bytes, 2, |of| of.set_file_path("b".to_owned())),
            "row group 0: column `x`: it lies in another file",
        ),
        (
            retold(&bytes, 2, |of| of.set_compression(Compression::LZO)),
            "row group 0: column `x`: it is compressed with lzo; Snappy and Zstandard are read",
        ),
        (
            retold(&bytes, 2, |of| of.set_compression(Compression::GZIP(Default::default()))),
            "row group 0: column `x`: it is compressed with gzip",
        ),
        (
            retold(&bytes, 2, |of| of.set_compression(Compression::SNAPPY)),
            "row 0: column `x`: not a parquet file that can be read: ",
        ),
        (
            retold(&bytes, 2, |of| of.set_total_compressed_size(i64::MAX)),
            "row group 0: column `x`: 9223372036854775807 bytes at 4 are not in the file",
        ),
        (
            retold(&bytes, 2, |of| of.set_total_compressed_size(-1)),
            "row group 0: column `x`: -1 bytes",
        ),
        (
            retold(&bytes, 2, |of| of.set_dictionary_page_offset(Some(-1))),
            "row group 0: column `x`: -1 bytes before it",
        ),
    ] {
        let said = read(&bytes).unwrap_err();
        assert!(said.starts_with(right), "{said}, not {right}");
    }
    let right = ["0 [1.0]", "1 [2.0]"].map(str::to_owned).to_vec();
    assert_eq!(read(&retold(&bytes, 2, same)), Ok(right));
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
fn pages_with_more_values_than_there_can_be_are_refused() {
    let (_, sample) = SAMPLES[0];
    // In a page's head: how many values, behind the field that says of what kind the page is.
    for (before, right) in [
        (b"\x4c\x15", "a dictionary of 63 values in "),
        (b"\x2c\x15", "a page of 63 values where "),
    ] {
        let place = sample.windows(2).position(|bytes| bytes == before).unwrap();
        let mut bytes = sample.to_vec();
        bytes[place + 2] = 126;
        let said = rows_in(&bytes).unwrap_err();
        let outer = "column `id`: not a parquet file that can be read: ";
        assert!(said.starts_with(&format!("{outer}{right}")), "{said}");
    }
}

#[test]
fn a_panic_is_an_error() {
    let said = guarded(|| -> Result<(), String> { panic!("at {}", 7) });
    assert_eq!(said, Err("not a parquet file that can be read: at 7".to_owned()));
    assert_eq!(guarded(|| Ok(7)), Ok(7));
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

//! Files of other writers, files made here, and both of them spoilt.

mod faults;

use ::parquet::data_type::*;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::parser::parse_message_type;

use super::super::tests::Files;
use super::*;

/// The same five rows by each writer; `samples/make.py` made them.
const SAMPLES: [(&str, &[u8]); 4] = [
    ("arrow.parquet", include_bytes!("samples/arrow.parquet")),
    ("arrow_2.parquet", include_bytes!("samples/arrow_2.parquet")),
    ("duckdb.parquet", include_bytes!("samples/duckdb.parquet")),
    ("polars.parquet", include_bytes!("samples/polars.parquet")),
];
const ROWS: [&str; 5] = [
    r#"7 [0.1, 2.0] {"name":"seven","tags":["a","b"],"score":0.5,"year":1999,"seen":true}"#,
    r#"-8 [3.0, -4.5] {"year":2001,"seen":false}"#,
    r#"9 [0.0, 1e-9] {"name":"nine","score":2.0}"#,
    r#"10 [5.5, 6.25] {"name":"ten","tags":["b"],"score":-1.5,"year":1999,"seen":true}"#,
    r#"11 [7.0, 8.0] {"name":"nine","tags":["ä","","b"],"score":0.1,"year":2010,"seen":false}"#,
];
const OF_SAMPLES: [&str; 4] = ["--vector-column", "embedding", "--key-column", "id"];

fn samples() -> Files {
    let files = Files::new();
    for (name, bytes) in SAMPLES {
        files.write(name, bytes);
    }
    files
}

#[test]
fn files_of_every_writer_have_the_same_rows() {
    let files = samples();
    for (name, _) in SAMPLES {
        let (rows, fault) = files.read(name, &OF_SAMPLES);
        assert_eq!((rows, fault), (ROWS.map(str::to_owned).to_vec(), None), "{name}");
    }
}

#[test]
fn reading_may_begin_at_any_row_of_any_row_group() {
    let files = samples();
    for (name, _) in SAMPLES {
        for from in 0..=5 {
            let from_row = from.to_string();
            let (rows, fault) =
                files.read(name, &[&OF_SAMPLES, ["--from-row", &from_row].as_slice()].concat());
            assert_eq!(
                (rows, fault),
                (ROWS[from..].iter().map(|row| (*row).to_owned()).collect(), None)
            );
        }
        let (_, fault) = files.read(name, &[&OF_SAMPLES, ["--from-row", "6"].as_slice()].concat());
        assert!(fault.unwrap().contains("row 6 is not there: it has 5 rows"), "{name}");
    }
}

#[test]
fn columns_are_chosen_by_their_names() {
    let files = samples();
    let vector = ["--vector-column", "embedding"];
    for (flags, right) in [
        (&["--metadata-columns", ""][..], Ok(["0 [0.1, 2.0]", "1 [3.0, -4.5]"])),
        (
            &["--metadata-columns", "year,id", "--key-column", "id"],
            Ok([r#"7 [0.1, 2.0] {"id":7,"year":1999}"#, r#"-8 [3.0, -4.5] {"id":-8,"year":2001}"#]),
        ),
        (
            &["--metadata-columns", "tags,tags", "--key-prefix", "row-"],
            Ok([r#"row-0 [0.1, 2.0] {"tags":["a","b"]}"#, "row-1 [3.0, -4.5]"]),
        ),
        (
            &["--key-column", "key"],
            Err("no column `key`; there are: id, name, embedding, tags, score, year, seen"),
        ),
        (&["--metadata-columns", "id,none"], Err("no column `none`; there are: id, name,")),
        (&["--key-column", "tags"], Err("column `tags` is a list of texts; a key is a text or")),
        (&["--key-column", "score"], Err("column `score` is a number; a key is a text or a")),
    ] {
        let (rows, fault) = files.read("arrow.parquet", &[&vector, flags].concat());
        match right {
            Ok(right) => {
                assert_eq!((&rows[..2], fault), (right.map(str::to_owned).as_slice(), None))
            }
            Err(why) => {
                let said = fault.unwrap();
                assert!(said.starts_with("arrow.parquet: ") && said.contains(why), "{said}");
            }
        }
    }
    let (_, fault) = files.read("arrow.parquet", &[]);
    assert!(fault.unwrap().contains("no column `vector`; there are: id,"));
    let (rows, fault) = files.read("arrow.parquet", &[vector, ["--key-column", "name"]].concat());
    assert_eq!(
        (rows.len(), fault.unwrap()),
        (1, "arrow.parquet: row 1: column `name`: the key is null".to_owned())
    );
}

type Write = Box<dyn FnOnce(&mut SerializedColumnWriter<'_>)>;

/// Values, with how much of each is there (0: nothing of it), and 0 where a row begins.
fn column<T: DataType>(there: &'static [i16], starts: &'static [i16], values: &[T::T]) -> Write {
    let values = values.to_vec();
    Box::new(move |writer| {
        let [there, starts] = [there, starts].map(|levels| (!levels.is_empty()).then_some(levels));
        writer.typed::<T>().write_batch(&values, there, starts).unwrap();
    })
}

/// A file of one row group.
fn file(schema: &str, columns: Vec<Write>) -> Vec<u8> {
    let schema = parse_message_type(&format!("message root {{ {schema} }}")).unwrap();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    for write in columns {
        let mut column = group.next_column().unwrap().unwrap();
        write(&mut column);
        column.close().unwrap();
    }
    group.close().unwrap();
    file.into_inner().unwrap()
}

/// Rows of a file with vectors `x`, or what is wrong with it.
fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
    read_with(bytes, &["--vector-column", "x"])
}

fn read_with(bytes: &[u8], flags: &[&str]) -> Result<Vec<String>, String> {
    let files = Files::new();
    files.write("a.parquet", bytes);
    match files.read("a.parquet", flags) {
        (rows, None) => Ok(rows),
        (_, Some(fault)) => Err(fault.strip_prefix("a.parquet: ").unwrap().to_owned()),
    }
}

#[test]
fn lists_of_older_writers_are_lists() {
    for (schema, level) in [
        ("REPEATED FLOAT x;", 1),
        ("REQUIRED GROUP x (LIST) { REPEATED FLOAT array; }", 1),
        ("OPTIONAL GROUP x (LIST) { REPEATED FLOAT element; }", 2),
        ("OPTIONAL GROUP x (LIST) { REPEATED GROUP bag { OPTIONAL FLOAT array_element; } }", 3),
        ("REQUIRED GROUP x (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }", 1),
    ] {
        let there = [&[1; 4], &[2; 4], &[3_i16; 4]][level - 1];
        let numbers = column::<FloatType>(there, &[0, 1, 0, 1], &[1.0, 2.0, 3.0, 4.0]);
        let right = ["0 [1.0, 2.0]", "1 [3.0, 4.0]"].map(str::to_owned).to_vec();
        assert_eq!(read(&file(schema, vec![numbers])), Ok(right), "{schema}");
    }
}

#[test]
fn vectors_of_every_kind_of_number_are_read() {
    let blocks = |bytes: &[&[u8]]| -> Vec<FixedLenByteArray> {
        bytes.iter().map(|bytes| ByteArray::from(bytes.to_vec()).into()).collect()
    };
    fn list<T: DataType>(values: &[T::T]) -> Write {
        column::<T>(&[1, 1], &[0, 1], values)
    }
    for (schema, write, right) in [
        ("REPEATED FLOAT x;", list::<FloatType>(&[0.1, -2.0]), "0 [0.1, -2.0]"),
        ("REPEATED DOUBLE x;", list::<DoubleType>(&[0.1, -2.0]), "0 [0.1, -2.0]"),
        ("REPEATED INT32 x;", list::<Int32Type>(&[1, -2]), "0 [1.0, -2.0]"),
        ("REPEATED INT32 x (INT_8);", list::<Int32Type>(&[1, -2]), "0 [1.0, -2.0]"),
        ("REPEATED INT32 x (UINT_32);", list::<Int32Type>(&[1, -2]), "0 [1.0, 4294967300.0]"),
        ("REPEATED INT64 x;", list::<Int64Type>(&[1, -2]), "0 [1.0, -2.0]"),
        (
            "REPEATED INT64 x (INTEGER(64,false));",
            list::<Int64Type>(&[1, -2]),
            "0 [1.0, 1.8446744e19]",
        ),
        (
            "REPEATED FIXED_LEN_BYTE_ARRAY (2) x (FLOAT16);",
            list::<FixedLenByteArrayType>(&blocks(&[&[0x00, 0x3c], &[0xff, 0x7b]])),
            "0 [1.0, 65504.0]",
        ),
        (
            "REQUIRED FIXED_LEN_BYTE_ARRAY (8) x;",
            column::<FixedLenByteArrayType>(&[], &[], &blocks(&[&[0, 0, 0, 63, 0, 0, 192, 63]])),
            "0 [0.5, 1.5]",
        ),
    ] {
        assert_eq!(read(&file(schema, vec![write])), Ok(vec![right.to_owned()]), "{schema}");
    }
}

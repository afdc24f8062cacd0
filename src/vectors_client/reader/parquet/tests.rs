//! Files of other writers, files made byte by byte, and both of them spoilt.

mod faults;
mod written;

use super::super::tests::Files;
use written::*;

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

fn floats(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|float| float.to_le_bytes()).collect()
}

/// Rows of a file with one column of this schema, as a vector or a failure.
fn rows_of(
    schema: Vec<Structure>,
    rows: i64,
    values: i32,
    parts: &[&[u8]],
) -> Result<Vec<String>, String> {
    let file = Written::of(schema, rows, Chunk::new(values.into(), page(values, parts)));
    read(&file.bytes())
}

fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
    let files = Files::new();
    files.write("a.parquet", bytes);
    match files.read("a.parquet", &["--vector-column", "x"]) {
        (rows, None) => Ok(rows),
        (_, Some(fault)) => Err(fault.strip_prefix("a.parquet: ").unwrap().to_owned()),
    }
}

#[test]
fn lists_of_older_writers_are_lists() {
    let list = |repetition| group("x", repetition, 1).int(CONVERTED, LIST);
    let numbers = floats(&[1.0, 2.0, 3.0, 4.0]);
    let starts = levels(&[0, 1, 0, 1]);
    let at = |level: u8| levels(&[level; 4]);
    let right = Ok(vec!["0 [1.0, 2.0]".to_owned(), "1 [3.0, 4.0]".to_owned()]);
    let structures =
        "column `x` is a list of structures; a vector is a list of numbers, or f32 in bytes";
    for (schema, level, right) in [
        (vec![leaf("x", FLOAT, REPEATED)], 1, right.clone()),
        (vec![list(REQUIRED), leaf("array", FLOAT, REPEATED)], 1, right.clone()),
        (vec![list(OPTIONAL), leaf("element", FLOAT, REPEATED)], 2, right.clone()),
        (
            vec![list(OPTIONAL), group("bag", REPEATED, 1), leaf("array_element", FLOAT, OPTIONAL)],
            3,
            right.clone(),
        ),
        (
            vec![list(REQUIRED), group("list", REPEATED, 1), leaf("element", FLOAT, REQUIRED)],
            1,
            right,
        ),
        (
            vec![list(REQUIRED), group("array", REPEATED, 1), leaf("y", FLOAT, REQUIRED)],
            1,
            Err(structures.to_owned()),
        ),
        (
            vec![list(REQUIRED), group("x_tuple", REPEATED, 1), leaf("y", FLOAT, REQUIRED)],
            1,
            Err(structures.to_owned()),
        ),
    ] {
        assert_eq!(rows_of(schema, 2, 4, &[&starts, &at(level), &numbers]), right);
    }
}

#[test]
fn vectors_of_every_kind_of_number_are_read() {
    let starts = levels(&[0, 1]);
    let there = levels(&[1, 1]);
    let repeated = |kind| leaf("x", kind, REPEATED);
    let unsigned = |kind| repeated(kind).int(CONVERTED, 13);
    let half = structure().int(1, FIXED).int(2, 2).int(3, REPEATED).text(4, "x");
    let half = half.part(LOGICAL, structure().part(15, structure()));
    let without_sign = structure().part(10, structure().no(2));
    for (item, bytes, right) in [
        (repeated(FLOAT), floats(&[0.1, -2.0]), "0 [0.1, -2.0]"),
        (repeated(DOUBLE), [0.1_f64, -2.0].map(f64::to_le_bytes).concat(), "0 [0.1, -2.0]"),
        (repeated(INT32), [1_i32, -2].map(i32::to_le_bytes).concat(), "0 [1.0, -2.0]"),
        (repeated(INT64), [1_i64, -2].map(i64::to_le_bytes).concat(), "0 [1.0, -2.0]"),
        (unsigned(INT32), [1_i32, -2].map(i32::to_le_bytes).concat(), "0 [1.0, 4294967300.0]"),
        (
            repeated(INT64).part(LOGICAL, without_sign),
            [1_i64, -2].map(i64::to_le_bytes).concat(),
            "0 [1.0, 1.8446744e19]",
        ),
        (half, [0x00, 0x3c, 0xff, 0x7b].to_vec(), "0 [1.0, 65504.0]"),
    ] {
        assert_eq!(
            rows_of(vec![item], 1, 2, &[&starts, &there, &bytes]),
            Ok(vec![right.to_owned()])
        );
    }
    let block = structure().int(1, FIXED).int(2, 8).int(3, REQUIRED).text(4, "x");
    let rows = rows_of(vec![block], 2, 2, &[&floats(&[0.5, 1.5, 2.5, 3.5])]);
    assert_eq!(rows, Ok(vec!["0 [0.5, 1.5]".to_owned(), "1 [2.5, 3.5]".to_owned()]));
}

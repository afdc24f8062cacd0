//! Files of every format, whole and broken.

use std::path::PathBuf;

use super::*;
use crate::cli::{Action, Cli};
use crate::vectors_client::VectorsAction;
use clap::Parser as _;

/// A directory of files, and how they are imported.
pub(super) struct Files(tempfile::TempDir);

impl Files {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// All rows of a file as `key [vector] metadata`, or those before a fault and the fault.
    pub(super) fn read(&self, name: &str, flags: &[&str]) -> (Vec<String>, Option<String>) {
        let path = self.0.path().join(name);
        let words = ["lodestore", "vectors", "import", "--bucket", "b", "--index", "i"];
        let words = [&words, flags, &[path.to_str().unwrap()]].concat();
        let Action::Vectors(options) = Cli::try_parse_from(words).unwrap().action() else {
            panic!("not about vectors");
        };
        let VectorsAction::Import(options) = &options.action else { panic!("no import") };
        let said = |text: &str| text.replace(&format!("{}/", self.0.path().display()), "");
        let mut rows = Vec::new();
        let mut source = match Source::open(options) {
            Ok(source) => source,
            Err(error) => return (rows, Some(said(&error.to_string()))),
        };
        loop {
            match source.read() {
                Ok(None) => return (rows, None),
                Ok(Some(Row { key, vector, metadata })) => {
                    let metadata = metadata.map(|text| text.get().to_owned()).unwrap_or_default();
                    rows.push(format!("{key} {vector:?} {metadata}").trim_end().to_owned());
                }
                Err(fault) => {
                    assert_eq!(fault.row, source.row());
                    return (rows, Some(said(&fault.text)));
                }
            }
        }
    }
}

fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", length.as_slice(), header.as_bytes(), data].concat()
}

fn singles(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|float| float.to_le_bytes()).collect()
}

fn fvecs(rows: &[&[f32]]) -> Vec<u8> {
    let row = |row: &&[f32]| {
        let dimension = i32::try_from(row.len()).unwrap().to_le_bytes();
        [dimension.to_vec(), singles(row)].concat()
    };
    rows.iter().flat_map(row).collect()
}

#[test]
fn json_lines_are_read_or_refused_with_row_and_line() {
    let files = Files::new();
    let long = format!("{{\"key\":\"{}\",\"vector\":[1]}}", "k".repeat(1025));
    let longer = format!("{}\n", " ".repeat(5 << 20));
    let good = "{\"key\":\"a\",\"vector\":[1,2.5]}\n";
    for (text, rows, fault) in [
        ("", &[][..], None),
        ("\n  \n", &[], None),
        (good, &["a [1.0, 2.5]"], None),
        (
            "{\"metadata\":{\"n\": 1},\"data\":{\"float32\":[1]},\"key\":\"a\"}\n\n{\"vector\":[2],\"metadata\":null}",
            &["a [1.0] {\"n\": 1}", "1 [2.0]"],
            None,
        ),
        ("{", &[], Some("(line 1): EOF while parsing an object at column 1")),
        ("[1]", &[], Some("(line 1): invalid type")),
        ("\n{\"key\":\"a\"}", &[], Some("(line 2): it has no \"vector\"")),
        ("{\"vector\":[1],\"data\":{\"float32\":[1]}}", &[], Some("it has both \"vector\" and")),
        ("{\"vector\":[1],\"metdata\":{}}", &[], Some("unknown field `metdata`")),
        ("{\"vector\":[1,\"x\"]}", &[], Some("invalid type: string \"x\", expected f32")),
        ("{\"vector\":[1,NaN]}", &[], Some("expected value at column 14")),
        ("{\"vector\":[1,1e39]}", &[], Some("number out of range at column 17")),
        ("{\"vector\":[]}", &[], Some("row 0 (line 1): its vector is empty")),
        ("{\"key\":\"\",\"vector\":[1]}", &[], Some("a key of 0 bytes")),
        (&long, &[], Some("a key of 1025 bytes; it may have 1 to 1024")),
        (&longer, &[], Some("row 0 (line 1): the line has more than 4194304 bytes")),
        (
            &format!("{good}\n{{\"vector\":[1]}}"),
            &["a [1.0, 2.5]"],
            Some("row 1 (line 3): 1 components, but the rows before have 2"),
        ),
        (&format!("{good}\u{0}"), &["a [1.0, 2.5]"], Some("row 1 (line 2): expected value")),
    ] {
        files.write("rows.jsonl", text);
        let (read, said) = files.read("rows.jsonl", &[]);
        assert_eq!(read, rows, "{text:.99}");
        match (fault, said) {
            (None, None) => {}
            (Some(part), Some(said)) => {
                assert!(said.starts_with("rows.jsonl: row ") && said.contains(part), "{said}");
            }
            (_, said) => panic!("{text:.99}: {said:?}"),
        }
    }
    files.write("bytes.jsonl", b"{\"key\":\"\xff\",\"vector\":[1]}");
    assert!(files.read("bytes.jsonl", &[]).1.unwrap().contains("invalid unicode code point"));
}

#[test]
fn arrays_of_numpy_are_read_or_refused() {
    let files = Files::new();
    let four = singles(&[1.0, 2.5, -3.0, 4.0]);
    let doubles: Vec<u8> = [1.0_f64, 1e39].iter().flat_map(|float| float.to_le_bytes()).collect();
    let whole = npy("'<f4'", "False", "(2, 2)", &four);
    let mut second = b"\x93NUMPY\x02\x00".to_vec();
    second.extend_from_slice(&u32::from(whole[8]).to_le_bytes());
    second.extend_from_slice(&whole[10..]);
    let halves = [0x00, 0x3c, 0x01, 0x00, 0xff, 0x7b, 0x00, 0x80];
    let infinite = [0x00, 0x3c, 0x00, 0x7c];
    let nothing: Vec<u8> = Vec::new();
    let huge = b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec();
    let two = &["0 [1.0, 2.5]", "1 [-3.0, 4.0]"][..];
    for (bytes, rows, fault) in [
        (whole.clone(), two, None),
        (second, two, None),
        (
            npy("'<f2'", "False", "(2,2)", &halves),
            &["0 [1.0, 5.9604645e-8]", "1 [65504.0, -0.0]"],
            None,
        ),
        (npy("'<f2'", "False", "(1,2)", &infinite), &[], Some("row 0: component 1 is not")),
        (npy("'<f8'", "False", "(2, 1)", &doubles), &["0 [1.0]"], Some("row 1: component 0")),
        (npy("'<f4'", "False", "(0, 2)", &[]), &[], None),
        (nothing, &[], Some("it is no npy file")),
        (b"\x93NUM".to_vec(), &[], Some("it is no npy file")),
        (b"PK\x03\x04 archive".to_vec(), &[], Some("it is no npy file")),
        (b"\x93NUMPY\x09\x00\x10\x00".to_vec(), &[], Some("npy of version 9 is not known")),
        (whole[..40].to_vec(), &[], Some("the file ends in the middle of it")),
        (whole[..10].to_vec(), &[], Some("the file ends in the middle of it")),
        (huge, &[], Some("a header of 4294967295 bytes; at most 65536")),
        (whole[..whole.len() - 1].to_vec(), &two[..1], Some("row 1: the file ends in the middle")),
        (whole[..whole.len() - 8].to_vec(), &two[..1], Some("row 1: the file ends before it")),
        ([whole.clone(), vec![0]].concat(), two, Some("row 2: bytes follow the 2 rows")),
        (npy("'<i4'", "False", "(2, 2)", &four), &[], Some("components are \"<i4\"")),
        (npy("'>f4'", "False", "(2, 2)", &four), &[], Some("components are \">f4\"")),
        (npy("[('a', '<f4')]", "False", "(2, 2)", &four), &[], Some("are structures")),
        (npy("'<f4'", "True", "(2, 2)", &four), &[], Some("Fortran order")),
        (npy("'<f4'", "False", "(4,)", &four), &[], Some("(4,); it must have two dimensions")),
        (npy("'<f4'", "False", "(1, 2, 2)", &four), &[], Some("must have two dimensions")),
        (npy("'<f4'", "False", "(-1, 2)", &four), &[], Some("must have two dimensions")),
        (npy("'<f4'", "False", "(2, 2", &four), &[], Some("the header has no shape")),
        (npy("'<f4'", "False", "(2, 0)", &four), &[], Some("a dimension of 0")),
        (npy("'<f4'", "False", "(1, 9999999999)", &four), &[], Some("a dimension of 9999999999")),
        (
            npy("'<f4'", "False", "(18446744073709551615, 2)", &four),
            two,
            Some("row 2: the file ends before it; the header says 18446744073709551615"),
        ),
        (npy("'<f4'", "False", "(18446744073709551616, 2)", &four), &[], Some("two dimensions")),
    ] {
        files.write("a.npy", &bytes);
        let (read, said) = files.read("a.npy", &[]);
        assert_eq!(read, rows, "{said:?}");
        let right = match (fault, &said) {
            (None, None) => true,
            (Some(part), Some(said)) => said.starts_with("a.npy: ") && said.contains(part),
            _ => false,
        };
        assert!(right, "{fault:?} {said:?}");
    }
}

#[test]
fn vectors_behind_their_lengths_are_read_or_refused() {
    let files = Files::new();
    let whole = fvecs(&[&[1.0, 2.0], &[3.0, 4.0]]);
    let two = &["0 [1.0, 2.0]", "1 [3.0, 4.0]"][..];
    for (bytes, rows, fault) in [
        (Vec::new(), &[][..], None),
        (whole.clone(), two, None),
        (whole[..2].to_vec(), &[], Some("row 0: the file ends in the middle of it")),
        (whole[..4].to_vec(), &[], Some("row 0: the file ends in the middle of it")),
        (whole[..23].to_vec(), &two[..1], Some("row 1: the file ends in the middle of it")),
        (0_i32.to_le_bytes().to_vec(), &[], Some("row 0: a dimension of 0")),
        ((-1_i32).to_le_bytes().to_vec(), &[], Some("row 0: a dimension of -1")),
        (i32::MAX.to_le_bytes().to_vec(), &[], Some("row 0: a dimension of 2147483647")),
        (fvecs(&[&[1.0, 2.0], &[3.0]]), &two[..1], Some("row 1: 1 components, but the rows")),
        (fvecs(&[&[f32::NAN]]), &[], Some("row 0: component 0 is not a finite f32")),
    ] {
        files.write("a.fvecs", &bytes);
        let (read, said) = files.read("a.fvecs", &[]);
        assert_eq!(read, rows, "{said:?}");
        match (fault, said) {
            (None, None) => {}
            (Some(part), Some(said)) => assert!(said.contains(part), "{said}"),
            (fault, said) => panic!("{fault:?} {said:?}"),
        }
    }
}

#[test]
fn keys_and_metadata_come_from_a_file_beside() {
    let files = Files::new();
    files.write("a.fvecs", fvecs(&[&[1.0], &[2.0]]));
    for (lines, rows, fault) in [
        (
            "{\"key\":\"x\",\"metadata\":{\"n\":1}}\n{}\n",
            &["x [1.0] {\"n\":1}", "p-1 [2.0]"][..],
            None,
        ),
        ("{}\n", &["p-0 [1.0]"], Some("row 1: beside.jsonl line 1: it has fewer rows")),
        (
            "{}\n{}\n{}",
            &["p-0 [1.0]", "p-1 [2.0]"],
            Some("row 2: beside.jsonl line 3: it has more"),
        ),
        ("{\"n\":1}\n", &[], Some("row 0: beside.jsonl line 1: unknown field `n`")),
    ] {
        let beside = files.write("beside.jsonl", lines);
        let flags = ["--metadata", beside.to_str().unwrap(), "--key-prefix", "p-"];
        let (read, said) = files.read("a.fvecs", &flags);
        assert_eq!(read, rows);
        match (fault, said) {
            (None, None) => {}
            (Some(part), Some(said)) => assert!(said.contains(part), "{said}"),
            (fault, said) => panic!("{fault:?} {said:?}"),
        }
    }
}

#[test]
fn reading_may_begin_at_any_row() {
    let files = Files::new();
    files.write("a.fvecs", fvecs(&[&[0.0], &[1.0], &[2.0]]));
    files.write("a.npy", npy("'<f4'", "False", "(3, 1)", &singles(&[0.0, 1.0, 2.0])));
    files.write("a.jsonl", "{\"vector\":[0]}\n\n{\"vector\":[1]}\n{\"vector\":[2]}");
    for name in ["a.fvecs", "a.npy", "a.jsonl"] {
        for from in 0..=3_u64 {
            let (rows, fault) = files.read(name, &["--from-row", &from.to_string()]);
            let right: Vec<String> = (from..3).map(|row| format!("{row} [{row}.0]")).collect();
            assert_eq!((rows, fault), (right, None), "{name}");
        }
        let (_, fault) = files.read(name, &["--from-row", "4"]);
        assert!(fault.unwrap().contains("row 4 is not there: it has 3 rows"), "{name}");
    }
}

#[test]
fn flags_of_another_format_are_refused() {
    let files = Files::new();
    files.write("a.jsonl", "");
    files.write("a", "");
    let beside = files.write("beside.jsonl", "");
    let beside = beside.to_str().unwrap();
    for (name, flags, why) in [
        ("a", &[][..], "a: its name says no format"),
        ("none.jsonl", &[], "none.jsonl: No such file or directory"),
        ("a.jsonl", &["--metadata", beside], "--metadata goes with npy and fvecs"),
        (
            "a.jsonl",
            &["--key-column", "id"],
            "--key-column, --vector-column and --metadata-columns go with",
        ),
        (
            "a.jsonl",
            &["--vector-column", "id"],
            "--key-column, --vector-column and --metadata-columns go with",
        ),
        (
            "a.jsonl",
            &["--metadata-columns", "id"],
            "--key-column, --vector-column and --metadata-columns go with",
        ),
    ] {
        let (_, fault) = files.read(name, flags);
        assert!(fault.unwrap().starts_with(why), "{why}");
    }
    assert_eq!(files.read("a", &["--format", "jsonl"]), (Vec::new(), None));
}

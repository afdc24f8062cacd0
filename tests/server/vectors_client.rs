//! `lodestore vectors` as a process: files into an index, questions, and files out of it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::process::{ROOT, free_address};
use crate::support::{Setup, shared};

/// A user at a shell with files, and a vector bucket of their own.
struct User {
    setup: Setup,
    bucket: String,
}

/// What a command said.
struct Said {
    success: bool,
    out: String,
    err: String,
}

impl User {
    fn new(purpose: &str) -> Self {
        Self::at(shared().address, purpose)
    }

    fn at(address: SocketAddr, purpose: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let setup = Setup::bare()
            .env("AWS_ENDPOINT_URL", &format!("http://{address}"))
            .env("AWS_ACCESS_KEY_ID", ROOT.0)
            .env("AWS_SECRET_ACCESS_KEY", ROOT.1);
        let bucket = format!("cli-{purpose}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Self { setup, bucket }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.setup.home().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn output(&self, command: &str, index: &str, words: &[&str]) -> Output {
        let of = ["vectors", command, "--bucket", &self.bucket, "--index", index];
        self.setup.run(&[&of, words].concat())
    }

    fn run(&self, command: &str, index: &str, words: &[&str]) -> Said {
        let Output { status, stdout, stderr } = self.output(command, index, words);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let said = Said { success: status.success(), out: text(stdout), err: text(stderr) };
        assert!(!said.err.contains("panicked"), "{}", said.err);
        said
    }

    #[track_caller]
    fn ok(&self, command: &str, index: &str, words: &[&str]) -> String {
        let said = self.run(command, index, words);
        assert!(said.success, "{command} {words:?}: {}", said.err);
        said.out
    }

    #[track_caller]
    fn refused(&self, command: &str, index: &str, words: &[&str]) -> String {
        let said = self.run(command, index, words);
        assert!(!said.success, "{command} {words:?}: {}", said.out);
        said.err
    }

    /// All rows of an index, as their lines.
    #[track_caller]
    fn rows(&self, index: &str) -> BTreeSet<String> {
        let out = self.ok("export", index, &["-"]);
        let rows: BTreeSet<String> = out.lines().map(str::to_owned).collect();
        assert_eq!(rows.len(), out.lines().count(), "a row came twice");
        rows
    }
}

/// Lines `{"key":"kN","vector":[N.0,0.1],"metadata":{"n":N}}`.
fn lines(count: usize) -> String {
    let line = |nth| {
        format!("{{\"key\":\"k{nth}\",\"vector\":[{nth}.0,0.1],\"metadata\":{{\"n\":{nth}}}}}\n")
    };
    (0..count).map(line).collect()
}

#[test]
fn rows_go_through_every_format_and_stay_the_same() {
    let user = User::new("round");
    let text = lines(1203);
    user.write("rows.jsonl", &text);
    let create = ["--create", "--metric", "euclidean"];
    let few = ["--batch", "100", "--concurrency", "3"];
    let said = user.run("import", "first", &[&create[..], &few, &["rows.jsonl"]].concat());
    assert!(said.success, "{}", said.err);
    assert!(said.err.contains("import: 1203 rows in ") && said.err.contains(", 0 errors"));
    let rows: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(user.rows("first"), rows);
    // That bucket and index are there is no error.
    let said = user.run("import", "first", &[&create[..], &few, &["rows.jsonl"]].concat());
    assert!(said.success && said.err.contains(", 0 errors"), "{}", said.err);

    for (format, out) in [("npy", "out.npy"), ("fvecs", "out.fvecs")] {
        let beside = format!("{format}.jsonl");
        let parts = ["--parts", "7", "--metadata", &beside, out];
        user.ok("export", "first", &parts);
        let again = [&create[..], &["--metadata", &beside, out]].concat();
        user.ok("import", format, &again);
        assert_eq!(user.rows(format), rows, "{format}");
    }
    // Without the file beside it, rows are numbered.
    user.ok("import", "bare", &[&create[..], &["--key-prefix", "r", "out.npy"]].concat());
    let bare = user.rows("bare");
    assert_eq!(bare.len(), rows.len());
    assert!(bare.iter().all(|row| row.starts_with("{\"key\":\"r") && !row.contains("metadata")));
    let left = std::fs::read_dir(user.setup.home()).unwrap().flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| name != "out.npy.partial"));
}

#[test]
fn columns_of_a_parquet_file_are_imported_and_found() {
    let user = User::new("parquet");
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/src/vectors_client/reader/parquet/samples");
    let columns = ["--vector-column", "embedding", "--key-column", "id"];
    for (name, index) in [("arrow", "snappy"), ("polars", "zstandard")] {
        user.write("rows.parquet", std::fs::read(format!("{samples}/{name}.parquet")).unwrap());
        let create = ["--create", "--metric", "euclidean", "--batch", "2"];
        let said = user.run("import", index, &[&create, &columns[..], &["rows.parquet"]].concat());
        assert!(said.success && said.err.contains("import: 5 rows in "), "{}", said.err);
    }
    assert_eq!(user.rows("snappy"), user.rows("zstandard"));
    let filter = "{\"$and\":[{\"tags\":\"b\"},{\"year\":{\"$lt\":2000}},{\"seen\":true}]}";
    let words = ["--vector", "[5.5,6.25]", "--filter", filter, "--json"];
    let found: Value = serde_json::from_str(&user.ok("query", "snappy", &words)).unwrap();
    let seven =
        json!({ "name": "seven", "tags": ["a", "b"], "score": 0.5, "year": 1999, "seen": true });
    assert_eq!(found["vectors"][0]["key"], "10");
    assert_eq!(found["vectors"][1]["key"], "7");
    assert_eq!(found["vectors"][1]["metadata"], seven);
    assert_eq!(found["vectors"].as_array().unwrap().len(), 2);

    let said = user.refused("import", "snappy", &["rows.parquet"]);
    assert!(said.contains("rows.parquet: no column `vector`; there are: id, name, embedding, "));
    let said = user.refused("import", "snappy", &["--format", "parquet", "-"]);
    assert!(said.contains("parquet cannot be read from standard input"), "{said}");
    user.write("rows.parquet", "PAR1 and no more");
    let said = user.refused("import", "snappy", &["rows.parquet"]);
    assert!(said.contains("rows.parquet: it is cut off: the footer"), "{said}");
}

#[test]
fn what_is_asked_is_found_and_explained() {
    let user = User::new("query");
    let titles = ["old grey whale", "red fox", "whale song", "grey goose"];
    let row = |(nth, title): (usize, &&str)| json!({ "key": format!("k{nth}"), "vector": [nth, 1], "metadata": { "title": title } });
    let text: String =
        titles.iter().enumerate().map(|row_of| format!("{}\n", row(row_of))).collect();
    user.write("rows.jsonl", text);
    let create = ["--create", "--metric", "euclidean", "--text-keys", "title", "rows.jsonl"];
    user.ok("import", "index", &create);
    user.write("vector.json", "[2.9, 1]\n");
    let keys = |words: &[&str]| -> Vec<String> {
        let found: Value =
            serde_json::from_str(&user.ok("query", "index", &[words, &["--json"]].concat()))
                .unwrap();
        assert_eq!(found["distanceMetric"], "euclidean");
        let vectors = found["vectors"].as_array().unwrap().clone();
        vectors.iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(&["--vector", "[0.9,1]", "--top", "2"]), ["k1", "k0"]);
    assert_eq!(keys(&["--vector-file", "vector.json", "--top", "1"]), ["k3"]);
    assert_eq!(keys(&["--key", "k2", "--top", "1"]), ["k2"]);
    let filter = "{\"title\":{\"$ne\":\"red fox\"}}";
    assert_eq!(keys(&["--key", "k1", "--filter", filter, "--top", "1"]).len(), 1);
    assert!(!keys(&["--key", "k1", "--filter", filter]).contains(&"k1".to_owned()));
    let mut found = keys(&["--text", "title=whale"]);
    found.sort();
    assert_eq!(found, ["k0", "k2"]);
    assert_eq!(keys(&["--key", "k3", "--text", "title=goose"])[0], "k3");

    let table = user.ok("query", "index", &["--key", "k1", "--top", "2"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["#", "key", "euclidean", "metadata"]
    );
    assert!(
        lines[1].contains("k1") && lines[1].contains("0.000000") && lines[1].contains("red fox")
    );

    let told = user.ok("explain", "index", &["--key", "k1"]);
    for word in ["phase", "vectors", "segment", "plan", "candidates", "measured", "rounds"] {
        assert!(told.contains(word), "no {word} in\n{told}");
    }
    let told: Value =
        serde_json::from_str(&user.ok("explain", "index", &["--key", "k1", "--json"])).unwrap();
    assert_eq!(told["explain"]["segments"][0]["rows"], 4);
}

#[test]
fn pages_of_a_long_answer_are_put_together() {
    let user = User::new("pages");
    user.write("rows.jsonl", lines(250));
    user.ok("import", "index", &["--create", "--metric", "cosine", "rows.jsonl"]);
    let out = user.ok("query", "index", &["--vector", "[1,0]", "--top", "240", "--json"]);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["vectors"].as_array().unwrap().len(), 240);
}

#[test]
fn a_bad_line_is_named_and_what_is_before_it_is_stored() {
    let user = User::new("fault");
    let good = lines(9);
    let bad = good.replace("[7.0,0.1]", "[7.0]");
    user.write("rows.jsonl", &bad);
    let words = ["--create", "--metric", "cosine", "--batch", "3", "rows.jsonl"];
    let said = user.refused("import", "index", &words);
    let why = "lodestore: rows.jsonl: row 7 (line 8): 1 components, but the rows before have 2; \
               7 rows were stored, go on with --from-row 7";
    assert!(said.contains(why), "{said}");
    assert_eq!(user.rows("index").len(), 7);
    user.write("rows.jsonl", &good);
    user.ok("import", "index", &["--from-row", "7", "rows.jsonl"]);
    assert_eq!(user.rows("index").len(), 9);
}

#[test]
fn a_row_that_the_endpoint_refuses_is_named() {
    let user = User::new("refused");
    user.write("rows.jsonl", lines(9).replace("[4.0,0.1]", "[0.0,0.0]"));
    let create = ["--create", "--metric", "cosine"];
    let words = ["--batch", "3", "--concurrency", "1", "rows.jsonl"];
    let said = user.refused("import", "index", &[&create[..], &words].concat());
    let why = "rows.jsonl: row 4: status 400 ValidationException: Invalid record for key 'k4': \
               cosine distance does not support vectors with zero norm; \
               3 rows were stored, go on with --from-row 3";
    assert!(said.contains(why), "{said}");
    assert_eq!(user.rows("index").len(), 3);

    let said =
        user.refused("import", "index", &["--create", "--metric", "euclidean", "rows.jsonl"]);
    assert!(said.contains("is there with dimension 2 and cosine, not 2 and euclidean"), "{said}");
    let said = user.refused("import", "other", &["rows.jsonl"]);
    assert!(said.contains("rows 0 to 8: status 404 NotFoundException"), "{said}");
    for command in ["query", "explain"] {
        let said = user.refused(command, "index", &["--key", "none"]);
        assert!(said.contains("no vector has the key `none`"), "{said}");
    }
    let said = user.refused("export", "other", &["out.jsonl"]);
    assert!(said.contains("404 NotFoundException"), "{said}");
    assert!(!user.path("out.jsonl").exists());
}

#[test]
fn of_rows_with_one_key_the_last_one_stays() {
    let user = User::new("twice");
    let line = |nth: usize| format!("{{\"key\":\"k{}\",\"vector\":[{nth}.0]}}\n", nth % 5);
    user.write("rows.jsonl", (0..200).map(line).collect::<String>());
    let create = ["--create", "--metric", "euclidean"];
    let words = ["--batch", "2", "--concurrency", "8", "rows.jsonl"];
    user.ok("import", "index", &[&create[..], &words].concat());
    let last: BTreeSet<String> = (195..200).map(|nth| line(nth).trim_end().to_owned()).collect();
    assert_eq!(user.rows("index"), last);
}

#[test]
fn an_endpoint_that_is_gone_is_an_error_after_a_few_tries() {
    let user = User::at(free_address(), "gone");
    user.write("rows.jsonl", lines(3));
    let said = user.refused("import", "index", &["--retries", "1", "rows.jsonl"]);
    assert!(said.contains("rows.jsonl: rows 0 to 2: connection: "), "{said}");
    assert!(said.contains("0 rows were stored, go on with --from-row 0"), "{said}");
    assert!(said.contains("2 errors"), "{said}");
    for (command, words) in [
        ("query", &["--retries", "0", "--vector", "[1]"][..]),
        ("export", &["--retries", "0", "out.jsonl"]),
    ] {
        assert!(user.refused(command, "index", words).contains("connection: "), "{command}");
    }
}

#[test]
fn a_busy_endpoint_is_asked_again_with_the_same_rows() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let user = User::at(listener.local_addr().unwrap(), "busy");
    user.write("rows.jsonl", lines(3));
    let endpoint = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        for status in ["503 Service Unavailable", "429 Too Many Requests", "200 OK"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut some = [0; 4096];
            while !request.ends_with(b"]}") {
                let count = stream.read(&mut some).unwrap();
                assert!(count > 0, "half a request");
                request.extend_from_slice(&some[..count]);
            }
            let text = String::from_utf8(request).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /PutVectors HTTP/1.1\r\n"), "{head}");
            assert!(!head.contains("x-amz-content-sha256"), "{head}");
            assert!(head.contains("SignedHeaders=content-type;host;x-amz-date"), "{head}");
            bodies.push(body.to_owned());
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
        bodies
    });
    let said = user.run("import", "index", &["rows.jsonl"]);
    assert!(said.success && said.err.contains("import: 3 rows"), "{}", said.err);
    assert!(said.err.contains("2 errors"), "{}", said.err);
    let bodies = endpoint.join().unwrap();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(serde_json::from_str::<Value>(&bodies[0]).unwrap()["vectors"][2]["key"], "k2");
}

#[test]
fn an_output_that_cannot_be_written_fails_the_export() {
    let user = User::new("full");
    user.write("rows.jsonl", lines(3));
    user.ok("import", "index", &["--create", "--metric", "cosine", "rows.jsonl"]);
    for (words, why) in [
        (&["none/out.jsonl"][..], "No such file or directory"),
        (&["--format", "npy", "-"], "npy cannot be written to standard output"),
        (&["out"], "its name says no format"),
        (&["--metadata", "m", "out.jsonl"], "--metadata goes with npy and fvecs"),
    ] {
        let said = user.refused("export", "index", words);
        assert!(said.contains(why), "{said}");
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let words = ["vectors", "export", "--bucket", &user.bucket, "--index", "index", "-"];
    let status = user.setup.command(&words).stdout(full).status().unwrap();
    assert!(!status.success());
    assert_eq!(user.read("rows.jsonl"), lines(3));
}

#[test]
fn help_says_what_there_is() {
    let setup = Setup::bare();
    let help = |words: &[&str]| {
        let output = setup.run(&[&["vectors"], words, &["--help"]].concat());
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let all = help(&[]);
    for word in ["import", "export", "query", "explain", "Examples:"] {
        assert!(all.contains(word), "{all}");
    }
    let import = help(&["import"]);
    for word in ["--from-row <N>", "--key-column <COLUMN>", "- parquet: "] {
        assert!(import.contains(word), "{import}");
    }
    assert!(!setup.run(&["vectors"]).status.success());
    let no_question = setup.run(&["vectors", "query", "--bucket", "b", "--index", "i"]);
    assert!(!no_question.status.success());
}

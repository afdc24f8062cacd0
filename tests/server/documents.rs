//! What the documents say about the code: where it can be read off, it is.

use std::path::{Path, PathBuf};

use crate::process::files_below;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The code spans of a document.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn the_code_map_names_every_part_and_no_other() {
    let map = read("docs/architecture.md");
    let named: Vec<&str> = spans(&map).collect();
    for folder in ["src", "storage-engine/src", "vector-engine/src"] {
        for item in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = item.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            // A folder and the file of its name are one part.
            let stem = name.trim_end_matches(".rs");
            let forms = [format!("{stem}.rs"), format!("{stem}/"), format!("src/{stem}/")];
            let is_part = ["lib.rs", "main.rs"].contains(&name)
                || named.iter().any(|span| forms.iter().any(|form| span == form));
            assert!(is_part, "docs/architecture.md does not name {folder}/{name}");
        }
    }
    let folders =
        ["src", "storage-engine", "vector-engine", "tests"].map(|folder| root().join(folder));
    let files: Vec<PathBuf> = folders.iter().flat_map(|folder| files_below(folder)).collect();
    for span in named.iter().filter(|span| span.ends_with(".rs")) {
        assert!(files.iter().any(|file| file.ends_with(span)), "there is no {span}");
    }
}

#[test]
fn every_harness_of_the_testing_guide_is_there() {
    let guide = read("docs/testing.md");
    let places = spans(&guide).filter(|span| {
        let is_place = span.ends_with(".rs") || span.ends_with('/');
        is_place
            && ["tests/", "src/", "storage-engine/", "benches/"].iter().any(|f| span.starts_with(f))
    });
    let mut found = 0;
    for place in places {
        let exists =
            root().join(place).exists() || root().join("storage-engine").join(place).exists();
        assert!(exists, "docs/testing.md names {place}");
        found += 1;
    }
    assert!(found > 10, "the guide names {found} places");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let decisions = files_below(&root().join("docs"));
    let documents = decisions.into_iter().chain([root().join("README.md")]);
    for document in documents.filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let target = document.parent().unwrap().join(file);
            assert!(target.exists(), "{} links to {link}", document.display());
        }
    }
}

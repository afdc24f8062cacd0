//! Measures the text index on a file of texts, one a line: time to build, bytes, time of queries.
//!
//! `cargo run --release -p vector-engine --example text -- TEXTS [LANGUAGE]`

use std::error::Error;
use std::time::Instant;

use vector_engine::{
    Analyzer, FoundTerms, Language, Scope, TextBuilder, TextIndex, TextPart, TextQuery, Weights,
};

const QUERIES: usize = 2000;
const SEGMENTS: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("which file of texts?")?;
    let language = arguments.next().map(|code| code.parse::<Language>()).transpose()?;
    let texts = std::fs::read_to_string(file)?;
    let texts: Vec<&str> = texts.lines().collect();
    let analyzer = Analyzer::new(language);

    let started = Instant::now();
    let whole = build(&analyzer, &texts)?;
    let build_ms = started.elapsed().as_millis();
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    println!(
        "{} texts of {bytes} bytes: {} terms, index of {} bytes, built in {build_ms} ms",
        texts.len(),
        whole.terms(),
        whole.encode().len(),
    );

    let started = Instant::now();
    for text in texts.iter().take(1000) {
        build(&analyzer, &[text])?;
    }
    println!("1,000 indexes of one text: {} us", started.elapsed().as_micros());

    let size = texts.len().div_ceil(SEGMENTS).max(1);
    let segments: Vec<TextIndex> =
        texts.chunks(size).map(|part| build(&analyzer, part)).collect::<Result<_, _>>()?;
    let rows: Vec<u32> = (0..texts.len() as u32).collect();
    let parts: Vec<TextPart<'_>> = segments
        .iter()
        .zip(rows.chunks(size))
        .map(|(index, rows)| TextPart { index, rows })
        .collect();
    let started = Instant::now();
    let merged = TextIndex::merge(&parts)?;
    println!("merged from {SEGMENTS} in {} ms", started.elapsed().as_millis());
    assert!(merged.encode() == whole.encode(), "a merge gives what a build gives");

    for words in [1, 3, 5, 8] {
        let queries = queries(&texts, words);
        for keep in [10, 100, 1000] {
            measure(&analyzer, &queries, std::slice::from_ref(&whole), words, keep)?;
        }
        measure(&analyzer, &queries, &segments, words, 10)?;
    }
    Ok(())
}

fn build(analyzer: &Analyzer, texts: &[&str]) -> vector_engine::Result<TextIndex> {
    let mut builder = TextBuilder::new(analyzer);
    for (row, text) in (0..).zip(texts) {
        builder.add(row, text)?;
    }
    builder.finish()
}

/// Neighbouring words of texts all over the file.
fn queries(texts: &[&str], words: usize) -> Vec<String> {
    let step = (texts.len() / QUERIES).max(1);
    let enough = texts.iter().step_by(step).filter_map(|text| {
        let all: Vec<&str> = text.split_whitespace().collect();
        let from = all.len().checked_sub(words)? / 2;
        all.get(from..from + words).map(|words| words.join(" "))
    });
    enough.collect()
}

fn measure(
    analyzer: &Analyzer,
    queries: &[String],
    indexes: &[TextIndex],
    words: usize,
    keep: usize,
) -> vector_engine::Result<()> {
    let mut times = Vec::new();
    let mut hits = 0;
    for text in queries {
        // The least of three: what else runs on the machine is not what is measured.
        let mut least = f64::MAX;
        for _ in 0..3 {
            let started = Instant::now();
            hits += search(analyzer, text, indexes, keep)?;
            least = least.min(started.elapsed().as_nanos() as f64 / 1000.0);
        }
        times.push(least);
    }
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or(0.0);
    println!(
        "{words} words, best {keep} of {} segments: p50 {:.1} us, p99 {:.1} us, {} queries, {} hits",
        indexes.len(),
        at(0.5),
        at(0.99),
        times.len(),
        hits / 3,
    );
    Ok(())
}

fn search(
    analyzer: &Analyzer,
    text: &str,
    indexes: &[TextIndex],
    keep: usize,
) -> vector_engine::Result<usize> {
    let query = TextQuery::new(analyzer, text);
    let found: Vec<FoundTerms<'_>> =
        indexes.iter().map(|index| index.find(&query)).collect::<Result<_, _>>()?;
    let weights = Weights::new(&query, &found);
    let mut best = Vec::new();
    for found in &found {
        best.extend(found.best(&weights, Scope::default(), keep)?);
    }
    best.sort_unstable_by(|a, b| b.cmp(a));
    best.truncate(keep);
    Ok(best.len())
}

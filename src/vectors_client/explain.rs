//! `lodestore vectors explain`: what was found, and below it what was done: the time of each phase,
//! and for each segment how it was searched.

use serde::Deserialize;
use serde_json::{Value, json};

use super::VectorsError;
use super::api::Api;
use super::options::QueryOptions;
use super::printed::{plain, table};
use super::query::{ask, body, print};

#[derive(Debug, Deserialize)]
struct Explained {
    phases: Vec<Phase>,
    segments: Vec<Segment>,
}

#[derive(Debug, Deserialize)]
struct Phase {
    phase: String,
    micros: u64,
}

#[derive(Debug, Deserialize)]
struct Segment {
    plan: String,
    rows: u64,
    candidates: u64,
    measured: u64,
    rounds: u64,
}

/// Queries, and prints how.
pub(super) async fn run(options: &QueryOptions) -> Result<(), VectorsError> {
    let api = Api::new(&options.of)?;
    let mut caller = api.caller()?;
    let mut body = body(options, &api, &mut caller).await?;
    body["explain"] = json!(true);
    // Later pages of an answer do not explain.
    body["maxResults"] = json!(options.top);
    let answer = ask(&api, &mut caller, body).await?;
    let explain = answer.explain.as_ref();
    let explain = explain.ok_or_else(|| VectorsError::new("this endpoint does not explain"))?;
    if options.json {
        return print(&answer.json());
    }
    print(&format!("{}\n{}", answer.table(), shown(explain)?))
}

fn shown(explain: &Value) -> Result<String, VectorsError> {
    let Explained { phases, segments } = Explained::deserialize(explain)
        .map_err(|error| VectorsError::new(format!("wrong answer: explain: {error}")))?;
    let cells = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let mut times = vec![cells(&["phase", "time"])];
    let total: u64 = phases.iter().fold(0, |sum, phase| sum.saturating_add(phase.micros));
    times.extend(phases.iter().map(|phase| vec![plain(&phase.phase), time(phase.micros)]));
    times.push(vec!["all".to_owned(), time(total)]);
    let mut work =
        vec![cells(&["segment", "plan", "rows", "candidates", "measured", "rounds of reading"])];
    work.extend(segments.iter().enumerate().map(|(nth, segment)| {
        let figures = [segment.rows, segment.candidates, segment.measured, segment.rounds];
        let mut cells = vec![(nth + 1).to_string(), plain(&segment.plan)];
        cells.extend(figures.map(|figure| figure.to_string()));
        cells
    }));
    Ok(format!("{}\n{}", table(&times), table(&work)))
}

fn time(micros: u64) -> String {
    match micros {
        ..10_000 => format!("{micros} us"),
        _ => format!("{} ms", micros / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_and_segments_are_tables() {
        let explain = json!({
            "phases": [{ "phase": "filter", "micros": 12 }, { "phase": "vectors", "micros": 25_000 }],
            "segments": [
                { "plan": "exact", "rows": 100, "candidates": 10, "measured": 10, "rounds": 0 }],
        });
        assert_eq!(
            shown(&explain).unwrap(),
            "phase    time\nfilter   12 us\nvectors  25 ms\nall      25 ms\n\n\
             segment  plan   rows  candidates  measured  rounds of reading\n\
             1        exact  100   10          10        0\n"
        );
        assert!(shown(&json!({ "phases": 1 })).is_err());
    }
}

//! `lodestore vectors export`: parts of an index are listed at once, and a thread writes their rows.
//!
//! Pages in memory: one a part, one in the channel, one that is written. An export is no snapshot:
//! rows that are written or deleted meanwhile may be in it or not.

use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::VectorsError;
use super::api::{Api, Caller, told};
use super::options::ExportOptions;
use super::progress::{EVERY, Progress};
use super::row::{JsonRow, Row};
use super::writer::Sink;

/// Rows of a page: as many as the API allows; it ends a page of large rows before that.
const PAGE_ROWS: u32 = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    vectors: Vec<JsonRow>,
    next_token: Option<String>,
}

/// Exports an index.
pub(super) async fn run(options: &ExportOptions) -> Result<(), VectorsError> {
    let api = Api::new(&options.of)?;
    let refused = |failure| VectorsError::new(format!("{}: {}", api.name(), told(&failure)));
    let index = api.caller()?.index().await.map_err(refused)?;
    let mut sink = Sink::open(options, index.dimension)?;
    let (sender, mut pages) = mpsc::channel::<Vec<JsonRow>>(1);
    let (written, mut counts) = mpsc::channel::<u64>(1);
    let writer = std::thread::spawn(move || {
        while let Some(page) = pages.blocking_recv() {
            let rows = page.len() as u64;
            for row in page.into_iter().map(row_of) {
                sink.write(&row?)?;
            }
            // The other side counts until this thread ends.
            let _stopped = written.blocking_send(rows);
        }
        Ok::<Sink, VectorsError>(sink)
    });
    let mut parts = JoinSet::new();
    for part in 0..options.parts {
        let caller = api.caller()?;
        parts.spawn(list(api.clone(), caller, (options.parts, part), sender.clone()));
    }
    drop(sender);
    let mut progress = Progress::new("export");
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut listed = Ok(());
    loop {
        tokio::select! {
            count = counts.recv() => match count {
                Some(count) => progress.add(count),
                // The writer has ended, and with it every list.
                None => break,
            },
            Some(part) = parts.join_next(), if !parts.is_empty() => {
                let part = part.map_err(|error| VectorsError::new(error.to_string()));
                if let Err(error) = part.and_then(|part| part) {
                    listed = listed.and(Err(error));
                    parts.abort_all();
                }
            }
            _ = ticks.tick() => progress.show(api.errors()),
        }
    }
    let sink = writer.join().map_err(|_| VectorsError::new("the writer died"))?;
    // Why it stopped taking pages comes first, why some did not come after.
    let sink = sink?;
    while let Some(part) = parts.join_next().await {
        let part = part.map_err(|error| VectorsError::new(error.to_string()));
        listed = listed.and(part.and_then(|part| part));
    }
    listed?;
    sink.finish()?;
    progress.finish(api.errors());
    Ok(())
}

/// Lists a part page by page.
async fn list(
    api: Api,
    mut caller: Caller,
    (parts, part): (u32, u32),
    pages: mpsc::Sender<Vec<JsonRow>>,
) -> Result<(), VectorsError> {
    let mut body = api.of_index();
    body["maxResults"] = json!(PAGE_ROWS);
    body["returnData"] = json!(true);
    body["returnMetadata"] = json!(true);
    if parts > 1 {
        body["segmentCount"] = json!(parts);
        body["segmentIndex"] = json!(part);
    }
    loop {
        let page = caller.ask::<Page>("ListVectors", &body).await;
        let Page { vectors, next_token } = page
            .map_err(|failure| VectorsError::new(format!("{}: {}", api.name(), told(&failure))))?;
        // The writer says itself why it takes no more.
        if pages.send(vectors).await.is_err() {
            return Ok(());
        }
        match next_token {
            Some(token) => body["nextToken"] = json!(token),
            None => return Ok(()),
        }
    }
}

fn row_of(mut row: JsonRow) -> Result<Row, VectorsError> {
    let wrong = |why: String| VectorsError::new(format!("wrong answer: a row: {why}"));
    let vector = row.take_vector().map_err(wrong)?;
    let key = row.key.ok_or_else(|| wrong("it has no \"key\"".to_owned()))?;
    // Of a row without metadata some answer an empty object.
    let metadata = row.metadata.filter(|metadata| metadata.get() != "{}");
    Ok(Row { key, vector, metadata })
}

//! `QueryVectors`: the rows nearest to a vector, best matching texts, or both.
//!
//! A query whose results fit in a page is answered from its one search. One with more results keeps
//! its ranking, and each page reads its rows.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use vector_engine::{
    Answer, Explain, Explained, Index, Metadata, Query, QueryText, Row, TextState, Want,
};

use super::access::{Caller, GET_VECTORS};
use super::check::Check;
use super::error::{Failure, Kind, Result};
use super::json::{write_float, write_text, write_value};
use super::limits::{
    Limits, METADATA_KEY_CHARS, QUERY_PAGE_BYTES_MAX, QUERY_TEXT_CHARS, QUERY_TOKEN_CHARS,
    QUERY_TOKEN_LIFE,
};
use super::ranking::Ranked;
use super::record::IndexRecord;
use super::rows::{answer_bytes, filter, vector_fault, want, write_token, write_whole, written};
use super::service::Service;
use super::settings::Mode;
use super::shape::{self, read};
use super::token::Binding;

/// Rows read at once for a page.
const READ_ROWS: usize = 100;

/// What of its results a request wants to hear.
#[derive(Debug, Clone, Copy)]
struct Told {
    want: Want,
    distance: bool,
    scores: bool,
    /// Searched by vector and by text.
    hybrid: bool,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Number of the ranking.
    ranking: u64,
    /// Results before the page.
    offset: u32,
}

/// A page in the making.
struct Page {
    out: Vec<u8>,
    count: usize,
    told: Told,
}

impl Service {
    /// `QueryVectors`
    pub(super) async fn query_vectors(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::QueryVectors<'_> = read(body)?;
        let limits = &self.shared.limits;
        let mode = checked(&input, limits)?;
        let access = self.access(caller);
        let found = access.index(input.target())?;
        let want = want(input.return_data, input.return_metadata);
        let reveals =
            input.query_texts.is_some() || input.filter.is_some() || want.metadata || want.data;
        if reveals {
            access.also(GET_VECTORS, &found)?;
        }
        if mode == Some(Mode::Classic) {
            return Err(Failure::validation(
                "queryMode cannot be CLASSIC when indexMode is ENHANCED",
            ));
        }
        let record = &found.index.record;
        let rows = self.rows(record).await?;
        let query = query(&input, record, &rows, limits)?;
        let told = Told {
            want,
            distance: input.return_distance.unwrap_or(false),
            scores: input.return_scores.unwrap_or(false) && !query.texts.is_empty(),
            hybrid: query.vector.is_some() && !query.texts.is_empty(),
        };
        let token = input.next_token.as_deref();
        let page = input.max_results.and_then(|most| usize::try_from(most).ok());
        let page = page.unwrap_or(limits.query_page);
        let metric = record.metric.name();
        if token.is_none() && query.top <= page {
            let Answer { hits, explain } = rows.query(Query { want, ..query }).await?;
            return Ok(written(answer_bytes(hits.len(), want, record), move || {
                let mut page = Page::new(told);
                for hit in hits {
                    let (vector, metadata) = (hit.vector.clone(), hit.metadata.clone());
                    page.write(&hit.into(), vector.as_deref(), metadata.as_ref());
                }
                page.finish(metric, None, explain.as_ref())
            })
            .await);
        }
        let binding = binding(caller, record, &input, &query);
        let place = token.map(|token| self.place(&binding, token)).transpose()?;
        let (number, ranked, explain) = self.ranked(&rows, query, &binding, place).await?;
        let offset = place.map_or(0, |place| place.offset as usize);
        let ranked_page = ranked.get(offset..).unwrap_or_default();
        let ranked_page = ranked_page.get(..page).unwrap_or(ranked_page);
        let (page, told_count) = tell(&rows, ranked_page, told).await?;
        let end = offset + told_count;
        let next = (end < ranked.len()).then(|| {
            let offset = u32::try_from(end).unwrap_or(u32::MAX);
            let cursor = Place { ranking: number, offset }.encode();
            self.shared.tokens.issue(&binding, QUERY_TOKEN_LIFE, &cursor)
        });
        Ok(page.finish(metric, next.as_deref(), explain.as_ref()))
    }

    fn place(&self, binding: &Binding, token: &str) -> Result<Place> {
        let cursor = self.shared.tokens.open(binding, token)?;
        Place::decode(&cursor)
            .ok_or_else(|| Failure::field("nextToken", "The next token is not valid"))
    }

    /// The ranking that a page is of: the one that was kept, or a new one.
    async fn ranked(
        &self,
        rows: &Index,
        query: Query,
        binding: &Binding,
        place: Option<Place>,
    ) -> Result<(u64, Arc<[Ranked]>, Option<Explain>)> {
        let digest = binding.digest();
        let rankings = &self.shared.rankings;
        if let Some(place) = place
            && let Some(ranked) = rankings.find(place.ranking, digest)
        {
            return Ok((place.ranking, ranked, None));
        }
        let Answer { hits, explain } = rows.query(Query { want: Want::default(), ..query }).await?;
        let ranked: Arc<[Ranked]> = hits.into_iter().map(Ranked::from).collect();
        let number = rankings.keep(digest, &ranked);
        Ok((number, ranked, explain))
    }
}

/// Checks what the model asks; answers the mode that was named.
fn checked(input: &shape::QueryVectors<'_>, limits: &Limits) -> Result<Option<Mode>> {
    let mut check = Check::default();
    input.target().check(&mut check);
    if let Some(top) = check.required("/topK", &input.top_k) {
        check.at_least("/topK", *top, 1);
    }
    if let Some(vector) = &input.query_vector {
        vector.check(&mut check, || "/queryVector".to_owned());
    }
    if let Some(texts) = &input.query_texts {
        check.length("/queryTexts", texts.len, &(1..=limits.query_texts));
        for (nth, text) in texts.items.iter().enumerate() {
            let path = format!("/queryTexts/{nth}/text");
            if let Some(text) = check.required(&path, &text.text) {
                check.text(&path, text, &QUERY_TEXT_CHARS);
            }
            let path = format!("/queryTexts/{nth}/metadataKey");
            if let Some(key) = check.required(&path, &text.metadata_key) {
                check.text(&path, key, &METADATA_KEY_CHARS);
            }
        }
    }
    let mode = input.query_mode.as_deref();
    let mode = mode.and_then(|text| Mode::check(&mut check, "/queryMode", text));
    check.optional_text("/nextToken", input.next_token.as_deref(), &QUERY_TOKEN_CHARS);
    check.optional_range("/maxResults", input.max_results, &(1..=limits.top));
    check.finish()?;
    if input.top_k.is_some_and(|top| top > limits.top) {
        let most = limits.top;
        return Err(Failure::field(
            "topK",
            format!("topK must be between 1 and {most}, inclusive"),
        ));
    }
    if input.query_vector.is_none() && input.query_texts.is_none() {
        return Err(Failure::validation("Must specify queryVector, queryTexts, or both"));
    }
    Ok(mode)
}

/// What is searched, without what of it is wanted.
fn query(
    input: &shape::QueryVectors<'_>,
    record: &IndexRecord,
    rows: &Index,
    limits: &Limits,
) -> Result<Query> {
    let vector = input.query_vector.as_ref();
    let vector = vector.map(|vector| vector.clone().into_components());
    if let Some(fault) = vector.as_ref().and_then(|vector| vector_fault(vector, record)) {
        let message = "Query vector contains invalid values or is invalid for this index";
        return Err(Failure::field("vector", format!("Invalid input: {fault}")).saying(message));
    }
    let mut texts: Vec<QueryText> = Vec::new();
    for text in input.query_texts.iter().flat_map(|texts| &texts.items) {
        let key = text.metadata_key.clone().unwrap_or_default();
        let refused =
            |why: &str| Failure::field("queryTexts", format!("Metadata key '{key}' {why}"));
        if texts.iter().any(|other| other.key == key) {
            return Err(refused("is named by more than one text"));
        }
        let configuration = record.text.iter().find(|configuration| configuration.key == key);
        let configuration =
            configuration.ok_or_else(|| refused("has no text search configuration"))?;
        if rows.text_state(&configuration.field()) == TextState::Building {
            return Err(refused(
                "cannot be searched yet: its text search configuration is BUILDING",
            ));
        }
        texts.push(QueryText { key, text: text.text.clone().unwrap_or_default() });
    }
    let top = input.top_k.unwrap_or(1).clamp(1, limits.top);
    Ok(Query {
        vector,
        texts,
        top: usize::try_from(top).unwrap_or(1),
        filter: filter(input.filter, record)?,
        want: Want::default(),
        explain: if input.explain.unwrap_or(false) { Explained::Yes } else { Explained::No },
    })
}

/// All that decides the ranking.
fn binding(
    caller: &Caller,
    record: &IndexRecord,
    input: &shape::QueryVectors<'_>,
    query: &Query,
) -> Binding {
    let components = query.vector.iter().flatten().flat_map(|component| component.to_le_bytes());
    let components: Vec<u8> = components.collect();
    let mut binding = Binding::new(caller.operation.name, &caller.principal.name)
        .with(&record.space.to_be_bytes())
        .with(&(query.top as u64).to_be_bytes())
        .with(input.filter.map_or("", RawValue::get).as_bytes())
        .with(&components);
    for text in &query.texts {
        binding = binding.with(text.key.as_bytes()).with(text.text.as_bytes());
    }
    binding
}

/// Writes the results of a page, reading what is wanted of their rows, until the page is full;
/// answers how many of them were told or passed over, because they were deleted meanwhile.
async fn tell(rows: &Index, ranked: &[Ranked], told: Told) -> Result<(Page, usize)> {
    let mut page = Page::new(told);
    let mut count = 0;
    for some in ranked.chunks(READ_ROWS) {
        let mut read: HashMap<String, Row> = HashMap::new();
        if told.want.data || told.want.metadata {
            let keys: Vec<String> = some.iter().map(|hit| hit.key.clone()).collect();
            let found = rows.get(&keys, told.want).await?;
            read.extend(found.into_iter().map(|row| (row.key.clone(), row)));
        }
        let some: Vec<Ranked> = some.to_vec();
        count += some.len();
        page = tokio::task::spawn_blocking(move || {
            for hit in some {
                match read.get(&hit.key) {
                    Some(row) => page.write(&hit, row.vector.as_deref(), row.metadata.as_ref()),
                    None if told.want.data || told.want.metadata => {}
                    None => page.write(&hit, None, None),
                }
            }
            page
        })
        .await
        .map_err(|error| {
            tracing::error!(%error, "writing an answer was cut off");
            Failure::new(Kind::Internal, "")
        })?;
        if page.out.len() >= QUERY_PAGE_BYTES_MAX {
            break;
        }
    }
    Ok((page, count))
}

impl Page {
    fn new(told: Told) -> Self {
        Self { out: b"{\"vectors\":[".to_vec(), count: 0, told }
    }

    fn write(&mut self, hit: &Ranked, vector: Option<&[f32]>, metadata: Option<&Metadata>) {
        let out = &mut self.out;
        if self.count > 0 {
            out.push(b',');
        }
        self.count += 1;
        out.extend_from_slice(b"{\"key\":");
        write_text(out, &hit.key);
        if let Some(distance) = hit.distance.filter(|_| self.told.distance) {
            out.extend_from_slice(b",\"distance\":");
            write_float(out, distance);
        }
        if self.told.scores {
            write_scores(out, hit, self.told.hybrid);
        }
        write_whole(out, vector, metadata);
        out.push(b'}');
    }

    fn finish(mut self, metric: &str, next: Option<&str>, explain: Option<&Explain>) -> Vec<u8> {
        self.out.extend_from_slice(b"],\"distanceMetric\":");
        write_text(&mut self.out, metric);
        write_token(&mut self.out, next);
        if let Some(explain) = explain {
            self.out.extend_from_slice(b",\"explain\":");
            write_value(&mut self.out, &super::explain::Explained::from(explain));
        }
        self.out.push(b'}');
        self.out
    }
}

fn write_scores(out: &mut Vec<u8>, hit: &Ranked, hybrid: bool) {
    out.extend_from_slice(b",\"scores\":{\"bm25Scores\":[");
    for (nth, (key, score)) in hit.text_scores.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"metadataKey\":");
        write_text(out, key);
        out.extend_from_slice(b",\"score\":");
        write_float(out, *score);
        out.push(b'}');
    }
    out.push(b']');
    if hybrid {
        for (name, score) in [("fused", hit.fused), ("vectorDistance", hit.distance)] {
            if let Some(score) = score {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                write_float(out, score);
            }
        }
    }
    out.push(b'}');
}

impl Place {
    fn encode(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.ranking.to_be_bytes());
        bytes[8..].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (ranking, offset) = bytes.split_first_chunk::<8>()?;
        let ranking = u64::from_be_bytes(*ranking);
        Some(Self { ranking, offset: u32::from_be_bytes(offset.try_into().ok()?) })
    }
}

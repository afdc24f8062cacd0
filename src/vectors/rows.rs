//! Operations on the vectors of an index: put, get, list, delete.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::value::RawValue;
use vector_engine::{
    Error, Filter, FilterLimits, List, Metadata, MetadataLimits, NewRow, Row, Want,
};

use super::access::{Caller, FoundIndex, GET_VECTORS};
use super::check::Check;
use super::error::{Failure, Kind, Result};
use super::json::{List as JsonList, write_text, write_value, write_vector};
use super::limits::{
    FILTER_JSON_BYTES_MAX, KEY_CHARS, LIST_TOKEN_CHARS, LIST_TOKEN_LIFE, Limits,
    METADATA_JSON_BYTES_MAX, SEGMENT_COUNT, SEGMENT_INDEX,
};
use super::record::{IndexRecord, Metric};
use super::service::{Service, nothing};
use super::shape::{self, PutVector, read};
use super::token::Binding;

/// Bodies from this on are read and written off the workers, which have other requests to answer.
const BLOCKING_BYTES_MIN: usize = 64 << 10;

impl Service {
    /// `PutVectors`
    pub(super) async fn put_vectors(&self, caller: Caller, body: Bytes) -> Result<Vec<u8>> {
        let (found, rows) = if body.len() < BLOCKING_BYTES_MIN {
            self.read_put(&caller, &body)?
        } else {
            let service = self.clone();
            let read = tokio::task::spawn_blocking(move || service.read_put(&caller, &body));
            read.await.map_err(|error| {
                tracing::error!(%error, "reading vectors was cut off");
                Failure::internal()
            })??
        };
        self.rows(&found.index.record).await?.put(rows).await?;
        Ok(nothing())
    }

    fn read_put(&self, caller: &Caller, body: &[u8]) -> Result<(FoundIndex, Vec<NewRow>)> {
        let input: shape::PutVectors<'_> = read(body)?;
        let limits = &self.shared.limits;
        let mut check = Check::default();
        input.target().check(&mut check);
        if let Some(vectors) = check.required("/vectors", &input.vectors) {
            check.length("/vectors", vectors.len, &(1..=limits.put_vectors));
            for (nth, vector) in vectors.items.iter().enumerate() {
                let path = |member: &str| format!("/vectors/{nth}/{member}");
                match &vector.key {
                    Some(key) if KEY_CHARS.contains(&key.len()) => {}
                    Some(key) => {
                        check.text(&path("key"), key, &KEY_CHARS);
                    }
                    None => {
                        check.required(&path("key"), &vector.key);
                    }
                }
                if let Some(data) = check_present(&mut check, || path("data"), &vector.data) {
                    data.check(&mut check, || path("data"));
                }
            }
        }
        check.finish()?;
        let found = self.access(caller).index(input.target())?;
        let vectors = input.vectors.map(|vectors| vectors.items).unwrap_or_default();
        let mut keys = HashSet::with_capacity(vectors.len());
        let keyed = vectors.iter().filter_map(|vector| vector.key.as_deref());
        check_keys(keyed.clone())?;
        if !keyed.clone().all(|key| keys.insert(key)) {
            return Err(duplicate_keys());
        }
        let record = &found.index.record;
        let rows = vectors.into_iter().enumerate();
        let rows = rows.map(|(nth, vector)| new_row(nth, vector, record, limits));
        let rows = rows.collect::<Result<Vec<NewRow>>>()?;
        Ok((found, rows))
    }

    /// `GetVectors`
    pub(super) async fn get_vectors(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::GetVectors = read(body)?;
        let mut check = Check::default();
        input.target().check(&mut check);
        let keys = check.required("/keys", &input.keys);
        if let Some(keys) = keys {
            check_key_list(&mut check, keys, self.shared.limits.get_keys);
        }
        check.finish()?;
        let found = self.access(caller).index(input.target())?;
        let keys = input.keys.map(|keys| keys.items).unwrap_or_default();
        check_keys(keys.iter().map(String::as_str))?;
        let want = want(input.return_data, input.return_metadata);
        let record = &found.index.record;
        let rows = self.rows(record).await?.get(&keys, want).await?;
        Ok(written(answer_bytes(rows.len(), want, record), move || {
            let mut out = b"{\"vectors\":[".to_vec();
            write_rows(&mut out, &rows);
            out.extend_from_slice(b"]}");
            out
        })
        .await)
    }

    /// `ListVectors`
    pub(super) async fn list_vectors(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::ListVectors<'_> = read(body)?;
        let limits = &self.shared.limits;
        let mut check = Check::default();
        input.target().check(&mut check);
        check.optional_range("/maxResults", input.max_results, &(1..=limits.list_vectors));
        check.optional_text("/nextToken", input.next_token.as_deref(), &LIST_TOKEN_CHARS);
        check.optional_range("/segmentCount", input.segment_count, &SEGMENT_COUNT);
        check.optional_range("/segmentIndex", input.segment_index, &SEGMENT_INDEX);
        check.finish()?;
        let parts = parts(input.segment_count, input.segment_index)?;
        let access = self.access(caller);
        let found = access.index(input.target())?;
        let want = want(input.return_data, input.return_metadata);
        if want.data || want.metadata || input.filter.is_some() {
            access.also(GET_VECTORS, &found)?;
        }
        let record = &found.index.record;
        let filter = filter(input.filter, record)?;
        let (count, index) = parts.unwrap_or((1, 0));
        let binding = Binding::new(caller.operation.name, &caller.principal.name)
            .with(&record.space.to_be_bytes())
            .with(&count.to_be_bytes())
            .with(&index.to_be_bytes())
            .with(input.filter.map_or("", RawValue::get).as_bytes());
        let token = input.next_token.as_deref();
        let after = token.map(|token| self.shared.tokens.open(&binding, token)).transpose()?;
        let limit = input.max_results.unwrap_or(limits.list_vectors_default);
        let list = List {
            after: after.map(Bytes::from),
            limit: usize::try_from(limit).unwrap_or(1),
            page_bytes: limits.list_bytes,
            parts,
            want,
            filter,
        };
        let page = self.rows(record).await?.list(list).await?;
        let next = page.next.map(|next| self.shared.tokens.issue(&binding, LIST_TOKEN_LIFE, &next));
        Ok(written(answer_bytes(page.rows.len(), want, record), move || {
            let mut out = b"{\"vectors\":[".to_vec();
            write_rows(&mut out, &page.rows);
            out.push(b']');
            write_token(&mut out, next.as_deref());
            out.push(b'}');
            out
        })
        .await)
    }

    /// `DeleteVectors`: keys that are not there are passed over.
    pub(super) async fn delete_vectors(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::DeleteVectors<'_> = read(body)?;
        let mut check = Check::default();
        input.target().check(&mut check);
        if let Some(keys) = &input.keys {
            check_key_list(&mut check, keys, self.shared.limits.delete_keys);
        } else if input.filter.is_none() {
            check.required("/keys", &input.keys);
        }
        check.finish()?;
        let access = self.access(caller);
        let found = access.index(input.target())?;
        let record = &found.index.record;
        match (input.keys, input.filter) {
            (Some(_), Some(_)) => {
                Err(Failure::validation("Must specify either keys or filter but not both"))
            }
            (Some(keys), None) => {
                check_keys(keys.items.iter().map(String::as_str))?;
                let mut seen = HashSet::with_capacity(keys.items.len());
                if !keys.items.iter().all(|key| seen.insert(key)) {
                    return Err(duplicate_keys());
                }
                self.rows(record).await?.delete(keys.items).await?;
                Ok(nothing())
            }
            (None, text) => {
                access.also(GET_VECTORS, &found)?;
                let filter = filter(text, record)?;
                let filter = filter.ok_or_else(|| Failure::field("filter", "Invalid filter"))?;
                let deleted = self.rows(record).await?.delete_matching(filter).await?;
                Ok(format!("{{\"deletedCount\":{deleted}}}").into_bytes())
            }
        }
    }
}

/// Which of `count` segments a list is of; none: all of them.
fn parts(count: Option<i64>, index: Option<i64>) -> Result<Option<(u32, u32)>> {
    match (count, index) {
        (None, None) => Ok(None),
        (Some(count), Some(index)) if index < count => {
            let (count, index) = (u32::try_from(count).ok(), u32::try_from(index).ok());
            Ok(count.zip(index).filter(|(count, _)| *count > 1))
        }
        (Some(_), Some(_)) => {
            Err(Failure::field("segmentIndex", "segmentIndex must be less than segmentCount"))
        }
        _ => Err(Failure::validation(
            "Must specify either both or neither of segmentCount and segmentIndex",
        )),
    }
}

pub(super) fn want(data: Option<bool>, metadata: Option<bool>) -> Want {
    Want { data: data.unwrap_or(false), metadata: metadata.unwrap_or(false) }
}

fn check_present<'a, T>(
    check: &mut Check,
    path: impl FnOnce() -> String,
    value: &'a Option<T>,
) -> Option<&'a T> {
    match value {
        Some(value) => Some(value),
        None => check.required(&path(), value),
    }
}

/// Checks what the model asks of keys.
fn check_key_list(check: &mut Check, keys: &JsonList<String>, most: usize) {
    check.length("/keys", keys.len, &(1..=most));
    for (nth, key) in keys.items.iter().enumerate() {
        if !KEY_CHARS.contains(&key.len()) {
            check.text(&format!("/keys/{nth}"), key, &KEY_CHARS);
        }
    }
}

/// Refuses keys whose UTF-8 is longer than any, though their characters are not too many.
fn check_keys<'a>(mut keys: impl Iterator<Item = &'a str>) -> Result<()> {
    if keys.any(|key| key.len() > *KEY_CHARS.end()) {
        return Err(Failure::validation("Record key length exceeds the maximum allowed"));
    }
    Ok(())
}

fn duplicate_keys() -> Failure {
    Failure::validation("Request must not contain duplicate keys")
}

/// What is wrong with a vector in an index; none: nothing.
pub(super) fn vector_fault(vector: &[f32], record: &IndexRecord) -> Option<String> {
    if vector.len() != record.dimension {
        let (right, len) = (record.dimension, vector.len());
        return Some(format!("vector must have length {right}, but has length {len}"));
    }
    if !vector.iter().all(|component| component.is_finite()) {
        return Some("vector contains NaNs or Infs".to_owned());
    }
    if record.metric == Metric::Cosine && vector.iter().all(|component| *component == 0.0) {
        return Some("cosine distance does not support vectors with zero norm".to_owned());
    }
    None
}

fn new_row(
    nth: usize,
    vector: PutVector<'_>,
    record: &IndexRecord,
    limits: &Limits,
) -> Result<NewRow> {
    let key = vector.key.unwrap_or_default();
    let refused = |path: String, why: String| {
        Failure::field(path, &*why).saying(format!("Invalid record for key '{key}': {why}"))
    };
    let data = vector.data.unwrap_or_default().into_components();
    if let Some(why) = vector_fault(&data, record) {
        return Err(refused(format!("vectors[{nth}]"), why));
    }
    let metadata = match vector.metadata {
        None => Metadata::default(),
        Some(text) => read_metadata(text, record, limits)
            .map_err(|why| refused(format!("vectors[{nth}].metadata"), why))?,
    };
    Ok(NewRow { key, vector: data, metadata })
}

/// The metadata in a document, or what is wrong with it.
pub(super) fn read_metadata(
    text: &RawValue,
    record: &IndexRecord,
    limits: &Limits,
) -> Result<Metadata, String> {
    let limits = MetadataLimits {
        keys: limits.metadata_keys,
        total_bytes: limits.metadata_bytes,
        filterable_bytes: limits.filterable_bytes,
        ..MetadataLimits::default()
    };
    if text.get().len() > METADATA_JSON_BYTES_MAX {
        return Err(format!("Metadata object must have at most {} bytes", limits.total_bytes));
    }
    let document: serde_json::Value =
        serde_json::from_str(text.get()).map_err(|_| "Metadata is nested too deeply".to_owned())?;
    Metadata::from_json(&document, &record.non_filterable, &limits).map_err(|error| match error {
        Error::Invalid(why) => why,
        error => error.to_string(),
    })
}

/// The filter in a document.
pub(super) fn filter(text: Option<&RawValue>, record: &IndexRecord) -> Result<Option<Filter>> {
    let Some(text) = text else { return Ok(None) };
    let refused = |why: String| Failure::field("filter", why);
    if text.get().len() > FILTER_JSON_BYTES_MAX {
        return Err(refused("Invalid filter: it is too long".to_owned()));
    }
    let document: serde_json::Value = serde_json::from_str(text.get())
        .map_err(|_| refused("Invalid filter: it is nested too deeply".to_owned()))?;
    let parsed = Filter::parse(&document, &FilterLimits::default()).and_then(|filter| {
        filter.check_keys(&record.non_filterable)?;
        Ok(filter)
    });
    parsed.map(Some).map_err(|error| match error {
        Error::Invalid(why) => refused(why),
        error => error.into(),
    })
}

/// What so many rows may take in an answer, about.
pub(super) fn answer_bytes(rows: usize, want: Want, record: &IndexRecord) -> usize {
    const ROW_BYTES: usize = 128;
    const COMPONENT_BYTES: usize = 21;
    const METADATA_BYTES: usize = 1024;
    let data = if want.data { record.dimension * COMPONENT_BYTES } else { 0 };
    let metadata = if want.metadata { METADATA_BYTES } else { 0 };
    rows * (ROW_BYTES + data + metadata)
}

/// Makes an answer, off the workers when it is long.
pub(super) async fn written(
    bytes: usize,
    write: impl FnOnce() -> Vec<u8> + Send + 'static,
) -> Vec<u8> {
    if bytes < BLOCKING_BYTES_MIN {
        return write();
    }
    match tokio::task::spawn_blocking(write).await {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "writing an answer was cut off");
            Failure::new(Kind::Internal, "").body()
        }
    }
}

pub(super) fn write_rows(out: &mut Vec<u8>, rows: &[Row]) {
    for (nth, row) in rows.iter().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"key\":");
        write_text(out, &row.key);
        write_whole(out, row.vector.as_deref(), row.metadata.as_ref());
        out.push(b'}');
    }
}

/// Writes what of a row was wanted besides its key.
pub(super) fn write_whole(out: &mut Vec<u8>, vector: Option<&[f32]>, metadata: Option<&Metadata>) {
    if let Some(vector) = vector {
        out.extend_from_slice(b",\"data\":");
        write_vector(out, vector);
    }
    if let Some(metadata) = metadata {
        out.extend_from_slice(b",\"metadata\":");
        write_value(out, &metadata.to_json());
    }
}

pub(super) fn write_token(out: &mut Vec<u8>, token: Option<&str>) {
    if let Some(token) = token {
        out.extend_from_slice(b",\"nextToken\":");
        write_text(out, token);
    }
}

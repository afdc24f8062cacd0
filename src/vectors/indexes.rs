//! Operations on vector indexes.

use std::sync::Arc;

use serde::Serialize;
use vector_engine::{Language, TextState};

use super::access::{Caller, IndexTarget, TAG_RESOURCE};
use super::buckets::{EncryptionShown, check_list, page_limit};
use super::check::Check;
use super::error::{Failure, Kind, Result};
use super::json::List;
use super::limits::{Limits, METADATA_KEY_CHARS, NAME_CHARS, RETRIES_MAX};
use super::name::{Arn, is_name};
use super::record::{IndexRecord, Metric, Tags, TextConfiguration};
use super::registry::{Held, Names, NewIndex};

use super::service::{Service, answer, nothing};
use super::settings::{ENHANCED, Mode, check_tags, refuse_tags};
use super::shape::{self, TextSearchConfiguration, read};
use super::token::Binding;

/// The one type of components.
const FLOAT32: &str = "float32";

/// An index in a list; alone it tells more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexShown<'a> {
    vector_bucket_name: &'a str,
    index_name: &'a str,
    index_arn: String,
    /// Seconds since 1970.
    creation_time: u64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    whole: Option<IndexWhole<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexWhole<'a> {
    data_type: &'static str,
    dimension: usize,
    distance_metric: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_configuration: Option<MetadataShown<'a>>,
    encryption_configuration: EncryptionShown,
    index_mode: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MetadataShown<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    non_filterable_metadata_keys: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    text_search_configurations: Vec<TextShown<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TextShown<'a> {
    metadata_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    status: &'static str,
}

impl Service {
    pub(super) fn arn_of(&self, index: &IndexRecord) -> String {
        Arn::of(&self.shared.region, &index.bucket, Some(&index.name)).to_string()
    }

    fn show_index<'a>(&self, index: &'a IndexRecord) -> IndexShown<'a> {
        IndexShown {
            vector_bucket_name: &index.bucket,
            index_name: &index.name,
            index_arn: self.arn_of(index),
            creation_time: index.created_ms / 1000,
            whole: None,
        }
    }

    /// `CreateIndex`
    pub(super) async fn create_index(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::CreateIndex = read(body)?;
        let limits = &self.shared.limits;
        let mut check = Check::default();
        input.target().check(&mut check);
        if let Some(name) = check.required("/indexName", &input.index_name) {
            check.text("/indexName", name, &NAME_CHARS);
        }
        if let Some(data_type) = check.required("/dataType", &input.data_type) {
            let known = |text: &str| (text == FLOAT32).then_some(());
            check.choice("/dataType", data_type, known, &[FLOAT32]);
        }
        if let Some(dimension) = check.required("/dimension", &input.dimension) {
            check.range("/dimension", *dimension, &(1..=limits.dimension));
        }
        let path = "/distanceMetric";
        let text = check.required(path, &input.distance_metric);
        let known = &["euclidean", "cosine"];
        let metric = text.and_then(|text| check.choice(path, text, Metric::parse, known));
        let configuration = input.metadata_configuration.as_ref();
        let non_filterable = configuration.and_then(|it| it.non_filterable_metadata_keys.as_ref());
        if let Some(keys) = non_filterable {
            let path = "/metadataConfiguration/nonFilterableMetadataKeys";
            check.length(path, keys.len, &(0..=limits.non_filterable_keys));
            for (nth, key) in keys.items.iter().enumerate() {
                check.text(&format!("{path}/{nth}"), key, &METADATA_KEY_CHARS);
            }
        }
        let texts = configuration.and_then(|it| it.text_search_configurations.as_ref());
        if let Some(texts) = texts {
            let path = "/metadataConfiguration/textSearchConfigurations";
            check_texts(&mut check, path, texts, &(0..=limits.text_fields));
        }
        if let Some(encryption) = &input.encryption_configuration {
            encryption.check(&mut check);
        }
        let tags: Tags = input.tags.clone().unwrap_or_default();
        check_tags(&mut check, &tags);
        check.finish()?;
        let name = input.index_name.clone().unwrap_or_default();
        if !is_name(&name) {
            return Err(Failure::validation("Invalid index name"));
        }
        let bucket = self.access(caller).bucket_for(input.target(), &name)?;
        if !tags.is_empty() {
            let region = &self.shared.region;
            caller.authorize_index(TAG_RESOURCE, &bucket.record, &name, region)?;
        }
        if let Some(encryption) = &input.encryption_configuration {
            encryption.refuse_kms()?;
        }
        refuse_tags(&tags, limits)?;
        let non_filterable = non_filterable.map(|keys| keys.items.clone()).unwrap_or_default();
        refuse_twice(&non_filterable, "metadataConfiguration.nonFilterableMetadataKeys")?;
        let text = texts.map(configurations).unwrap_or_default();
        refuse_text_twice(&text, "metadataConfiguration.textSearchConfigurations")?;
        let record = IndexRecord {
            format: 0,
            bucket: bucket.record.name.clone(),
            name,
            created_ms: 0,
            dimension: input.dimension.and_then(|it| usize::try_from(it).ok()).unwrap_or(1),
            metric: metric.unwrap_or(Metric::Cosine),
            non_filterable,
            text,
            tags,
            bound: false,
            space: 0,
        };
        let arn = self.arn_of(&record);
        let new = NewIndex { record };
        self.shared.registry.create_index(&bucket.record, new, limits).await?;
        Ok(answer(&serde_json::json!({ "indexArn": arn })))
    }

    /// `GetIndex`
    pub(super) async fn get_index(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Output<'a> {
            index: IndexShown<'a>,
        }
        let input: shape::OfIndex = read(body)?;
        checked(input.target())?;
        let found = self.access(caller).index(input.target())?;
        let record = &found.index.record;
        let mut text_search_configurations = Vec::new();
        if !record.text.is_empty() {
            // Only the engine knows how far a text has come.
            let rows = self.rows(record).await?;
            text_search_configurations.extend(record.text.iter().map(|field| TextShown {
                metadata_key: &field.key,
                language: field.language.as_deref(),
                status: match rows.text_state(&field.field()) {
                    TextState::Active => "ACTIVE",
                    TextState::Building | TextState::Rebuilding => "BUILDING",
                },
            }));
        }
        let plain = record.non_filterable.is_empty() && record.text.is_empty();
        let whole = IndexWhole {
            data_type: FLOAT32,
            dimension: record.dimension,
            distance_metric: record.metric.name(),
            metadata_configuration: (!plain).then_some(MetadataShown {
                non_filterable_metadata_keys: &record.non_filterable,
                text_search_configurations,
            }),
            encryption_configuration: EncryptionShown::HERE,
            index_mode: ENHANCED,
        };
        let index = IndexShown { whole: Some(whole), ..self.show_index(record) };
        Ok(answer(&Output { index }))
    }

    /// `ListIndexes`
    pub(super) fn list_indexes(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Output<'a> {
            indexes: Vec<IndexShown<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            next_token: Option<String>,
        }
        let input: shape::ListIndexes = read(body)?;
        let mut check = Check::default();
        input.target().check(&mut check);
        check_list(
            &mut check,
            input.max_results,
            input.next_token.as_deref(),
            input.prefix.as_deref(),
        );
        check.finish()?;
        let bucket = self.access(caller).bucket(input.target())?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let binding = Binding::new(caller.operation.name, &caller.principal.name)
            .with(bucket.record.name.as_bytes())
            .with(prefix.as_bytes());
        let after = self.name_after(&binding, input.next_token.as_deref())?;
        let limit = page_limit(input.max_results);
        let names = Names { prefix, after: after.as_deref(), limit };
        let page = self.shared.registry.list_indexes(&bucket.record.name, names)?;
        let last = page.items.last().filter(|_| page.more);
        let output = Output {
            indexes: page.items.iter().map(|held| self.show_index(&held.record)).collect(),
            next_token: last.map(|held| self.name_token(&binding, &held.record.name)),
        };
        Ok(answer(&output))
    }

    /// `DeleteIndex`
    pub(super) async fn delete_index(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::OfIndex = read(body)?;
        checked(input.target())?;
        let found = self.access(caller).index(input.target())?;
        let registry = &self.shared.registry;
        let (bucket, mut index) = (&found.bucket.record, found.index);
        for _ in 0..RETRIES_MAX {
            // Where rows may be bound to objects, none is, and none comes to be.
            let rows = match index.record.bound {
                true => Some(self.rows(&index.record).await?),
                false => None,
            };
            let held = match &rows {
                Some(rows) => Some(rows.hold_unowned().await?),
                None => None,
            };
            if registry.delete_index(bucket, &index).await? {
                self.shared.vectors.forget(index.record.space());
                return Ok(nothing());
            }
            drop(held);
            let again = registry.index(&bucket.name, &index.record.name)?;
            index = again.ok_or_else(Failure::no_index)?;
        }
        Err(Failure::contended())
    }

    /// `UpdateIndexMode`: there is one mode, so nothing changes.
    pub(super) fn update_index_mode(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::UpdateIndexMode = read(body)?;
        let mut check = Check::default();
        input.target().check(&mut check);
        let text = check.required("/indexMode", &input.index_mode);
        let mode = text.and_then(|text| Mode::check(&mut check, "/indexMode", text));
        check.finish()?;
        self.access(caller).index(input.target())?;
        if let Some(mode) = mode {
            mode.refuse_classic("indexMode")?;
        }
        Ok(nothing())
    }

    /// `UpdateMetadataConfiguration`
    pub(super) async fn update_metadata(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::UpdateMetadataConfiguration = read(body)?;
        let limits = &self.shared.limits;
        let mut check = Check::default();
        input.target().check(&mut check);
        for (name, part, least) in [("add", &input.add, 0), ("delete", &input.delete, 1)] {
            let texts = part.as_ref().and_then(|part| part.text_search_configurations.as_ref());
            if let Some(texts) = texts {
                let path = format!("/{name}/textSearchConfigurations");
                check_texts(&mut check, &path, texts, &(least..=limits.text_fields));
            }
        }
        check.finish()?;
        let found = self.access(caller).index(input.target())?;
        let texts = |part: shape::TextSearchConfigurations| {
            part.text_search_configurations.as_ref().map(configurations).unwrap_or_default()
        };
        let change = match (input.add, input.delete) {
            (Some(add), None) => TextChange::Add(texts(add)),
            (None, Some(delete)) => TextChange::Delete(texts(delete)),
            _ => return Err(Failure::validation("Must specify either add or delete but not both")),
        };
        let record = &found.index.record;
        let changed = self
            .shared
            .registry
            .change_index(&record.bucket, &record.name, |record| change.apply(record, limits))
            .await?;
        let arn = self.arn_of(&changed.record);
        self.apply_texts(changed).await?;
        Ok(answer(&serde_json::json!({ "indexArn": arn })))
    }
}

impl Service {
    /// Tells the engine which texts an index has. Who comes after another with an older record looks
    /// again, so that the last word is the newest record's.
    async fn apply_texts(&self, mut held: Arc<Held<IndexRecord>>) -> Result<()> {
        for _ in 0..RETRIES_MAX {
            let rows = self.rows(&held.record).await?;
            rows.set_text(held.record.text_fields()).await?;
            let IndexRecord { bucket, name, .. } = &held.record;
            match self.shared.registry.index(bucket, name)? {
                Some(newer) if newer.sequence != held.sequence => held = newer,
                _ => return Ok(()),
            }
        }
        Err(Failure::contended())
    }
}

/// A change of the keys that are searched as text.
#[derive(Debug)]
enum TextChange {
    Add(Vec<TextConfiguration>),
    Delete(Vec<TextConfiguration>),
}

impl TextChange {
    fn apply(&self, record: &mut IndexRecord, limits: &Limits) -> Result<()> {
        match self {
            Self::Add(added) => {
                let there =
                    added.iter().find(|new| record.text.iter().any(|old| old.key == new.key));
                if let Some(there) = there {
                    let message = format!(
                        "A text search configuration for the metadata key '{}' already exists",
                        there.key
                    );
                    return Err(Failure::new(Kind::Conflict, message));
                }
                record.text.extend(added.iter().cloned());
                refuse_text_twice(&record.text, "add.textSearchConfigurations")?;
                if record.text.len() > limits.text_fields {
                    let most = limits.text_fields;
                    return Err(Failure::field(
                        "add.textSearchConfigurations",
                        format!("An index can have at most {most} text search configurations"),
                    ));
                }
            }
            Self::Delete(deleted) => {
                refuse_text_twice(deleted, "delete.textSearchConfigurations")?;
                let missing =
                    deleted.iter().find(|gone| record.text.iter().all(|old| old.key != gone.key));
                if let Some(missing) = missing {
                    return Err(Failure::field(
                        "delete.textSearchConfigurations",
                        format!(
                            "The metadata key '{}' has no text search configuration",
                            missing.key
                        ),
                    ));
                }
                record.text.retain(|old| deleted.iter().all(|gone| gone.key != old.key));
            }
        }
        Ok(())
    }
}

fn checked(target: IndexTarget<'_>) -> Result<()> {
    let mut check = Check::default();
    target.check(&mut check);
    check.finish()
}

/// Checks what the model asks of text search configurations.
fn check_texts(
    check: &mut Check,
    path: &str,
    texts: &List<TextSearchConfiguration>,
    lengths: &std::ops::RangeInclusive<usize>,
) {
    check.length(path, texts.len, lengths);
    let codes = Language::ALL.map(Language::code);
    for (nth, text) in texts.items.iter().enumerate() {
        let key_path = format!("{path}/{nth}/metadataKey");
        if let Some(key) = check.required(&key_path, &text.metadata_key) {
            check.text(&key_path, key, &METADATA_KEY_CHARS);
        }
        if let Some(language) = &text.language {
            let known = |code: &str| code.parse::<Language>().ok();
            check.choice(&format!("{path}/{nth}/language"), language, known, &codes);
        }
    }
}

fn configurations(texts: &List<TextSearchConfiguration>) -> Vec<TextConfiguration> {
    let texts = texts.items.iter().map(|text| TextConfiguration {
        key: text.metadata_key.clone().unwrap_or_default(),
        language: text.language.clone(),
    });
    texts.collect()
}

fn refuse_text_twice(texts: &[TextConfiguration], path: &str) -> Result<()> {
    let keys: Vec<String> = texts.iter().map(|text| text.key.clone()).collect();
    refuse_twice(&keys, path)
}

/// Refuses a list that names a key twice.
fn refuse_twice(keys: &[String], path: &str) -> Result<()> {
    let twice = keys
        .iter()
        .enumerate()
        .find(|(nth, key)| keys.iter().take(*nth).any(|other| other == *key));
    match twice {
        Some(_) => Err(Failure::field(path, "Metadata keys must be distinct")),
        None => Ok(()),
    }
}

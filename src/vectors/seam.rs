//! Stand-in for the vector engine while it is being built: rows in memory. To be replaced.
#![allow(
    missing_docs,
    dead_code,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason
)]
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use storage_engine::SpaceId;
pub(super) use vector_engine::{Error, Metric, Result};

#[derive(Debug, Clone, Copy)]
pub struct Language(&'static str);
impl Language {
    pub const ALL: [Self; 10] = [
        Self("en"),
        Self("fr"),
        Self("es"),
        Self("pt"),
        Self("it"),
        Self("de"),
        Self("nl"),
        Self("zh"),
        Self("ja"),
        Self("ko"),
    ];
    pub const fn code(self) -> &'static str {
        self.0
    }
}
impl PartialEq for Language {
    fn eq(&self, o: &Self) -> bool {
        self.0 == o.0
    }
}
impl Eq for Language {}
impl Language {
    #[expect(non_upper_case_globals)]
    pub const English: Self = Self("en");
}
impl std::str::FromStr for Language {
    type Err = ();
    fn from_str(s: &str) -> std::result::Result<Self, ()> {
        Self::ALL.into_iter().find(|l| l.0 == s).ok_or(())
    }
}
#[derive(Debug, Clone)]
pub struct IndexSettings {
    pub dimension: usize,
    pub metric: Metric,
    pub non_filterable: Vec<String>,
    pub text: Vec<TextField>,
}
#[derive(Debug, Clone)]
pub struct TextField {
    pub key: String,
    pub language: Option<Language>,
}
#[derive(Debug, Clone)]
pub struct NewRow {
    pub key: String,
    pub vector: Vec<f32>,
    pub metadata: Metadata,
}
#[derive(Debug, Clone)]
pub struct Row {
    pub key: String,
    pub vector: Option<Vec<f32>>,
    pub metadata: Option<Metadata>,
}
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Want {
    pub data: bool,
    pub metadata: bool,
}
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata(Map<String, Value>);
#[derive(Debug, Clone, Copy, Default)]
pub struct MetadataLimits {
    pub keys: usize,
    pub total_bytes: usize,
    pub filterable_bytes: usize,
    pub key_bytes: usize,
}
impl Metadata {
    pub fn from_json(v: &Value, nf: &[String], l: &MetadataLimits) -> Result<Self> {
        let bad = |t: String| Err(Error::Invalid(t));
        let Value::Object(m) = v else { return bad("Metadata must be an object".into()) };
        if m.len() > l.keys {
            return bad(format!("Metadata object must have at most {} keys", l.keys));
        }
        let (mut t, mut f) = (4, 4);
        for (k, v) in m {
            let c = 8
                + k.len()
                + match v {
                    Value::String(s) => s.len(),
                    Value::Number(_) => 4,
                    Value::Bool(_) => 0,
                    Value::Array(a) => a.iter().map(|i| 4 + i.as_str().map_or(4, str::len)).sum(),
                    _ => {
                        return bad(
                            "Metadata values must be strings, numbers, booleans, or arrays".into(),
                        );
                    }
                };
            t += c;
            if !nf.contains(k) {
                f += c;
            }
        }
        if t > l.total_bytes {
            return bad(format!("Metadata object must have at most {} bytes", l.total_bytes));
        }
        if f > l.filterable_bytes {
            return bad(format!(
                "Filterable metadata must have at most {} bytes",
                l.filterable_bytes
            ));
        }
        Ok(Self(m.clone()))
    }
    pub fn to_json(&self) -> Map<String, Value> {
        self.0.clone()
    }
}
#[derive(Debug, Clone)]
pub struct Filter(Map<String, Value>);
impl Filter {
    pub fn parse(v: &Value, nf: &[String]) -> Result<Self> {
        match v {
            Value::Object(m) if !m.is_empty() => {
                if m.keys().any(|k| nf.contains(k)) {
                    return Err(Error::Invalid(
                        "Invalid use of non-filterable metadata in filter".into(),
                    ));
                }
                Ok(Self(m.clone()))
            }
            _ => Err(Error::Invalid("Invalid filter".into())),
        }
    }
    fn fits(&self, m: &Metadata) -> bool {
        self.0.iter().all(|(k, v)| m.0.get(k) == Some(v))
    }
}
#[derive(Debug, Clone)]
pub struct List {
    pub after: Option<Bytes>,
    pub limit: usize,
    pub page_bytes: usize,
    pub parts: Option<(u32, u32)>,
    pub want: Want,
    pub filter: Option<Filter>,
}
#[derive(Debug, Clone)]
pub struct ListPage {
    pub rows: Vec<Row>,
    pub next: Option<Bytes>,
}
#[derive(Debug, Clone)]
pub struct Query {
    pub vector: Option<Vec<f32>>,
    pub texts: Vec<QueryText>,
    pub top: usize,
    pub filter: Option<Filter>,
    pub want: Want,
    pub explain: bool,
}
#[derive(Debug, Clone)]
pub struct QueryText {
    pub key: String,
    pub text: String,
}
#[derive(Debug, Clone)]
pub struct Explain;
#[derive(Debug, Clone)]
pub struct Answer {
    pub hits: Vec<Hit>,
    pub explain: Option<Explain>,
}
#[derive(Debug, Clone)]
pub struct Hit {
    pub key: String,
    pub distance: Option<f32>,
    pub fused: Option<f32>,
    pub text_scores: Vec<(String, f32)>,
    pub vector: Option<Vec<f32>>,
    pub metadata: Option<Metadata>,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextState {
    Building,
    Active,
}
#[derive(Debug, Clone, Default)]
pub struct VectorEngine {
    m: Arc<Mutex<HashMap<SpaceId, Index>>>,
}
#[derive(Debug, Clone)]
pub struct Index {
    s: IndexSettings,
    r: Arc<Mutex<BTreeMap<String, NewRow>>>,
}
impl VectorEngine {
    pub async fn index(&self, space: SpaceId, s: &IndexSettings) -> Result<Index> {
        Ok(self
            .m
            .lock()
            .entry(space)
            .or_insert_with(|| Index { s: s.clone(), r: Arc::default() })
            .clone())
    }
    pub fn forget(&self, space: SpaceId) {
        self.m.lock().remove(&space);
    }
}
fn row(r: &NewRow, w: Want) -> Row {
    Row {
        key: r.key.clone(),
        vector: w.data.then(|| r.vector.clone()),
        metadata: w.metadata.then(|| r.metadata.clone()),
    }
}
impl Index {
    pub async fn put(&self, rows: Vec<NewRow>) -> Result<()> {
        for r in rows {
            self.r.lock().insert(r.key.clone(), r);
        }
        Ok(())
    }
    pub async fn delete(&self, keys: Vec<String>) -> Result<()> {
        for k in keys {
            self.r.lock().remove(&k);
        }
        Ok(())
    }
    pub async fn delete_matching(&self, f: Filter) -> Result<u64> {
        let mut r = self.r.lock();
        let n = r.len();
        r.retain(|_, r| !f.fits(&r.metadata));
        Ok((n - r.len()) as u64)
    }
    pub async fn get(&self, keys: &[String], w: Want) -> Result<Vec<Row>> {
        let r = self.r.lock();
        Ok(keys.iter().filter_map(|k| r.get(k)).map(|r| row(r, w)).collect())
    }
    pub async fn list(&self, l: List) -> Result<ListPage> {
        let r = self.r.lock();
        let all: Vec<&NewRow> = r
            .values()
            .filter(|r| l.after.as_ref().is_none_or(|a| r.key.as_bytes() > &a[..]))
            .filter(|r| l.parts.is_none_or(|(n, i)| r.key.len() as u32 % n == i))
            .filter(|r| l.filter.as_ref().is_none_or(|f| f.fits(&r.metadata)))
            .collect();
        let rows: Vec<Row> = all.iter().take(l.limit).map(|r| row(r, l.want)).collect();
        let next = (all.len() > l.limit)
            .then(|| Bytes::from(rows.last().map(|r| r.key.clone()).unwrap_or_default()));
        Ok(ListPage { rows, next })
    }
    pub async fn query(&self, q: Query) -> Result<Answer> {
        let r = self.r.lock();
        let mut hits: Vec<Hit> = r
            .values()
            .filter(|r| q.filter.as_ref().is_none_or(|f| f.fits(&r.metadata)))
            .map(|r| {
                let d = q.vector.as_ref().map(|v| {
                    self.s
                        .metric
                        .told(v.iter().zip(&r.vector).map(|(a, b)| (a - b) * (a - b)).sum())
                });
                let w = row(r, q.want);
                Hit {
                    key: w.key,
                    distance: d,
                    fused: None,
                    text_scores: vec![],
                    vector: w.vector,
                    metadata: w.metadata,
                }
            })
            .collect();
        hits.sort_by(|a, b| a.distance.unwrap_or(0.0).total_cmp(&b.distance.unwrap_or(0.0)));
        hits.truncate(q.top);
        Ok(Answer { hits, explain: None })
    }
    pub async fn set_text(&self, _: Vec<TextField>) -> Result<()> {
        Ok(())
    }
    pub fn text_state(&self, _: &str) -> TextState {
        TextState::Active
    }
}

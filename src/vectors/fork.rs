//! `ForkIndex`, which Amazon S3 Vectors does not have: an index made of all rows of another.

use super::access::{CREATE_INDEX, Caller, GET_VECTORS, TAG_RESOURCE};
use super::check::Check;
use super::error::{Failure, Result};
use super::limits::NAME_CHARS;
use super::name::is_name;
use super::record::{IndexRecord, Tags};
use super::registry::NewIndex;
use super::service::{Service, answer};
use super::settings::{check_tags, refuse_tags};
use super::shape::{self, read};

impl Service {
    /// `ForkIndex`
    pub(super) async fn fork_index(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::ForkIndex = read(body)?;
        let limits = &self.shared.limits;
        let mut check = Check::default();
        input.target().check(&mut check);
        if let Some(name) = check.required("/newIndexName", &input.new_index_name) {
            check.text("/newIndexName", name, &NAME_CHARS);
        }
        let tags: Tags = input.tags.clone().unwrap_or_default();
        check_tags(&mut check, &tags);
        check.finish()?;
        let name = input.new_index_name.clone().unwrap_or_default();
        if !is_name(&name) {
            return Err(Failure::validation("Invalid index name"));
        }
        let access = self.access(caller);
        let found = access.index(input.target())?;
        access.also(GET_VECTORS, &found)?;
        let (bucket, region) = (&found.bucket.record, &self.shared.region);
        caller.authorize_index(CREATE_INDEX, bucket, &name, region)?;
        if !tags.is_empty() {
            caller.authorize_index(TAG_RESOURCE, bucket, &name, region)?;
        }
        refuse_tags(&tags, limits)?;
        let source = &found.index;
        let rows = self.rows(&source.record).await?;
        let record = IndexRecord { name, tags, ..source.record.clone() };
        let arn = self.arn_of(&record);
        self.shared.registry.fork_index(bucket, source, &rows, NewIndex { record }, limits).await?;
        Ok(answer(&serde_json::json!({ "indexArn": arn })))
    }
}

//! Operations on the tags of buckets and indexes.

use percent_encoding::percent_decode_str;

use super::access::{Caller, Resourced};
use super::check::Check;
use super::error::{Failure, Result};
use super::limits::{Limits, RESOURCE_ARN_CHARS};
use super::name::Arn;
use super::operation::TAGS_PATH;
use super::record::Tags;
use super::service::{Service, answer, nothing};
use super::settings::{check_tag_key, check_tags, refuse_tags};
use super::shape::{self, read};

impl Service {
    /// `TagResource`
    pub(super) async fn tag(&self, caller: &Caller, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::TagResource = read(body)?;
        let mut check = Check::default();
        check.required("/tags", &input.tags);
        let tags = input.tags.unwrap_or_default();
        check_tags(&mut check, &tags);
        let resource = self.resource(caller, path, check)?;
        refuse_tags(&tags, &self.shared.limits)?;
        let limits = &self.shared.limits;
        self.change(&resource, |held| merge(held, &tags, limits)).await?;
        Ok(nothing())
    }

    /// `UntagResource`
    pub(super) async fn untag(
        &self,
        caller: &Caller,
        path: &str,
        query: &[(String, String)],
    ) -> Result<Vec<u8>> {
        let named = query.iter().filter(|(name, _)| name == "tagKeys");
        let keys: Vec<&String> = named.map(|(_, key)| key).collect();
        let mut check = Check::default();
        check.required("/tagKeys", &keys.first());
        for (nth, key) in keys.iter().enumerate() {
            check_tag_key(&mut check, &format!("/tagKeys/{nth}"), key);
        }
        let resource = self.resource(caller, path, check)?;
        let remove = |held: &mut Tags| {
            held.retain(|key, _| !keys.contains(&key));
            Ok(())
        };
        self.change(&resource, remove).await?;
        Ok(nothing())
    }

    /// `ListTagsForResource`
    pub(super) fn list_tags(&self, caller: &Caller, path: &str) -> Result<Vec<u8>> {
        let resource = self.resource(caller, path, Check::default())?;
        let tags = match &resource {
            Resourced::Bucket(bucket) => &bucket.record.tags,
            Resourced::Index(found) => &found.index.record.tags,
        };
        Ok(answer(&serde_json::json!({ "tags": tags })))
    }

    /// The bucket or index that a path names.
    fn resource(&self, caller: &Caller, path: &str, mut check: Check) -> Result<Resourced> {
        let encoded = path.strip_prefix(TAGS_PATH).unwrap_or_default();
        let text = percent_decode_str(encoded).decode_utf8();
        let text = text.map_err(|_| Failure::field("/resourceArn", "The ARN is not UTF-8"))?;
        check.text("/resourceArn", &text, &RESOURCE_ARN_CHARS);
        check.finish()?;
        let arn = Arn::parse(&text);
        let arn = arn.ok_or_else(|| Failure::field("resourceArn", "Invalid resource ARN"))?;
        self.access(caller).resource(&arn)
    }

    /// Changes the tags of a resource.
    async fn change(
        &self,
        resource: &Resourced,
        change: impl Fn(&mut Tags) -> Result<()>,
    ) -> Result<()> {
        let registry = &self.shared.registry;
        match resource {
            Resourced::Bucket(bucket) => {
                registry.change_bucket(&bucket.record.name, |record| change(&mut record.tags)).await
            }
            Resourced::Index(found) => {
                let index = &found.index.record;
                let changed = registry
                    .change_index(&index.bucket, &index.name, |record| change(&mut record.tags));
                changed.await.map(drop)
            }
        }
    }
}

fn merge(held: &mut Tags, tags: &Tags, limits: &Limits) -> Result<()> {
    held.extend(tags.iter().map(|(key, value)| (key.clone(), value.clone())));
    refuse_tags(held, limits)
}

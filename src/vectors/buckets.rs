//! Operations on vector buckets.

use serde::Serialize;

use super::access::{BucketTarget, Caller, TAG_RESOURCE};
use super::check::Check;
use super::error::{Failure, Kind, Result};
use super::limits::{LIST_TOKEN_LIFE, NAME_CHARS, NAME_TOKEN_CHARS, NAMES_PAGE, PREFIX_CHARS};
use super::name::{Arn, is_name};
use super::policy;
use super::record::BucketRecord;
use super::registry::Names;
use super::service::{Service, answer, nothing};
use super::settings::{AES256, ENHANCED, Mode, check_tags, refuse_tags};
use super::shape::{self, read};
use super::token::Binding;

/// `encryptionConfiguration` of an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EncryptionShown {
    sse_type: &'static str,
}

impl EncryptionShown {
    /// What everything here has.
    pub(super) const HERE: Self = Self { sse_type: AES256 };
}

/// A bucket in a list; alone it tells more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BucketShown<'a> {
    vector_bucket_name: &'a str,
    vector_bucket_arn: String,
    /// Seconds since 1970.
    creation_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_configuration: Option<EncryptionShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_index_mode: Option<&'static str>,
}

impl Service {
    fn show<'a>(&self, bucket: &'a BucketRecord) -> BucketShown<'a> {
        BucketShown {
            vector_bucket_name: &bucket.name,
            vector_bucket_arn: Arn::of(&self.shared.region, &bucket.name, None).to_string(),
            creation_time: bucket.created_ms / 1000,
            encryption_configuration: None,
            default_index_mode: None,
        }
    }

    /// `CreateVectorBucket`
    pub(super) async fn create_bucket(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::CreateVectorBucket = read(body)?;
        let tags = input.tags.unwrap_or_default();
        let mut check = Check::default();
        if let Some(name) = check.required("/vectorBucketName", &input.vector_bucket_name) {
            check.text("/vectorBucketName", name, &NAME_CHARS);
        }
        if let Some(encryption) = &input.encryption_configuration {
            encryption.check(&mut check);
        }
        check_tags(&mut check, &tags);
        check.finish()?;
        let name = input.vector_bucket_name.unwrap_or_default();
        if !is_name(&name) {
            return Err(Failure::validation("Invalid vector bucket name"));
        }
        caller.authorize_service()?;
        let arn = Arn::of(&self.shared.region, &name, None);
        if !tags.is_empty() {
            caller.authorize_own_bucket(TAG_RESOURCE, &name, &arn)?;
        }
        if let Some(encryption) = &input.encryption_configuration {
            encryption.refuse_kms()?;
        }
        refuse_tags(&tags, &self.shared.limits)?;
        let (registry, limits) = (&self.shared.registry, &self.shared.limits);
        registry.create_bucket(&name, &caller.principal.name, tags, limits).await?;
        Ok(answer(&serde_json::json!({ "vectorBucketArn": arn.to_string() })))
    }

    /// `GetVectorBucket`
    pub(super) fn get_bucket(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Output<'a> {
            vector_bucket: BucketShown<'a>,
        }
        let input: shape::OfBucket = read(body)?;
        checked(input.target())?;
        let bucket = self.access(caller).bucket(input.target())?;
        let vector_bucket = BucketShown {
            encryption_configuration: Some(EncryptionShown::HERE),
            default_index_mode: Some(ENHANCED),
            ..self.show(&bucket.record)
        };
        Ok(answer(&Output { vector_bucket }))
    }

    /// `ListVectorBuckets`: a user's own; root sees all.
    pub(super) fn list_buckets(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Output<'a> {
            vector_buckets: Vec<BucketShown<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            next_token: Option<String>,
        }
        let input: shape::ListVectorBuckets = read(body)?;
        let mut check = Check::default();
        check_list(
            &mut check,
            input.max_results,
            input.next_token.as_deref(),
            input.prefix.as_deref(),
        );
        check.finish()?;
        caller.authorize_service()?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let principal = &caller.principal.name;
        let binding = Binding::new(caller.operation.name, principal).with(prefix.as_bytes());
        let after = self.name_after(&binding, input.next_token.as_deref())?;
        let limit = page_limit(input.max_results);
        let names = Names { prefix, after: after.as_deref(), limit };
        let shown = |bucket: &BucketRecord| caller.is_root() || *bucket.owner == **principal;
        let page = self.shared.registry.list_buckets(names, shown)?;
        let last = page.items.last().filter(|_| page.more);
        let output = Output {
            vector_buckets: page.items.iter().map(|held| self.show(&held.record)).collect(),
            next_token: last.map(|held| self.name_token(&binding, &held.record.name)),
        };
        Ok(answer(&output))
    }

    /// `DeleteVectorBucket`
    pub(super) async fn delete_bucket(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::OfBucket = read(body)?;
        checked(input.target())?;
        let bucket = self.access(caller).bucket(input.target())?;
        self.shared.registry.delete_bucket(&bucket.record.name).await?;
        Ok(nothing())
    }

    /// `PutVectorBucketPolicy`
    pub(super) async fn put_policy(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::PutVectorBucketPolicy = read(body)?;
        let mut check = Check::default();
        input.target().check(&mut check);
        check.required("/policy", &input.policy);
        check.finish()?;
        let bucket = self.access(caller).bucket(input.target())?;
        let text = input.policy.unwrap_or_default();
        policy::check(&text, &self.shared.limits)?;
        let change = |bucket: &mut BucketRecord| {
            bucket.policy = Some(text.clone());
            Ok(())
        };
        self.shared.registry.change_bucket(&bucket.record.name, change).await?;
        Ok(nothing())
    }

    /// `GetVectorBucketPolicy`
    pub(super) fn get_policy(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::OfBucket = read(body)?;
        checked(input.target())?;
        let bucket = self.access(caller).bucket(input.target())?;
        match &bucket.record.policy {
            Some(policy) => Ok(answer(&serde_json::json!({ "policy": policy }))),
            None => Err(Failure::new(
                Kind::NotFound,
                "The specified vector bucket policy could not be found",
            )),
        }
    }

    /// `DeleteVectorBucketPolicy`: also when there is none.
    pub(super) async fn delete_policy(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::OfBucket = read(body)?;
        checked(input.target())?;
        let bucket = self.access(caller).bucket(input.target())?;
        if bucket.record.policy.is_some() {
            let change = |bucket: &mut BucketRecord| {
                bucket.policy = None;
                Ok(())
            };
            self.shared.registry.change_bucket(&bucket.record.name, change).await?;
        }
        Ok(nothing())
    }

    /// `PutVectorBucketDefaultIndexMode`: there is one mode, so nothing changes.
    pub(super) fn put_default_index_mode(&self, caller: &Caller, body: &[u8]) -> Result<Vec<u8>> {
        let input: shape::PutVectorBucketDefaultIndexMode = read(body)?;
        let mut check = Check::default();
        input.target().check(&mut check);
        let path = "/defaultIndexMode";
        let text = check.required(path, &input.default_index_mode);
        let mode = text.and_then(|text| Mode::check(&mut check, path, text));
        check.finish()?;
        self.access(caller).bucket(input.target())?;
        if let Some(mode) = mode {
            mode.refuse_classic("defaultIndexMode")?;
        }
        Ok(nothing())
    }

    /// The name behind which a page begins.
    pub(super) fn name_after(
        &self,
        binding: &Binding,
        token: Option<&str>,
    ) -> Result<Option<String>> {
        let Some(token) = token else { return Ok(None) };
        let cursor = self.shared.tokens.open(binding, token)?;
        // It was sealed here, from a name.
        Ok(Some(String::from_utf8_lossy(&cursor).into_owned()))
    }

    /// The token of the page behind `name`.
    pub(super) fn name_token(&self, binding: &Binding, name: &str) -> String {
        self.shared.tokens.issue(binding, LIST_TOKEN_LIFE, name.as_bytes())
    }
}

fn checked(target: BucketTarget<'_>) -> Result<()> {
    let mut check = Check::default();
    target.check(&mut check);
    check.finish()
}

/// Checks what the model asks of a list of names.
pub(super) fn check_list(
    check: &mut Check,
    max_results: Option<i64>,
    next_token: Option<&str>,
    prefix: Option<&str>,
) {
    check.optional_range("/maxResults", max_results, &NAMES_PAGE);
    check.optional_text("/nextToken", next_token, &NAME_TOKEN_CHARS);
    check.optional_text("/prefix", prefix, &PREFIX_CHARS);
}

/// Names in a page.
pub(super) fn page_limit(max_results: Option<i64>) -> usize {
    let limit = max_results.unwrap_or(*NAMES_PAGE.end());
    usize::try_from(limit).unwrap_or(1)
}

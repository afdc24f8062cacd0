//! Tags of objects, and the rules for all tags.

use storage_engine::{Batch, Condition, Error as EngineError, Missing, Operation, Rewrite, Test};

use super::bucket::Bucket;
use super::error::{ObjectError, Result};
use super::key::name_of;
use super::limits::{
    BUCKET_TAGS_MAX, OBJECT_TAGS_MAX, RETRIES_MAX, TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX,
};
use super::meta::ObjectMeta;
use super::version_id::VersionId;

/// Tags that were checked against the rules, in the order of their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagSet(pub(super) Vec<(String, String)>);

/// What carries the tags; each has its own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagTarget {
    /// An object: at most [`super::OBJECT_TAGS_MAX`].
    Object,
    /// A bucket: at most [`super::BUCKET_TAGS_MAX`].
    Bucket,
}

impl TagSet {
    /// Checks tags against S3's rules.
    pub fn new(target: TagTarget, mut tags: Vec<(String, String)>) -> Result<Self> {
        let (tags_max, too_many) = match target {
            TagTarget::Object => (OBJECT_TAGS_MAX, "Object tags cannot be greater than 10"),
            TagTarget::Bucket => (BUCKET_TAGS_MAX, "Bucket tag count cannot be greater than 50"),
        };
        if tags.len() > tags_max {
            return Err(ObjectError::InvalidTag(too_many));
        }
        tags.sort_unstable();
        if tags.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
            return Err(ObjectError::InvalidTag("Cannot provide multiple Tags with the same key"));
        }
        for (name, value) in &tags {
            check_tag(name, value)?;
        }
        Ok(Self(tags))
    }

    /// Reads the `x-amz-tagging` header: a query string.
    pub fn from_query(text: &str) -> Result<Self> {
        let mut tags = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            tags.push((decode(name)?, decode(value)?));
        }
        Self::new(TagTarget::Object, tags)
    }

    /// The tags.
    pub fn tags(&self) -> &[(String, String)] {
        &self.0
    }

    /// True without tags.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn check_tag(name: &str, value: &str) -> Result<()> {
    let units = |text: &str| text.chars().map(char::len_utf16).sum::<usize>();
    let legal = |c: char| {
        c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c) || (!c.is_ascii() && !c.is_control())
    };
    if name.is_empty() || units(name) > TAG_KEY_CHARS_MAX || !name.chars().all(legal) {
        return Err(ObjectError::InvalidTag("The TagKey you have provided is invalid"));
    }
    if name.starts_with("aws:") {
        return Err(ObjectError::InvalidTag("System tags cannot be added/updated by requester"));
    }
    if units(value) > TAG_VALUE_CHARS_MAX || !value.chars().all(legal) {
        return Err(ObjectError::InvalidTag("The TagValue you have provided is invalid"));
    }
    Ok(())
}

/// Undoes the encoding of query strings.
fn decode(text: &str) -> Result<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| {
        ObjectError::argument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query \
             parameters without tag name duplicates.",
        )
    })
}

impl Bucket {
    /// Tags of a version, and which version it was.
    pub async fn tags(
        &self,
        key: &str,
        version: Option<VersionId>,
    ) -> Result<(TagSet, Option<VersionId>)> {
        let record = self.load(&name_of(key)?, version).await?;
        Ok((ObjectMeta::decode(&record.meta)?.tags, self.shown(&record.entry)))
    }

    /// Sets a version's tags (an empty set deletes them); answers which version it was.
    pub async fn set_tags(
        &self,
        key: &str,
        version: Option<VersionId>,
        tags: TagSet,
    ) -> Result<Option<VersionId>> {
        let name = name_of(key)?;
        let space = self.record().objects();
        for _ in 0..RETRIES_MAX {
            let record = self.load(&name, version).await?;
            let mut meta = ObjectMeta::decode(&record.meta)?;
            meta.tags = tags.clone();
            let (sequence, location) = (record.entry.sequence, record.entry.location);
            let test = Test::RecordIs { sequence, location };
            let rewrite = Rewrite {
                space,
                name: name.clone(),
                entry: record.entry.clone(),
                value: record.value(),
                meta: meta.encode(),
                label: meta.label(),
            };
            let batch = Batch {
                conditions: vec![Condition { space, name: name.clone(), test }],
                operations: vec![Operation::Rewrite(rewrite)],
            };
            match self.engine().commit(batch).await {
                Ok(_) => return Ok(self.shown(&record.entry)),
                // Rewritten, moved or gone meanwhile: look again.
                Err(EngineError::Condition { .. } | EngineError::NotFound(Missing::Version)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ObjectError::OperationAborted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tags_follow_the_rules() {
        let long_name = "n".repeat(128);
        let long_value = "v".repeat(256);
        for pairs in [
            &[][..],
            &[("a", "")],
            &[("Name of+it", "1/2:3=4-5@6_7.8")],
            &[("größe", "値"), ("ที่", "e\u{301}")],
            &[(&long_name, &long_value)],
        ] {
            assert!(TagSet::new(TagTarget::Object, tags(pairs)).is_ok(), "{pairs:?}");
        }
        let longer_name = "n".repeat(129);
        let longer_value = "v".repeat(257);
        for pairs in [
            &[("", "x")][..],
            &[("a", "1"), ("b", "2"), ("a", "3")],
            &[("aws:x", "1")],
            &[("a*", "1")],
            &[("a", "1\n")],
            &[(&longer_name, "")],
            &[("a", &longer_value)],
        ] {
            let refused = TagSet::new(TagTarget::Object, tags(pairs));
            assert_eq!(refused.map_err(|error| error.code()), Err("InvalidTag"), "{pairs:?}");
        }
    }

    #[test]
    fn each_target_has_its_limit() {
        let many = |count: usize| (0..count).map(|i| (format!("k{i}"), String::new())).collect();
        for (target, limit) in [(TagTarget::Object, 10), (TagTarget::Bucket, 50)] {
            assert!(TagSet::new(target, many(limit)).is_ok());
            assert!(TagSet::new(target, many(limit + 1)).is_err());
        }
    }

    #[test]
    fn queries_are_decoded_and_sorted() {
        let set = TagSet::from_query("foo=bar&bar&a%20b=c+d").unwrap();
        assert_eq!(set.0, tags(&[("a b", "c d"), ("bar", ""), ("foo", "bar")]));
        assert!(TagSet::from_query("").unwrap().is_empty());
        assert!(TagSet::from_query("a=%ff").is_err());
        assert!(TagSet::from_query("a=1&a=2").is_err());
    }
}

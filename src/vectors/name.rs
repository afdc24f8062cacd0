//! Names of vector buckets and indexes, and the ARNs made of them:
//! `arn:aws:s3vectors:REGION:ACCOUNT:bucket/BUCKET` and the same with `/index/INDEX`.

use std::fmt;

use super::limits::NAME_CHARS;

/// The one account of a store.
pub(super) const ACCOUNT: &str = "000000000000";

/// What an ARN names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arn {
    /// Its region.
    pub(super) region: String,
    /// Its account.
    pub(super) account: String,
    /// Its bucket.
    pub(super) bucket: String,
    /// Its index, when it is one's.
    pub(super) index: Option<String>,
}

impl Arn {
    /// That of a bucket, or of an index of it, in this store.
    pub(super) fn of(region: &str, bucket: &str, index: Option<&str>) -> Self {
        Self {
            region: region.to_owned(),
            account: ACCOUNT.to_owned(),
            bucket: bucket.to_owned(),
            index: index.map(str::to_owned),
        }
    }

    /// Whether something of this store could be it.
    pub(super) fn is_of(&self, region: &str) -> bool {
        self.region == region && self.account == ACCOUNT
    }

    /// Reads one; none: it does not have the form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let (arn, partition, service) = (next()?, next()?, next()?);
        let (region, account, resource) = (next()?, next()?, next()?);
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = arn == "arn"
            && partition.strip_prefix("aws").is_some_and(|rest| rest.bytes().all(plain))
            && service == "s3vectors"
            && !region.is_empty()
            && region.bytes().all(plain)
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit());
        let names = resource.strip_prefix("bucket/")?;
        let (bucket, index) = match names.split_once('/') {
            None => (names, None),
            Some((bucket, rest)) => (bucket, Some(rest.strip_prefix("index/")?)),
        };
        let fits = fits && is_name(bucket) && index.is_none_or(is_name);
        fits.then(|| Self {
            region: region.to_owned(),
            account: account.to_owned(),
            bucket: bucket.to_owned(),
            index: index.map(str::to_owned),
        })
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, account, bucket, index } = self;
        write!(f, "arn:aws:s3vectors:{region}:{account}:bucket/{bucket}")?;
        match index {
            Some(index) => write!(f, "/index/{index}"),
            None => Ok(()),
        }
    }
}

/// Whether a bucket or an index can have this name.
pub(super) fn is_name(name: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: &u8| edge(byte) || *byte == b'-' || *byte == b'.';
    let bytes = name.as_bytes();
    NAME_CHARS.contains(&bytes.len())
        && bytes.iter().all(inner)
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
}

#[cfg(test)]
mod tests {
    use super::{Arn, is_name};

    #[test]
    fn names_follow_the_pattern() {
        let longest = "a".repeat(63);
        for name in ["abc", "a-b", "a.b", "0-9", "1x2", &longest] {
            assert!(is_name(name), "{name}");
        }
        let longer = "a".repeat(64);
        for name in ["", "ab", "-ab", "ab-", ".ab", "ab.", "aBc", "a_b", "a/b", "äbc", &longer] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn arns_come_back() {
        for text in [
            "arn:aws:s3vectors:us-east-1:000000000000:bucket/abc",
            "arn:aws:s3vectors:eu-west-1:123456789012:bucket/a.b-c/index/x-1",
        ] {
            assert_eq!(Arn::parse(text).unwrap().to_string(), text);
        }
        let foreign = Arn::parse("arn:aws-cn:s3vectors:r:000000000000:bucket/abc").unwrap();
        assert!(foreign.is_of("r") && !foreign.is_of("s"));
        assert!(!Arn { account: "123456789012".into(), ..foreign }.is_of("r"));
    }

    #[test]
    fn what_is_no_arn_of_ours_is_refused() {
        for text in [
            "",
            "abc",
            "arn:aws:s3:us-east-1:000000000000:bucket/abc",
            "arn:gcp:s3vectors:us-east-1:000000000000:bucket/abc",
            "arn:aws:s3vectors::000000000000:bucket/abc",
            "arn:aws:s3vectors:us-east-1:0000:bucket/abc",
            "arn:aws:s3vectors:us-east-1:00000000000x:bucket/abc",
            "arn:aws:s3vectors:us-east-1:000000000000:abc",
            "arn:aws:s3vectors:us-east-1:000000000000:bucket/ab",
            "arn:aws:s3vectors:us-east-1:000000000000:bucket/abc/",
            "arn:aws:s3vectors:us-east-1:000000000000:bucket/abc/index/",
            "arn:aws:s3vectors:us-east-1:000000000000:bucket/abc/index/xyz/more",
            "arn:aws:s3vectors:us-east-1:000000000000:bucket/abc:more",
        ] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }
}

//! Conditions of clients: what a read may answer, and what a write asks of the sequencer.

use storage_engine::{Entry, Test};

use super::error::{ObjectError, Result};
use super::etag::ETag;

/// What `If-Match` and `If-None-Match` compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtagPattern {
    /// `*`: any object.
    Any,
    /// This tag.
    Tag(ETag),
    /// A text that is no tag of any object here.
    Foreign,
}

impl EtagPattern {
    /// From one element of the header.
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "*" => Self::Any,
            tag => ETag::parse(tag).map_or(Self::Foreign, Self::Tag),
        }
    }

    /// True when `etag` is meant.
    pub fn matches(self, etag: ETag) -> bool {
        match self {
            Self::Any => true,
            Self::Tag(tag) => tag == etag,
            Self::Foreign => false,
        }
    }
}

/// Conditions of a write on the current version of its key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteConditions {
    /// `If-Match`.
    pub if_match: Option<EtagPattern>,
    /// `If-None-Match`.
    pub if_none_match: Option<EtagPattern>,
}

/// Conditions of a delete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeleteConditions {
    /// `If-Match`, or `ETag` of a key in `DeleteObjects`.
    pub if_match: Option<EtagPattern>,
    /// `x-amz-if-match-size`.
    pub size: Option<u64>,
    /// `x-amz-if-match-last-modified-time`, ms since 1970; compared in whole seconds.
    pub last_modified_ms: Option<u64>,
}

/// Conditions of a read or of a copy's source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// `If-Match`; empty: not given.
    pub if_match: Vec<EtagPattern>,
    /// `If-None-Match`; empty: not given.
    pub if_none_match: Vec<EtagPattern>,
    /// `If-Modified-Since`, ms since 1970.
    pub if_modified_since_ms: Option<u64>,
    /// `If-Unmodified-Since`, ms since 1970.
    pub if_unmodified_since_ms: Option<u64>,
}

/// What conditions say about a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadVerdict {
    /// Answer it.
    Proceed,
    /// 304.
    NotModified,
    /// 412: the condition that failed.
    Failed(&'static str),
}

/// What a write asks of the sequencer about its key, with the refusal when it does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyTest {
    /// The test.
    pub(super) test: Test,
    kind: KeyTestKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyTestKind {
    IfMatch,
    IfNoneMatch,
}

impl WriteConditions {
    /// The tests for the sequencer. `current` is the current version now: a tag that no object
    /// here can have is decided by it alone, since whatever comes will not match either.
    pub(super) fn tests(&self, current: Option<&Entry>) -> Result<Vec<KeyTest>> {
        let mut tests = Vec::new();
        let if_match = |test| KeyTest { test, kind: KeyTestKind::IfMatch };
        let if_none_match = |test| KeyTest { test, kind: KeyTestKind::IfNoneMatch };
        match self.if_match {
            None => {}
            Some(EtagPattern::Any) => tests.push(if_match(Test::Present)),
            Some(EtagPattern::Tag(tag)) => tests.push(if_match(Test::StampIs(tag.0))),
            Some(EtagPattern::Foreign) => {
                return Err(if_match(Test::Present).refusal(current));
            }
        }
        match self.if_none_match {
            None | Some(EtagPattern::Foreign) => {}
            Some(EtagPattern::Any) => tests.push(if_none_match(Test::Absent)),
            Some(EtagPattern::Tag(tag)) => tests.push(if_none_match(Test::StampIsNot(tag.0))),
        }
        Ok(tests)
    }
}

impl KeyTest {
    /// What the client hears when the test did not hold; `found`: the current version then.
    pub(super) fn refusal(self, found: Option<&Entry>) -> ObjectError {
        match self.kind {
            KeyTestKind::IfMatch if found.is_none() => ObjectError::NoSuchKey { marker: None },
            KeyTestKind::IfMatch => ObjectError::PreconditionFailed("If-Match"),
            KeyTestKind::IfNoneMatch => ObjectError::PreconditionFailed("If-None-Match"),
        }
    }
}

impl DeleteConditions {
    /// True when nothing is asked.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Decides on the version there is, a marker too, or none.
    ///
    /// As AWS: a key that is not there fails `If-Match` and holds the other conditions; a delete
    /// marker fails all.
    pub(super) fn check(&self, found: Option<&Entry>) -> Result<()> {
        let failed = |name| Err(ObjectError::PreconditionFailed(name));
        let Some(entry) = found else {
            return match self.if_match {
                Some(_) => Err(ObjectError::NoSuchKey { marker: None }),
                None => Ok(()),
            };
        };
        let matches =
            |pattern: EtagPattern| !entry.is_marker() && pattern.matches(ETag(entry.stamp));
        if self.if_match.is_some_and(|pattern| !matches(pattern)) {
            return failed("If-Match");
        }
        if self.size.is_some_and(|size| entry.is_marker() || entry.size != size) {
            return failed("x-amz-if-match-size");
        }
        let other_time = |ms: u64| entry.is_marker() || entry.time_ms / 1000 != ms / 1000;
        if self.last_modified_ms.is_some_and(other_time) {
            return failed("x-amz-if-match-last-modified-time");
        }
        Ok(())
    }
}

impl ReadConditions {
    /// Checks the source of a copy: anything but "proceed" is 412.
    pub(super) fn check_source(&self, etag: ETag, last_modified_ms: u64) -> Result<()> {
        match self.evaluate(etag, last_modified_ms) {
            ReadVerdict::Proceed => Ok(()),
            ReadVerdict::NotModified => {
                Err(ObjectError::PreconditionFailed("x-amz-copy-source-If-None-Match"))
            }
            ReadVerdict::Failed(name) => Err(ObjectError::PreconditionFailed(name)),
        }
    }

    /// Decides in the order of RFC 9110 §13.2.2, which is S3's too: a tag condition makes its date
    /// condition void.
    pub fn evaluate(&self, etag: ETag, last_modified_ms: u64) -> ReadVerdict {
        let modified_s = last_modified_ms / 1000;
        if !self.if_match.is_empty() {
            if !self.if_match.iter().any(|pattern| pattern.matches(etag)) {
                return ReadVerdict::Failed("If-Match");
            }
        } else if self.if_unmodified_since_ms.is_some_and(|since| modified_s > since / 1000) {
            return ReadVerdict::Failed("If-Unmodified-Since");
        }
        if !self.if_none_match.is_empty() {
            if self.if_none_match.iter().any(|pattern| pattern.matches(etag)) {
                return ReadVerdict::NotModified;
            }
        } else if self.if_modified_since_ms.is_some_and(|since| modified_s <= since / 1000) {
            return ReadVerdict::NotModified;
        }
        ReadVerdict::Proceed
    }
}

#[cfg(test)]
mod tests {
    use storage_engine::Stamp;

    use super::*;

    const TAG: ETag = ETag(Stamp { digest: [1; 16], parts: 0 });
    const OTHER: ETag = ETag(Stamp { digest: [2; 16], parts: 0 });

    fn entry(flags: u8) -> Entry {
        Entry {
            sequence: 9,
            time_ms: 5_000,
            size: 7,
            location: storage_engine::Location::default(),
            body: storage_engine::Body::Record,
            stamp: TAG.0,
            label: 0,
            flags,
        }
    }

    #[test]
    fn reads_follow_the_precedence_table() {
        use ReadVerdict::{Failed, NotModified, Proceed};
        let same = || vec![EtagPattern::Tag(TAG)];
        let other = || vec![EtagPattern::Tag(OTHER), EtagPattern::Foreign];
        let any = || vec![EtagPattern::Any];
        let none = Vec::new;
        // If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since; modified at 5.9 s.
        for (if_match, if_none_match, since, not_since, want) in [
            (none(), none(), None, None, Proceed),
            (same(), none(), None, None, Proceed),
            (any(), none(), None, None, Proceed),
            (other(), none(), None, None, Failed("If-Match")),
            (none(), same(), None, None, NotModified),
            (none(), any(), None, None, NotModified),
            (none(), other(), None, None, Proceed),
            (none(), none(), Some(5_000), None, NotModified),
            (none(), none(), Some(4_999), None, Proceed),
            (none(), none(), None, Some(5_000), Proceed),
            (none(), none(), None, Some(4_999), Failed("If-Unmodified-Since")),
            (same(), none(), None, Some(0), Proceed),
            (none(), other(), Some(9_000), None, Proceed),
            (none(), same(), Some(0), None, NotModified),
            (other(), same(), None, None, Failed("If-Match")),
            (same(), same(), None, None, NotModified),
        ] {
            let conditions = ReadConditions {
                if_match,
                if_none_match,
                if_modified_since_ms: since,
                if_unmodified_since_ms: not_since,
            };
            assert_eq!(conditions.evaluate(TAG, 5_900), want, "{conditions:?}");
        }
    }

    #[test]
    fn writes_become_tests() {
        let of = |if_match, if_none_match| WriteConditions { if_match, if_none_match };
        let tests = |conditions: WriteConditions, current: Option<&Entry>| {
            let tests = conditions.tests(current)?;
            Ok::<_, ObjectError>(tests.iter().map(|test| test.test).collect::<Vec<_>>())
        };
        let here = entry(0);
        assert_eq!(tests(of(None, None), None), Ok(vec![]));
        assert_eq!(tests(of(None, Some(EtagPattern::Any)), None), Ok(vec![Test::Absent]));
        assert_eq!(tests(of(None, Some(EtagPattern::Foreign)), Some(&here)), Ok(vec![]));
        assert_eq!(
            tests(of(Some(EtagPattern::Tag(TAG)), Some(EtagPattern::Tag(OTHER))), None),
            Ok(vec![Test::StampIs(TAG.0), Test::StampIsNot(OTHER.0)])
        );
        assert_eq!(
            tests(of(Some(EtagPattern::Foreign), None), None),
            Err(ObjectError::NoSuchKey { marker: None })
        );
        assert_eq!(
            tests(of(Some(EtagPattern::Foreign), None), Some(&here)),
            Err(ObjectError::PreconditionFailed("If-Match"))
        );
    }

    #[test]
    fn deletes_look_at_what_is_there() {
        let none = DeleteConditions::default();
        let tag = |pattern| DeleteConditions { if_match: Some(pattern), ..none };
        let size = |size| DeleteConditions { size: Some(size), ..none };
        let time = |ms| DeleteConditions { last_modified_ms: Some(ms), ..none };
        let here = entry(0);
        let marker = entry(Entry::MARKER);
        for (conditions, found, code) in [
            (none, Some(&here), None),
            (tag(EtagPattern::Any), Some(&here), None),
            (tag(EtagPattern::Tag(TAG)), Some(&here), None),
            (tag(EtagPattern::Tag(OTHER)), Some(&here), Some("PreconditionFailed")),
            (tag(EtagPattern::Foreign), Some(&here), Some("PreconditionFailed")),
            (tag(EtagPattern::Any), Some(&marker), Some("PreconditionFailed")),
            (tag(EtagPattern::Any), None, Some("NoSuchKey")),
            (size(7), Some(&here), None),
            (size(8), Some(&here), Some("PreconditionFailed")),
            (size(8), None, None),
            (time(5_999), Some(&here), None),
            (time(6_000), Some(&here), Some("PreconditionFailed")),
            (time(6_000), None, None),
        ] {
            let got = conditions.check(found).err().map(|error| error.code());
            assert_eq!(got, code, "{conditions:?} on {found:?}");
        }
    }
}

//! What buckets and indexes have in common: encryption, tags and modes, as requests bring them.

use super::check::Check;
use super::error::{Failure, Result};
use super::limits::{KMS_ARN_CHARS, Limits, TAG_KEY_CHARS, TAG_VALUE_CHARS};
use super::record::Tags;
use super::shape::Encryption;

/// The one mode of indexes here: filters are applied before a search.
pub(super) const ENHANCED: &str = "ENHANCED";
const MODES: [&str; 2] = ["CLASSIC", ENHANCED];
/// The one kind of encryption.
pub(super) const AES256: &str = "AES256";
const SSE_TYPES: [&str; 2] = [AES256, "aws:kms"];
const TAG_PATTERN: &str = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)";

/// A mode of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Filters are applied during a search: what AWS did for buckets older than any here.
    Classic,
    /// Filters are applied before a search.
    Enhanced,
}

impl Mode {
    /// Reads the mode at `path`.
    pub(super) fn check(check: &mut Check, path: &str, text: &str) -> Option<Self> {
        let parse = |text: &str| match text {
            "CLASSIC" => Some(Self::Classic),
            ENHANCED => Some(Self::Enhanced),
            _ => None,
        };
        check.choice(path, text, parse, &MODES)
    }

    /// Refuses what the member `name` cannot be set to.
    pub(super) fn refuse_classic(self, name: &str) -> Result<()> {
        match self {
            Self::Enhanced => Ok(()),
            Self::Classic => Err(Failure::validation(format!(
                "{name} cannot be set to CLASSIC because the vector bucket does not support \
                 CLASSIC mode"
            ))),
        }
    }
}

impl Encryption {
    /// Checks what the model asks.
    pub(super) fn check(&self, check: &mut Check) {
        if let Some(kind) = &self.sse_type {
            let known = |kind: &str| SSE_TYPES.contains(&kind).then_some(());
            check.choice("/encryptionConfiguration/sseType", kind, known, &SSE_TYPES);
        }
        let path = "/encryptionConfiguration/kmsKeyArn";
        check.optional_text(path, self.kms_key_arn.as_deref(), &KMS_ARN_CHARS);
    }

    /// Refuses what is not what every store does: AES-256 with the store's own keys.
    pub(super) fn refuse_kms(&self) -> Result<()> {
        let path = "encryptionConfiguration";
        match (self.sse_type.as_deref(), &self.kms_key_arn) {
            (None | Some(AES256), None) => Ok(()),
            (None | Some(AES256), Some(_)) => {
                Err(Failure::field(path, "kmsKeyArn is allowed only when sseType is aws:kms"))
            }
            (Some(_), None) => {
                Err(Failure::field(path, "kmsKeyArn is required when sseType is aws:kms"))
            }
            (Some(_), Some(_)) => Err(Failure::field(
                path,
                "aws:kms is not implemented: this store encrypts with AES256",
            )),
        }
    }
}

/// Checks what the model asks of tags.
pub(super) fn check_tags(check: &mut Check, tags: &Tags) {
    for (key, value) in tags {
        let path = format!("/tags/{}", shown(key));
        check_tag_key(check, &path, key);
        check.text(&path, value, &TAG_VALUE_CHARS);
        check.pattern(&path, value.chars().all(is_tag_char), TAG_PATTERN);
    }
}

/// The same of a tag's key.
pub(super) fn check_tag_key(check: &mut Check, path: &str, key: &str) {
    check.text(path, key, &TAG_KEY_CHARS);
    check.pattern(path, key.chars().all(is_tag_char), TAG_PATTERN);
}

/// Refuses tags beyond the limit, and those that only AWS may set.
pub(super) fn refuse_tags(tags: &Tags, limits: &Limits) -> Result<()> {
    if tags.len() > limits.tags {
        let most = limits.tags;
        return Err(Failure::field("tags", format!("A resource can have at most {most} tags")));
    }
    if tags.keys().any(|key| key.starts_with("aws:")) {
        return Err(Failure::field("tags", "Tag keys cannot begin with aws:"));
    }
    Ok(())
}

/// Letters, numbers, separators and some signs.
fn is_tag_char(letter: char) -> bool {
    letter.is_alphanumeric()
        || "_.:/=+-@".contains(letter)
        || (letter.is_whitespace() && !letter.is_control())
}

/// The beginning of a text, for a message.
fn shown(text: &str) -> &str {
    text.char_indices().nth(64).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tags_follow_the_model() {
        let longest = "k".repeat(128);
        let value = "v".repeat(256);
        let longer = "k".repeat(129);
        let longer_value = "v".repeat(257);
        for (pairs, fits) in [
            (&[][..], true),
            (&[("a", ""), ("größe", "値 1"), ("a_.:/=+-@", "b\u{a0}c")], true),
            (&[(&longest, &value)], true),
            (&[("", "x")], false),
            (&[(&longer, "")], false),
            (&[("a", &longer_value)], false),
            (&[("a*", "")], false),
            (&[("a", "x\n")], false),
            (&[("a", "<")], false),
        ] {
            let mut check = Check::default();
            check_tags(&mut check, &tags(pairs));
            assert_eq!(check.finish().is_ok(), fits, "{pairs:?}");
        }
        let many: Tags = (0..51).map(|nth| (nth.to_string(), String::new())).collect();
        assert!(refuse_tags(&many, &Limits::default()).is_err());
        assert!(refuse_tags(&tags(&[("aws:x", "1")]), &Limits::default()).is_err());
        assert!(refuse_tags(&tags(&[("x", "aws:")]), &Limits::default()).is_ok());
    }

    #[test]
    fn encryption_is_aes256_or_refused() {
        let kms = Some("arn:aws:kms:r:000000000000:key/1".to_owned());
        for (sse_type, kms_key_arn, fits) in [
            (None, None, true),
            (Some("AES256"), None, true),
            (Some("AES256"), kms.clone(), false),
            (None, kms.clone(), false),
            (Some("aws:kms"), None, false),
            (Some("aws:kms"), kms, false),
        ] {
            let sse_type = sse_type.map(str::to_owned);
            let encryption = Encryption { sse_type, kms_key_arn };
            assert_eq!(encryption.refuse_kms().is_ok(), fits, "{encryption:?}");
        }
    }

    #[test]
    fn classic_mode_is_refused_in_the_words_of_aws() {
        assert_eq!(
            Mode::Classic.refuse_classic("indexMode").unwrap_err().message,
            "indexMode cannot be set to CLASSIC because the vector bucket does not support CLASSIC \
             mode"
        );
        assert!(Mode::Enhanced.refuse_classic("indexMode").is_ok());
    }
}

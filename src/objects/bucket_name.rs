//! The rules for bucket names.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>

use super::error::{ObjectError, Result};

/// Checks the name of a bucket to make.
pub fn check_bucket_name(name: &str) -> Result<()> {
    if is_bucket_name(name) { Ok(()) } else { Err(ObjectError::InvalidBucketName) }
}

fn is_bucket_name(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.chars().all(|c| edge(c) || c == '.' || c == '-')
        && name.starts_with(edge)
        && name.ends_with(edge)
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|prefix| name.starts_with(prefix))
        && !["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        let long = "a".repeat(63);
        for name in ["abc", "a-b", "a.b", "0bucket9", "my-bucket.with.dots", "1.2.3", &long] {
            assert!(is_bucket_name(name), "{name}");
        }
        let longer = "a".repeat(64);
        for name in [
            "",
            "ab",
            "Abc",
            "a_b",
            "-abc",
            "abc-",
            ".abc",
            "abc.",
            "a..b",
            "192.168.0.1",
            "a/b",
            "xn--abc",
            "sthree-x",
            "abc-s3alias",
            "abc--ol-s3",
            "äbc",
            &longer,
        ] {
            assert!(!is_bucket_name(name), "{name}");
        }
    }
}

//! The constraints of the service's model on members of a request, all of them looked at before the
//! request is refused, in the words of AWS.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::error::{Failure, FieldFault, Kind, Result};

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Check {
    faults: Vec<FieldFault>,
}

/// Faults told of one request. A body of many bad items needs not be told of each.
const FAULTS_MAX: usize = 20;

impl Check {
    /// Refuses the request when anything was found.
    pub(super) fn finish(self) -> Result<()> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let count = self.faults.len();
        let errors = if count == 1 { "error" } else { "errors" };
        let texts: Vec<&str> = self.faults.iter().map(|fault| fault.message.as_str()).collect();
        let message = format!("{count} validation {errors} detected. {}", texts.join("; "));
        Err(Failure { kind: Kind::Validation, message, fields: self.faults })
    }

    /// Notes that the member at `path` breaks `constraint`.
    fn fault(&mut self, what: &str, path: &str, constraint: impl Display) {
        if self.faults.len() < FAULTS_MAX {
            let message = format!("{what} at '{path}' failed to satisfy constraint: {constraint}");
            self.faults.push(FieldFault { path: path.to_owned(), message });
        }
    }

    /// A member that has to be there.
    pub(super) fn required<'a, T>(&mut self, path: &str, value: &'a Option<T>) -> Option<&'a T> {
        if value.is_none() {
            self.fault("Value", path, "Member must not be null");
        }
        value.as_ref()
    }

    /// A length, in characters or items.
    pub(super) fn length(
        &mut self,
        path: &str,
        len: usize,
        allowed: &RangeInclusive<usize>,
    ) -> bool {
        let fits = allowed.contains(&len);
        if !fits {
            let (least, most) = (allowed.start(), allowed.end());
            let what = format!("Value with length {len}");
            let constraint =
                format!("Member must have length between {least} and {most}, inclusive");
            self.fault(&what, path, constraint);
        }
        fits
    }

    /// A text's length in characters.
    pub(super) fn text(&mut self, path: &str, text: &str, allowed: &RangeInclusive<usize>) -> bool {
        self.length(path, text.chars().count(), allowed)
    }

    /// The same of a text that may be left out.
    pub(super) fn optional_text(
        &mut self,
        path: &str,
        text: Option<&str>,
        allowed: &RangeInclusive<usize>,
    ) {
        if let Some(text) = text {
            self.text(path, text, allowed);
        }
    }

    /// A number's range.
    pub(super) fn range(&mut self, path: &str, number: i64, allowed: &RangeInclusive<i64>) {
        if !allowed.contains(&number) {
            let (least, most) = (allowed.start(), allowed.end());
            self.fault(
                "Value",
                path,
                format!("Member must be between {least} and {most}, inclusive"),
            );
        }
    }

    /// The same of a number that may be left out.
    pub(super) fn optional_range(
        &mut self,
        path: &str,
        number: Option<i64>,
        allowed: &RangeInclusive<i64>,
    ) {
        if let Some(number) = number {
            self.range(path, number, allowed);
        }
    }

    /// A number's lower bound.
    pub(super) fn at_least(&mut self, path: &str, number: i64, least: i64) {
        if number < least {
            self.fault("Value", path, format!("Member must be greater than or equal to {least}"));
        }
    }

    /// A text's pattern.
    pub(super) fn pattern(&mut self, path: &str, holds: bool, pattern: &str) {
        if !holds {
            self.fault(
                "Value",
                path,
                format!("Member must satisfy regular expression pattern: {pattern}"),
            );
        }
    }

    /// A union of which more than one member was given.
    pub(super) fn only_one(&mut self, path: &str, members: &[&str]) {
        let members = members.join(", ");
        self.fault("Value", path, format!("Member must have only one of: [{members}]"));
    }

    /// One of some texts, read by `parse`; `allowed` are those that AWS knows.
    pub(super) fn choice<T>(
        &mut self,
        path: &str,
        text: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        allowed: &[&str],
    ) -> Option<T> {
        let found = parse(text);
        if found.is_none() {
            let allowed = allowed.join(", ");
            self.fault("Value", path, format!("Member must satisfy enum value set: [{allowed}]"));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::Check;

    #[test]
    fn faults_are_told_in_the_words_of_aws() {
        let mut check = Check::default();
        check.length("/vectorBucketName", 2, &(3..=63));
        let message = check.finish().unwrap_err().message;
        assert_eq!(
            message,
            "1 validation error detected. Value with length 2 at '/vectorBucketName' failed to \
             satisfy constraint: Member must have length between 3 and 63, inclusive"
        );
        let mut check = Check::default();
        check.range("/dimension", 99_999, &(1..=4096));
        check.choice("/dataType", "int", |_| None::<()>, &["float32"]);
        check.required("/indexName", &None::<String>);
        let failure = check.finish().unwrap_err();
        assert_eq!(
            failure.message,
            "3 validation errors detected. Value at '/dimension' failed to satisfy constraint: \
             Member must be between 1 and 4096, inclusive; Value at '/dataType' failed to satisfy \
             constraint: Member must satisfy enum value set: [float32]; Value at '/indexName' \
             failed to satisfy constraint: Member must not be null"
        );
        let paths: Vec<&str> = failure.fields.iter().map(|field| field.path.as_str()).collect();
        assert_eq!(paths, ["/dimension", "/dataType", "/indexName"]);
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        let mut check = Check::default();
        assert!(check.text("/k", &"😀".repeat(1024), &(1..=1024)));
        assert!(!check.text("/k", &"ä".repeat(1025), &(1..=1024)));
    }

    #[test]
    fn a_request_of_very_many_faults_is_told_of_some() {
        let mut check = Check::default();
        for _ in 0..1000 {
            check.at_least("/topK", 0, 1);
        }
        assert_eq!(check.finish().unwrap_err().fields.len(), 20);
    }
}

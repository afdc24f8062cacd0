//! What happened: latencies by verb, bytes, errors with a few samples.

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::Histogram;
use crate::http_client::Failure;

/// Errors kept word for word.
const SAMPLES_MAX: usize = 5;

/// What one operation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verb {
    Put,
    Get,
    Head,
    List,
    Delete,
    Multipart,
}

impl Verb {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Multipart => "multipart",
        }
    }
}

/// A good operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// Bytes of objects sent or received; bytes of the document for a listing.
    pub(super) bytes: u64,
    /// Entries of a listing's page, when they were counted.
    pub(super) entries: Option<u64>,
}

/// What one worker, or all together, saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorder {
    latencies: BTreeMap<Verb, Histogram>,
    bytes: u64,
    errors: u64,
    samples: Vec<String>,
    entries: Option<u64>,
}

impl Recorder {
    pub(super) fn record(&mut self, verb: Verb, latency: Duration, result: &Result<Done, Failure>) {
        match result {
            Ok(done) => {
                self.latencies.entry(verb).or_default().record(latency);
                self.bytes += done.bytes;
                self.entries = self.entries.or(done.entries);
            }
            Err(failure) => {
                self.errors += 1;
                self.keep_sample(format!("{}: {failure}", verb.name()));
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (verb, histogram) in other.latencies {
            self.latencies.entry(verb).or_default().merge(&histogram);
        }
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.entries = self.entries.or(other.entries);
        other.samples.into_iter().for_each(|sample| self.keep_sample(sample));
    }

    /// Good operations.
    pub(super) fn operations(&self) -> u64 {
        self.latencies.values().map(Histogram::count).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors
    }

    /// The first errors of different kinds.
    pub(super) fn samples(&self) -> &[String] {
        &self.samples
    }

    /// Entries of the first listed page.
    pub(super) fn entries(&self) -> Option<u64> {
        self.entries
    }

    pub(super) fn by_verb(&self) -> &BTreeMap<Verb, Histogram> {
        &self.latencies
    }

    /// All verbs together.
    pub(super) fn all(&self) -> Histogram {
        let mut all = Histogram::default();
        self.latencies.values().for_each(|histogram| all.merge(histogram));
        all
    }

    fn keep_sample(&mut self, sample: String) {
        if self.samples.len() < SAMPLES_MAX && !self.samples.contains(&sample) {
            self.samples.push(sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::Refusal;

    #[test]
    fn errors_count_as_errors_only() {
        let mut recorder = Recorder::default();
        let done = Done { bytes: 10, entries: None };
        recorder.record(Verb::Get, Duration::from_millis(1), &Ok(done));
        for _ in 0..9 {
            let code = "SlowDown".to_owned();
            let failure = Failure::Status(503, Refusal { code, ..Refusal::default() });
            recorder.record(Verb::Put, Duration::from_millis(1), &Err(failure));
        }
        let mut all = Recorder::default();
        all.merge(recorder);
        assert_eq!((all.operations(), all.errors(), all.bytes()), (1, 9, 10));
        assert_eq!(all.samples(), ["put: status 503 SlowDown"]);
        assert_eq!(all.all().count(), 1);
    }
}

//! What the server counts, and how it shows it to Prometheus together with the engine's figures.
//!
//! Counting is a handful of relaxed atomic additions a request; nothing is locked or looked up.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use storage_engine::Stats;
use vector_engine::VectorStats;

use super::operations;

/// Upper bounds of the latency histogram, in microseconds.
const BOUNDS_MICROS: [u64; 9] =
    [500, 1_000, 2_500, 10_000, 50_000, 250_000, 1_000_000, 5_000_000, 30_000_000];

/// Counters of a server.
#[derive(Debug)]
pub struct Metrics {
    /// One for each operation of all services, and a last one for requests that name none.
    operations: Vec<OperationCounters>,
    connections: AtomicU64,
    accepted: AtomicU64,
    in_flight: AtomicU64,
    panics: AtomicU64,
}

#[derive(Debug, Default)]
struct OperationCounters {
    /// By class of status, from 1xx.
    statuses: [AtomicU64; 5],
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    /// Not cumulative here; the last is what lies above all bounds.
    buckets: [AtomicU64; BOUNDS_MICROS.len() + 1],
    micros: AtomicU64,
}

/// One request, when it is over.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// The operation's place among those of all services.
    pub operation: Option<usize>,
    /// The answer's status.
    pub status: u16,
    /// Bytes of its body.
    pub received_bytes: u64,
    /// Bytes of the answer's body.
    pub sent_bytes: u64,
    /// From its head to the last byte of the answer.
    pub time: Duration,
}

impl Default for Metrics {
    fn default() -> Self {
        let operations = (0..=operations::count()).map(|_| OperationCounters::default()).collect();
        Self {
            operations,
            connections: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// Counts a request that is over.
    pub fn count(&self, served: Served) {
        let place = served.operation.unwrap_or_else(operations::count);
        let Some(counters) = self.operations.get(place) else { return };
        let class = usize::from(served.status / 100).saturating_sub(1);
        if let Some(counter) = counters.statuses.get(class) {
            add(counter, 1);
        }
        add(&counters.received_bytes, served.received_bytes);
        add(&counters.sent_bytes, served.sent_bytes);
        let micros = u64::try_from(served.time.as_micros()).unwrap_or(u64::MAX);
        add(&counters.micros, micros);
        let bucket = BOUNDS_MICROS.iter().position(|bound| micros <= *bound);
        if let Some(counter) = counters.buckets.get(bucket.unwrap_or(BOUNDS_MICROS.len())) {
            add(counter, 1);
        }
    }

    /// Counts a connection while the guard lives.
    pub fn connection(&self) -> Gauge<'_> {
        add(&self.accepted, 1);
        Gauge::new(&self.connections)
    }

    /// A request begins.
    pub fn begin(&self) {
        add(&self.in_flight, 1);
    }

    /// A request is over.
    pub fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Answering a request panicked.
    pub fn panicked(&self) {
        add(&self.panics, 1);
    }

    /// Everything, in Prometheus' text form.
    pub fn render(&self, engine: &Stats, vectors: Option<&VectorStats>) -> String {
        let mut page = Page::default();
        self.render_requests(&mut page);
        self.render_seconds(&mut page);
        page.single("lodestore_connections", "gauge", "open connections", get(&self.connections));
        page.single(
            "lodestore_connections_accepted_total",
            "counter",
            "connections accepted",
            get(&self.accepted),
        );
        page.single(
            "lodestore_requests_in_flight",
            "gauge",
            "requests being worked on",
            get(&self.in_flight),
        );
        page.single(
            "lodestore_handler_panics_total",
            "counter",
            "requests that failed because answering them panicked",
            get(&self.panics),
        );
        super::engine_metrics::render(&mut page, engine);
        if let Some(vectors) = vectors {
            super::vector_metrics::render(&mut page, vectors);
        }
        page.text
    }

    /// Operations that were asked for at least once, with their counters.
    fn used(&self) -> impl Iterator<Item = (&'static str, &OperationCounters)> {
        let named = self.operations.iter().enumerate();
        named
            .map(|(place, counters)| (operations::name_of(place).unwrap_or("Unknown"), counters))
            .filter(|(_, counters)| counters.statuses.iter().any(|status| get(status) > 0))
    }

    fn render_requests(&self, page: &mut Page) {
        page.family("lodestore_requests_total", "counter", "requests by operation and status");
        for (name, counters) in self.used() {
            for (class, status) in counters.statuses.iter().enumerate() {
                let count = get(status);
                if count > 0 {
                    let labels = format!("operation=\"{name}\",status=\"{}xx\"", class + 1);
                    page.sample("lodestore_requests_total", &labels, count);
                }
            }
        }
        for (family, help, counter) in [
            (
                "lodestore_request_received_bytes_total",
                "bytes of request bodies as they came",
                (|counters| get(&counters.received_bytes)) as fn(&OperationCounters) -> u64,
            ),
            ("lodestore_request_sent_bytes_total", "bytes of answers' bodies", |counters| {
                get(&counters.sent_bytes)
            }),
        ] {
            page.family(family, "counter", help);
            for (name, counters) in self.used() {
                page.sample(family, &format!("operation=\"{name}\""), counter(counters));
            }
        }
    }

    fn render_seconds(&self, page: &mut Page) {
        let family = "lodestore_request_seconds";
        page.family(family, "histogram", "seconds from a request's head to its answer's end");
        for (name, counters) in self.used() {
            let mut below = 0;
            for (nth, bucket) in counters.buckets.iter().enumerate() {
                below += get(bucket);
                let bound = match BOUNDS_MICROS.get(nth) {
                    Some(micros) => seconds(*micros).to_string(),
                    None => "+Inf".into(),
                };
                let labels = format!("operation=\"{name}\",le=\"{bound}\"");
                page.sample("lodestore_request_seconds_bucket", &labels, below);
            }
            let labels = format!("operation=\"{name}\"");
            let sum = seconds(get(&counters.micros));
            page.sample("lodestore_request_seconds_sum", &labels, sum);
            page.sample("lodestore_request_seconds_count", &labels, below);
        }
    }
}

/// A gauge that is one higher while this lives.
#[derive(Debug)]
pub struct Gauge<'a>(&'a AtomicU64);

impl<'a> Gauge<'a> {
    fn new(gauge: &'a AtomicU64) -> Self {
        add(gauge, 1);
        Self(gauge)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A page of metrics in the making.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Begins a family of samples.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample; `labels` without braces.
    pub fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = if labels.is_empty() {
            writeln!(self.text, "{name} {value}")
        } else {
            writeln!(self.text, "{name}{{{labels}}} {value}")
        };
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use storage_engine::Stats;

    use super::{Metrics, Served};
    use crate::server::operations::{self, OPERATIONS};
    use crate::vectors;

    #[test]
    fn requests_are_counted_by_operation_and_class() {
        let metrics = Metrics::default();
        let put = OPERATIONS.iter().position(|row| row.name == "PutObject");
        let query = vectors::OPERATIONS.iter().find(|row| row.name == "QueryVectors");
        let query = query.map(operations::place_of);
        for (operation, status, millis) in
            [(put, 200, 1), (put, 200, 40), (put, 412, 1), (query, 402, 1), (None, 403, 70_000)]
        {
            metrics.count(Served {
                operation,
                status,
                received_bytes: 10,
                sent_bytes: 3,
                time: Duration::from_millis(millis),
            });
        }
        metrics.begin();
        let open = metrics.connection();
        let vectors = vector_engine::VectorStats { open_indexes: 3, ..Default::default() };
        let page = metrics.render(&Stats::default(), Some(&vectors));
        drop(open);
        for line in [
            "lodestore_requests_total{operation=\"PutObject\",status=\"2xx\"} 2",
            "lodestore_requests_total{operation=\"PutObject\",status=\"4xx\"} 1",
            "lodestore_requests_total{operation=\"QueryVectors\",status=\"4xx\"} 1",
            "lodestore_requests_total{operation=\"Unknown\",status=\"4xx\"} 1",
            "lodestore_request_received_bytes_total{operation=\"PutObject\"} 30",
            "lodestore_request_sent_bytes_total{operation=\"Unknown\"} 3",
            "lodestore_request_seconds_bucket{operation=\"PutObject\",le=\"0.001\"} 2",
            "lodestore_request_seconds_bucket{operation=\"PutObject\",le=\"0.05\"} 3",
            "lodestore_request_seconds_bucket{operation=\"Unknown\",le=\"30\"} 0",
            "lodestore_request_seconds_bucket{operation=\"Unknown\",le=\"+Inf\"} 1",
            "lodestore_request_seconds_sum{operation=\"PutObject\"} 0.042",
            "lodestore_connections 1",
            "lodestore_requests_in_flight 1",
            "lodestore_sync_total 0",
            "lodestore_vector_indexes_open 3",
            "lodestore_vector_segments_searched_total{plan=\"graph\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
        assert!(!page.contains("GetObject\""), "what was never asked for is not shown");
    }
}

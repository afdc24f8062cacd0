//! The vector engine's figures under their names in Prometheus.

use vector_engine::{Phase, Plan, VectorStats};

use super::metrics::Page;

/// Adds them to a page.
pub fn render(page: &mut Page, stats: &VectorStats) {
    let VectorStats { open_indexes, indexes, parts, pages, queries, recall } = stats;
    for (name, help, value) in [
        ("lodestore_vector_indexes_open", "vector indexes that are open", *open_indexes),
        ("lodestore_vector_rows", "vectors that live in open indexes", indexes.rows),
        ("lodestore_vector_growing_rows", "vectors in growing segments", indexes.growing_rows),
        ("lodestore_vector_dead_rows", "dead vectors still in a segment", indexes.dead_rows),
        ("lodestore_vector_sealed_segments", "sealed segments", indexes.sealed_segments),
        ("lodestore_vector_graph_segments", "those with a graph", indexes.graph_segments),
        ("lodestore_vector_memory_bytes", "memory of open indexes", indexes.memory_bytes),
        ("lodestore_vector_device_bytes", "bytes of segments on the device", indexes.device_bytes),
        ("lodestore_vector_cache_bytes", "parts of segments that are kept", parts.bytes),
        ("lodestore_vector_page_cache_bytes", "pages of segments that are kept", pages.bytes),
    ] {
        page.single(name, "gauge", help, value);
    }
    for (name, help, value) in [
        ("lodestore_vector_cache_hits_total", "parts asked for and kept", parts.hits),
        ("lodestore_vector_cache_misses_total", "parts asked for and read", parts.misses),
        ("lodestore_vector_page_cache_hits_total", "pages asked for and kept", pages.hits),
        ("lodestore_vector_page_cache_misses_total", "pages asked for and read", pages.misses),
        ("lodestore_vector_queries_total", "queries answered", queries.queries),
        ("lodestore_vector_recall_probes_total", "queries answered once more", recall.probes),
        ("lodestore_vector_recall_dropped_total", "drawn for it in vain", recall.dropped),
        ("lodestore_vector_recall_wanted_total", "neighbours they had", recall.wanted),
        ("lodestore_vector_recall_found_total", "those that were found", recall.found),
    ] {
        page.single(name, "counter", help, value);
    }
    let family = "lodestore_vector_query_seconds_total";
    page.family(family, "counter", "time of queries by phase");
    for (phase, micros) in Phase::ALL.into_iter().zip(queries.phase_us) {
        page.sample(family, &format!("phase=\"{}\"", phase.name()), seconds(micros));
    }
    let family = "lodestore_vector_segments_searched_total";
    page.family(family, "counter", "segments that queries searched by plan");
    for (plan, count) in Plan::ALL.into_iter().zip(queries.plans) {
        page.sample(family, &format!("plan=\"{}\"", plan.name()), count);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

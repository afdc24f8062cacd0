//! Any JSON as a filter and as metadata: what is taken says the same after it was stored.
#![no_main]

use vector_engine::{Filter, FilterLimits, Metadata, MetadataLimits};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(document) = serde_json::from_slice(data) else { return };
    let filter = Filter::parse(&document, &FilterLimits::default());
    let metadata = Metadata::from_json(&document, &[], &MetadataLimits::default());
    if let Ok(filter) = &filter {
        let _ = (filter.canonical_bytes(), filter.keys(), filter.constraints());
        filter.matches(&Metadata::default());
    }
    let Ok(metadata) = metadata else { return };
    let mut bytes = Vec::new();
    metadata.encode_into(&mut bytes);
    assert_eq!(bytes.len(), metadata.encoded_bytes());
    let again = Metadata::decode(&bytes).expect("metadata that was taken is read");
    assert_eq!(again, metadata);
    assert_eq!(again.to_json(), metadata.to_json());
    if let Ok(filter) = filter {
        assert_eq!(filter.matches(&again), filter.matches(&metadata));
    }
});

//! Precedence, validation and the wording of errors.

use super::*;

fn layers(flags: &[(&'static str, &str)], environment: &[(&str, &str)], file: &str) -> Layers {
    let mut layers = Layers {
        flags: flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        file: std::collections::BTreeMap::new(),
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lodestore.toml");
    std::fs::write(&path, file).unwrap();
    layers.read_file(&path).unwrap();
    layers
}

fn refused(flag: &'static str, value: &str) -> String {
    Config::resolve(&layers(&[(flag, value)], &[], "")).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_valid() {
    let config = Config::resolve(&Layers::default()).unwrap();
    assert_eq!(config.listen, "127.0.0.1:9000".parse().unwrap());
    assert_eq!(config.place, Place::Directory("./lodestore-data".into()));
    assert_eq!(config.durability, Durability::Sync);
    assert_eq!(config.region, "us-east-1");
    assert_eq!(config.inline_bytes, storage_engine::limits::INLINE_BYTES_MAX);
    assert_eq!(config.small_parts, SmallParts::LastOnly);
    assert_eq!(config.drain, Duration::from_secs(10));
    let server = crate::server::Settings::default();
    assert_eq!(config.connections, server.connections_max);
    assert_eq!(config.requests, server.requests_max);
    assert_eq!(config.body_window, server.body_window);
    assert_eq!(config.vector_body_bytes, crate::server::limits::VECTOR_BODY_BYTES_MAX);
    assert_eq!(config.vector_cache_bytes, None);
    assert_eq!(config.vector_growing_rows, vector_engine::limits::GROWING_ROWS_MAX);
    assert_eq!(config.vector_recall_probe, vector_engine::QueryShare::NONE);
    assert!(config.buckets.is_empty() && config.domains.is_empty());
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let file = "region = \"from-file\"";
    let variable = [("LODESTORE_REGION", "from-variable")];
    let flag = [("region", "from-flag")];
    let region = |layers: &Layers| Config::resolve(layers).unwrap().region;
    assert_eq!(region(&layers(&flag, &variable, file)), "from-flag");
    assert_eq!(region(&layers(&[], &variable, file)), "from-variable");
    assert_eq!(region(&layers(&[], &[], file)), "from-file");
    assert_eq!(region(&layers(&[], &[], "")), "us-east-1");
}

#[test]
fn an_empty_variable_says_nothing() {
    let layers = layers(&[], &[("LODESTORE_REGION", "")], "region = \"from-file\"");
    assert_eq!(Config::resolve(&layers).unwrap().region, "from-file");
}

#[test]
fn an_error_names_key_value_origin_and_what_is_allowed() {
    let layers = layers(&[], &[("LODESTORE_DURABILITY", "maybe")], "");
    let text = Config::resolve(&layers).unwrap_err().to_string();
    assert_eq!(
        text,
        "durability: `maybe` (from LODESTORE_DURABILITY) is not allowed: give sync, device or none"
    );
}

#[test]
fn every_key_refuses_nonsense() {
    let cases = [
        ("listen", "9000"),
        ("listen", "example.com:9000"),
        ("durability", "fsync"),
        ("zone-bytes", "2MiB"),
        ("zone-bytes", "6MiB"),
        ("zone-bytes", "2GiB"),
        ("capacity-bytes", "1MiB"),
        ("inline-bytes", "65KiB"),
        ("scrub-days", "0"),
        ("region", "US East"),
        ("domains", "a..b"),
        ("small-parts", "maybe"),
        ("ephemeral", "perhaps"),
        ("log-format", "xml"),
        ("log", "lodestore=loud"),
        ("connections", "0"),
        ("requests", "many"),
        ("requests", "1000001"),
        ("vector-cache-bytes", "1KiB"),
        ("vector-cache-bytes", "lots"),
        ("vector-growing-rows", "99"),
        ("vector-growing-rows", "1000001"),
        ("body-window", "0s"),
        ("body-window", "1d"),
        ("vector-recall-probe", "1.5"),
        ("vector-recall-probe", "nan"),
        ("vector-recall-probe", "1%"),
        ("drain", "10"),
        ("drain", "1h"),
        ("buckets", "ab"),
        ("buckets", "Upper"),
        ("buckets", "abc:locked"),
        ("data", ""),
    ];
    for (flag, value) in cases {
        let text = refused(flag, value);
        assert!(text.starts_with(&format!("{flag}: `{value}` (from --{flag})")), "{text}");
    }
}

#[test]
fn buckets_are_read_with_their_kinds() {
    let layers = layers(&[("buckets", "abc, logs:versioned,vault:lock,")], &[], "");
    let kinds: Vec<_> = Config::resolve(&layers)
        .unwrap()
        .buckets
        .into_iter()
        .map(|bucket| (bucket.name, bucket.kind))
        .collect();
    let expected = [
        ("abc".to_owned(), BucketKind::Plain),
        ("logs".to_owned(), BucketKind::Versioned),
        ("vault".to_owned(), BucketKind::Lock),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn the_file_takes_numbers_truths_and_lists() {
    let file = "zone_bytes = 16777216\nsmall_parts = true\ndomains = [\"s3.lan\", \"S3.Test\"]\n";
    let config = Config::resolve(&layers(&[], &[], file)).unwrap();
    assert_eq!(config.zone_bytes, Some(16 << 20));
    assert_eq!(config.small_parts, SmallParts::Any);
    assert_eq!(config.domains, ["s3.lan", "s3.test"]);
}

#[test]
fn an_unknown_line_of_the_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lodestore.toml");
    std::fs::write(&path, "listn = \"127.0.0.1:1\"").unwrap();
    let text = Layers::default().read_file(&path).unwrap_err().to_string();
    assert!(text.contains("`listn` is no key; the keys are listen, data"), "{text}");
}

#[test]
fn a_broken_file_does_not_quote_its_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lodestore.toml");
    std::fs::write(&path, "root_secret_key = \"hushhush").unwrap();
    let text = Layers::default().read_file(&path).unwrap_err().to_string();
    assert!(!text.contains("hushhush"), "{text}");
}

#[test]
fn ephemeral_excludes_a_data_directory() {
    let both = layers(&[("ephemeral", "true"), ("data", "/srv/data")], &[], "");
    let text = Config::resolve(&both).unwrap_err().to_string();
    assert!(text.contains("cannot be both"), "{text}");
    let place = |layers: &Layers| Config::resolve(layers).unwrap().place;
    assert_eq!(place(&layers(&[("ephemeral", "true")], &[], "")), Place::Ephemeral);
    let overruled = layers(&[("ephemeral", "true")], &[("LODESTORE_DATA", "/data")], "");
    assert_eq!(place(&overruled), Place::Ephemeral);
    let kept = layers(&[("data", "/srv/data")], &[("LODESTORE_EPHEMERAL", "1")], "");
    assert_eq!(place(&kept), Place::Directory("/srv/data".into()));
    let neither = layers(&[("ephemeral", "false")], &[("LODESTORE_DATA", "/data")], "");
    assert_eq!(place(&neither), Place::Directory("/data".into()));
}

#[test]
fn misspelt_variables_are_found_and_injected_ones_are_not() {
    let layers = layers(
        &[],
        &[
            ("LODESTORE_LISTN", "x"),
            ("LODESTORE_LISTEN", "127.0.0.1:1"),
            ("LODESTORE_CONFIG", "x"),
            ("LODESTORE_PORT", "tcp://10.0.0.1:9000"),
            ("LODESTORE_SERVICE_HOST", "10.0.0.1"),
            ("PATH", "/bin"),
        ],
        "",
    );
    assert_eq!(layers.unknown_variables(), ["LODESTORE_LISTN"]);
}

#[test]
fn a_secret_is_not_in_debug_output() {
    let layers = layers(&[("root-secret-key", "hushhush")], &[], "");
    let setting = layers.get("root-secret-key").unwrap();
    assert!(!format!("{setting:?}").contains("hushhush"));
}

#[test]
fn every_key_is_documented_once() {
    let mut names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), KEYS.len());
    assert!(KEYS.iter().all(|key| !key.meaning.is_empty() && !key.form.is_empty()));
}

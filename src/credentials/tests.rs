//! Which pair wins, what is refused, and that a secret stays one.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn layers(flags: &[(&'static str, &str)], environment: &[(&str, &str)]) -> Layers {
    Layers {
        flags: flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Layers::default()
    }
}

const OWN: [(&str, &str); 2] =
    [("LODESTORE_ROOT_ACCESS_KEY", "own"), ("LODESTORE_ROOT_SECRET_KEY", "own-hidden")];
const AWS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "aws"), ("AWS_SECRET_ACCESS_KEY", "aws-hidden")];
const MINIO: [(&str, &str); 2] =
    [("MINIO_ROOT_USER", "minio"), ("MINIO_ROOT_PASSWORD", "minio-hidden")];

fn access_key(flags: &[(&'static str, &str)], environment: &[(&str, &str)]) -> Option<String> {
    let given = RootCredentials::given(&layers(flags, environment)).unwrap();
    given.map(|pair| pair.access_key)
}

#[test]
fn the_first_place_that_says_anything_wins() {
    let flags = [("root-access-key", "flag"), ("root-secret-key", "flag-secret")];
    let all = [OWN, AWS, MINIO].concat();
    assert_eq!(access_key(&flags, &all).as_deref(), Some("flag"));
    assert_eq!(access_key(&[], &all).as_deref(), Some("own"));
    assert_eq!(access_key(&[], &[AWS, MINIO].concat()).as_deref(), Some("aws"));
    assert_eq!(access_key(&[], &MINIO).as_deref(), Some("minio"));
    assert_eq!(access_key(&[], &[]), None);
}

#[test]
fn half_a_pair_is_an_error_everywhere() {
    for halves in [OWN, AWS, MINIO] {
        for half in halves {
            let text = RootCredentials::given(&layers(&[], &[half])).unwrap_err().to_string();
            assert!(text.contains("is set and") && text.contains("both, or neither"), "{text}");
            assert!(!text.contains("hidden"), "{text}");
        }
    }
}

#[test]
fn half_a_pair_is_not_completed_from_a_foreign_name() {
    let environment = [[OWN[0]].as_slice(), &AWS].concat();
    assert!(RootCredentials::given(&layers(&[], &environment)).is_err());
}

#[test]
fn a_temporary_aws_login_is_not_taken() {
    let environment = [AWS.as_slice(), &[("AWS_SESSION_TOKEN", "token")]].concat();
    assert_eq!(access_key(&[], &environment), None);
}

#[test]
fn each_half_may_be_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "from the file\n").unwrap();
    let environment = [
        ("LODESTORE_ROOT_ACCESS_KEY", "own"),
        ("LODESTORE_ROOT_SECRET_KEY_FILE", path.to_str().unwrap()),
    ];
    let pair = RootCredentials::given(&layers(&[], &environment)).unwrap().unwrap();
    assert_eq!(pair.secret_key.expose(), "from the file");
}

#[test]
fn each_half_under_a_foreign_name_may_be_a_file_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "from the file\n").unwrap();
    let file = ("MINIO_ROOT_PASSWORD_FILE", path.to_str().unwrap());
    let pair = RootCredentials::given(&layers(&[], &[MINIO[0], file])).unwrap().unwrap();
    assert_eq!((pair.access_key.as_str(), pair.secret_key.expose()), ("minio", "from the file"));
    for (environment, why) in [
        ([MINIO[0], MINIO[1], file].as_slice(), "given twice"),
        (&[file], "MINIO_ROOT_USER is not"),
        (&[MINIO[0], ("MINIO_ROOT_PASSWORD_FILE", "/does/not/exist")], "/does/not/exist"),
    ] {
        let text = RootCredentials::given(&layers(&[], environment)).unwrap_err().to_string();
        assert!(text.contains(why) && !text.contains("hidden"), "{text}");
    }
}

#[test]
fn a_value_and_a_file_for_one_half_are_refused() {
    let environment = [OWN[0], OWN[1], ("LODESTORE_ROOT_SECRET_KEY_FILE", "/run/secrets/secret")];
    let text = RootCredentials::given(&layers(&[], &environment)).unwrap_err().to_string();
    assert!(text.contains("given twice"), "{text}");
}

#[test]
fn a_flag_wins_over_a_file_named_in_the_environment() {
    let flags = [("root-access-key", "flag"), ("root-secret-key", "flag-secret")];
    let environment = [("LODESTORE_ROOT_SECRET_KEY_FILE", "/does/not/exist")];
    assert_eq!(access_key(&flags, &environment).as_deref(), Some("flag"));
}

#[test]
fn keys_that_cannot_be_signed_with_are_refused() {
    for bad in ["ab", "has space", "has/slash", "has,comma", "has=equals", "ümlaut"] {
        let flags = [("root-access-key", bad), ("root-secret-key", "long enough")];
        assert!(RootCredentials::given(&layers(&flags, &[])).is_err(), "{bad}");
    }
}

fn exposure(access_key: &str, secret_key: &str, listen: &str) -> Result<(), ConfigError> {
    let flags = [("root-access-key", access_key), ("root-secret-key", secret_key)];
    let pair = RootCredentials::given(&layers(&flags, &[])).unwrap().unwrap();
    pair.check_exposure(listen.parse().unwrap())
}

#[test]
fn well_known_keys_stay_on_this_machine() {
    let well_known = [
        ("minioadmin", "minioadmin"),
        ("admin", "admin"),
        ("test", "test"),
        ("rustfsadmin", "rustfsadmin"),
        ("minio", "minio123"),
        ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("someone", "short"),
        ("someone", "minioadmin"),
    ];
    for (access_key, secret_key) in well_known {
        for reachable in ["0.0.0.0:9000", "[::]:9000", "192.0.2.7:9000", "[::ffff:192.0.2.7]:9000"]
        {
            assert!(exposure(access_key, secret_key, reachable).is_err(), "{access_key}");
        }
        for loopback in ["127.0.0.1:9000", "127.8.0.1:9000", "[::1]:9000", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(exposure(access_key, secret_key, loopback), Ok(()), "{access_key}");
        }
    }
    assert_eq!(exposure("someone", "fX2k-91lmQ", "0.0.0.0:9000"), Ok(()));
}

#[test]
fn generated_keys_are_kept_for_their_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let first = RootCredentials::stored_or_generated(directory.path()).unwrap();
    let path = directory.path().join(FILE_NAME);
    assert_eq!(first.source, Source::Generated(path.clone()));
    assert_eq!((first.access_key.len(), first.secret_key.expose().len()), (20, 40));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let second = RootCredentials::stored_or_generated(directory.path()).unwrap();
    assert_eq!(second.source, Source::Stored(path));
    assert_eq!(second.access_key, first.access_key);
    assert!(second.secret_key == first.secret_key);

    let other = tempfile::tempdir().unwrap();
    let other = RootCredentials::stored_or_generated(other.path()).unwrap();
    assert_ne!(other.access_key, first.access_key);
}

#[test]
fn a_damaged_file_of_keys_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    secret_file::create(&directory.path().join(FILE_NAME), b"[default]\n").unwrap();
    let text = RootCredentials::stored_or_generated(directory.path()).unwrap_err().to_string();
    assert!(text.contains("holds no pair of keys"), "{text}");
}

#[test]
fn a_secret_is_not_in_debug_output() {
    let pair = RootCredentials::given(&layers(&[], &OWN)).unwrap().unwrap();
    assert!(!format!("{pair:?}").contains("own-hidden"));
}

//! Corruption: `lodestore check` finds and names it, and the server never serves it.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::process::files_below;
use crate::support::fixture::bytes;
use crate::support::{Bucket, Content, Setup};

const MIB: usize = 1024 * 1024;

/// A stopped store with small and large objects in it, and what they hold.
fn stopped_store() -> (crate::support::Server, Bucket, Vec<(String, Content)>) {
    let mut server = Setup::new().env("LODESTORE_ZONE_BYTES", "4MiB").start();
    let bucket = Bucket::create(&server.client(), "stored");
    let mut stored = Vec::new();
    for number in 0..40 {
        let len = if number % 4 == 0 { MIB + 17 } else { 3_000 };
        let content = Content { seed: number, len };
        let key = format!("k{number:02}");
        bucket.store(&key, content.bytes());
        stored.push((key, content));
    }
    assert!(server.stop().success());
    (server, bucket, stored)
}

/// Places in the store's files that hold something, spread evenly.
fn written_places(data: &Path, count: usize) -> Vec<(PathBuf, u64)> {
    let mut places = Vec::new();
    for path in files_below(data) {
        let content = std::fs::read(&path).expect("read a file of the store");
        // Zones only: they are what scrub and check promise to know every byte of.
        if !path.components().any(|part| part.as_os_str() == "zones") || content.len() < MIB {
            continue;
        }
        let written = (0..content.len()).filter(|offset| content[*offset] != 0);
        places.extend(written.step_by(997).map(|offset| (path.clone(), offset as u64)));
    }
    assert!(!places.is_empty(), "no zone holds anything");
    let step = (places.len() / count).max(1);
    places.into_iter().step_by(step).take(count).collect()
}

/// Changes a bit of a zone, of a sealed one too: rot asks for no permission.
fn flip(path: &Path, offset: u64) {
    let mode = path.metadata().expect("look at a zone").permissions();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("unseal a zone");
    let file = OpenOptions::new().read(true).write(true).open(path).expect("open a zone");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("read a byte");
    file.write_all_at(&[byte[0] ^ 0x40], offset).expect("write a byte");
    std::fs::set_permissions(path, mode).expect("seal a zone");
}

#[test]
fn check_passes_a_store_that_is_whole() {
    let (server, _, _) = stopped_store();
    let data = server.data();
    let output = server.setup().run(&["check", data.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.is_empty(), "a check reports what it checked");
}

#[test]
fn check_fails_on_what_is_no_store() {
    let setup = Setup::new();
    let empty = setup.home().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for directory in [setup.home().join("nowhere"), empty.clone()] {
        let output = setup.run(&["check", directory.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{text}");
        let named = text.contains(directory.to_str().unwrap());
        assert!(named && text.contains("no store lies here"), "{text}");
    }
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0, "a check made a store");
    assert!(!setup.home().join("nowhere").exists());
}

#[test]
fn check_does_not_touch_a_store_in_use() {
    let server = Setup::new().start();
    let bucket = Bucket::create(&server.client(), "in-use");
    bucket.store("k", "x");
    let data = server.data();
    let output = server.setup().run(&["check", data.to_str().unwrap()]);
    assert!(!output.status.success(), "a store in use was checked");
    assert_eq!(bucket.content("k"), b"x");
}

#[test]
fn check_names_a_flipped_bit() {
    let (server, _, _) = stopped_store();
    let data = server.data();
    for (path, offset) in written_places(&data, 6) {
        flip(&path, offset);
        let output = server.setup().run(&["check", data.to_str().unwrap()]);
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let place = format!("{} at {offset}", path.display());
        assert!(!output.status.success(), "{place} was not found:\n{text}");
        assert!(text.contains("zone") && text.contains("offset"), "{place}:\n{text}");
        assert!(!text.contains("panicked"), "{place}:\n{text}");
        flip(&path, offset);
    }
    let output = server.setup().run(&["check", data.to_str().unwrap()]);
    assert!(output.status.success(), "all bits are back");
}

#[test]
fn flipped_bits_are_never_served() {
    let (server, bucket, stored) = stopped_store();
    let places = written_places(&server.data(), 30);
    let setup = server.setup().clone();
    for (path, offset) in &places {
        flip(path, *offset);
    }
    drop(server);
    // It may refuse to start on such a store; what it must not do is serve something else.
    let Ok(server) = setup.try_start() else { return };
    let bucket = Bucket { client: server.client(), ..bucket };
    let mut refused = 0;
    for (key, content) in &stored {
        match bucket.get(key).try_send() {
            Ok(response) if response.status == 200 => {
                assert!(response.body == content.bytes(), "{key} came back different");
            }
            Ok(response) => {
                assert!(response.status >= 500, "{key} is not missing, it is damaged: {response}");
                refused += 1;
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "30 flipped bits hit none of {} objects", stored.len());
    bucket.store("after", bytes(100_000));
    assert!(bucket.content("after") == bytes(100_000));
}

//! What only the file medium does: its files, its lock, its choice of a zone size.

use std::os::unix::fs::PermissionsExt;

use super::*;

const ZONE_BYTES: u64 = 64 * 1024;

fn options(directory: &tempfile::TempDir) -> FileMediaOptions {
    let zone_bytes = ZONE_BYTES;
    FileMediaOptions { zone_bytes, ..FileMediaOptions::new(directory.path().join("device")) }
}

fn mode(path: &std::path::Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn zone_size_follows_capacity() {
    const MIB: u64 = 1024 * 1024;
    for (capacity_bytes, zone_bytes) in [
        (0, 16 * MIB),
        (16 * 1024 * MIB, 16 * MIB),
        (40 * 1024 * MIB, 32 * MIB),
        (1024 * 1024 * MIB, 1024 * MIB),
        (u64::MAX, 1024 * MIB),
    ] {
        assert_eq!(chosen_zone_bytes(capacity_bytes), zone_bytes, "{capacity_bytes}");
    }
}

#[test]
fn the_first_zone_size_stays() {
    let folder = tempfile::tempdir().unwrap();
    let other = FileMediaOptions { zone_bytes: 1024 * 1024, ..options(&folder) };
    drop(FileMedia::open(&other).unwrap());
    let media = FileMedia::open(&options(&folder)).unwrap();
    assert_eq!(media.zone_bytes(), ZONE_BYTES, "no store was made with the other size");
    media.replace_root(Epoch(1), b"root").unwrap();
    drop(media);
    assert_eq!(FileMedia::open(&other).unwrap().zone_bytes(), ZONE_BYTES);
}

#[test]
fn files_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let media = FileMedia::open(&options(&folder)).unwrap();
    media.create(Epoch(1), ZoneId(0x2a)).unwrap();
    media.replace_root(Epoch(1), b"root").unwrap();
    let top = folder.path().join("device");
    for place in [top.clone(), top.join("zones"), top.join("pool")] {
        assert_eq!(mode(&place), 0o700, "{}", place.display());
    }
    for name in ["LOCK", "device", "root", "zones/0000002a.zone"] {
        assert_eq!(mode(&top.join(name)), 0o600, "{name}");
    }
    media.seal(Epoch(1), ZoneId(0x2a)).unwrap();
    assert_eq!(mode(&top.join("zones/0000002a.zone")), 0o400);
}

#[test]
fn a_second_opener_is_told_who_holds_the_device() {
    let folder = tempfile::tempdir().unwrap();
    let _first = FileMedia::open(&options(&folder)).unwrap();
    let error = FileMedia::open(&options(&folder)).unwrap_err().to_string();
    assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");
}

#[test]
fn an_unusable_place_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("device"), "").unwrap();
    let error = FileMedia::open(&options(&folder)).unwrap_err().to_string();
    for words in ["device", "uid", "mode 0", "a file is in the way"] {
        assert!(error.contains(words), "{words:?} is not in {error:?}");
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    for name in ["root", "device", "zones/0000002a.zone"] {
        let folder = tempfile::tempdir().unwrap();
        let media = FileMedia::open(&options(&folder)).unwrap();
        media.create(Epoch(1), ZoneId(0x2a)).unwrap();
        media.replace_root(Epoch(1), b"root").unwrap();
        drop(media);
        let path = folder.path().join("device").join(name);
        std::fs::remove_file(&path).unwrap();
        // A name that leads to itself, as root may open any file.
        std::os::unix::fs::symlink(path.file_name().unwrap(), &path).unwrap();
        let text = FileMedia::open(&options(&folder)).unwrap_err().to_string();
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        assert!(text.contains("belongs to uid"), "{text}");
    }
}

#[test]
fn looking_for_a_device_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device");
    assert!(!FileMedia::is_in(&path));
    assert!(!path.exists());
    std::fs::create_dir(&path).unwrap();
    assert!(!FileMedia::is_in(&path));
    drop(FileMedia::open(&options(&folder)).unwrap());
    for gone in ["device", "zones"] {
        assert!(FileMedia::is_in(&path), "what is left of a device is one");
        let place = path.join(gone);
        if place.is_dir() { std::fs::remove_dir(place) } else { std::fs::remove_file(place) }
            .unwrap();
    }
}

#[test]
fn a_device_file_that_is_gone_is_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let media = FileMedia::open(&options(&folder)).unwrap();
    media.create(Epoch(1), ZoneId(1)).unwrap();
    drop(media);
    std::fs::remove_file(folder.path().join("device/device")).unwrap();
    assert!(matches!(FileMedia::open(&options(&folder)), Err(Error::Corrupt(_))));
}

#[test]
fn a_changed_root_object_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let media = FileMedia::open(&options(&folder)).unwrap();
    media.replace_root(Epoch(1), b"root").unwrap();
    std::fs::write(folder.path().join("device/root"), b"other").unwrap();
    assert!(matches!(media.root(), Err(Error::Corrupt(c)) if c.what == "root object"));
}

#[test]
fn a_shortened_zone_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let media = FileMedia::open(&options(&folder)).unwrap();
    media.create(Epoch(1), ZoneId(1)).unwrap();
    let file = File::options().write(true).open(folder.path().join("device/zones/00000001.zone"));
    file.unwrap().set_len(4096).unwrap();
    let mut out = [0; 16];
    media.read(ZoneId(1), 0, &mut out).unwrap();
    let error = media.read(ZoneId(1), 8192, &mut out).unwrap_err();
    assert!(matches!(error, Error::Corrupt(c) if c.zone == Some(ZoneId(1))));
}

#[test]
fn freed_files_are_kept_up_to_a_limit_and_reused() {
    let folder = tempfile::tempdir().unwrap();
    let media =
        FileMedia::open(&FileMediaOptions { capacity_bytes: Some(1 << 20), ..options(&folder) })
            .unwrap();
    let count = |name: &str| std::fs::read_dir(folder.path().join("device").join(name)).unwrap();
    for id in 1..=10 {
        media.create(Epoch(1), ZoneId(id)).unwrap();
    }
    for id in 1..=10 {
        media.seal(Epoch(1), ZoneId(id)).unwrap();
        media.delete(Epoch(1), ZoneId(id)).unwrap();
    }
    assert_eq!((count("zones").count(), count("pool").count()), (0, 4));
    media.create(Epoch(1), ZoneId(11)).unwrap();
    media.write(Epoch(1), ZoneId(11), 0, &[Sector::ZERO]).unwrap();
    assert_eq!((count("zones").count(), count("pool").count()), (1, 3));
    drop(media);
    std::fs::write(folder.path().join("device/pool/0000000c.new"), "half").unwrap();
    let media = FileMedia::open(&options(&folder)).unwrap();
    assert_eq!((count("zones").count(), count("pool").count()), (1, 3));
    assert_eq!(media.list().unwrap(), [ZoneId(11)]);
}

#[test]
fn a_mark_that_a_crash_left_on_a_freed_file_seals_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let media = FileMedia::open(&options(&folder)).unwrap();
    media.create(Epoch(1), ZoneId(1)).unwrap();
    media.delete(Epoch(1), ZoneId(1)).unwrap();
    let free = folder.path().join("device/pool/00000001.free");
    std::fs::set_permissions(free, PermissionsExt::from_mode(0o400)).unwrap();
    media.create(Epoch(1), ZoneId(2)).unwrap();
    assert_eq!(mode(&folder.path().join("device/zones/00000002.zone")), 0o600);
    drop(media);
    let media = FileMedia::open(&options(&folder)).unwrap();
    assert!(!media.is_sealed(ZoneId(2)).unwrap());
}

#[test]
fn a_freed_file_bears_no_mark() {
    let folder = tempfile::tempdir().unwrap();
    let media = FileMedia::open(&options(&folder)).unwrap();
    media.create(Epoch(1), ZoneId(1)).unwrap();
    media.seal(Epoch(1), ZoneId(1)).unwrap();
    media.delete(Epoch(1), ZoneId(1)).unwrap();
    assert_eq!(mode(&folder.path().join("device/pool/00000001.free")), 0o600);
}

#[test]
fn sealing_syncs_only_what_was_not() {
    for (durability, syncs) in
        [(Durability::Sync, [0, 1]), (Durability::Device, [1, 1]), (Durability::None, [1, 1])]
    {
        let folder = tempfile::tempdir().unwrap();
        let media = FileMedia::open(&FileMediaOptions { durability, ..options(&folder) }).unwrap();
        for (id, syncs) in (1..).zip(syncs) {
            media.create(Epoch(1), ZoneId(id)).unwrap();
            media.write(Epoch(1), ZoneId(id), 0, &[Sector::ZERO]).unwrap();
            if id == 1 {
                media.sync(Epoch(1), ZoneId(id)).unwrap();
            }
            let before = media.counters().syncs;
            media.seal(Epoch(1), ZoneId(id)).unwrap();
            assert_eq!(media.counters().syncs - before, syncs, "zone {id} under {durability:?}");
        }
    }
}

#[test]
fn a_device_durable_zone_has_no_holes() {
    let folder = tempfile::tempdir().unwrap();
    let options = FileMediaOptions { durability: Durability::Device, ..options(&folder) };
    let media = FileMedia::open(&options).unwrap();
    media.create(Epoch(1), ZoneId(1)).unwrap();
    if media.writes_direct() {
        let file = media.directory.open_zone(ZoneId(1)).unwrap();
        let hole = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0)).unwrap();
        assert_eq!(hole, ZONE_BYTES);
    }
}

#[test]
fn a_hot_range_is_read_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let media = FileMedia::open(&options(&folder)).unwrap();
    media.create(Epoch(1), ZoneId(1)).unwrap();
    media.write(Epoch(1), ZoneId(1), 0, &[Sector([7; 4096])]).unwrap();
    let mut out = [0; 4096];
    assert!(!media.read_cached(ZoneId(1), 8192, &mut out).unwrap_or(true) || out == [0; 4096]);
    media.read(ZoneId(1), 0, &mut out).unwrap();
    if media.read_cached(ZoneId(1), 0, &mut out).unwrap() {
        assert_eq!(out, [7; 4096]);
    } else {
        assert!(media.nowait_refused.load(Relaxed), "a page that was just read is not cached");
    }
}

#[test]
fn probing_never_fails() {
    let folder = tempfile::tempdir().unwrap();
    let media = FileMedia::open(&options(&folder)).unwrap();
    assert!(!media.probe().filesystem.is_empty());
    assert!(!media.probe().to_string().is_empty());
}

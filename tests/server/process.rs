//! The process: how it starts, what it refuses, how it stops, and what it tells an operator.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::fixture::bytes;
use crate::support::process::free_address;
use crate::support::{Bucket, Connection, Setup, shared};

const MIB: usize = 1024 * 1024;

fn words(output: &std::process::Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

#[test]
fn everything_is_there_after_a_restart() {
    let server = Setup::new().start();
    let bucket = Bucket::create_locked(&server.client(), "restart");
    let large = bytes(7 * MIB);
    let put = bucket.put("small").body("small").header("x-amz-meta-a", "1");
    let small = put.header("x-amz-tagging", "t=1").checksum("SHA256").send().expect(200);
    bucket.store("large", large.clone());
    let old = bucket.store_version("versions", "old");
    bucket.store("versions", "new");
    bucket.delete("gone").send().expect(204);
    let hold = "<LegalHold><Status>ON</Status></LegalHold>";
    bucket.put("small?legal-hold").body(hold).content_md5().send().expect(200);
    let upload = bucket.post("upload?uploads").send().expect(200).field("UploadId");
    let part = format!("upload?partNumber=1&uploadId={upload}");
    let etag = bucket.put(&part).body("part").send().expect(200).etag();

    let server = server.restart();
    let bucket = Bucket { client: server.client(), ..bucket };
    let head = bucket.head("small").header("x-amz-checksum-mode", "ENABLED").send().expect(200);
    let head = head.with("x-amz-meta-a", "1").with("etag", &small.etag());
    assert_eq!(head.header("x-amz-checksum-sha256"), small.header("x-amz-checksum-sha256"));
    head.with("x-amz-object-lock-legal-hold", "ON").with("x-amz-tagging-count", "1");
    assert!(bucket.content("large") == large);
    assert_eq!(bucket.content("versions"), b"new");
    assert_eq!(bucket.get(&format!("versions?versionId={old}")).send().expect(200).text(), "old");
    bucket.get("gone").send().refused(404, "NoSuchKey");
    let id = small.version_id();
    bucket.delete(&format!("small?versionId={id}")).send().refused(403, "AccessDenied");
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    bucket.post(&format!("upload?uploadId={upload}")).body(body).send().expect(200);
    assert_eq!(bucket.content("upload"), b"part");
}

#[test]
fn a_stop_lets_the_request_in_progress_finish() {
    let mut server = Setup::new().start();
    let bucket = Bucket::create(&server.client(), "drain");
    let wire = bucket.put("k").body(bytes(MIB)).build();
    let body = wire.frames.concat();
    let mut connection = Connection::open(server.address).unwrap();
    connection.write(&wire.head).unwrap();
    connection.write(&body[..MIB / 2]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    server.signal_stop();
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.is_running(), "it left a request behind");
    connection.write(&body[MIB / 2..]).unwrap();
    connection.read_response("PUT").unwrap().expect(200);
    assert!(server.wait().success());
    let server = server.start_again();
    let bucket = Bucket { client: server.client(), ..bucket };
    assert!(bucket.content("k") == bytes(MIB));
}

#[test]
fn a_stop_closes_idle_connections_and_takes_no_new_ones() {
    let mut server = Setup::new().start();
    let mut idle = Connection::open(server.address).unwrap();
    let head = format!("GET /livez HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    idle.exchange("GET", head.as_bytes(), b"").unwrap().expect(200);
    let started = Instant::now();
    assert!(server.stop().success());
    assert!(started.elapsed() < Duration::from_secs(8), "an idle connection held up the stop");
    assert!(Connection::open(server.address).is_err());
    assert!(!idle.waits(Duration::from_secs(1)));
}

#[test]
fn a_second_signal_ends_a_slow_drain() {
    let mut server = Setup::new().env("LODESTORE_DRAIN", "5m").start();
    let bucket = Bucket::create(&server.client(), "abort");
    let wire = bucket.put("k").body(bytes(MIB)).build();
    let mut connection = Connection::open(server.address).unwrap();
    connection.write(&wire.head).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    server.signal_stop();
    std::thread::sleep(Duration::from_millis(500));
    assert!(server.is_running());
    server.signal_stop();
    let started = Instant::now();
    server.wait();
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_signal_ends_a_start_at_any_moment() {
    let setup = Setup::new();
    // Opening waits in this pipe until somebody writes to it, and nobody does.
    let pipe = setup.home().join("users-pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    let words =
        ["serve", "--ephemeral", "--listen", "127.0.0.1:0", "--users", pipe.to_str().unwrap()];
    let scratch = setup.home().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    for after_ms in [0, 0, 0, 0, 1, 1, 2, 3, 5, 10, 30, 100] {
        let log = File::create(setup.home().join("log")).unwrap();
        let mut command = setup.command(&words);
        command.env("TMPDIR", &scratch).stderr(log.try_clone().unwrap()).stdout(log);
        let status = ended_by_signal(command, &scratch, Duration::from_millis(after_ms));
        let log = std::fs::read_to_string(setup.home().join("log")).unwrap();
        assert_eq!(status.code(), Some(130), "after {after_ms} ms: {log}");
        let left = std::fs::read_dir(&scratch).unwrap().count();
        assert_eq!(left, 0, "after {after_ms} ms the store was left behind: {log}");
    }
}

/// How `command` ends on SIGTERM, sent so long after it began to open a store in `scratch`.
fn ended_by_signal(mut command: Command, scratch: &Path, after: Duration) -> ExitStatus {
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_open = |store: std::fs::DirEntry| store.path().join("LOCK").exists();
    while !std::fs::read_dir(scratch).unwrap().flatten().any(is_open) {
        if Instant::now() > deadline || child.try_wait().unwrap().is_some() {
            child.kill().unwrap();
            panic!("the start does not get to its device");
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    std::thread::sleep(after);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > ended {
            child.kill().unwrap();
            panic!("the signal was not heard");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_data_directory_has_one_owner() {
    let server = Setup::new().start();
    let data = server.data();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let output = server.setup().refusal(&arguments);
    assert!(!output.status.success());
    let text = words(&output);
    assert!(text.contains(data.to_str().unwrap()), "the directory is not named: {text}");
    assert!(text.contains("lock") || text.contains("in use"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    Bucket::create(&server.client(), "owner").store("k", "x");
}

#[test]
fn a_lock_dies_with_its_process() {
    let mut server = Setup::new().start();
    let bucket = Bucket::create(&server.client(), "killed");
    bucket.store("k", "x");
    server.kill();
    let server = server.start_again();
    let bucket = Bucket { client: server.client(), ..bucket };
    assert_eq!(bucket.content("k"), b"x");
}

#[test]
fn health_is_told_to_anyone_under_every_name() {
    let client = shared().client();
    for path in [
        "/livez",
        "/readyz",
        "/healthz",
        "/minio/health/live",
        "/minio/health/ready",
        "/minio/health/cluster",
    ] {
        client.request("GET", path).anonymous().send().expect(200);
        client.request("HEAD", path).anonymous().send().expect(200);
    }
    // The durability that was asked for is no secret.
    let server = Setup::new().env("LODESTORE_DURABILITY", "none").start();
    let text = server.client().request("GET", "/readyz").anonymous().send().expect(200).text();
    assert!(text.contains("none"), "{text}");
}

#[test]
fn the_healthcheck_command_asks_the_server() {
    let mut server = Setup::new().start();
    let url = format!("http://{}/readyz", server.address);
    let setup = server.setup().clone().env("LODESTORE_LISTEN", &server.address.to_string());
    for arguments in [&["healthcheck"][..], &["healthcheck", "--url", &url]] {
        let output = setup.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    }
    server.stop();
    assert!(!setup.run(&["healthcheck"]).status.success());
}

#[test]
fn metrics_have_their_names_and_move() {
    let server = Setup::new().start();
    let bucket = Bucket::create(&server.client(), "metrics");
    let names = [
        "lodestore_sync_total",
        "lodestore_acknowledged_writes_total",
        "lodestore_device_written_bytes_total",
    ];
    let read = || names.map(|name| server.metric(name).unwrap_or_else(|| panic!("no {name}")));
    let before = read();
    for number in 0..10 {
        bucket.store(&format!("k{number}"), bytes(10_000));
    }
    let after = read();
    for ((name, before), after) in names.iter().zip(before).zip(after) {
        assert!(after > before, "{name} did not move from {before}");
    }
    assert!(after[1] - before[1] >= 10.0);
    assert!(after[2] - before[2] >= 100_000.0);
    let text = server.client().request("GET", "/_/metrics").anonymous().send().text();
    let (samples, mut typed) = (text.lines().filter(|line| !line.starts_with('#')), 0);
    for sample in samples.filter(|line| !line.is_empty()) {
        let (name, value) = sample.rsplit_once(' ').expect("a sample");
        value.parse::<f64>().unwrap_or_else(|_| panic!("{sample}"));
        let name = name.split('{').next().unwrap_or_default();
        assert!(name.starts_with("lodestore_") || name.starts_with("process_"), "{sample}");
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        let is_typed = |name: &str| text.contains(&format!("# TYPE {name} "));
        assert!(is_typed(name) || is_typed(base), "{name} has no type");
        typed += 1;
    }
    assert!(typed > 10);
}

#[test]
fn metrics_count_requests_by_operation_and_errors() {
    let server = Setup::new().start();
    let bucket = Bucket::create(&server.client(), "metrics-requests");
    bucket.store("k", "x");
    bucket.get("k").send().expect(200);
    bucket.get("missing").send().expect(404);
    let text = server.client().request("GET", "/_/metrics").anonymous().send().expect(200).text();
    for operation in ["PutObject", "GetObject", "CreateBucket"] {
        assert!(text.contains(operation), "no {operation} in\n{text}");
    }
    assert!(text.contains("lodestore_requests_total"), "{text}");
}

#[test]
fn buckets_are_made_at_start() {
    let setup = Setup::new().env("LODESTORE_BUCKETS", "plain,versions:versioned,worm:lock");
    let server = setup.start();
    let check = |client: &Client| {
        let of =
            |name: &str, query: &str| client.request("GET", &format!("/{name}?{query}")).send();
        assert_eq!(of("plain", "versioning").expect(200).field("Status"), "");
        assert_eq!(of("versions", "versioning").expect(200).field("Status"), "Enabled");
        let lock = of("worm", "object-lock").expect(200);
        assert_eq!(lock.field("ObjectLockEnabled"), "Enabled");
    };
    check(&server.client());
    server.client().request("PUT", "/plain/k").body("x").send().expect(200);
    let server = server.restart();
    check(&server.client());
    assert_eq!(server.client().request("GET", "/plain/k").send().expect(200).text(), "x");
}

#[test]
fn a_lock_that_a_bucket_cannot_have_keeps_the_server_from_starting() {
    let setup = Setup::new();
    let mut server = setup.clone().env("LODESTORE_BUCKETS", "worm").start();
    assert!(server.stop().success());
    let data = setup.data();
    let locked = setup.clone().env("LODESTORE_BUCKETS", "worm:lock");
    let locked = locked.env("LODESTORE_DATA", data.to_str().unwrap());
    let output = locked.refusal(&["serve", "--listen", "127.0.0.1:0"]);
    let text = words(&output);
    assert!(!output.status.success() && text.contains("worm"), "{text}");
    assert!(text.contains("Versioning"), "{text}");
    let mut server = setup.clone().env("LODESTORE_BUCKETS", "worm:versioned").start();
    assert!(server.stop().success());
    let server = locked.start();
    let lock = server.client().request("GET", "/worm?object-lock").send().expect(200);
    assert_eq!(lock.field("ObjectLockEnabled"), "Enabled");
}

#[test]
fn generated_keys_are_kept_private_and_stay_the_same() {
    let server = Setup::bare().start();
    let files: Vec<PathBuf> = files_below(&server.data());
    let credentials = files
        .iter()
        .find(|path| path.file_name().is_some_and(|name| name == "root-credentials"))
        .expect("a file of credentials");
    let mode = std::fs::metadata(credentials).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(credentials).unwrap();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a key");
        line.trim_start_matches([' ', '=']).to_owned()
    };
    let (access, secret) = (value("aws_access_key_id"), value("aws_secret_access_key"));
    assert!(secret.len() >= 32, "a short secret");
    let log = server.log();
    assert!(log.contains(&access), "the banner does not show the keys:\n{log}");
    let client = server.client().with_keys(&access, &secret);
    client.request("PUT", "/first-bucket").send().expect(200);
    let server = server.restart();
    let client = server.client().with_keys(&access, &secret);
    client.request("HEAD", "/first-bucket").send().expect(200);
}

#[test]
fn the_data_directory_is_private() {
    let server = Setup::new().start();
    let bucket = Bucket::create(&server.client(), "private");
    bucket.store("k", "x");
    let mode = std::fs::metadata(server.data()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "mode {mode:o}");
}

#[test]
fn well_known_keys_stay_on_this_machine() {
    let port = free_address().port();
    let open = format!("0.0.0.0:{port}");
    for (access, secret) in [("minioadmin", "minioadmin"), ("admin", "password"), ("same", "same")]
    {
        let setup = Setup::bare()
            .env("LODESTORE_ROOT_ACCESS_KEY", access)
            .env("LODESTORE_ROOT_SECRET_KEY", secret);
        let output = setup.refusal(&["serve", "--listen", &open]);
        assert!(!output.status.success(), "{access} was taken");
        assert!(words(&output).contains("key"), "{}", words(&output));
        assert!(!setup.home().join("lodestore-data").join("root").exists());
    }
    let local = Setup::bare().env("MINIO_ROOT_USER", "minioadmin");
    let server = local.env("MINIO_ROOT_PASSWORD", "minioadmin").start();
    let client = server.client().with_keys("minioadmin", "minioadmin");
    client.request("PUT", "/local").send().expect(200);
}

#[test]
fn keys_come_from_the_first_place_that_names_them() {
    let setup = Setup::bare();
    let file = setup.home().join("secret");
    std::fs::write(&file, "from-a-file-0123456789\n").unwrap();
    let server = setup
        .env("LODESTORE_ROOT_ACCESS_KEY", "OURS")
        .env("LODESTORE_ROOT_SECRET_KEY_FILE", file.to_str().unwrap())
        .env("AWS_ACCESS_KEY_ID", "THEIRS")
        .env("AWS_SECRET_ACCESS_KEY", "theirs-0123456789")
        .start();
    let root = server.client();
    let ours = root.with_keys("OURS", "from-a-file-0123456789");
    ours.request("GET", "/").send().expect(200);
    let theirs = root.with_keys("THEIRS", "theirs-0123456789");
    theirs.request("GET", "/").send().refused(403, "InvalidAccessKeyId");
}

#[test]
fn a_wrong_setting_is_named_with_its_place() {
    for (name, value) in [
        ("LODESTORE_LISTEN", "nowhere"),
        ("LODESTORE_DURABILITY", "maybe"),
        ("LODESTORE_ZONE_BYTES", "3 apples"),
        ("LODESTORE_BUCKETS", "Bad_Name"),
        ("LODESTORE_USERS", "/nonexistent/users.json"),
    ] {
        let output = Setup::new().env(name, value).refusal(&["serve"]);
        let text = words(&output);
        assert!(!output.status.success(), "{name}={value} was taken");
        assert!(text.contains(name) || text.contains(value), "{name}={value}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn a_misspelt_variable_is_told() {
    let server = Setup::new().env("LODESTORE_LISTN", "127.0.0.1:9000").start();
    assert!(server.log().contains("LODESTORE_LISTN"), "{}", server.log());
}

#[test]
fn a_taken_port_is_named() {
    let server = Setup::new().start();
    let setup = Setup::new();
    let output = setup.refusal(&["serve", "--listen", &server.address.to_string()]);
    assert!(!output.status.success());
    let port = server.address.port().to_string();
    assert!(words(&output).contains(&port), "{}", words(&output));
}

#[test]
fn an_ephemeral_store_leaves_nothing() {
    let temporary = Setup::bare();
    let place = temporary.home().to_str().unwrap();
    let mut server = Setup::new().argument("--ephemeral").env("TMPDIR", place).start();
    Bucket::create(&server.client(), "ephemeral").store("k", bytes(MIB));
    assert!(server.stop().success());
    assert!(!server.data().exists());
    let left = files_below(temporary.home());
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_log_that_takes_nothing_costs_no_request() {
    let mut server = Setup::new().env("LODESTORE_LOG", "debug").log_refused().start();
    let bucket = Bucket::create(&server.client(), "unheard");
    bucket.store("k", "x");
    assert_eq!(bucket.content("k"), b"x");
    bucket.get("missing").send().refused(404, "NoSuchKey");
    assert_eq!(server.metric("lodestore_handler_panics_total"), Some(0.0));
    assert!(server.stop().success());
}

#[test]
fn a_check_that_cannot_print_still_tells() {
    let mut server = Setup::new().start();
    assert!(server.stop().success());
    let data = server.data();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = server.setup().command(&["check", data.to_str().unwrap()]).stdout(full).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("No space left"), "{}", words(&output));
}

#[test]
fn a_log_that_is_no_terminal_is_json_by_the_line() {
    let mut server = Setup::new().start();
    Bucket::create(&server.client(), "json-log").store("k", "x");
    server.stop();
    let log = server.log();
    let events: Vec<&str> = log.lines().filter(|line| line.starts_with('{')).collect();
    assert!(!events.is_empty(), "no JSON in\n{log}");
    for event in events {
        serde_json::from_str::<serde_json::Value>(event)
            .unwrap_or_else(|why| panic!("{why}: {event}"));
    }
}

/// The files below a directory, at any depth.
pub fn files_below(directory: &std::path::Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).expect("list a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { pending.push(path) } else { files.push(path) }
        }
    }
    files
}

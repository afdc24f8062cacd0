//! The figures of `docs/performance.md` in one go, as markdown: a release server, a bare hyper
//! server, a file-per-object writer and the device itself, on the same machine and directory.
//!
//! `benches/run.sh [DIRECTORY]` builds everything and runs this.
//! The variables `KEYS` (1000000) and `SECONDS_EACH` (10) make it shorter.

use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lodestore::healthcheck;
use serde_json::Value;

const ACCESS_KEY: &str = "lodestore-figures";
const SECRET_KEY: &str = "only-for-this-measurement";
const READY_MAX: Duration = Duration::from_secs(120);
const MIB: f64 = 1024.0 * 1024.0;

fn main() -> Result<()> {
    let directory = std::env::args().nth(1).context("usage: figures DIRECTORY")?;
    let setting = |name: &str, default: u64| {
        std::env::var(name).ok().map_or(Ok(default), |text| text.parse())
    };
    let figures = Figures {
        tools: std::env::current_exe()?.parent().context("no directory")?.to_owned(),
        directory: directory.into(),
        keys: setting("KEYS", 1_000_000)?,
        seconds: setting("SECONDS_EACH", 10)?,
    };
    std::fs::create_dir_all(&figures.directory)?;
    println!("| figure | target | measured | |\n|---|---|---|---|");
    let device = figures.device()?;
    figures.empty_store()?;
    figures.small_puts(&device)?;
    figures.gets()?;
    figures.large_puts(&device)?;
    figures.many_keys()
}

/// What the device and the processor can do.
struct Device {
    sync_us: f64,
    write_mib_per_s: f64,
    md5_mib_per_s: f64,
}

struct Figures {
    tools: PathBuf,
    directory: PathBuf,
    keys: u64,
    seconds: u64,
}

impl Figures {
    fn device(&self) -> Result<Device> {
        let measured = self.tool("device_sync", &[&self.text(), "2000"])?;
        let device = Device {
            sync_us: figure(&measured, "/latency_us/p50")?,
            write_mib_per_s: figure(&measured, "/write_mib_per_s")?,
            md5_mib_per_s: figure(&measured, "/md5_mib_per_s")?,
        };
        note("4 KiB direct write and sync on the device, p50", format!("{:.0} us", device.sync_us));
        note("1 MiB direct writes, synced each", format!("{:.0} MiB/s", device.write_mib_per_s));
        note("MD5, one processor", format!("{:.0} MiB/s", device.md5_mib_per_s));
        Ok(device)
    }

    fn empty_store(&self) -> Result<()> {
        let server = self.server("empty")?;
        at_most("empty store, start to ready (ms)", 100.0, server.ready_after.as_secs_f64() * 1e3);
        at_most("empty store, resident (MiB)", 30.0, server.resident_bytes()? / MIB);
        Ok(())
    }

    fn small_puts(&self, device: &Device) -> Result<()> {
        let seconds = self.seconds.to_string();
        let files = self.tool("file_per_object", &[&self.text(), "4KiB", "64", &seconds])?;
        let files_per_s = figure(&files, "/ops_per_s")?;
        note("one file per object, 64 threads", format!("{files_per_s:.0} ops/s"));
        let server = self.server("small")?;
        let before = server.counters()?;
        let put = self.bench(&server.url(), &["--op", "put", "--size", "4KiB"])?;
        let done = server.counters()?.since(&before);
        let ops_per_s = figure(&put, "/ops_per_s")?;
        note("4 KiB PUT, 64 connections", format!("{ops_per_s:.0} ops/s"));
        note("4 KiB PUT, 64 connections, p50 / p99 (us)", latencies(&put)?);
        at_least("acknowledged writes a sync", 20.0, done.acknowledged / done.syncs);
        at_least("× one file per object", 10.0, ops_per_s / files_per_s);
        let bytes = figure(&put, "/operations")? * 4096.0;
        at_most("bytes written ÷ bytes put, 4 KiB", 1.5, done.written_bytes / bytes);
        let one =
            self.bench(&server.url(), &["--op", "put", "--size", "4KiB", "--concurrency", "1"])?;
        let limit_us = 1.3 * device.sync_us + 1000.0;
        at_most("4 KiB PUT, 1 connection, p50 (us)", limit_us, figure(&one, "/latency_us/p50")?);
        Ok(())
    }

    fn gets(&self) -> Result<()> {
        let server = self.server("gets")?;
        for (size, share) in [("4KiB", 50.0), ("4MiB", 70.0)] {
            let bare = Bare::start(&self.tools.join("bare_hyper"), size)?;
            let arguments = ["--op", "get", "--size", size, "--prefix", size, "--keys", "16"];
            // Alternating, so that what else the machine does hits both alike.
            let mut rates = [0.0, 0.0];
            for _ in 0..2 {
                rates[0] += figure(&self.bench(&bare.url, &arguments)?, "/ops_per_s")? / 2.0;
                rates[1] += figure(&self.bench(&server.url(), &arguments)?, "/ops_per_s")? / 2.0;
            }
            let [bare_rate, rate] = rates;
            note(
                &format!("{size} GET, signed, hot"),
                format!("{rate:.0} ops/s, bare {bare_rate:.0}"),
            );
            at_least(&format!("{size} GET, % of a bare server"), share, 100.0 * rate / bare_rate);
        }
        Ok(())
    }

    fn large_puts(&self, device: &Device) -> Result<()> {
        let server = self.server("large")?;
        let before = server.counters()?;
        let put =
            self.bench(&server.url(), &["--op", "put", "--size", "4MiB", "--concurrency", "8"])?;
        let done = server.counters()?.since(&before);
        let mib_per_s = figure(&put, "/mib_per_s")?;
        note("4 MiB PUT, 8 connections", format!("{mib_per_s:.0} MiB/s"));
        let processors = std::thread::available_parallelism()?.get() as f64;
        let allowed = (device.md5_mib_per_s * processors).min(device.write_mib_per_s);
        at_least("4 MiB PUT, % of MD5 and device", 80.0, 100.0 * mib_per_s / allowed);
        let bytes = figure(&put, "/operations")? * 4.0 * MIB;
        at_most("bytes written ÷ bytes put, 4 MiB", 1.02, done.written_bytes / bytes);
        Ok(())
    }

    fn many_keys(&self) -> Result<()> {
        let mut server = self.server("many")?;
        let empty = server.resident_bytes()?;
        let (keys, url) = (self.keys.to_string(), server.url());
        let layout = ["--size", "100B", "--keys", &keys, "--folders", "1000"];
        let fill = [["--op", "put", "--count", &keys].as_slice(), &layout].concat();
        let filled = self.bench(&url, &fill)?;
        note("keys in the bucket", figure(&filled, "/operations")?);
        let per_object = (server.resident_bytes()? - empty) / self.keys as f64;
        at_most("memory an object (bytes)", 300.0, per_object);
        let list = ["--op", "list", "--prefill", "none", "--concurrency", "1"];
        let page = self.bench(&url, &[list.as_slice(), &layout].concat())?;
        note("entries of that page", figure(&page, "/page_entries")?);
        at_most("page of 1,000 keys, p50 (ms)", 5.0, figure(&page, "/latency_us/p50")? / 1e3);
        let delimiter = ["--delimiter", "/"];
        let folders = self.bench(&url, &[list.as_slice(), &layout, &delimiter].concat())?;
        note("entries of that page", figure(&folders, "/page_entries")?);
        let p50_ms = figure(&folders, "/latency_us/p50")? / 1e3;
        at_most("page of 1,000 common prefixes, p50 (ms)", 10.0, p50_ms);
        server.kill()?;
        let again = self.server("many")?;
        let seconds = again.ready_after.as_secs_f64();
        note("kill -9 to ready (s)", format!("{seconds:.2}"));
        let millions = self.keys as f64 / 1e6;
        at_most("recovery a million objects (s)", 1.0, seconds / millions.max(0.1));
        Ok(())
    }

    fn text(&self) -> String {
        self.directory.to_string_lossy().into_owned()
    }

    fn server(&self, name: &str) -> Result<Server> {
        Server::start(&self.tools.join("../lodestore"), &self.directory.join(name))
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> Result<Value> {
        json_of(Command::new(self.tools.join(name)).args(arguments))
    }

    fn bench(&self, url: &str, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(self.tools.join("../lodestore"));
        command.args(["bench", "--json", "--endpoint", url]).args(arguments);
        if !arguments.contains(&"--count") {
            command.args(["--duration", &format!("{}s", self.seconds)]);
        }
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        json_of(&mut command)
    }
}

/// A server of our own on a free port; killed at the end.
struct Server {
    child: Child,
    address: SocketAddr,
    ready_after: Duration,
}

/// Counters of `/_/metrics`.
struct Counters {
    syncs: f64,
    acknowledged: f64,
    written_bytes: f64,
}

impl Counters {
    fn since(&self, before: &Self) -> Self {
        Self {
            syncs: self.syncs - before.syncs,
            acknowledged: self.acknowledged - before.acknowledged,
            written_bytes: self.written_bytes - before.written_bytes,
        }
    }
}

impl Server {
    fn start(program: &Path, data: &Path) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let start = Instant::now();
        let child = Command::new(program)
            .args(["serve", "--log", "warn", "--listen", &address.to_string(), "--data"])
            .arg(data)
            .env("LODESTORE_ROOT_ACCESS_KEY", ACCESS_KEY)
            .env("LODESTORE_ROOT_SECRET_KEY", SECRET_KEY)
            .spawn()?;
        let mut server = Self { child, address, ready_after: Duration::ZERO };
        while healthcheck::run(&healthcheck::url_of(address)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status}");
            }
            if start.elapsed() > READY_MAX {
                bail!("the server is not ready after {READY_MAX:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        server.ready_after = start.elapsed();
        Ok(server)
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn counters(&self) -> Result<Counters> {
        let text = self.metrics()?;
        let sum = |name: &str| {
            let mut values = text
                .lines()
                .filter_map(|line| line.strip_prefix(name))
                .filter(|rest| rest.starts_with([' ', '{']))
                .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
                .peekable();
            values.peek().with_context(|| format!("no metric {name}"))?;
            anyhow::Ok(values.sum())
        };
        Ok(Counters {
            syncs: sum("lodestore_sync_total")?,
            acknowledged: sum("lodestore_acknowledged_writes_total")?,
            written_bytes: sum("lodestore_device_written_bytes_total")?,
        })
    }

    fn metrics(&self) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        write!(
            stream,
            "GET /_/metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.address
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    fn resident_bytes(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024.0)
    }

    fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}

/// A bare hyper server; killed at the end.
struct Bare {
    child: Child,
    url: String,
}

impl Bare {
    fn start(program: &Path, size: &str) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(program)
            .args([&address.to_string(), size])
            .stderr(Stdio::null())
            .spawn()?;
        let bare = Self { child, url: format!("http://{address}") };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if start.elapsed() > READY_MAX {
                bail!("the bare server does not listen");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(bare)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn json_of(command: &mut Command) -> Result<Value> {
    let output = command.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{command:?} ended with {}: {text}", output.status);
    }
    serde_json::from_str(&text).with_context(|| format!("{command:?}"))
}

fn figure(value: &Value, pointer: &str) -> Result<f64> {
    value.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("no {pointer}"))
}

fn latencies(value: &Value) -> Result<String> {
    let [p50, p99] = [figure(value, "/latency_us/p50")?, figure(value, "/latency_us/p99")?];
    Ok(format!("{p50:.0} / {p99:.0}"))
}

fn note(name: &str, measured: impl Display) {
    println!("| {name} | | {measured} | |");
}

fn at_least(name: &str, target: f64, measured: f64) {
    let verdict = if measured >= target { "reached" } else { "**missed**" };
    println!("| {name} | ≥ {target:.0} | {measured:.2} | {verdict} |");
}

fn at_most(name: &str, target: f64, measured: f64) {
    let verdict = if measured <= target { "reached" } else { "**missed**" };
    println!("| {name} | ≤ {target} | {measured:.2} | {verdict} |");
}

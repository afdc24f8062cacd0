//! The server as a process: started on a free port and an own data directory, killed, stopped and
//! started again, and never left behind.

use std::fs::File;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::client::Client;
use super::http::Connection;

/// Keys of the root identity in every test.
pub const ROOT: (&str, &str) = ("LODESTOREROOTKEY", "lodestore/root+secret/0123456789");
/// Two users with keys of their own.
pub const ALICE: (&str, &str) = ("ALICEACCESSKEY00", "alice+secret/0123456789abcdefghij");
/// The other one.
pub const BOB: (&str, &str) = ("BOBACCESSKEY0000", "bob/secret+0123456789abcdefghijkl");

/// Longest wait for a server to come up, also in a debug build on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a server to stop.
const STOP_MAX: Duration = Duration::from_secs(60);

/// The users file that names [`ALICE`] and [`BOB`].
fn users_file() -> String {
    let user = |name: &str, keys: (&str, &str)| {
        let (access_key, secret_key) = keys;
        serde_json::json!({ "name": name, "access_key": access_key, "secret_key": secret_key })
    };
    serde_json::json!({ "users": [user("alice", ALICE), user("bob", BOB)] }).to_string()
}

/// How a server is to be started.
#[derive(Debug, Clone)]
pub struct Setup {
    home: Arc<tempfile::TempDir>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: Log,
    /// File descriptors it may have; none: what this process may.
    descriptors: Option<u32>,
}

/// What becomes of a server's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Log {
    /// It can be read.
    Kept,
    /// The server cannot write it.
    Refused,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// A new home directory, the root keys, two users, else the defaults.
    pub fn new() -> Self {
        let setup = Self::bare();
        let users = setup.home().join("users.json");
        std::fs::write(&users, users_file()).expect("write the users file");
        setup
            .env("LODESTORE_ROOT_ACCESS_KEY", ROOT.0)
            .env("LODESTORE_ROOT_SECRET_KEY", ROOT.1)
            .env("LODESTORE_USERS", users.to_str().expect("a UTF-8 path"))
    }

    /// A new home directory and nothing else: what a first-time user has.
    pub fn bare() -> Self {
        let home = tempfile::Builder::new().prefix("lodestore-test-").tempdir();
        let home = Arc::new(home.expect("make a home directory"));
        Self {
            home,
            arguments: Vec::new(),
            environment: Vec::new(),
            log: Log::Kept,
            descriptors: None,
        }
    }

    /// Sets an environment variable of the server.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(n, _)| n != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an argument of `lodestore serve`.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Lets every write to the log fail, as one to a full disk.
    pub fn log_refused(mut self) -> Self {
        self.log = Log::Refused;
        self
    }

    /// Limits the file descriptors of the server.
    pub fn descriptors(mut self, count: u32) -> Self {
        self.descriptors = Some(count);
        self
    }

    /// Where users file, log and data are.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    /// `lodestore` with `arguments` in this set-up's environment; it knows no other.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_lodestore");
        let mut command = match self.descriptors {
            None => Command::new(program),
            Some(count) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {count}; exec \"$0\" \"$@\""), program]);
                shell
            }
        };
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home()).current_dir(self.home()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(arguments);
        command
    }

    /// Runs `lodestore` with `arguments` to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("run lodestore")
    }

    /// Runs `lodestore serve` on a free port expecting it to refuse; kills it if it does not.
    pub fn refusal(&self, arguments: &[&str]) -> Output {
        let mut child = self
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("run lodestore");
        let deadline = Instant::now() + START_MAX;
        while child.try_wait().expect("wait for lodestore").is_none() {
            if Instant::now() > deadline {
                child.kill().expect("kill lodestore");
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait_with_output().expect("read lodestore's output")
    }

    /// Starts the server and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Server {
        match self.try_start() {
            Ok(server) => server,
            Err(why) => panic!("{why}"),
        }
    }

    /// Starts the server; on failure says what it said.
    pub fn try_start(self) -> Result<Server, String> {
        for _ in 0..5 {
            let address = free_address();
            let mut server = Server::spawn(&self, address);
            let deadline = Instant::now() + START_MAX;
            while !server.is_ready() {
                if let Some(status) = server.child.try_wait().expect("wait for lodestore") {
                    if server.log().contains("in use") && !server.log().contains("lock") {
                        break;
                    }
                    return Err(format!("lodestore ended with {status}:\n{}", server.log()));
                }
                if Instant::now() > deadline {
                    return Err(format!("lodestore is not ready:\n{}", server.log()));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            if server.is_running() {
                return Ok(server);
            }
        }
        Err("no free port".to_owned())
    }
}

/// A running server. It ends with the value, or with this process at the latest.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    child: Child,
    watchdog: Child,
    log: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    fn spawn(setup: &Setup, address: SocketAddr) -> Self {
        static STARTS: AtomicU32 = AtomicU32::new(0);
        let number = STARTS.fetch_add(1, Ordering::Relaxed);
        let log = setup.home().join(format!("log-{number}"));
        let mut output = File::create(&log).expect("make a log file");
        if setup.log == Log::Refused {
            output = File::options().write(true).open("/dev/full").expect("open a full device");
        }
        let mut command = setup.command(&["serve"]);
        command.args(&setup.arguments);
        command.env("LODESTORE_LISTEN", address.to_string());
        if !setup.arguments.iter().any(|argument| argument == "--ephemeral") {
            command.env("LODESTORE_DATA", setup.data());
        }
        command.stderr(output.try_clone().expect("share the log file")).stdout(output);
        let child = command.spawn().expect("run lodestore");
        let watchdog = watch(child.id(), setup.home());
        Self { setup: setup.clone(), child, watchdog, log, address }
    }

    /// A client with the root keys.
    pub fn client(&self) -> Client {
        Client::new(self.address, ROOT.0, ROOT.1)
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.setup.data()
    }

    /// How it was started.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        let mut bytes = Vec::new();
        let read = File::open(&self.log).and_then(|mut file| file.read_to_end(&mut bytes));
        read.expect("read the log");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the process is there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait for lodestore").is_none()
    }

    /// Whether `/readyz` says so.
    pub fn is_ready(&self) -> bool {
        let head =
            format!("GET /readyz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address);
        Connection::open(self.address)
            .and_then(|mut connection| connection.exchange("GET", head.as_bytes(), b""))
            .is_ok_and(|response| response.status == 200)
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill lodestore");
        self.child.wait().expect("wait for lodestore");
    }

    /// Asks it to stop.
    pub fn signal_stop(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), Signal::TERM).expect("signal lodestore");
    }

    /// Waits until it has stopped.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + STOP_MAX;
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for lodestore") {
                return status;
            }
            assert!(Instant::now() < deadline, "lodestore does not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to stop and waits.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.signal_stop();
        self.wait()
    }

    /// Starts it again on the same data, on a port of its own; it must not be running.
    #[track_caller]
    pub fn start_again(mut self) -> Self {
        assert!(!self.is_running(), "the server still runs");
        self.setup.clone().start()
    }

    /// Stops it cleanly and starts it again on the same data.
    #[track_caller]
    pub fn restart(mut self) -> Self {
        let status = self.stop();
        assert!(status.success(), "lodestore stopped with {status}:\n{}", self.log());
        self.start_again()
    }

    /// A line of `/proc/PID/status` in KiB, as bytes.
    pub fn memory_bytes(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field");
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        digits.parse::<u64>().expect("a number") * 1024
    }

    /// The most memory it ever held.
    pub fn memory_peak_bytes(&self) -> u64 {
        self.memory_bytes("VmHWM:")
    }

    /// A gauge or counter of `/_/metrics`, summed over its labels; none when it is not there.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = self.client().request("GET", "/_/metrics").anonymous().send().expect(200).text();
        let values: Vec<f64> = text
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with([' ', '{']))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.len().saturating_sub(4000);
            eprintln!(
                "--- the server's log ends:\n{}",
                String::from_utf8_lossy(&log.as_bytes()[tail..])
            );
        }
        let ended = [self.child.kill(), self.child.wait().map(drop)];
        // The watchdog goes before its pipe closes: by then the process id may be another's.
        let watched = [self.watchdog.kill(), self.watchdog.wait().map(drop)];
        if let Some(error) = ended.into_iter().chain(watched).find_map(Result::err) {
            eprintln!("end the server: {error}");
        }
    }
}

/// A shell that waits for this process to end, and then ends the server and removes its home.
fn watch(pid: u32, home: &Path) -> Child {
    Command::new("sh")
        .args(["-c", "trap '' INT TERM; read -r _; kill -9 \"$0\"; rm -rf -- \"$1\""])
        .arg(pid.to_string())
        .arg(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("run sh")
}

/// An address that nobody listens on just now.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a free port");
    listener.local_addr().expect("a bound port")
}

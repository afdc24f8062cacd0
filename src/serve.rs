//! `lodestore serve`: opens everything in order, says so, waits for a signal, closes everything in
//! the opposite order. The only file that knows every part.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use storage_engine::media::Media;
use storage_engine::{Engine, Environment, MasterKey, Options, SystemEnvironment};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::banner::Banner;
use crate::catalog::Catalog;
use crate::config::{Config, ConfigError, Layers};
use crate::credentials::{RootCredentials, Source};
use crate::data_directory::{DataDirectory, Lifetime, remove_ephemeral};
use crate::iam::{Identities, IdentityError};
use crate::keys::{KeyringError, LocalKeyring, StoreState};
use crate::logging;

/// Why the server did not start or did not stop cleanly.
#[derive(Debug)]
pub enum ServeError {
    /// The operator has to change something.
    Config(ConfigError),
    /// The users file cannot be used.
    Users(IdentityError),
    /// There is no master key.
    Keyring(KeyringError),
    /// The store cannot be used.
    Store(PathBuf, storage_engine::Error),
    /// The address cannot be listened on.
    Listen(SocketAddr, std::io::Error),
    /// The system gives no threads or no signals.
    System(std::io::Error),
    /// A part is not in this build.
    Missing(&'static str),
}

impl std::fmt::Display for ServeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Users(error) => write!(f, "users: {error}"),
            Self::Keyring(error) => error.fmt(f),
            Self::Store(path, error) => write!(f, "store `{}`: {error}", path.display()),
            Self::Listen(address, error) => {
                let fix = match error.kind() {
                    std::io::ErrorKind::AddrInUse => {
                        ": stop what listens there, or give another address with --listen"
                    }
                    std::io::ErrorKind::PermissionDenied => {
                        ": ports below 1024 need a privilege; give another with --listen"
                    }
                    std::io::ErrorKind::AddrNotAvailable => {
                        ": this machine has no such address; give another with --listen"
                    }
                    _ => "",
                };
                write!(f, "listen on {address}: {error}{fix}")
            }
            Self::System(error) => write!(f, "system: {error}"),
            Self::Missing(part) => write!(f, "{part} is not in this build"),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<ConfigError> for ServeError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// Serves until a signal says otherwise.
pub fn run(layers: &Layers) -> Result<ExitCode, ServeError> {
    let config = Config::resolve(layers)?;
    let given = RootCredentials::given(layers)?;
    if let Some(root) = &given {
        root.check_exposure(config.listen)?;
    }
    logging::start(&config)?;
    for name in layers.unknown_variables() {
        tracing::warn!(name, "unknown environment variable; is it misspelt?");
    }
    let directory = DataDirectory::open(&config.place)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(ServeError::System)?;
    let served = runtime.block_on(serve(&config, given, &directory));
    // What still runs on the blocking pool is background work that a crash could cut as well.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

/// Verifies the store in `directory` offline; the exit status is failure when anything is wrong.
pub fn check(_directory: &Path) -> Result<ExitCode, ServeError> {
    Err(ServeError::Missing("offline verification"))
}

async fn serve(
    config: &Config,
    given: Option<RootCredentials>,
    directory: &DataDirectory,
) -> Result<(), ServeError> {
    let signals = Signals::listen().map_err(ServeError::System)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| ServeError::Listen(config.listen, error))?;
    let store = Store::open(config, given, directory).await?;
    let address = listener.local_addr().map_err(ServeError::System)?;
    announce(config, &store, directory, address);
    let served = answer(config, &store, listener, signals, directory).await;
    let closed = store.close(directory).await;
    tracing::info!("stopped");
    served.and(closed)
}

/// The opened store with its keys.
struct Store {
    root: RootCredentials,
    engine: Engine,
    catalog: Catalog,
    identities: Arc<Identities>,
    environment: Arc<dyn Environment>,
    /// What the device says about itself, for the banner.
    device: String,
}

impl Store {
    /// Opens in this order: the device (which locks the directory), the root keys, the keyring, the
    /// engine, the catalog.
    async fn open(
        config: &Config,
        given: Option<RootCredentials>,
        directory: &DataDirectory,
    ) -> Result<Self, ServeError> {
        let path = directory.path();
        let fail = |error| ServeError::Store(path.to_owned(), error);
        let (media, device) = open_media(config, directory)?;
        let root = match given {
            Some(root) => root,
            None => RootCredentials::stored_or_generated(path)?,
        };
        root.check_exposure(config.listen)?;
        let identities = identities(config, &root).map_err(ServeError::Users)?;
        let state = match media.root().map_err(fail)? {
            Some(_) => StoreState::Exists,
            None => StoreState::Fresh,
        };
        let keyring = match directory.lifetime() {
            Lifetime::Permanent => LocalKeyring::open(path, state),
            Lifetime::Ephemeral => LocalKeyring::in_memory(),
        };
        let master: Arc<dyn MasterKey> = Arc::new(keyring.map_err(ServeError::Keyring)?);
        let runtime = tokio::runtime::Handle::current();
        let environment: Arc<dyn Environment> = Arc::new(SystemEnvironment::new(Some(runtime)));
        let options = Options {
            inline_bytes: config.inline_bytes,
            checkpoint_bytes: config.checkpoint_bytes,
            background_bytes_per_s: config.background_bytes_per_s,
            scrub_days: config.scrub_days,
            ..Options::default()
        };
        let engine =
            Engine::open(Arc::clone(&environment), media, master, options).map_err(fail)?;
        let catalog = Catalog::open(engine.clone(), Some(path.join("catalog"))).await;
        let catalog = catalog.map_err(fail)?;
        Ok(Self { root, identities: Arc::new(identities), engine, catalog, environment, device })
    }

    /// Seals and syncs.
    async fn close(self, directory: &DataDirectory) -> Result<(), ServeError> {
        let Self { engine, catalog, .. } = self;
        drop(catalog);
        engine.close().await.map_err(|error| ServeError::Store(directory.path().to_owned(), error))
    }
}

fn identities(config: &Config, root: &RootCredentials) -> Result<Identities, IdentityError> {
    let mut identities = Identities::new(root.access_key.clone(), root.secret_key.clone())?;
    if let Some(path) = &config.users {
        identities.load_users(path)?;
    }
    Ok(identities)
}

/// The device in `directory`, with what it says about itself.
fn open_media(
    _config: &Config,
    _directory: &DataDirectory,
) -> Result<(Arc<dyn Media>, String), ServeError> {
    Err(ServeError::Missing("the file device"))
}

/// Answers requests until the first signal, then lets those in flight finish for `config.drain`.
async fn answer(
    _config: &Config,
    _store: &Store,
    _listener: TcpListener,
    mut signals: Signals,
    directory: &DataDirectory,
) -> Result<(), ServeError> {
    let name = signals.next().await;
    tracing::info!(signal = name, "stopping; a second signal aborts");
    signals.abort_on_next(directory);
    Err(ServeError::Missing("the S3 service"))
}

/// The banner on a terminal, one event elsewhere.
fn announce(config: &Config, store: &Store, directory: &DataDirectory, address: SocketAddr) {
    let durability = store.engine.stats().durability;
    if logging::is_interactive() {
        let banner = Banner {
            address,
            directory: directory.path(),
            lifetime: directory.lifetime(),
            durability,
            device: &store.device,
            region: &config.region,
            root: &store.root,
            version: env!("CARGO_PKG_VERSION"),
        };
        eprint!("{banner}");
    }
    if let Source::Generated(path) = &store.root.source {
        tracing::info!(path = %path.display(), "root keys were generated; the file holds them");
    }
    tracing::info!(
        %address,
        data = %directory.path().display(),
        durability,
        device = store.device,
        root_access_key = store.root.access_key,
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Ends the process at the next one: acknowledged writes are safe, everything else is cut.
    fn abort_on_next(mut self, directory: &DataDirectory) {
        let temporary = match directory.lifetime() {
            Lifetime::Ephemeral => Some(directory.path().to_owned()),
            Lifetime::Permanent => None,
        };
        tokio::spawn(async move {
            let name = self.next().await;
            tracing::warn!(signal = name, "aborted");
            if let Some(path) = temporary {
                remove_ephemeral(&path);
            }
            std::process::exit(130);
        });
    }
}

//! `lodestore serve`: opens everything in order, says so, waits for a signal, closes everything in
//! the opposite order. The only file that knows every part.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use storage_engine::media::{Durability, FileMedia, FileMediaOptions, Media};
use storage_engine::{Engine, Environment, MasterKey, Options, SystemEnvironment};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use vector_engine::{EngineOptions, VectorEngine};
use zeroize::Zeroizing;

use crate::banner::Banner;
use crate::catalog::Catalog;
use crate::config::{
    BucketKind, BucketSpec, Config, ConfigError, Layers, SmallParts, ZONE_BYTES_MIN,
};
use crate::credentials::{RootCredentials, Source};
use crate::data_directory::{DataDirectory, Lifetime, remove_ephemeral};
use crate::descriptors;
use crate::iam::{Identities, IdentityError, Principal};
use crate::keys::{KeyringError, LocalKeyring, StoreState};
use crate::logging;
use crate::memory;
use crate::objects::{self, NewBucket, ObjectError, Objects, Versioning};
use crate::server::vectors::Vectors;
use crate::server::{self, Readiness, Server};
use crate::vectors::{self, Limits};

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
    /// The vector engine does not start.
    Vectors(vector_engine::Error),
    /// The address cannot be listened on.
    Listen(SocketAddr, std::io::Error),
    /// The system gives no threads or no signals.
    System(std::io::Error),
    /// A bucket of the configuration cannot be made.
    Bucket(String, ObjectError),
    /// The store does not verify: this many findings.
    Damaged(usize),
}

impl std::fmt::Display for ServeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Users(error) => write!(f, "users: {error}"),
            Self::Keyring(error) => error.fmt(f),
            Self::Store(path, error) => write!(f, "store `{}`: {error}", path.display()),
            Self::Vectors(error) => write!(f, "vector engine: {error}"),
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
            Self::Bucket(name, error) => write!(f, "bucket {name}: {}", error.message()),
            Self::Damaged(count) => write!(f, "{count} findings: restore what they name"),
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
    let mut config = Config::resolve(layers)?;
    let given = RootCredentials::given(layers)?;
    if let Some(root) = &given {
        root.check_exposure(config.listen)?;
    }
    logging::start(&config)?;
    for name in layers.unknown_variables() {
        tracing::warn!(name, "unknown environment variable; is it misspelt?");
    }
    config.connections = connections(config.connections)?;
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

/// As many of `wanted` connections as there are file descriptors for.
fn connections(wanted: usize) -> Result<usize, ConfigError> {
    let allowed = descriptors::raise();
    let connections = descriptors::connections_within(wanted, allowed).ok_or_else(|| {
        ConfigError::new(format!(
            "file descriptors: this process may have {allowed} and needs at least {}: raise the \
             limit (ulimit -n, LimitNOFILE=)",
            descriptors::DESCRIPTORS_MIN
        ))
    })?;
    if connections < wanted {
        tracing::warn!(
            connections,
            wanted,
            descriptors = allowed,
            "fewer connections than configured: they may take half of the file descriptors"
        );
    }
    Ok(connections)
}

async fn serve(
    config: &Config,
    given: Option<RootCredentials>,
    directory: &DataDirectory,
) -> Result<(), ServeError> {
    let signals = Signals::listen().map_err(ServeError::System)?;
    // Opening may take long and looks at no signal. It may be cut: recovery begins anew.
    let cut = Signals::listen().map_err(ServeError::System)?.abort_on_next(directory);
    let opened = open(config, given, directory).await;
    // A cut that has begun takes away the directory, which is then no failure of opening: here the
    // process waits for its end.
    cut.abort();
    let _ = cut.await;
    let (listener, store, identities) = opened?;
    let served = answer(config, &store, identities, listener, signals, directory).await;
    let closed = store.close(directory).await;
    tracing::info!("stopped");
    served.and(closed)
}

async fn open(
    config: &Config,
    given: Option<RootCredentials>,
    directory: &DataDirectory,
) -> Result<(TcpListener, Store, Identities), ServeError> {
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| ServeError::Listen(config.listen, error))?;
    let (store, identities) = Store::open(config, given, directory).await?;
    Ok((listener, store, identities))
}

/// The opened store with its keys.
struct Store {
    root: RootCredentials,
    engine: Engine,
    catalog: Catalog,
    vectors: VectorEngine,
    environment: Arc<dyn Environment>,
    /// Seals the vector service's tokens.
    token_key: Zeroizing<[u8; 32]>,
    /// What the device says about itself, for the banner.
    device: String,
}

impl Store {
    /// Opens in this order: the device (which locks the directory), the root keys, the keyring, the
    /// engine, the catalog, the vector engine.
    async fn open(
        config: &Config,
        given: Option<RootCredentials>,
        directory: &DataDirectory,
    ) -> Result<(Self, Identities), ServeError> {
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
        let keyring = keyring.map_err(ServeError::Keyring)?;
        let token_key = keyring.derive("vector page tokens");
        let master: Arc<dyn MasterKey> = Arc::new(keyring);
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
        let options = EngineOptions {
            cache_bytes: config.vector_cache_bytes.unwrap_or_else(memory::vector_cache_bytes),
            growing_rows_max: config.vector_growing_rows,
            recall_probe: config.vector_recall_probe,
            ..EngineOptions::default()
        };
        let vectors = VectorEngine::new(engine.clone(), Arc::clone(&environment), options);
        let vectors = vectors.map_err(ServeError::Vectors)?;
        let store = Self { root, engine, catalog, vectors, environment, token_key, device };
        Ok((store, identities))
    }

    /// Seals and syncs.
    async fn close(self, directory: &DataDirectory) -> Result<(), ServeError> {
        self.vectors.close().await;
        self.catalog.close().await;
        self.engine
            .close()
            .await
            .map_err(|error| ServeError::Store(directory.path().to_owned(), error))
    }
}

fn identities(config: &Config, root: &RootCredentials) -> Result<Identities, IdentityError> {
    let mut identities = Identities::new(root.access_key.clone(), root.secret_key.clone())?;
    if let Some(path) = &config.users {
        identities.load_users(path)?;
    }
    identities.check_exposure(config.listen)?;
    Ok(identities)
}

/// The device in `directory`, with what it says about itself.
fn open_media(
    config: &Config,
    directory: &DataDirectory,
) -> Result<(Arc<dyn Media>, String), ServeError> {
    let durability = match directory.lifetime() {
        Lifetime::Permanent => config.durability,
        // What ends with the process has nothing to keep from a power cut.
        Lifetime::Ephemeral => Durability::None,
    };
    let options = FileMediaOptions {
        zone_bytes: config.zone_bytes.unwrap_or(0),
        durability,
        capacity_bytes: config.capacity_bytes,
        ..FileMediaOptions::new(directory.path())
    };
    let media = FileMedia::open(&options)
        .map_err(|error| ServeError::Store(directory.path().to_owned(), error))?;
    let zone_bytes = media.zone_bytes();
    if zone_bytes < ZONE_BYTES_MIN {
        tracing::warn!(
            zone_bytes,
            "the zones of this store are too small for uploads of 10,000 parts; move its objects to \
             a new store"
        );
    }
    let device = media.probe().to_string();
    Ok((Arc::new(media), device))
}

/// Makes the buckets of the configuration that are missing; they belong to root.
async fn make_buckets(objects: &Objects, buckets: &[BucketSpec]) -> Result<(), ServeError> {
    for BucketSpec { name, kind } in buckets {
        let new = NewBucket {
            name: name.clone(),
            owner: Principal::root().name.to_string(),
            region: None,
            versioning: match kind {
                BucketKind::Plain => Versioning::Unversioned,
                BucketKind::Versioned | BucketKind::Lock => Versioning::Enabled,
            },
            object_lock: *kind == BucketKind::Lock,
            ownership: None,
            tags: Vec::new(),
        };
        let made = objects.ensure_bucket(new).await;
        made.map_err(|error| ServeError::Bucket(name.clone(), error))?;
    }
    Ok(())
}

/// Answers requests until the first signal, then lets those in flight finish for `config.drain`.
async fn answer(
    config: &Config,
    store: &Store,
    identities: Identities,
    listener: TcpListener,
    mut signals: Signals,
    directory: &DataDirectory,
) -> Result<(), ServeError> {
    let settings = objects::Settings {
        region: config.region.clone(),
        small_parts: match config.small_parts {
            SmallParts::LastOnly => objects::SmallParts::Refused,
            SmallParts::Any => objects::SmallParts::Allowed,
        },
    };
    let environment = Arc::clone(&store.environment);
    let vectors = vectors::Service::new(vectors::Parts {
        engine: store.engine.clone(),
        catalog: store.catalog.clone(),
        vectors: store.vectors.clone(),
        environment: Arc::clone(&store.environment),
        token_key: store.token_key.clone(),
        region: config.region.clone(),
        limits: Limits::default(),
    });
    let memory_bytes = config.vector_cache_bytes.unwrap_or_else(memory::vector_cache_bytes) as u64;
    let opener = tokio::spawn({
        let (vectors, catalog) = (vectors.clone(), store.catalog.clone());
        async move { vectors.open_indexes(&catalog, memory_bytes).await }
    });
    let objects = Objects::new(store.engine.clone(), store.catalog.clone(), environment, settings);
    let objects = objects.with_indexes(Arc::new(vectors.clone()));
    make_buckets(&objects, &config.buckets).await?;
    let sweeper = tokio::spawn({
        let objects = objects.clone();
        async move { objects.keep_swept().await }
    });
    let readiness = Readiness::default();
    let engine = store.engine.clone();
    let server = Server::new(
        crate::s3::service(objects, Some(vectors.clone())),
        identities,
        move || engine.stats(),
        readiness.clone(),
        server::Settings {
            domains: config.domains.clone(),
            connections_max: config.connections,
            requests_max: config.requests,
            body_window: config.body_window,
            drain: config.drain,
        },
    );
    let server = server.with_vectors(Vectors::new(vectors, config.vector_body_bytes));
    announce(config, store, directory, listener.local_addr().map_err(ServeError::System)?);
    readiness.set_ready();
    server
        .serve(listener, async move {
            let name = signals.next().await;
            tracing::info!(signal = name, "stopping; a second signal aborts");
            signals.abort_on_next(directory);
        })
        .await;
    sweeper.abort();
    opener.abort();
    Ok(())
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
        // A terminal that is gone is no reason to stop.
        let _unread = write!(std::io::stderr(), "{banner}");
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
    fn abort_on_next(mut self, directory: &DataDirectory) -> JoinHandle<()> {
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
        })
    }
}

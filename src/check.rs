//! `lodestore check`: verifies a store that nobody has open, and changes nothing of it.
//!
//! - First every byte, without a look at what it means. Only a store that is whole so far is opened and
//!   looked into: an engine does not open on what is damaged, and what is missing for a bad byte would
//!   be found again in other words.
//! - Then what whole records say of each other: the vector indexes, and the objects that vectors belong
//!   to.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use storage_engine::media::{FileMedia, FileMediaOptions, Media, OverlayMedia};
use storage_engine::{Corruption, Engine, Environment, MasterKey, Options, SystemEnvironment};

use crate::catalog::Catalog;
use crate::keys::{LocalKeyring, StoreState};
use crate::serve::ServeError;
use crate::vectors::{self, Agreement, Verified};

/// Verifies the store in `directory` offline: prints what was read and every finding; the exit
/// status is failure when there is one.
pub fn run(directory: &Path) -> Result<ExitCode, ServeError> {
    let fail = |error| ServeError::Store(directory.to_owned(), error);
    if !FileMedia::is_in(directory) {
        let why = "no store lies here; name the directory that --data names";
        return Err(fail(storage_engine::Error::Invalid(why.to_owned())));
    }
    let media = FileMedia::open(&FileMediaOptions::new(directory)).map_err(fail)?;
    let keyring = LocalKeyring::open(directory, StoreState::Exists).map_err(ServeError::Keyring)?;
    let report = storage_engine::check(&media, &keyring).map_err(fail)?;
    let meaning = match report.corruptions.is_empty() {
        true => Some(Meaning::of(Arc::new(media), Arc::new(keyring)).map_err(fail)?),
        false => None,
    };
    let mut text = format!(
        "{} zones ({} unused), {} batches, {} records, {} versions, {} blobs, {} read\n",
        report.zones,
        report.blank_zones,
        report.batches,
        report.records,
        report.versions,
        report.blobs,
        crate::config::format_bytes(report.bytes),
    );
    let corrupt =
        |corruption: &Corruption| storage_engine::Error::Corrupt(corruption.clone()).to_string();
    let mut findings: Vec<String> = report.corruptions.iter().map(corrupt).collect();
    match meaning {
        None => text.push_str("vector indexes were not looked at: mend the store first\n"),
        Some(meaning) => {
            text.push_str(&meaning.summary());
            findings.extend(meaning.vectors.findings);
            findings.extend(meaning.agreement.findings);
        }
    }
    for finding in &findings {
        text.push_str(finding);
        text.push('\n');
    }
    if findings.is_empty() {
        text.push_str("no findings\n");
    }
    let printed = std::io::stdout().write_all(text.as_bytes());
    match findings.len() {
        0 => printed.map(|()| ExitCode::SUCCESS).map_err(ServeError::System),
        count => Err(ServeError::Damaged(count)),
    }
}

/// What the records of a whole store say of each other.
struct Meaning {
    vectors: Verified,
    agreement: Agreement,
}

impl Meaning {
    /// Looks into a store that verifies itself. What opening it writes is forgotten.
    fn of(media: Arc<dyn Media>, master: Arc<dyn MasterKey>) -> storage_engine::Result<Self> {
        let environment: Arc<dyn Environment> = Arc::new(SystemEnvironment::new(None));
        let media = Arc::new(OverlayMedia::new(media));
        let options = Options { background: false, ..Options::default() };
        let engine = Engine::open(Arc::clone(&environment), media, master, options)?;
        let catalog = futures::executor::block_on(Catalog::open(engine.clone(), None))?;
        Ok(Self {
            vectors: vectors::verify(&engine, &catalog)?,
            agreement: vectors::compare(&engine, environment, &catalog)?,
        })
    }

    /// A line for what there is.
    fn summary(&self) -> String {
        let Verified { indexes, segments, rows, deltas, .. } = self.vectors;
        let mut text = String::new();
        if indexes > 0 {
            text.push_str(&format!(
                "{indexes} vector indexes, {segments} segments of {rows} rows, {deltas} writes \
                 behind them\n"
            ));
        }
        if self.agreement.rows > 0 {
            text.push_str(&format!("{} vectors that belong to objects\n", self.agreement.rows));
        }
        text
    }
}

//! `lodestore vectors`: a client of S3 Vectors, of this server or any other over `http://`.
//!
//! Import: a thread reads rows (`reader`) and packs them into bodies (`batch`) → `import` has a few
//! of them on their way at once. Export: `export` lists an index in parts at once → a thread writes
//! rows (`writer`). `query` asks and prints, with `explain` what was done for it. All requests go
//! through `api`, which tries again what may be tried again.
//!
//! Rows of a file are counted from 0, also where a line is named as well.

mod api;
mod batch;
mod explain;
mod export;
mod import;
mod options;
mod printed;
mod progress;
mod query;
mod reader;
mod row;
mod writer;

use std::process::ExitCode;

pub use options::{
    ExportFormat, ExportOptions, ImportFormat, ImportOptions, IndexOptions, MetricName,
    QueryOptions, VectorsAction, VectorsOptions,
};

use crate::http_client::TargetError;

/// Why a command failed, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorsError(String);

impl VectorsError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for VectorsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for VectorsError {}

impl From<TargetError> for VectorsError {
    fn from(error: TargetError) -> Self {
        Self(error.to_string())
    }
}

/// Does what the command line says.
pub fn run(options: &VectorsOptions) -> Result<ExitCode, VectorsError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| VectorsError::new(format!("runtime: {error}")))?;
    runtime.block_on(async {
        match &options.action {
            VectorsAction::Import(options) => import::run(options).await,
            VectorsAction::Export(options) => export::run(options).await,
            VectorsAction::Query(options) => query::run(options).await,
            VectorsAction::Explain(options) => explain::run(options).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

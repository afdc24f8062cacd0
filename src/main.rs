//! Parse, configure, run.

#![warn(clippy::print_stderr, clippy::print_stdout)]

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use lodestore::cli::{Action, Cli};
use lodestore::config::Config;
use lodestore::{bench, check, healthcheck, serve, vectors_client};

fn main() -> ExitCode {
    match run(Cli::parse().action()) {
        Ok(code) => code,
        Err(error) => {
            // When nobody reads it, the exit status still tells.
            let _unread = writeln!(std::io::stderr(), "lodestore: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<ExitCode> {
    match action {
        Action::Serve(options) => Ok(serve::run(&options.layers()?)?),
        Action::Bench(options) => Ok(bench::run(&options)?),
        Action::Vectors(options) => Ok(vectors_client::run(&options)?),
        Action::Healthcheck(options) => {
            let url = match &options.url {
                Some(url) => url.clone(),
                None => healthcheck::url_of(Config::resolve(&options.layers()?)?.listen),
            };
            healthcheck::run(&url)?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Check(options) => Ok(check::run(&options.directory)?),
    }
}

//! The command line as data: subcommands and their flags.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::bench::BenchOptions;
use crate::config::{ConfigError, KEYS, Layers};
use crate::vectors_client::VectorsOptions;

/// Lodestore: an S3 endpoint on a durable, encrypted, log-structured store.
#[derive(Debug, Parser)]
#[command(
    name = "lodestore",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Without a command, lodestore serves."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    serve: ServeOptions,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Serve S3 (the default)
    Serve(ServeOptions),
    /// Measure an S3 endpoint, this one or any other
    Bench(Box<BenchOptions>),
    /// Import, export and query vectors of an S3 Vectors endpoint, this one or any other
    Vectors(Box<VectorsOptions>),
    /// Ask a running server whether it is ready; the exit status tells
    Healthcheck(HealthcheckOptions),
    /// Verify every byte of a store that no server has open
    Check(CheckOptions),
}

/// Options of `lodestore serve`.
#[derive(Debug, Default, Args)]
pub struct ServeOptions {
    /// Configuration file (TOML); every flag below is a key of it, with `_` for `-`
    #[arg(long, value_name = "FILE", env = "LODESTORE_CONFIG")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingFlags,
}

/// Options of `lodestore healthcheck`.
#[derive(Debug, Args)]
pub struct HealthcheckOptions {
    /// What to ask [default: /readyz of the configured listen address]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    #[command(flatten)]
    serve: ServeOptions,
}

/// Options of `lodestore check`.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// Directory of the store
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

impl Cli {
    /// What the command line asks for.
    pub fn action(self) -> Action {
        self.action.unwrap_or(Action::Serve(self.serve))
    }

    /// The command as clap sees it, for tests and documentation.
    pub fn definition() -> Command {
        Self::command()
    }
}

impl ServeOptions {
    /// The flags with the environment of this process and the configuration file.
    pub fn layers(&self) -> Result<Layers, ConfigError> {
        let mut layers = Layers { flags: self.settings.0.clone(), ..Layers::default() };
        // A variable that is no text is none that we read.
        layers.environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        if let Some(path) = &self.config {
            layers.read_file(path)?;
        }
        Ok(layers)
    }
}

impl HealthcheckOptions {
    /// The layers that say where the server listens.
    pub fn layers(&self) -> Result<Layers, ConfigError> {
        self.serve.layers()
    }
}

/// One flag for each row of [`KEYS`].
#[derive(Default)]
struct SettingFlags(BTreeMap<&'static str, String>);

impl std::fmt::Debug for SettingFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be secrets.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        command.args(KEYS.iter().map(|key| {
            let default = match key.default {
                Some(default) if !default.is_empty() => format!(" [default: {default}]"),
                _ => String::new(),
            };
            let help = format!("{}{default} [env: {}]", key.meaning, key.variable());
            let arg = Arg::new(key.name).long(key.name).value_name(key.form).help(help);
            if key.is_switch() {
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                arg
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |name: &'static str| Some((name, matches.get_one::<String>(name)?.clone()));
        Ok(Self(KEYS.iter().filter_map(|key| given(key.name)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Action, clap::Error> {
        Cli::try_parse_from([&["lodestore"], words].concat()).map(Cli::action)
    }

    fn flags(words: &[&str]) -> BTreeMap<&'static str, String> {
        match parse(words).unwrap() {
            Action::Serve(options) => options.settings.0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::definition().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        assert!(flags(&[]).is_empty());
        let words = ["--listen", "127.0.0.1:1", "--ephemeral"];
        let bare = flags(&words);
        assert_eq!(bare, flags(&[&["serve"], words.as_slice()].concat()));
        assert_eq!(bare["listen"], "127.0.0.1:1");
        assert_eq!(bare["ephemeral"], "true");
    }

    #[test]
    fn a_switch_may_be_turned_off() {
        assert_eq!(flags(&["--ephemeral=false"])["ephemeral"], "false");
    }

    #[test]
    fn an_unknown_flag_is_refused() {
        assert!(parse(&["--listn", "x"]).is_err());
        assert!(parse(&["check"]).is_err());
    }

    #[test]
    fn help_names_every_key_with_its_variable() {
        let help = Cli::definition().render_long_help().to_string();
        for key in KEYS {
            assert!(help.contains(&format!("--{}", key.name)), "{}", key.name);
            assert!(help.contains(&key.variable()), "{}", key.name);
        }
    }

    #[test]
    fn a_secret_flag_is_not_in_debug_output() {
        let action = parse(&["--root-secret-key", "hushhush"]).unwrap();
        assert!(!format!("{action:?}").contains("hushhush"));
    }
}

//! The four places a setting can come from, and which one wins: flag, environment, file, default.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::ConfigError;
use super::key::{Display, KEYS, Key};

/// Largest configuration file, in bytes; a real one is under a page.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag, with its name.
    Flag(String),
    /// An environment variable, with its name.
    Variable(String),
    /// The configuration file, with the name there.
    File(String),
    /// The built-in default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "from --{name}"),
            Self::Variable(name) => write!(f, "from {name}"),
            Self::File(name) => write!(f, "from `{name}` in the configuration file"),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// A value with its key and origin.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: &'static Key,
    /// Where the value came from.
    pub origin: Origin,
    /// The value, not yet parsed.
    pub value: String,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.key.display {
            Display::Open => self.value.as_str(),
            Display::Secret => "(secret)",
        };
        write!(f, "{} = {value} ({})", self.key.name, self.origin)
    }
}

/// What each place says, by key name.
#[derive(Clone, Default)]
pub struct Layers {
    /// Given on the command line.
    pub flags: BTreeMap<&'static str, String>,
    /// The environment of the process: every variable, because root keys have foreign names too.
    pub environment: BTreeMap<String, String>,
    /// Read from the configuration file.
    pub file: BTreeMap<&'static str, String>,
}

impl Layers {
    /// The setting of the key `name`: none when nobody says anything and there is no default.
    pub fn get(&self, name: &str) -> Option<Setting> {
        let key = Key::find(name)?;
        let (origin, value) = self
            .flag(key)
            .or_else(|| self.variable(key))
            .or_else(|| self.line(key))
            .or_else(|| key.default.map(|value| (Origin::Default, value.to_owned())))?;
        Some(Setting { key, origin, value })
    }

    /// The first layer in which any of `names` is set, and what it says of each.
    pub fn first_of<const N: usize>(&self, names: [&str; N]) -> [Option<Setting>; N] {
        type Look = fn(&Layers, &'static Key) -> Option<(Origin, String)>;
        for look in [Self::flag as Look, Self::variable, Self::line] {
            let found = names.map(|name| {
                let key = Key::find(name)?;
                let (origin, value) = look(self, key)?;
                Some(Setting { key, origin, value })
            });
            if found.iter().any(Option::is_some) {
                return found;
            }
        }
        [const { None }; N]
    }

    /// A variable of the environment that says something.
    pub fn environment_variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Variables that look like ours and are none: most likely misspelt.
    pub fn unknown_variables(&self) -> Vec<&str> {
        let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
        // A Kubernetes service called `lodestore` puts these into every pod.
        let injected =
            |name: &str| name.contains("_PORT") || name.starts_with("LODESTORE_SERVICE_");
        self.environment
            .keys()
            .map(String::as_str)
            .filter(|name| name.starts_with("LODESTORE_") && *name != "LODESTORE_CONFIG")
            .filter(|name| !known.iter().any(|known| known == name) && !injected(name))
            .collect()
    }

    /// Reads the configuration file at `path` into its layer.
    pub fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let fail = |why: String| ConfigError::new(format!("config: `{}`: {why}", path.display()));
        let size = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
        if size > FILE_BYTES_MAX {
            return Err(fail(format!("{size} bytes; at most {FILE_BYTES_MAX} are read")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        self.file = parse_file(&text).map_err(fail)?;
        Ok(())
    }

    fn flag(&self, key: &'static Key) -> Option<(Origin, String)> {
        let value = self.flags.get(key.name)?;
        Some((Origin::Flag(key.name.to_owned()), value.clone()))
    }

    fn variable(&self, key: &'static Key) -> Option<(Origin, String)> {
        let name = key.variable();
        let value = self.environment_variable(&name)?.to_owned();
        Some((Origin::Variable(name), value))
    }

    fn line(&self, key: &'static Key) -> Option<(Origin, String)> {
        let value = self.file.get(key.name)?;
        Some((Origin::File(key.file_name()), value.clone()))
    }
}

/// The keys of a configuration file.
fn parse_file(text: &str) -> Result<BTreeMap<&'static str, String>, String> {
    // The parser's own message quotes the line, which may hold a secret: keep to its first line.
    let table: toml::Table = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let mut settings = BTreeMap::new();
    for (name, value) in table {
        let Some(key) = KEYS.iter().find(|key| key.file_name() == name) else {
            return Err(format!("`{name}` is no key; the keys are {}", names()));
        };
        let Some(value) = plain(value) else {
            return Err(format!(
                "`{name}` has to be a text, a number, true, false or a list of texts"
            ));
        };
        settings.insert(key.name, value);
    }
    Ok(settings)
}

fn plain(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<String>> =
                items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}

fn names() -> String {
    KEYS.iter().map(Key::file_name).collect::<Vec<_>>().join(", ")
}

//! The identities of a store: the root credential and the users of the users file.
//!
//! The users file is JSON: `{"users":[{"name":"alice","access_key":"…","secret_key":"…"}]}`.
//! It is read once at start; what is wrong with it stops the start and is named exactly, without
//! ever naming a secret.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Principal, ROOT_NAME, SecretKey, is_reachable, weakness};

/// A users file larger than this is not one.
const USERS_FILE_BYTES_MAX: u64 = 4 << 20;
/// Users are held in memory; more of them belong into a directory service.
const USERS_MAX: usize = 10_000;
/// As AWS limits user names.
const NAME_CHARS_MAX: usize = 64;
/// AWS takes 16 to 128; MinIO, whose variables we accept, takes 3.
const ACCESS_KEY_CHARS: std::ops::RangeInclusive<usize> = 3..=128;
/// AWS makes 40. A short one does where nobody else can try: [`Identities::check_exposure`].
const SECRET_KEY_BYTES: std::ops::RangeInclusive<usize> = 1..=128;

/// A principal with the key that proves it.
#[derive(Debug)]
pub struct Identity {
    /// Who it is.
    pub principal: Principal,
    /// The public half of its credential.
    pub access_key: String,
    /// The secret half.
    pub secret_key: SecretKey,
}

/// All identities, by access key.
#[derive(Debug)]
pub struct Identities {
    by_access_key: HashMap<String, Identity>,
}

impl Identities {
    /// A store with only its root credential.
    pub fn new(root_access_key: String, root_secret_key: SecretKey) -> Result<Self, IdentityError> {
        let mut identities = Self { by_access_key: HashMap::new() };
        identities.insert(Principal::root(), root_access_key, root_secret_key)?;
        Ok(identities)
    }

    /// Adds the users of the file at `path`.
    pub fn load_users(&mut self, path: &Path) -> Result<(), IdentityError> {
        let unreadable = |error: std::io::Error| IdentityError::Unreadable {
            path: path.to_path_buf(),
            reason: error.to_string(),
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = Zeroizing::new(String::new());
        file.take(USERS_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > USERS_FILE_BYTES_MAX {
            return Err(IdentityError::FileTooLarge { path: path.to_path_buf() });
        }
        self.add_users(&text)
    }

    /// Adds the users of a users file's text.
    pub fn add_users(&mut self, text: &str) -> Result<(), IdentityError> {
        let file: UsersFile = serde_json::from_str(text).map_err(|error| {
            // serde's own text may quote a value, and a value may be a secret.
            IdentityError::Malformed { line: error.line(), column: error.column() }
        })?;
        if file.users.len() > USERS_MAX {
            return Err(IdentityError::TooManyUsers { count: file.users.len() });
        }
        let mut names = HashSet::new();
        for user in file.users {
            check_name(&user.name)?;
            if !names.insert(user.name.clone()) {
                return Err(IdentityError::NameTwice { name: user.name });
            }
            self.insert(Principal::user(&user.name), user.access_key, user.secret_key)?;
        }
        Ok(())
    }

    /// Refuses an identity that anyone can guess on an address that others can reach.
    pub fn check_exposure(&self, listen: SocketAddr) -> Result<(), IdentityError> {
        if !is_reachable(listen) {
            return Ok(());
        }
        let guessed = self.by_access_key.values().find_map(|identity| {
            let reason = weakness(&identity.access_key, identity.secret_key.expose())?;
            Some((identity.principal.name.to_string(), reason))
        });
        match guessed {
            Some((name, reason)) => Err(IdentityError::Guessable { name, reason, listen }),
            None => Ok(()),
        }
    }

    /// The identity that `access_key` names.
    pub fn find(&self, access_key: &str) -> Option<&Identity> {
        self.by_access_key.get(access_key)
    }

    /// How many identities there are, root included.
    pub fn count(&self) -> usize {
        self.by_access_key.len()
    }

    fn insert(
        &mut self,
        principal: Principal,
        access_key: String,
        secret_key: SecretKey,
    ) -> Result<(), IdentityError> {
        let name = principal.name.to_string();
        // A slash or a comma would be ambiguous in the Authorization header.
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b',';
        if !ACCESS_KEY_CHARS.contains(&access_key.len()) || !access_key.bytes().all(plain) {
            return Err(IdentityError::AccessKey { name });
        }
        if !SECRET_KEY_BYTES.contains(&secret_key.expose().len()) {
            return Err(IdentityError::SecretKey { name });
        }
        if self.by_access_key.contains_key(&access_key) {
            return Err(IdentityError::AccessKeyTwice { access_key });
        }
        let identity = Identity { principal, access_key: access_key.clone(), secret_key };
        self.by_access_key.insert(access_key, identity);
        Ok(())
    }
}

/// What is wrong with a credential or the users file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityError {
    /// The file cannot be read.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The file is larger than any users file.
    FileTooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The text is not a users file.
    Malformed {
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// More users than the store holds.
    TooManyUsers {
        /// How many there are.
        count: usize,
    },
    /// A name that no user can have.
    Name {
        /// The name.
        name: String,
    },
    /// Two users of one name.
    NameTwice {
        /// The name.
        name: String,
    },
    /// An access key that cannot be one.
    AccessKey {
        /// Whose.
        name: String,
    },
    /// Two identities with one access key.
    AccessKeyTwice {
        /// The access key.
        access_key: String,
    },
    /// A secret key that cannot be one.
    SecretKey {
        /// Whose.
        name: String,
    },
    /// A secret key that anyone can guess, where others can try.
    Guessable {
        /// Whose.
        name: String,
        /// Why it can be guessed.
        reason: &'static str,
        /// What others can reach.
        listen: SocketAddr,
    },
}

impl std::fmt::Display for IdentityError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable { path, reason } => {
                write!(f, "cannot read users file {}: {reason}", path.display())
            }
            Self::FileTooLarge { path } => {
                write!(f, "users file {} is over {USERS_FILE_BYTES_MAX} bytes", path.display())
            }
            Self::Malformed { line, column } => write!(
                f,
                "users file is not {{\"users\":[{{\"name\",\"access_key\",\"secret_key\"}}]}} \
                 at line {line} column {column}"
            ),
            Self::TooManyUsers { count } => {
                write!(f, "users file names {count} users, {USERS_MAX} are the limit")
            }
            Self::Name { name } => write!(
                f,
                "user name {name:?} is not 1 to {NAME_CHARS_MAX} letters, digits or +=,.@_-, \
                 or is {ROOT_NAME}"
            ),
            Self::NameTwice { name } => write!(f, "user {name:?} is named twice"),
            Self::AccessKey { name } => write!(
                f,
                "access key of {name:?} is not {} to {} printable characters without / and ,",
                ACCESS_KEY_CHARS.start(),
                ACCESS_KEY_CHARS.end()
            ),
            Self::AccessKeyTwice { access_key } => {
                write!(f, "access key {access_key:?} belongs to two identities")
            }
            Self::SecretKey { name } => write!(
                f,
                "secret key of {name:?} is not {} to {} bytes long",
                SECRET_KEY_BYTES.start(),
                SECRET_KEY_BYTES.end()
            ),
            Self::Guessable { name, reason, listen } => write!(
                f,
                "user {name:?}: {reason}, and {listen} can be reached from other machines: give \
                 the user another key, or listen on 127.0.0.1"
            ),
        }
    }
}

impl std::error::Error for IdentityError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    users: Vec<User>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    name: String,
    access_key: String,
    secret_key: SecretKey,
}

fn check_name(name: &str) -> Result<(), IdentityError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    let lengths = 1..=NAME_CHARS_MAX;
    if !lengths.contains(&name.len()) || !name.bytes().all(plain) || name == ROOT_NAME {
        return Err(IdentityError::Name { name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{Identities, IdentityError, SecretKey};

    fn root() -> Identities {
        Identities::new("rootkey".into(), SecretKey::new("rootsecret".into())).unwrap()
    }

    fn with_users(users: &str) -> Result<Identities, IdentityError> {
        let mut identities = root();
        identities.add_users(&format!("{{\"users\":[{users}]}}"))?;
        Ok(identities)
    }

    #[test]
    fn users_are_found_by_their_access_keys() {
        let identities =
            with_users(r#"{"name":"alice","access_key":"AK","secret_key":"password"}"#);
        assert_eq!(identities.unwrap_err(), IdentityError::AccessKey { name: "alice".into() });
        let identities =
            with_users(r#"{"name":"alice","access_key":"AKA","secret_key":"password"}"#).unwrap();
        assert_eq!(identities.count(), 2);
        assert_eq!(&*identities.find("AKA").unwrap().principal.name, "alice");
        assert_eq!(&*identities.find("rootkey").unwrap().principal.name, "root");
        assert!(identities.find("aka").is_none());
    }

    #[test]
    fn a_wrong_file_is_refused_and_named() {
        for (users, expected) in [
            (r#"{"name":"root","access_key":"AKA","secret_key":"password"}"#, "user name \"root\""),
            (r#"{"name":"","access_key":"AKA","secret_key":"password"}"#, "user name \"\""),
            (r#"{"name":"a b","access_key":"AKA","secret_key":"password"}"#, "user name"),
            (r#"{"name":"al","access_key":"A/KA","secret_key":"password"}"#, "access key of"),
            (r#"{"name":"al","access_key":"AKA","secret_key":""}"#, "secret key of"),
            (r#"{"name":"al","access_key":"rootkey","secret_key":"password"}"#, "two identities"),
            (r#"{"name":"al","access_key":"AKA","secret_key":"password","x":1}"#, "line 1"),
            (r#"{"name":"al","access_key":"AKA"}"#, "line 1"),
            (
                r#"{"name":"al","access_key":"AKA","secret_key":"password"},
                   {"name":"al","access_key":"AKB","secret_key":"password"}"#,
                "named twice",
            ),
        ] {
            let error = with_users(users).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} should contain {expected}");
            assert!(!error.contains("password"), "{error}");
        }
    }

    #[test]
    fn a_user_whom_anyone_can_guess_stays_on_this_machine() {
        let exposed: SocketAddr = "0.0.0.0:9000".parse().unwrap();
        for (secret, refused) in [("password", true), ("shy1", true), ("fX2k-91lmQ", false)] {
            let user = format!(r#"{{"name":"al","access_key":"AKA","secret_key":"{secret}"}}"#);
            let identities = with_users(&user).unwrap();
            assert_eq!(identities.check_exposure("127.0.0.1:9000".parse().unwrap()), Ok(()));
            let error = identities.check_exposure(exposed).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), refused, "{secret}");
            assert!(error.is_none_or(|error| error.contains("al") && !error.contains(secret)));
        }
    }

    #[test]
    fn a_missing_or_huge_file_is_named() {
        let mut identities = root();
        let missing = std::path::Path::new("/nonexistent/users.json");
        let error = identities.load_users(missing).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/users.json"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![b' '; (4 << 20) + 1]).unwrap();
        assert!(matches!(
            identities.load_users(file.path()),
            Err(IdentityError::FileTooLarge { .. })
        ));
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = format!("{:?}", root());
        assert!(text.contains("rootkey") && !text.contains("rootsecret"), "{text}");
    }
}

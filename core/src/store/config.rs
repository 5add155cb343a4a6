//! The configuration of the shared store: its location and files, checked.

#[cfg(feature = "redis")]
pub(crate) use super::redis::Address as RedisAddress;
/// A build without the feature `redis` has no Redis address.
#[cfg(not(feature = "redis"))]
pub(crate) use std::convert::Infallible as RedisAddress;

use crate::config::engine::{EngineOptions, StoreUrl};
use crate::error::{ENGINE_OPTIONS, Error, ErrorKind, Problems};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The store options of an engine, checked.
#[derive(Clone)]
pub(crate) struct StoreConfig {
    pub(crate) location: Location,
    /// `None`: beside the SQLite file, created if missing.
    pub(crate) pepper_file: Option<PathBuf>,
    /// Previous pepper files; values sealed with them can still be read.
    pub(crate) previous_pepper_files: Vec<PathBuf>,
    /// `None`: the store's default.
    pub(crate) timeout: Option<Duration>,
    /// The file with Redis's password.
    pub(crate) password_file: Option<PathBuf>,
    /// The key prefix in Redis.
    pub(crate) prefix: String,
    /// The maximum size of the SQLite file, in bytes.
    pub(crate) max_bytes: u64,
    /// The trusted CA certificates for `rediss:`, PEM; `None`: the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// The client certificate for `rediss:`, and its key, PEM.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    /// Whether processes share their metrics.
    pub(crate) metrics: bool,
}

/// The kind of the store, and its address.
#[derive(Clone)]
pub(crate) enum Location {
    /// An absolute path.
    Sqlite(PathBuf),
    Redis(RedisAddress),
}

impl StoreConfig {
    /// `None` if no store is configured.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConfigValue`], naming the option.
    pub(crate) fn compile(options: &EngineOptions) -> Result<Option<StoreConfig>, Error> {
        let Some(url) = &options.store else {
            return if options.store_pepper_file.is_some() {
                Err(wrong("store_pepper_file", "requires store"))
            } else if options.store_password_file.is_some() {
                Err(wrong(PASSWORD_FILE, "requires store"))
            } else {
                Ok(None)
            };
        };
        let mut problems = Problems::default();
        let location = problems.check(Location::parse(url));
        let mut file = |option: &str, path: &Option<String>| {
            let path = path.as_deref().map(|path| absolute(option, path));
            problems.check(path.transpose()).flatten()
        };
        let pepper_file = file("store_pepper_file", &options.store_pepper_file);
        let ca_file = file("store_ca_file", &options.store_ca_file);
        let password_file = file(PASSWORD_FILE, &options.store_password_file);
        if let Some(location) = &location
            && let Err(error) = location.check_password(options.store_password_file.is_some())
        {
            problems.add(error);
        }
        let requires_pepper = location
            .as_ref()
            .is_some_and(Location::requires_pepper_file);
        if options.store_pepper_file.is_none() && requires_pepper {
            problems.add(wrong(
                "store_pepper_file",
                "is required with Redis: a file with at least 32 random bytes, the same on every host",
            ));
        }
        let previous = options.store_previous_pepper_files.iter().enumerate();
        let previous_pepper_files = previous
            .filter_map(|(at, path)| {
                let option = format!("store_previous_pepper_files[{at}]");
                problems.check(absolute(&option, path))
            })
            .collect();
        let identity = problems.check(identity(options));
        if options.store_timeout == Some(0) {
            problems.add(wrong("store_timeout", "must be at least 1 (milliseconds)"));
        }
        if !(MIN_BYTES..=MAX_BYTES).contains(&options.store_max_bytes) {
            problems.add(wrong(
                "store_max_bytes",
                "must be between 1048576 (1 MiB) and 1099511627776 (1 TiB)",
            ));
        }
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '{' | '}');
        if options.store_prefix.len() > 64 || !options.store_prefix.chars().all(is_plain) {
            problems.add(wrong(
                "store_prefix",
                "must be at most 64 printable ASCII characters without spaces and braces",
            ));
        }
        let (Some(location), Some(identity)) = (location, identity) else {
            return Err(problems.into_error());
        };
        problems.finish()?;
        Ok(Some(StoreConfig {
            location,
            pepper_file,
            previous_pepper_files,
            timeout: options
                .store_timeout
                .map(|milliseconds| Duration::from_millis(milliseconds.into())),
            prefix: options.store_prefix.clone(),
            max_bytes: options.store_max_bytes,
            ca_file,
            password_file,
            identity,
            metrics: options.store_metrics,
        }))
    }
}

const PASSWORD_FILE: &str = "store_password_file";
const MIN_BYTES: u64 = 1 << 20;
const MAX_BYTES: u64 = 1 << 40;

impl Location {
    fn parse(url: &StoreUrl) -> Result<Location, Error> {
        let text = url.expose();
        match text.strip_prefix("sqlite:") {
            Some(path) => Location::sqlite(path),
            None => Location::redis(text),
        }
    }

    #[cfg(feature = "sqlite")]
    fn sqlite(path: &str) -> Result<Location, Error> {
        // `sqlite:/a` and `sqlite:///a` are the same file.
        let path = path
            .strip_prefix("//")
            .filter(|path| path.starts_with('/'))
            .unwrap_or(path);
        if !path.starts_with('/') || path.ends_with('/') || path.contains(['?', '\0']) {
            return Err(wrong(
                "store",
                "must name an absolute path: sqlite:/run/credgate/tokens.db",
            ));
        }
        Ok(Location::Sqlite(path.into()))
    }

    #[cfg(not(feature = "sqlite"))]
    fn sqlite(_: &str) -> Result<Location, Error> {
        Err(without_sqlite())
    }

    #[cfg(feature = "redis")]
    fn redis(url: &str) -> Result<Location, Error> {
        let address = RedisAddress::parse(url).map_err(|why| wrong("store", &why))?;
        Ok(Location::Redis(address))
    }

    #[cfg(not(feature = "redis"))]
    fn redis(_: &str) -> Result<Location, Error> {
        Err(wrong(
            "store",
            "must be sqlite:/path: this build lacks the feature redis",
        ))
    }

    /// Checks that there is one password at most, and one for a user.
    fn check_password(&self, has_file: bool) -> Result<(), Error> {
        match self {
            Location::Sqlite(_) if has_file => Err(wrong(PASSWORD_FILE, "requires Redis")),
            Location::Sqlite(_) => Ok(()),
            #[cfg(feature = "redis")]
            Location::Redis(address) if has_file && address.has_password() => Err(wrong(
                PASSWORD_FILE,
                "cannot be combined with a password in store; use one of them",
            )),
            #[cfg(feature = "redis")]
            Location::Redis(address)
                if !has_file && address.has_user() && !address.has_password() =>
            {
                Err(wrong(
                    "store",
                    "has a user without a password; add it, or set store_password_file",
                ))
            }
            Location::Redis(_) => Ok(()),
        }
    }

    /// A SQLite file has its pepper beside it; hosts that share a Redis need a common one.
    fn requires_pepper_file(&self) -> bool {
        matches!(self, Location::Redis(_))
    }
}

/// The error of a build without the feature `sqlite`.
#[cfg(not(feature = "sqlite"))]
pub(super) fn without_sqlite() -> Error {
    wrong(
        "store",
        "cannot be SQLite: this build lacks the feature sqlite",
    )
}

fn identity(options: &EngineOptions) -> Result<Option<(PathBuf, PathBuf)>, Error> {
    const NAMES: [&str; 2] = ["store_client_cert_file", "store_client_key_file"];
    match [
        &options.store_client_cert_file,
        &options.store_client_key_file,
    ] {
        [None, None] => Ok(None),
        [Some(cert), Some(key)] => Ok(Some((absolute(NAMES[0], cert)?, absolute(NAMES[1], key)?))),
        [cert, _] => {
            let given = usize::from(cert.is_none());
            Err(wrong(
                NAMES[given],
                &format!("requires {}", NAMES[1 - given]),
            ))
        }
    }
}

fn absolute(option: &str, path: &str) -> Result<PathBuf, Error> {
    if Path::new(path).is_absolute() {
        Ok(path.into())
    } else {
        Err(wrong(option, "must be an absolute path"))
    }
}

fn wrong(option: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::ConfigValue,
        format!("{ENGINE_OPTIONS}{option}: {why}"),
    )
}

#[cfg(all(test, feature = "redis", feature = "sqlite"))]
mod tests {
    use super::*;

    fn compile(json: &str) -> Result<Option<StoreConfig>, Error> {
        EngineOptions::from_json(json).and_then(|options| StoreConfig::compile(&options))
    }

    #[test]
    fn a_wrong_option_is_named_in_the_error() {
        for (json, option) in [
            (r#"{"store":"tokens.db"}"#, "store: "),
            (r#"{"store":"sqlite:tokens.db"}"#, "store: "),
            (r#"{"store":"sqlite:/run/credgate/"}"#, "store: "),
            (r#"{"store":"sqlite:/a?mode=memory"}"#, "store: "),
            (r#"{"store":"memcached://s3cret@host"}"#, "store: "),
            (r#"{"store":"redis://host"}"#, "store_pepper_file: "),
            (r#"{"store_pepper_file":"/p"}"#, "store_pepper_file: "),
            (
                r#"{"store":"sqlite:/a","store_pepper_file":"p"}"#,
                "store_pepper_file: ",
            ),
            (
                r#"{"store":"sqlite:/a","store_previous_pepper_files":["p"]}"#,
                "store_previous_pepper_files[0]: ",
            ),
            (
                r#"{"store":"sqlite:/a","store_timeout":0}"#,
                "store_timeout: ",
            ),
            (
                r#"{"store":"sqlite:/a","store_max_bytes":1}"#,
                "store_max_bytes: ",
            ),
            (
                r#"{"store":"sqlite:/a","store_prefix":"a b"}"#,
                "store_prefix: ",
            ),
            (
                r#"{"store":"sqlite:/a","store_client_key_file":"/k"}"#,
                "store_client_key_file: requires store_client_cert_file",
            ),
        ] {
            let error = compile(json).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::ConfigValue, "{json}");
            let text = error.to_string();
            assert!(
                text.contains(&format!("engine options: {option}")),
                "{text}"
            );
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let error = compile(
            r#"{"store":"redis://user:s3cret@host:x","store_pepper_file":"s3cret","store_timeout":0,"store_max_bytes":1,
                "store_prefix":"s3cret {","store_ca_file":"s3cret","store_client_key_file":"s3cret",
                "store_previous_pepper_files":["redis://user:s3cret@host","/p"]}"#,
        );
        let text = error.err().unwrap().to_string();
        assert_eq!(text.lines().count(), 8, "{text}");
        assert!(!text.contains("s3cret"), "{text}");
        assert!(
            text.contains(
                "engine options: store_previous_pepper_files[0]: must be an absolute path"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_sqlite_url_may_have_an_empty_authority() {
        for url in ["sqlite:/run/a.db", "sqlite:///run/a.db"] {
            let config = compile(&format!(r#"{{"store":"{url}"}}"#))
                .unwrap()
                .unwrap();
            let Location::Sqlite(path) = config.location else {
                panic!("{url}")
            };
            assert_eq!(path, Path::new("/run/a.db"));
        }
        assert!(compile("{}").unwrap().is_none());
    }

    #[test]
    fn debug_output_of_options_does_not_show_the_store_password() {
        let options = EngineOptions::from_json(
            r#"{"store":"redis://user:s3cret@host/1","store_pepper_file":"/p"}"#,
        );
        assert!(!format!("{options:?}").contains("s3cret"));
    }
}

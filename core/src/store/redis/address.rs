//! The address of a Redis or Valkey server, as a URL.

use crate::error::Error;
use crate::sys::secret_file::SecretFile;
use percent_encoding::percent_decode_str;
use redis::RedisConnectionInfo;
use std::fmt;
use std::path::{Path, PathBuf};
use url::{Host, Url};

/// A server, and the login for it.
#[derive(Clone)]
pub(crate) struct Address {
    /// The server, or its sentinels.
    pub(super) places: Vec<Place>,
    /// The primary's name at its sentinels, if any.
    pub(super) name: Option<String>,
    pub(super) login: RedisConnectionInfo,
    /// The file with the password; each connection reads it.
    pub(super) password_file: Option<SecretFile>,
}

/// The way to reach the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Tcp { host: String, port: u16 },
    Tls { host: String, port: u16 },
    Unix(PathBuf),
}

/// The option with the password file, as its errors name it.
const FIELD: &str = "engine options: store_password_file";
const DEFAULT_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

impl Address {
    /// Parses `redis://[user:password@]host[:port][/database]`, `rediss://…` for TLS,
    /// `redis+unix:///path[?db=&user=&pass=]`, and `redis+sentinel://[user:password@]host[:port][,…]/name[/database]`
    /// or `rediss+sentinel://…`; `valkey` is accepted for `redis`. No error shows the URL: it may contain a password.
    pub(crate) fn parse(url: &str) -> Result<Address, String> {
        match url.split_once("+sentinel://") {
            Some((scheme, rest)) => Address::of_sentinels(scheme, rest),
            None => Address::of_server(url),
        }
    }

    fn of_sentinels(scheme: &str, rest: &str) -> Result<Address, String> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, database) = path.split_once('/').unwrap_or((path, ""));
        if name.is_empty() || name.contains(['?', '#']) {
            let example = "redis+sentinel://127.0.0.1:26379/mymaster/0";
            return Err(format!(
                "names no primary after its sentinels, as {example} does"
            ));
        }
        let (login, hosts) = authority
            .rsplit_once('@')
            .map_or(("", authority), |(login, hosts)| (login, hosts));
        let mut addresses = hosts.split(',').map(|host| {
            let has_port = host
                .rsplit_once(':')
                .is_some_and(|(_, port)| !port.ends_with(']'));
            let port = if has_port {
                String::new()
            } else {
                format!(":{SENTINEL_PORT}")
            };
            let at = if login.is_empty() { "" } else { "@" };
            Address::of_server(&format!("{scheme}://{login}{at}{host}{port}/{database}"))
        });
        let first = addresses
            .next()
            .unwrap_or_else(|| Err("names no sentinel".to_owned()))?;
        let mut places = first.places;
        for address in addresses {
            places.extend(address?.places);
        }
        Ok(Address {
            places,
            name: Some(name.to_owned()),
            login: first.login,
            password_file: None,
        })
    }

    fn of_server(url: &str) -> Result<Address, String> {
        let url = Url::parse(url).map_err(|error| format!("is not a URL ({error})"))?;
        let place = match url.scheme() {
            "redis" | "valkey" => {
                let (host, port) = host(&url)?;
                Place::Tcp { host, port }
            }
            "rediss" | "valkeys" => {
                let (host, port) = host(&url)?;
                Place::Tls { host, port }
            }
            "redis+unix" | "valkey+unix" => Place::Unix(path(&url)?),
            scheme => {
                return Err(format!(
                    "has the unknown scheme {scheme}:, use sqlite:/path/of/a/file, redis://host:port/database, \
                     rediss://…, redis+unix:///path/of/a/socket and redis+sentinel://host:port/name/database"
                ));
            }
        };
        if url.fragment().is_some() {
            return Err("has a fragment (#), which is not supported".to_owned());
        }
        let is_unix = matches!(place, Place::Unix(_));
        let mut found = Lookup::of(&url, is_unix)?;
        for (name, value) in url.query_pairs() {
            match (&*name, is_unix) {
                ("db", true) => found.database = value.into_owned(),
                ("user", true) => found.user = value.into_owned(),
                ("pass", true) => found.password = Some(value.into_owned()),
                _ => {
                    return Err(format!(
                        "has the unknown parameter {name}: only db, user and pass exist, and only for a Unix socket"
                    ));
                }
            }
        }
        Ok(Address {
            places: vec![place],
            name: None,
            login: found.login()?,
            password_file: None,
        })
    }

    /// The same address with a password from a file, if there is one.
    ///
    /// # Errors
    ///
    /// [`ConfigValue`](crate::ErrorKind::ConfigValue) if the URL has a password too, or only a user;
    /// [`ConfigFile`](crate::ErrorKind::ConfigFile).
    pub(super) fn with_password_file(self, path: Option<&Path>) -> Result<Address, Error> {
        let password_file = path.map(|path| SecretFile::open(FIELD, path)).transpose()?;
        Ok(Address {
            password_file,
            ..self
        })
    }

    /// Whether the URL has a password.
    pub(crate) fn has_password(&self) -> bool {
        self.login.password().is_some()
    }

    /// Whether the URL has a user.
    pub(crate) fn has_user(&self) -> bool {
        self.login.username().is_some()
    }

    /// The login as it is now. A short blocking read for a file.
    ///
    /// # Errors
    ///
    /// An error is about the file, and names its path.
    pub(super) fn login(&self) -> Result<RedisConnectionInfo, Error> {
        let login = self.login.clone();
        match &self.password_file {
            Some(file) => Ok(login.set_password(file.read()?.expose())),
            None => Ok(login),
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        self.places
            .iter()
            .any(|place| matches!(place, Place::Tls { .. }))
    }
}

impl fmt::Display for Address {
    /// Log-safe: without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}, known to ")?;
        }
        for (number, place) in self.places.iter().enumerate() {
            f.write_str(if number > 0 { ", " } else { "" })?;
            match place {
                Place::Tcp { host, port } | Place::Tls { host, port } => {
                    write!(f, "{host}:{port}")?
                }
                Place::Unix(path) => write!(f, "{}", path.display())?,
            }
        }
        Ok(())
    }
}

/// The login and database in a URL.
struct Lookup {
    database: String,
    user: String,
    password: Option<String>,
}

impl Lookup {
    fn of(url: &Url, is_unix: bool) -> Result<Lookup, String> {
        let decode = |what, text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .map(String::from)
                .map_err(|_| format!("has a {what} that is not UTF-8"))
        };
        let database = if is_unix { "" } else { url.path() };
        Ok(Lookup {
            database: database.trim_start_matches('/').to_owned(),
            user: decode("user", url.username())?,
            password: url
                .password()
                .map(|password| decode("password", password))
                .transpose()?,
        })
    }

    fn login(&self) -> Result<RedisConnectionInfo, String> {
        // Saves a command for which a user would need a permission.
        let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
        if !self.database.is_empty() {
            let number: u32 = self
                .database
                .parse()
                .map_err(|_| "names a database that is not a number".to_owned())?;
            login = login.set_db(number.into());
        }
        match (&self.password, self.user.as_str()) {
            (Some(password), user) => {
                login = login.set_password(password);
                if !user.is_empty() {
                    login = login.set_username(user);
                }
            }
            (None, "") => {}
            // The password is in a file.
            (None, user) => login = login.set_username(user),
        }
        Ok(login)
    }
}

fn host(url: &Url) -> Result<(String, u16), String> {
    let host = match url.host() {
        // The URL standard does not validate the host of a scheme that it does not know.
        Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        // Without brackets, as resolvers and certificates expect it.
        Some(Host::Ipv6(address)) => address.to_string(),
        _ => return Err("names no host, as redis://127.0.0.1:6379/0 does".to_owned()),
    };
    Ok((host, url.port().unwrap_or(DEFAULT_PORT)))
}

fn path(url: &Url) -> Result<PathBuf, String> {
    let is_local = url.host_str().is_none_or(str::is_empty);
    let path = percent_decode_str(url.path()).decode_utf8();
    match path {
        Ok(path) if is_local && path.len() > 1 && path.starts_with('/') => {
            Ok(PathBuf::from(&*path))
        }
        _ => Err("names no socket, as redis+unix:///run/redis/redis.sock does".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Place {
        let [place] = Address::parse(url).unwrap().places.try_into().unwrap();
        place
    }

    #[test]
    fn a_url_gives_the_server_address() {
        let host = |host: &str, port| (host.to_owned(), port);
        for (url, (host, port)) in [
            ("redis://cache.example", host("cache.example", 6379)),
            ("valkey://127.0.0.1:7000/3", host("127.0.0.1", 7000)),
            ("redis://[::1]:7000", host("::1", 7000)),
        ] {
            assert_eq!(place(url), Place::Tcp { host, port });
        }
        let (host, port) = host("cache.example", 6380);
        assert_eq!(
            place("rediss://cache.example:6380"),
            Place::Tls { host, port }
        );
        assert_eq!(
            place("redis+unix:///run/a%20b/redis.sock?db=2"),
            Place::Unix("/run/a b/redis.sock".into())
        );
    }

    #[test]
    fn a_url_gives_user_password_and_database() {
        for url in [
            "redis://gate:p%40ss%2F@host/4",
            "redis+unix:///socket?user=gate&pass=p%40ss/&db=4",
        ] {
            let address = Address::parse(url).unwrap();
            let login = &address.login;
            assert_eq!(
                (login.username(), login.password(), login.db()),
                (Some("gate"), Some("p@ss/"), 4)
            );
        }
        let address = Address::parse("redis://:secret@host").unwrap();
        assert_eq!(address.login.username(), None);
    }

    #[test]
    fn a_sentinel_url_lists_sentinels_and_a_primary_name() {
        let url = "rediss+sentinel://gate:p%40ss@one.example,[::1]:7000,two.example/mymaster/2";
        let address = Address::parse(url).unwrap();
        let tls = |host: &str, port| Place::Tls {
            host: host.to_owned(),
            port,
        };
        let places = [
            tls("one.example", 26379),
            tls("::1", 7000),
            tls("two.example", 26379),
        ];
        assert_eq!(address.places, places);
        assert_eq!(address.name.as_deref(), Some("mymaster"));
        let login = &address.login;
        assert_eq!((login.password(), login.db()), (Some("p@ss"), 2));
        assert!(
            address.is_tls()
                && address
                    .to_string()
                    .starts_with("mymaster, known to one.example:26379, ")
        );
    }

    #[test]
    fn invalid_urls_are_refused_without_showing_the_password() {
        for (url, why) in [
            ("redis//", "is not a URL"),
            ("http://:kanarie@host", "unknown scheme http:"),
            ("redis://:kanarie@", "is not a URL"),
            ("redis:///0", "names no host"),
            ("redis://:kanarie@host/first", "not a number"),
            ("redis://:kanarie@host/-1", "not a number"),
            ("redis://:kanarie@host/0#insecure", "fragment"),
            ("redis://:kanarie@host/?db=1", "parameter db"),
            ("redis+unix://socket", "names no socket"),
            ("redis+unix:///", "names no socket"),
            ("redis://:%ff@host", "not UTF-8"),
            ("redis+sentinel://:kanarie@host:26379", "names no primary"),
            (
                "redis+sentinel://:kanarie@host:26379/?name",
                "names no primary",
            ),
            ("redis+sentinel://:kanarie@one,/mymaster", "is not a URL"),
            (
                "redis+sentinel://:kanarie@one/mymaster/first",
                "not a number",
            ),
            (
                "http+sentinel://:kanarie@one/mymaster",
                "unknown scheme http:",
            ),
        ] {
            let error = Address::parse(url).err().unwrap();
            assert!(error.contains(why), "{url}: {error}");
            assert!(!error.contains("kanarie"), "{error}");
        }
    }

    #[test]
    fn a_logged_address_has_no_password() {
        let address = Address::parse("redis://gate:kanarie@host/1").unwrap();
        assert_eq!(address.to_string(), "host:6379");
    }
}

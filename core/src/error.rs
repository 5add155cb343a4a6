//! Errors for those who configure and operate. What a client gets is an [`Outcome`](crate::Outcome).

use std::error::Error as StdError;
use std::fmt;

/// What went wrong, for an operator. Holds no secret.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`Error`], in alphabetical order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file that the configuration names cannot be read, or holds something else.
    ConfigFile,
    /// The configuration is not JSON, or not a JSON object.
    ConfigSyntax,
    /// The configuration has a field that does not exist.
    ConfigUnknownField,
    /// A field of the configuration has a value that cannot be.
    ConfigValue,
    /// The operating system refused something (a thread, a descriptor, randomness).
    System,
    /// A handle is used in another process than the one it was made in.
    WrongProcess,
}

impl ErrorKind {
    /// The number in the C ABI: never reused.
    pub fn code(self) -> i32 {
        match self {
            ErrorKind::WrongProcess => 1003,
            ErrorKind::System => 1006,
            ErrorKind::ConfigSyntax => 2001,
            ErrorKind::ConfigUnknownField => 2002,
            ErrorKind::ConfigValue => 2003,
            ErrorKind::ConfigFile => 2004,
        }
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Error {
        Error {
            kind,
            message: message.into(),
            source: Some(source.into()),
        }
    }

    pub(crate) fn wrong_process() -> Error {
        Error::new(
            ErrorKind::WrongProcess,
            "the engine was made in another process; make one in each process, after the fork",
        )
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The configuration is at fault: somebody has to change it.
    pub fn is_config_fault(&self) -> bool {
        match self.kind {
            ErrorKind::ConfigFile
            | ErrorKind::ConfigSyntax
            | ErrorKind::ConfigUnknownField
            | ErrorKind::ConfigValue => true,
            ErrorKind::System | ErrorKind::WrongProcess => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

//! Errors for operators and authors of hosts. A client of the gateway gets an [`Outcome`](crate::Outcome) instead.

use std::error::Error as StdError;
use std::fmt;

/// An error for an operator. It contains no secret.
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
    /// A file named in the configuration is unreadable or invalid.
    ConfigFile,
    /// The configuration is not a JSON object.
    ConfigSyntax,
    /// The configuration has an unknown field.
    ConfigUnknownField,
    /// A field of the configuration has an invalid value.
    ConfigValue,
    /// The operating system refused something (a thread, a descriptor, randomness).
    System,
    /// A handle is used outside the process that created it.
    WrongProcess,
}

impl ErrorKind {
    /// The number in the C ABI, never reused.
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
            "the engine was created in another process; create one in each process, after the fork",
        )
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the configuration is at fault and must be changed.
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

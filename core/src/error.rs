//! Errors for operators and authors of hosts. A client of the gateway gets an [`Outcome`](crate::Outcome) instead.

use std::error::Error as StdError;
use std::fmt;

/// An error for an operator. It contains no secret. A configuration with several problems has one error, whose `Display`
/// has a line for each, `FIELD: MESSAGE`; [`problems`](Error::problems) returns them one by one.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A problem of a configuration or of engine options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem<'e> {
    field: Option<&'e str>,
    message: &'e str,
}

/// The beginning of every message about engine options.
pub(crate) const ENGINE_OPTIONS: &str = "engine options: ";

/// Whether a name looks like one of a field.
pub(crate) fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.bytes().all(is_plain)
}

impl<'e> Problem<'e> {
    /// The problem of a line, which begins with the field unless the whole configuration is at fault.
    fn of(line: &'e str) -> Problem<'e> {
        let line = line.strip_prefix(ENGINE_OPTIONS).unwrap_or(line);
        let path = line.split_once(": ").map_or("", |(path, _)| path);
        let field = path.split(['[', '.']).next().unwrap_or_default();
        if !is_plain(field) {
            return Problem {
                field: None,
                message: line,
            };
        }
        let message = &line[field.len()..];
        Problem {
            field: Some(field),
            message: message.strip_prefix(": ").unwrap_or(message),
        }
    }

    /// The field or the option; `None` if the whole configuration is at fault.
    pub fn field(&self) -> Option<&'e str> {
        self.field
    }

    /// The problem and its remedy, without the field. It begins with the place of a value inside the field, such as
    /// `[0].header: `.
    pub fn message(&self) -> &'e str {
        self.message
    }
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

    /// Several errors as one: a line for each, and the kind of the first.
    fn all(errors: Vec<Error>) -> Option<Error> {
        let lines: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
        let message = lines.join("\n");
        let is_one = errors.len() == 1;
        let first = errors.into_iter().next()?;
        Some(if is_one {
            first
        } else {
            Error::new(first.kind, message)
        })
    }

    pub(crate) fn wrong_process() -> Error {
        Error::new(
            ErrorKind::WrongProcess,
            "the engine was created in another process; create one in each process, after the fork",
        )
    }

    /// The text of the error, as `Display` writes it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The problems of the configuration, in the order of the message's lines; none if the configuration is not at fault.
    pub fn problems(&self) -> impl Iterator<Item = Problem<'_>> {
        let lines = self.is_config_fault().then(|| self.message.lines());
        lines.into_iter().flatten().map(Problem::of)
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

/// The problems of a configuration, which are reported together.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    errors: Vec<Error>,
    /// The fields without a usable value.
    fields: Vec<String>,
}

impl Problems {
    /// Returns the value, or records the problem.
    pub(crate) fn check<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// Records a problem, unless it concerns a field that has one already, and so may be its consequence.
    pub(crate) fn add(&mut self, error: Error) {
        let is_consequence = |line: &str| {
            line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .any(|word| self.fields.iter().any(|field| field == word))
        };
        let lines = error.message.lines().filter(|line| !is_consequence(line));
        let lines: Vec<_> = lines.map(|line| Error::new(error.kind, line)).collect();
        match &lines[..] {
            [one] if one.message == error.message => self.errors.push(error),
            _ => self.errors.extend(lines),
        }
    }

    /// Records a problem that leaves a field without a usable value.
    pub(crate) fn add_for(&mut self, field: &str, error: Error) {
        self.errors.push(error);
        self.fields.push(field.to_owned());
    }

    /// # Errors
    ///
    /// All recorded problems as one error, if there are any.
    pub(crate) fn finish(self) -> Result<(), Error> {
        Error::all(self.errors).map_or(Ok(()), Err)
    }

    /// The error of a value that cannot be built because of the recorded problems.
    pub(crate) fn into_error(self) -> Error {
        Error::all(self.errors)
            .unwrap_or_else(|| Error::new(ErrorKind::ConfigValue, "the configuration is invalid"))
    }
}

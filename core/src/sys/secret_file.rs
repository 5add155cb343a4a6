//! Secrets of the operator in files, which other programs rotate.

use super::secret::Secret;
use crate::error::{Error, ErrorKind};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A file with one secret, named by a field of the configuration. Each [`read`](SecretFile::read) reads it anew, so a
/// rotated secret needs no reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretFile {
    field: String,
    path: PathBuf,
}

/// The maximum size in bytes; a longer file is there by mistake.
const MAX_LEN: u64 = 64 * 1024;

impl SecretFile {
    /// Checks that the file has a secret now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConfigValue`] or [`ErrorKind::ConfigFile`], naming the field.
    pub(crate) fn open(field: &str, path: &Path) -> Result<SecretFile, Error> {
        let file = SecretFile {
            field: field.to_owned(),
            path: path.to_owned(),
        };
        let text = path.to_string_lossy();
        if text.is_empty() || text.contains("-----BEGIN") {
            return Err(Error::new(
                ErrorKind::ConfigValue,
                format!("{field}: must be the path of a file, not its content"),
            ));
        }
        file.read().map(|_| file)
    }

    /// The secret, without one line end at its end, which editors add. A short blocking read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConfigFile`], naming the field and the path.
    pub(crate) fn read(&self) -> Result<Secret, Error> {
        // With room for all that is read, so that no reallocation leaves an unwiped copy behind.
        let mut content = Zeroizing::new(Vec::with_capacity(MAX_LEN as usize + 1));
        read_file(&self.path, &mut content).map_err(|error| {
            let message = format!("{}: cannot read {}: {error}", self.field, shown(&self.path));
            Error::with_source(ErrorKind::ConfigFile, message, error)
        })?;
        if content.len() as u64 > MAX_LEN {
            return Err(self.wrong("must not be larger than 64 KiB"));
        }
        let text = str::from_utf8(&content).map_err(|_| self.wrong("must be UTF-8 text"))?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        match line.strip_suffix('\r').unwrap_or(line) {
            "" => Err(self.wrong("must not be empty")),
            secret => Ok(Secret::new(secret)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The error of an unusable content.
    pub(crate) fn wrong(&self, why: &str) -> Error {
        let message = format!("{}: {} {why}", self.field, shown(&self.path));
        Error::new(ErrorKind::ConfigFile, message)
    }
}

fn read_file(path: &Path, content: &mut Vec<u8>) -> std::io::Result<()> {
    // Opening a named pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    File::open(path)?.take(MAX_LEN + 1).read_to_end(content)?;
    Ok(())
}

/// The path, if it is certain to be one: the content of the file may stand in its place.
pub(crate) fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    if path.is_absolute() && !text.contains(char::is_control) {
        text.into_owned()
    } else {
        "the file".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file in a directory of its own, which is removed when dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let name = format!("credgate-secret-file-{name}-{}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&directory).unwrap();
            Scratch(directory)
        }

        fn write(&self, content: &[u8]) -> PathBuf {
            let path = self.0.join("secret");
            std::fs::write(&path, content).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_changed_file_is_read_anew() {
        let scratch = Scratch::new("changed");
        let file = SecretFile::open("client_secret_file", &scratch.write(b"one")).unwrap();
        assert_eq!(file.read().unwrap().expose(), "one");
        scratch.write(b"two");
        assert_eq!(file.read().unwrap().expose(), "two");
    }

    #[test]
    fn one_line_end_is_removed() {
        let scratch = Scratch::new("line-end");
        for (content, secret) in [
            ("s3cret", "s3cret"),
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            ("s3cret\n\n", "s3cret\n"),
            (" s3cret ", " s3cret "),
        ] {
            let file = SecretFile::open("f", &scratch.write(content.as_bytes())).unwrap();
            assert_eq!(file.read().unwrap().expose(), secret, "{content:?}");
        }
    }

    #[test]
    fn an_unusable_file_is_an_error_that_names_field_and_path_only() {
        let scratch = Scratch::new("unusable");
        let too_long = vec![b's'; MAX_LEN as usize + 1];
        for (content, why) in [
            (&b""[..], "must not be empty"),
            (b"\n", "must not be empty"),
            (b"s3cret\xff", "must be UTF-8"),
            (&too_long, "must not be larger"),
        ] {
            let path = scratch.write(content);
            let error = SecretFile::open("client_secret_file", &path).unwrap_err();
            let message = error.to_string();
            assert_eq!(error.kind(), ErrorKind::ConfigFile);
            assert!(message.starts_with("client_secret_file: /"), "{message}");
            assert!(message.contains(why), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
        let directory = SecretFile::open("f", &scratch.0).unwrap_err().to_string();
        assert!(directory.contains("not a regular file"), "{directory}");
        let absent = SecretFile::open("f", &scratch.0.join("absent"));
        assert!(absent.unwrap_err().to_string().contains("cannot read /"));
    }

    #[test]
    fn a_secret_in_place_of_a_path_is_not_shown() {
        for secret in ["s3cret", "", "-----BEGIN PRIVATE KEY-----s3cret"] {
            let error = SecretFile::open("client_secret_file", Path::new(secret)).unwrap_err();
            let message = error.to_string();
            assert!(message.starts_with("client_secret_file: "), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
    }
}

//! Values of headers and arguments that are in files, which other programs rotate.

use super::header_name::request_header_name;
use crate::config::value_error;
use crate::error::{Error, Problems};
use crate::key::FingerprintBuilder;
use crate::sys::secret::Secret;
use crate::sys::secret_file::SecretFile;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Names, and the files with their values. Each request to the provider reads the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SecretValues(Vec<(String, SecretFile)>);

impl SecretValues {
    /// Checks that each file has a value now.
    pub(crate) fn open(
        field: &str,
        files: &BTreeMap<String, PathBuf>,
    ) -> Result<SecretValues, Error> {
        let mut problems = Problems::default();
        let opened = files.iter().filter_map(|(name, path)| {
            let file = problems.check(SecretFile::open(field, path))?;
            Some((name.clone(), file))
        });
        let opened = opened.collect();
        problems.finish().map(|()| SecretValues(opened))
    }

    /// The same for headers beside these.
    pub(crate) fn open_headers(
        field: &str,
        files: &BTreeMap<String, PathBuf>,
        fixed: &HeaderMap,
    ) -> Result<SecretValues, Error> {
        let mut problems = Problems::default();
        let mut names = fixed.clone();
        for name in files.keys() {
            if let Some(name) = problems.check(request_header_name(field, name))
                && names.insert(name, HeaderValue::from_static("")).is_some()
            {
                problems.add(value_error(format!(
                    "{field}: a header is configured twice; remove one of them"
                )));
            }
        }
        let opened = problems.check(SecretValues::open(field, files));
        let opened = opened.unwrap_or_default();
        problems.check(opened.headers(fixed));
        problems.finish().map(|()| opened)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values as they are now. A short blocking read for each.
    ///
    /// # Errors
    ///
    /// An error is about a file, and names its field and path.
    pub(crate) fn read<'s>(&'s self) -> Result<Vec<(&'s str, Secret)>, Error> {
        let read = |(name, file): &'s (String, SecretFile)| Ok((name.as_str(), file.read()?));
        self.0.iter().map(read).collect()
    }

    /// These headers, and those of the files as they are now.
    ///
    /// # Errors
    ///
    /// As [`SecretValues::read`].
    pub(crate) fn headers(&self, fixed: &HeaderMap) -> Result<HeaderMap, Error> {
        let mut headers = fixed.clone();
        for (name, file) in &self.0 {
            let secret = file.read()?;
            let mut value = HeaderValue::from_str(secret.expose())
                .map_err(|_| file.wrong("is not a valid header value"))?;
            value.set_sensitive(true);
            if let Ok(name) = HeaderName::try_from(name.as_str()) {
                headers.insert(name, value);
            }
        }
        Ok(headers)
    }

    /// Includes names and paths, not values: a rotated value is no reason to exchange again.
    pub(crate) fn fingerprint(&self, fingerprint: &mut FingerprintBuilder) {
        for (name, file) in &self.0 {
            fingerprint
                .part(b"secret file")
                .part(name.as_bytes())
                .part(file.path().as_os_str().as_encoded_bytes());
        }
    }
}

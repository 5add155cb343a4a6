//! The verdict on a list of parameters, by a second reader.

use super::Found;
use crate::cause::Cause;
use crate::request::credentials::MAX_LEN;

/// The parameters of a place as a second reader sees them.
pub(super) struct Parameters {
    /// Names and values; `None` for a value that is no text.
    pub(super) all: Vec<(String, Option<String>)>,
    /// The place contains something that the library must refuse and another decoder passes on.
    pub(super) is_malformed: bool,
}

impl Parameters {
    /// Of a query string or a form, by the `url` crate's decoding, which never fails. The library refuses a percent sign
    /// that two hexadecimal digits do not follow.
    pub(super) fn of_form(form: &[u8]) -> Parameters {
        let is_escape = |at: usize| {
            let digits = form.get(at + 1..at + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        Parameters {
            all: form_urlencoded::parse(form)
                .map(|(name, value)| (name.into_owned(), Some(value.into_owned())))
                .collect(),
            is_malformed: (0..form.len()).any(|at| form[at] == b'%' && !is_escape(at)),
        }
    }

    pub(super) fn named(&self, wanted: &str) -> Vec<Option<&str>> {
        let values = self.all.iter().filter(|(name, _)| name == wanted);
        values.map(|(_, value)| value.as_deref()).collect()
    }

    /// The bytes of all ids and secrets.
    fn pair_len(&self) -> usize {
        ["client_id", "client_secret"]
            .iter()
            .flat_map(|name| self.named(name))
            .flatten()
            .map(str::len)
            .sum()
    }

    /// The number of parameters that another parser may take for the wanted one.
    fn alike(&self, wanted: &str) -> usize {
        let stem = |name: &str| {
            let stem = name.split('[').next().unwrap_or_default();
            stem.to_ascii_lowercase()
        };
        let names = self.all.iter().map(|(name, _)| stem(name));
        names.filter(|name| name == wanted).count()
    }

    /// Compares the library's verdict with the list, and returns its cause.
    pub(super) fn agree(&self, came: &Result<Found, Cause>) -> Result<(), Cause> {
        let (ids, secrets) = (self.named("client_id"), self.named("client_secret"));
        let both = || ids.iter().chain(&secrets).copied();
        let (like_ids, like_secrets) = (self.alike("client_id"), self.alike("client_secret"));
        let len = self.pair_len();
        let printable = |value: Option<&str>| {
            value.is_some_and(|text| text.bytes().all(|b| matches!(b, 0x20..=0x7e)))
        };
        match came {
            Ok(Found::Token(_)) => panic!("a token where there is none"),
            Ok(Found::Pair { id, secret, .. }) => {
                let [id, secret] = [id, secret].map(|half| str::from_utf8(half).ok());
                assert_eq!((ids, secrets), (vec![id], vec![secret]));
                return Ok(());
            }
            Err(Cause::NoCredentials) => assert!(ids.is_empty() && secrets.is_empty()),
            Err(Cause::RepeatedParameter) => assert!(like_ids > 1 || like_secrets > 1),
            Err(Cause::IncompletePair) => assert!(ids.is_empty() != secrets.is_empty()),
            Err(Cause::EmptyCredential) => assert!(both().any(|value| value == Some(""))),
            Err(Cause::MalformedParameter) => assert!(self.is_malformed),
            Err(Cause::InvalidCharacters) => assert!(!both().all(printable)),
            Err(Cause::TooLong) => assert!(len > MAX_LEN),
            Err(cause) => panic!("{cause:?}"),
        }
        // Halves that every parser reads alike are a pair.
        let is_plain = like_ids == 1 && like_secrets == 1 && ids.len() == 1 && secrets.len() == 1;
        let is_valid = both().all(|value| printable(value) && value != Some(""));
        assert!(!is_plain || !is_valid || self.is_malformed || len > MAX_LEN);
        came.as_ref().map(drop).map_err(|cause| *cause)
    }

    /// Compares the verdict of a gate that takes `names` as arguments with that of one that takes none.
    pub(super) fn agree_on_args(
        &self,
        plain: Result<Found, Cause>,
        came: Result<Found, Cause>,
        names: &[&str],
    ) {
        let given: Vec<(u8, Option<&str>)> = (0..)
            .zip(names)
            .flat_map(|(number, name)| {
                self.named(name)
                    .into_iter()
                    .map(move |value| (number, value))
            })
            .filter(|(_, value)| *value != Some(""))
            .collect();
        let pair = match plain {
            Ok(Found::Pair { id, secret, .. }) => Some((id, secret)),
            // An invalid argument may be found before another fault.
            Err(_) if came.is_err() && came != plain => None,
            other => return assert_eq!(other, came),
        };
        let len = given
            .iter()
            .filter_map(|(_, value)| Some((*value)?.len()))
            .sum::<usize>();
        match came {
            Ok(Found::Pair {
                args,
                id: same_id,
                secret: same_secret,
            }) => {
                assert_eq!(Some((same_id, same_secret)), pair);
                let args = args
                    .iter()
                    .map(|(name, value)| (*name, str::from_utf8(value).ok()));
                assert_eq!(args.collect::<Vec<_>>(), given);
            }
            Ok(Found::Token(_)) => panic!("a token where there is none"),
            Err(Cause::TooLong) => {
                assert!(given.len() > 16 || self.pair_len() + len > MAX_LEN)
            }
            Err(Cause::RepeatedParameter) => {
                let scope = names.iter().position(|name| *name == "scope");
                let scopes = given
                    .iter()
                    .filter(|(number, _)| Some(usize::from(*number)) == scope);
                assert!(scopes.count() > 1);
            }
            Err(Cause::MalformedParameter) => {
                let is_text =
                    |value: &Option<&str>| value.is_some_and(|text| !text.contains('\u{fffd}'));
                assert!(self.is_malformed || !given.iter().all(|(_, value)| is_text(value)));
            }
            Err(cause) => panic!("{cause:?}"),
        }
    }
}

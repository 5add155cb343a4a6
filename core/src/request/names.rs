//! The names of the parameters that carry credentials, and of their look-alikes.

/// The class of a parameter's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Id,
    Secret,
    /// `CLIENT_ID`, `client_id[]`: names that another parser may treat as the same parameter.
    LikeId,
    LikeSecret,
    Other,
}

impl Name {
    /// Classifies a decoded name.
    pub(crate) fn of(name: &[u8]) -> Name {
        match name {
            b"client_id" => Name::Id,
            b"client_secret" => Name::Secret,
            _ => {
                let stem = name.split(|&byte| byte == b'[').next().unwrap_or(name);
                if stem.eq_ignore_ascii_case(b"client_id") {
                    Name::LikeId
                } else if stem.eq_ignore_ascii_case(b"client_secret") {
                    Name::LikeSecret
                } else {
                    Name::Other
                }
            }
        }
    }

    pub(crate) fn of_text(name: &str) -> Name {
        Name::of(name.as_bytes())
    }

    pub(crate) fn is_credential(self) -> bool {
        matches!(self, Name::Id | Name::Secret)
    }
}

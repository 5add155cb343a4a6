//! The cache status of a request.

/// The source of an outcome: cache, exchange, refusal or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheStatus {
    /// No lookup: the request has no usable credentials.
    None,
    /// The token was in the token cache.
    Hit,
    /// This request caused an exchange.
    Miss,
    /// This request waited for the exchange of another request with the same credentials.
    Joined,
    /// The token was in the token cache, and its refresh has failed: it is served until it expires.
    Stale,
    /// The same credentials were refused recently, in this process or in one that shares its store.
    Negative,
    /// The request passes without a token, because the gate allows anonymous requests.
    Anonymous,
    /// The request passes without a token, because the gate ignores `OPTIONS`.
    Preflight,
    /// The token was in the shared store.
    Shared,
}

impl CacheStatus {
    /// All values.
    pub const ALL: [CacheStatus; 9] = [
        CacheStatus::None,
        CacheStatus::Hit,
        CacheStatus::Miss,
        CacheStatus::Joined,
        CacheStatus::Stale,
        CacheStatus::Negative,
        CacheStatus::Anonymous,
        CacheStatus::Preflight,
        CacheStatus::Shared,
    ];

    /// `NONE`, `HIT`, `MISS`, `JOINED`, `STALE`, `NEGATIVE`, `ANONYMOUS`, `PREFLIGHT`, `SHARED`.
    pub fn name(self) -> &'static str {
        match self {
            CacheStatus::None => "NONE",
            CacheStatus::Hit => "HIT",
            CacheStatus::Miss => "MISS",
            CacheStatus::Joined => "JOINED",
            CacheStatus::Stale => "STALE",
            CacheStatus::Negative => "NEGATIVE",
            CacheStatus::Anonymous => "ANONYMOUS",
            CacheStatus::Preflight => "PREFLIGHT",
            CacheStatus::Shared => "SHARED",
        }
    }
}

//! The fuzz target of replies.

use super::link::{moved_to, refusal};
use super::{MAX_VALUE, add_gauges, counted, known_purges, lookup, read};
use crate::store::redis::address::Place;
use redis::{Value, parse_redis_value};

/// The bytes that a server sends: one reply, whose elements are those of a pipeline.
pub fn redis_reply(data: &[u8]) {
    let Ok(reply) = parse_redis_value(data) else {
        return;
    };
    if let Value::ServerError(error) = &reply {
        let fault = refusal(error).to_string();
        assert!(!fault.chars().any(char::is_control), "{fault}");
        let words = error.details().unwrap_or_default().split(' ');
        let is_long = |word: &&str| word.len() > 12;
        assert!(
            words.filter(is_long).all(|word| !fault.contains(word)),
            "{fault}"
        );
        let here = Place::Tcp {
            host: "here.example".to_owned(),
            port: 1,
        };
        if let Some(Place::Tcp { host, .. }) = moved_to(error, &here) {
            assert!(!host.is_empty());
        }
    }
    if let Ok(pairs) = read(reply.clone()) {
        for purge in known_purges(pairs) {
            assert!(purge.number >= 1);
        }
    }
    if let Ok(packed) = read::<Option<Vec<u8>>>(reply.clone()) {
        let mut tally = super::Tally::default();
        add_gauges(&mut tally, &packed.unwrap_or_default());
        assert!(tally.gauges.len() <= data.len() / 8);
    }
    let Value::Array(replies) = reply else {
        return;
    };
    if let Ok(lookup) = lookup(replies.clone()) {
        assert!(
            lookup
                .value
                .is_none_or(|value| (1..=MAX_VALUE).contains(&value.len()))
        );
    }
    if let Ok((tally, _)) = counted(replies) {
        assert!(tally.counters.len() <= 4096);
    }
}

//! Redis and Valkey: one store for a fleet.
//!
//! Every key begins with the key prefix in braces, `{credgate:}` by default. The braces are a hash tag: all keys share
//! one Cluster slot, so that one command can use several of them. Their node is found by following `MOVED`. (Tokens
//! change once an hour; one node serves a hundred thousand such commands a second.)
//!
//! | key, after the prefix | value |
//! |---|---|
//! | `v` index | a sealed value |
//! | `l` index | the owner of a lease |
//! | `n` | the number of the latest purge |
//! | `p` | targets of purges, sorted by their numbers |
//! | `c` group | counters of a group's processes, by their position |
//! | `m` group | the processes of a group |
//! | `g` group process | the gauges of a process |
//! | `r` group process | the last round of a process's counters |
//!
//! All keys have an expiry. Commands contain no variable text: indexes, owners and values are arguments, and the
//! scripts are constants.

mod address;
mod link;
mod wire;

pub(crate) use address::Address;

use super::{
    GAUGE_LIFE, Index, Lease, Lookup, MAX_PURGES, MAX_VALUE, Owner, PURGE_LIFE, Purge, ROUND_LIFE,
    Store, StoreConfig, StoreFault, StoreFaultKind, StoreFuture, Tally, TargetId,
};
use crate::error::{Error, ErrorKind};
use link::Link;
use redis::{Cmd, FromRedisValue, Pipeline, Value, cmd, pipe};
use std::collections::BTreeMap;
use std::time::Duration;

/// A Redis or Valkey server.
pub(super) struct RedisStore {
    link: Link,
    prefix: Vec<u8>,
    timeout: Duration,
    name: String,
}

/// The deadline of a call, unless configured.
const TIMEOUT: Duration = Duration::from_millis(20);
/// The maximum number of a purge: a score represents such integers exactly.
const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Takes a lease that is free or the owner's. KEYS: lease. ARGV: owner, milliseconds.
const LEASE: &str = "local holder = redis.call('GET', KEYS[1]) \
    if holder and holder ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) \
    return 1";
/// Deletes a lease if it is the owner's. KEYS: lease. ARGV: owner.
const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
/// Records a purge and removes expired ones. KEYS: number, purges. ARGV: target, now and the life of a purge in
/// milliseconds, the maximum number.
const PURGE: &str = "local last = tonumber(redis.call('GET', KEYS[1]) or 0) or 0 \
    if not (last < tonumber(ARGV[4])) then last = 0 end \
    local number = math.max(tonumber(ARGV[2]), last + 1) \
    redis.call('SET', KEYS[1], string.format('%.0f', number), 'PX', ARGV[3]) \
    redis.call('ZADD', KEYS[2], string.format('%.0f', number), ARGV[1]) \
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', number - tonumber(ARGV[3]))) \
    redis.call('PEXPIRE', KEYS[2], ARGV[3]) \
    return number";

/// Adds a process's growth unless its round was added before, and sets its gauges. KEYS: counters, members, gauges,
/// round. ARGV: process, gauges, round, the lives of counters, gauges and rounds in milliseconds, the growth of each
/// counter.
const ADD: &str = "if (tonumber(redis.call('GET', KEYS[4]) or 0) or 0) < tonumber(ARGV[3]) then \
        for position = 7, #ARGV do \
            if ARGV[position] ~= '0' then redis.call('HINCRBY', KEYS[1], position - 7, ARGV[position]) end \
        end \
        redis.call('SET', KEYS[4], ARGV[3], 'PX', ARGV[6]) \
    end \
    redis.call('PEXPIRE', KEYS[1], ARGV[4]) \
    redis.call('SADD', KEYS[2], ARGV[1]) \
    redis.call('PEXPIRE', KEYS[2], ARGV[4]) \
    redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[5]) \
    return 1";

impl RedisStore {
    /// No I/O, except for the files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConfigFile`] if a certificate file cannot be used.
    pub(super) fn new(address: &Address, config: &StoreConfig) -> Result<RedisStore, Error> {
        let address = address
            .clone()
            .with_password_file(config.password_file.as_deref())?;
        let prefix = [b"{", config.prefix.as_bytes(), b"}"].concat();
        let tls = match address.is_tls() {
            true => Some(wire::tls(config)?),
            false => None,
        };
        let timeout = config.timeout.unwrap_or(TIMEOUT);
        // A command like the usual ones, for a key without a value.
        let probe = value(&[&prefix[..], b"v"].concat());
        Ok(RedisStore {
            name: format!("Redis at {address}"),
            link: Link::new(address, tls, timeout, probe),
            prefix,
            timeout,
        })
    }

    fn key(&self, kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let mut key = self.prefix.clone();
        key.push(kind);
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    fn lease_key(&self, index: Index) -> Vec<u8> {
        self.key(b'l', &[&index.0])
    }

    async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreFault> {
        read(self.link.call(command).await?)
    }

    async fn call_all(&self, commands: &Pipeline) -> Result<Vec<Value>, StoreFault> {
        self.link.call_all(commands).await
    }
}

impl Store for RedisStore {
    fn look(&self, index: Index) -> StoreFuture<'_, Lookup> {
        Box::pin(async move {
            let mut commands = pipe();
            commands
                .add_command(value(&self.key(b'v', &[&index.0])))
                .cmd("EXISTS")
                .arg(self.lease_key(index))
                .cmd("GET")
                .arg(self.key(b'n', &[]));
            lookup(self.call_all(&commands).await?)
        })
    }

    fn put(&self, index: Index, value: Vec<u8>, life: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut command = cmd("SET");
            command.arg(self.key(b'v', &[&index.0])).arg(value);
            command.arg("PX").arg(milliseconds(life));
            self.call(&command).await
        })
    }

    fn lease(&self, index: Index, owner: Owner, life: Duration) -> StoreFuture<'_, Lease> {
        Box::pin(async move {
            let key = self.lease_key(index);
            let mut command = script(LEASE, &[&key]);
            command.arg(&owner.0[..]).arg(milliseconds(life));
            let is_taken: bool = self.call(&command).await?;
            Ok(if is_taken { Lease::Taken } else { Lease::Held })
        })
    }

    fn release(&self, index: Index, owner: Owner) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut command = script(RELEASE, &[&self.lease_key(index)]);
            command.arg(&owner.0[..]);
            self.call::<i64>(&command).await.map(drop)
        })
    }

    fn purge(&self, target: TargetId, now: Duration) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let mut command = script(PURGE, &[&self.key(b'n', &[]), &self.key(b'p', &[])]);
            command.arg(&target.0[..]);
            command
                .arg(milliseconds(now))
                .arg(milliseconds(PURGE_LIFE))
                .arg(MAX_NUMBER);
            self.call(&command).await
        })
    }

    fn purges(&self, after: u64) -> StoreFuture<'_, Vec<Purge>> {
        Box::pin(async move {
            let mut command = cmd("ZRANGEBYSCORE");
            command.arg(self.key(b'p', &[]));
            command
                .arg(format!("({after}"))
                .arg(MAX_NUMBER)
                .arg("WITHSCORES");
            command.arg("LIMIT").arg(0).arg(MAX_PURGES);
            self.call(&command).await.map(known_purges)
        })
    }

    fn add(
        &self,
        group: [u8; 16],
        process: [u8; 16],
        round: u64,
        growth: Tally,
    ) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let [counters, members] = [b'c', b'm'].map(|kind| self.key(kind, &[&group]));
            let [gauges, last] = [b'g', b'r'].map(|kind| self.key(kind, &[&group, &process]));
            let packed = growth.gauges.iter().flat_map(|gauge| gauge.to_le_bytes());
            let mut command = script(ADD, &[&counters, &members, &gauges, &last]);
            command
                .arg(&process[..])
                .arg(packed.collect::<Vec<u8>>())
                .arg(round)
                .arg(
                    [PURGE_LIFE, GAUGE_LIFE, ROUND_LIFE]
                        .map(milliseconds)
                        .to_vec(),
                )
                .arg(growth.counters);
            self.call::<i64>(&command).await.map(drop)
        })
    }

    fn sum(&self, group: [u8; 16]) -> StoreFuture<'_, Tally> {
        Box::pin(async move {
            let [counters, members] = [b'c', b'm'].map(|kind| self.key(kind, &[&group]));
            let mut commands = pipe();
            commands.cmd("HGETALL").arg(&counters);
            commands.cmd("SMEMBERS").arg(&members);
            let (mut tally, processes) = counted(self.call_all(&commands).await?)?;
            let mut commands = pipe();
            for process in &processes {
                let gauges = self.key(b'g', &[&group, process]);
                commands.cmd("GET").arg(gauges);
            }
            if processes.is_empty() {
                return Ok(tally);
            }
            let gauges = self.call_all(&commands).await?;
            let mut gone = pipe();
            for (process, gauges) in processes.iter().zip(gauges) {
                let Some(packed) = read::<Option<Vec<u8>>>(gauges)? else {
                    gone.cmd("SREM").arg(&members).arg(process);
                    continue;
                };
                add_gauges(&mut tally, &packed);
            }
            if !gone.is_empty() {
                self.call_all(&gone).await?;
            }
            Ok(tally)
        })
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn pauses(&self) -> (Duration, Duration) {
        (Duration::from_millis(5), Duration::from_millis(100))
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// Requests a value and one byte more than it may have: a longer one is not transferred in full.
fn value(key: &[u8]) -> Cmd {
    let mut command = cmd("GETRANGE");
    command.arg(key).arg(0).arg(MAX_VALUE);
    command
}

fn script(text: &'static str, keys: &[&[u8]]) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(text).arg(keys.len());
    for key in keys {
        command.arg(*key);
    }
    command
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

/// The reply to [`Store::look`].
fn lookup(replies: Vec<Value>) -> Result<Lookup, StoreFault> {
    let [found, is_leased, purges] = some(replies)?;
    let found: Vec<u8> = read(found)?;
    Ok(Lookup {
        value: (1..=MAX_VALUE).contains(&found.len()).then_some(found),
        is_leased: read(is_leased)?,
        purges: read::<Option<u64>>(purges)?.unwrap_or(0),
    })
}

/// The reply to [`Store::purges`], without targets that are none of ours.
fn known_purges(pairs: Vec<(Vec<u8>, f64)>) -> Vec<Purge> {
    let known = pairs.into_iter().filter_map(|(target, number)| {
        let target = TargetId(target.try_into().ok()?);
        (number >= 1.0).then_some(Purge {
            target,
            number: number as u64,
        })
    });
    known.collect()
}

/// The first reply to [`Store::sum`]: the counters, and the processes of the group.
fn counted(replies: Vec<Value>) -> Result<(Tally, Vec<Vec<u8>>), StoreFault> {
    let [counters, processes] = some(replies)?;
    let mut tally = Tally::default();
    for (position, counter) in read::<BTreeMap<usize, u64>>(counters)? {
        add_at(&mut tally.counters, position, counter);
    }
    Ok((tally, read(processes)?))
}

/// Adds the gauges of one process, as [`Store::add`] packs them.
fn add_gauges(tally: &mut Tally, packed: &[u8]) {
    let (gauges, _) = packed.as_chunks();
    for (position, gauge) in gauges.iter().enumerate() {
        add_at(&mut tally.gauges, position, u64::from_le_bytes(*gauge));
    }
}

fn add_at(sums: &mut Vec<u64>, position: usize, number: u64) {
    /// The maximum number of counters in a reply; there are far fewer.
    const MOST: usize = 4096;
    if position >= sums.len() {
        sums.resize(position.saturating_add(1).min(MOST), 0);
    }
    if let Some(sum) = sums.get_mut(position) {
        *sum = sum.saturating_add(number);
    }
}

/// The expected number of replies.
fn some<const N: usize>(replies: Vec<Value>) -> Result<[Value; N], StoreFault> {
    replies.try_into().map_err(|_| unexpected())
}

fn read<T: FromRedisValue>(reply: Value) -> Result<T, StoreFault> {
    redis::from_redis_value(reply).map_err(|_| unexpected())
}

/// Data from the store does not belong in a log.
fn unexpected() -> StoreFault {
    StoreFault::new(
        StoreFaultKind::Foreign,
        "its keys contain values of another type: set a key prefix or a database of its own (store_prefix)",
    )
}

#[cfg(any(test, feature = "fuzz"))]
pub(super) mod target;
#[cfg(test)]
mod tests;

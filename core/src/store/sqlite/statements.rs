//! The tables of the file, and the statements on them.

use crate::store::{
    GAUGE_LIFE, Index, LEASE_LIFE, Lease, Lookup, MAX_PURGES, MAX_VALUE, Owner, PURGE_LIFE, Purge,
    ROUND_LIFE, Tally, TargetId,
};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::time::Duration;

/// `CRGT`: the application id of these SQLite files.
const APPLICATION: i64 = 0x4352_4754;
/// The version of the tables below.
const VERSION: i64 = 1;

/// Tables with row ids: a value of a kilobyte in an index would cost four times as much. A purge's number is its row
/// id, so that the latest is found at once.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS entry(id BLOB PRIMARY KEY, value BLOB NOT NULL, expires INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS entry_expires ON entry(expires);
CREATE TABLE IF NOT EXISTS lease(id BLOB PRIMARY KEY, owner BLOB NOT NULL, expires INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS purge(number INTEGER PRIMARY KEY, scope BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS counter(kind BLOB, position INTEGER, value INTEGER NOT NULL, PRIMARY KEY(kind, position));
CREATE TABLE IF NOT EXISTS gauge(kind BLOB, process BLOB, position INTEGER, value INTEGER NOT NULL,
    expires INTEGER NOT NULL, PRIMARY KEY(kind, process, position));
";

/// The number of prepared statements to cache: all of them.
pub(super) const COUNT: usize = 32;
/// The maximum number of expired or evicted entries to delete at a time.
const SWEEP: u32 = 32;

/// Whether the file has all tables.
pub(super) fn is_complete(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(kind(connection)? == (APPLICATION, VERSION))
}

/// The application and the version that the file names.
fn kind(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

/// Whether the file is empty, or one of ours.
pub(super) fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    if kind(connection)? == (0, 0) {
        let tables = "SELECT count(*) FROM sqlite_schema";
        return connection.query_row(tables, [], |row| Ok(row.get::<_, i64>(0)? == 0));
    }
    is_complete(connection)
}

/// Creates missing tables. Writes nothing if there are none missing.
pub(super) fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    if is_complete(connection)? {
        return Ok(());
    }
    let transaction = begin(connection)?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// The file at one moment.
pub(super) struct At<'c> {
    pub(super) connection: &'c Connection,
    /// The time since the Unix epoch.
    pub(super) wall: Duration,
}

impl At<'_> {
    pub(super) fn look(&self, index: &Index) -> rusqlite::Result<Lookup> {
        let mut look = self.connection.prepare_cached(
            "SELECT (SELECT value FROM entry WHERE id = ?1 AND expires > ?2 AND length(value) <= ?3),
                    EXISTS(SELECT 1 FROM lease WHERE id = ?1 AND expires > ?2 AND expires <= ?4),
                    (SELECT max(number) FROM purge)",
        )?;
        let now = milliseconds(self.wall);
        look.query_row(
            params![index.0, now, MAX_VALUE, self.latest_lease_expiry()],
            |row| {
                Ok(Lookup {
                    value: row.get(0)?,
                    is_leased: row.get(1)?,
                    purges: row.get::<_, Option<u64>>(2)?.unwrap_or_default(),
                })
            },
        )
    }

    pub(super) fn put(&self, index: &Index, value: &[u8], life: Duration) -> rusqlite::Result<()> {
        self.sweep(
            "SELECT rowid FROM entry WHERE expires <= ?1 ORDER BY expires LIMIT ?2",
            milliseconds(self.wall),
        )?;
        match self.try_put(index, value, life) {
            Err(error) if is_full(&error) => {
                // Evict the entries that expire soonest.
                self.sweep(
                    "SELECT rowid FROM entry WHERE ?1 > 0 ORDER BY expires LIMIT ?2",
                    1,
                )?;
                self.try_put(index, value, life)
            }
            put => put,
        }
    }

    fn try_put(&self, index: &Index, value: &[u8], life: Duration) -> rusqlite::Result<()> {
        let mut put = self.connection.prepare_cached(
            "INSERT INTO entry(id, value, expires) VALUES(?1, ?2, ?3)
             ON CONFLICT(id) DO UPDATE SET value = excluded.value, expires = excluded.expires",
        )?;
        put.execute(params![index.0, value, milliseconds(self.wall + life)])?;
        Ok(())
    }

    /// Takes no lock and writes nothing if there is nothing to delete.
    fn sweep(&self, which: &str, bound: i64) -> rusqlite::Result<()> {
        let mut select = self.connection.prepare_cached(which)?;
        if !select.exists(params![bound, SWEEP])? {
            return Ok(());
        }
        let transaction = begin(self.connection)?;
        {
            let delete = format!("DELETE FROM entry WHERE rowid IN ({which})");
            let mut delete = transaction.prepare_cached(&delete)?;
            delete.execute(params![bound, SWEEP])?;
            // Leases of dead owners.
            let mut leases = transaction.prepare_cached("DELETE FROM lease WHERE expires <= ?1")?;
            leases.execute([milliseconds(self.wall)])?;
        }
        transaction.commit()
    }

    /// An expiry beyond the maximum life of a lease comes from a clock that was set back: it is ignored.
    fn latest_lease_expiry(&self) -> i64 {
        milliseconds(self.wall + 2 * LEASE_LIFE)
    }

    pub(super) fn lease(
        &self,
        index: &Index,
        owner: &Owner,
        life: Duration,
    ) -> rusqlite::Result<Lease> {
        let mut lease = self.connection.prepare_cached(
            "INSERT INTO lease(id, owner, expires) VALUES(?1, ?2, ?3)
             ON CONFLICT(id) DO UPDATE SET owner = excluded.owner, expires = excluded.expires
             WHERE lease.owner = excluded.owner OR lease.expires <= ?4 OR lease.expires > ?5
             RETURNING 1",
        )?;
        let until = milliseconds(self.wall + life);
        let now = milliseconds(self.wall);
        let taken = lease
            .query_row(
                params![index.0, owner.0, until, now, self.latest_lease_expiry()],
                |_| Ok(()),
            )
            .optional()?;
        Ok(match taken {
            Some(()) => Lease::Taken,
            None => Lease::Held,
        })
    }

    pub(super) fn release(&self, index: &Index, owner: &Owner) -> rusqlite::Result<()> {
        let mut release = self
            .connection
            .prepare_cached("DELETE FROM lease WHERE id = ?1 AND owner = ?2")?;
        release.execute(params![index.0, owner.0])?;
        Ok(())
    }

    pub(super) fn purge(&self, target: &TargetId, now: Duration) -> rusqlite::Result<u64> {
        let transaction = begin(self.connection)?;
        let number: u64 = transaction.query_row(
            "SELECT max(?1, coalesce(max(number), 0) + 1) FROM purge",
            [milliseconds(now)],
            |row| row.get(0),
        )?;
        let oldest = milliseconds(self.wall.saturating_sub(PURGE_LIFE));
        transaction.execute(
            "DELETE FROM purge WHERE scope = ?1 OR number < ?2",
            params![target.0, oldest],
        )?;
        transaction.execute(
            "INSERT INTO purge(number, scope) VALUES(?1, ?2)",
            params![number, target.0],
        )?;
        transaction.commit()?;
        Ok(number)
    }

    pub(super) fn purges(&self, after: u64) -> rusqlite::Result<Vec<Purge>> {
        let mut purges = self.connection.prepare_cached(
            "SELECT number, scope FROM purge WHERE number > ?1 ORDER BY number LIMIT ?2",
        )?;
        let rows = purges.query_map(params![after, MAX_PURGES], |row| {
            Ok(Purge {
                number: row.get(0)?,
                target: TargetId(row.get(1)?),
            })
        })?;
        rows.collect()
    }

    pub(super) fn add(
        &self,
        kind: &[u8; 16],
        process: &[u8; 16],
        round: u64,
        growth: &Tally,
    ) -> rusqlite::Result<()> {
        let transaction = begin(self.connection)?;
        {
            let mut last = transaction.prepare_cached(
                "SELECT value FROM gauge WHERE kind = ?1 AND process = ?2 AND position = ?3",
            )?;
            let last: Option<u64> = last
                .query_row(params![kind, process, ROUND], |row| row.get(0))
                .optional()?;
            let is_new = last.is_none_or(|last| last < round);
            let mut count = transaction.prepare_cached(
                "INSERT INTO counter(kind, position, value) VALUES(?1, ?2, ?3)
                 ON CONFLICT(kind, position) DO UPDATE SET value = value + excluded.value",
            )?;
            for (position, value) in growth.counters.iter().enumerate() {
                if is_new && *value > 0 {
                    count.execute(params![kind, position, value])?;
                }
            }
            let mut set = transaction.prepare_cached(
                "INSERT OR REPLACE INTO gauge(kind, process, position, value, expires) VALUES(?1, ?2, ?3, ?4, ?5)",
            )?;
            let expires = milliseconds(self.wall + GAUGE_LIFE);
            for (position, value) in growth.gauges.iter().enumerate() {
                set.execute(params![kind, process, position, value, expires])?;
            }
            if is_new {
                let expires = milliseconds(self.wall + ROUND_LIFE);
                set.execute(params![kind, process, ROUND, round, expires])?;
            }
            let mut forget = transaction.prepare_cached("DELETE FROM gauge WHERE expires <= ?1")?;
            forget.execute([milliseconds(self.wall)])?;
        }
        transaction.commit()
    }

    pub(super) fn sum(&self, kind: &[u8; 16]) -> rusqlite::Result<Tally> {
        let counters = self.numbers(
            "SELECT position, value FROM counter WHERE kind = ?1 AND ?2 > 0",
            kind,
        )?;
        let gauges = self.numbers(
            "SELECT position, sum(value) FROM gauge WHERE kind = ?1 AND expires > ?2 AND position >= 0 GROUP BY position",
            kind,
        )?;
        Ok(Tally { counters, gauges })
    }

    fn numbers(&self, query: &str, kind: &[u8; 16]) -> rusqlite::Result<Vec<u64>> {
        let mut select = self.connection.prepare_cached(query)?;
        let mut rows = select.query(params![kind, milliseconds(self.wall)])?;
        let mut numbers = Vec::new();
        while let Some(row) = rows.next()? {
            let position: usize = row.get(0)?;
            if position < MAX_NUMBERS {
                numbers.resize(numbers.len().max(position + 1), 0);
                numbers[position] = row.get(1)?;
            }
        }
        Ok(numbers)
    }
}

/// The position of a process's last round among its gauges.
const ROUND: i64 = -1;
/// The maximum position.
const MAX_NUMBERS: usize = 1024;

/// A write transaction from the start: one that reads first may fail to upgrade.
fn begin(connection: &Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

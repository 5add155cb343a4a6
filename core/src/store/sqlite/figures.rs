//! A look beside a prepared read of the same value.

use super::*;
use crate::store::conformance::TempDir;
use crate::store::figures::{LENGTH, Series, any, compare, compare_many, fill, looks};
use crate::sys::clock::SystemClock;
use rusqlite::{Connection, params};

#[tokio::test]
async fn figures_of_a_file() {
    let (scratch, clock) = (TempDir::new(), Arc::new(SystemClock));
    let (file, patient) = (scratch.file(), Some(Duration::from_secs(60)));
    let store: Arc<dyn Store> = Arc::new(Sqlite::new(&file, 1 << 30, patient, clock));
    fill(&*store).await;

    // What anybody would write who wants a value that is good still out of a table.
    let raw = Connection::open(&file).unwrap();
    let mut read = raw
        .prepare("SELECT value FROM entry WHERE id = ?1 AND expires > ?2")
        .unwrap();
    let reads: Series<'_> = Box::new(|questions| {
        for _ in 0..questions {
            let value: Vec<u8> = read
                .query_row(params![any().0, 1], |row| row.get(0))
                .unwrap();
            assert_eq!(value.len(), LENGTH);
        }
        Box::pin(async {})
    });
    let mut cases = [("a prepared read", reads), ("a look", looks(&*store))];
    compare("sqlite", &mut cases).await;
    drop(cases);

    compare_many("sqlite-many", &store).await;
}

//! Measures what stores cost beside the same question without a store around it, in shuffled rounds of one run.
//! `CREDGATE_FIGURES` names a directory for the results, and has them measured for long enough to mean something.

use super::{Index, Store};
use fastrand::Rng;
use serde_json::{Map, Value, json};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Something that is asked so many times in a row.
pub(super) type Series<'c> = Box<dyn FnMut(usize) -> Pin<Box<dyn Future<Output = ()> + 'c>> + 'c>;

/// How long a value is: as a sealed token.
pub(super) const LENGTH: usize = 1024;
/// How many are asked for at once where throughput is measured.
const AT_ONCE: usize = 64;
const HOUR: Duration = Duration::from_secs(3600);

/// How many values there are.
fn values() -> usize {
    if directory().is_some() { 10_000 } else { 100 }
}

/// Where one of the values is.
pub(super) fn any() -> Index {
    thread_local!(static VALUES: usize = values());
    index(VALUES.with(|values| fastrand::usize(..*values)))
}

fn index(number: usize) -> Index {
    Index(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

pub(super) async fn fill(store: &dyn Store) {
    for number in 0..values() {
        let value = vec![7; LENGTH];
        store.put(index(number), value, HOUR).await.unwrap();
    }
}

/// Looks one after the other.
pub(super) fn looks<'s>(store: &'s dyn Store) -> Series<'s> {
    Box::new(move |questions| {
        Box::pin(async move {
            for _ in 0..questions {
                let found = store.look(any()).await.unwrap();
                assert_eq!(found.value.unwrap().len(), LENGTH);
            }
        })
    })
}

/// Looks, and puts, many at a time.
pub(super) async fn compare_many(name: &str, store: &Arc<dyn Store>) {
    let look: Question = |store| {
        Box::pin(async move {
            store.look(any()).await.unwrap();
        })
    };
    let put: Question = |store| {
        Box::pin(async move {
            let value = vec![8; LENGTH];
            store.put(any(), value, HOUR).await.unwrap();
        })
    };
    let mut cases = [
        ("looks at once", at_once(store, look)),
        ("fills at once", at_once(store, put)),
    ];
    compare(name, &mut cases).await;
}

type Question = fn(Arc<dyn Store>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

fn at_once(store: &Arc<dyn Store>, question: Question) -> Series<'_> {
    Box::new(move |questions| {
        Box::pin(async move {
            for _ in 0..questions / AT_ONCE {
                let ask = |_| tokio::spawn(question(Arc::clone(store)));
                for asked in (0..AT_ONCE).map(ask).collect::<Vec<_>>() {
                    asked.await.unwrap();
                }
            }
        })
    })
}

fn directory() -> Option<PathBuf> {
    std::env::var_os("CREDGATE_FIGURES").map(PathBuf::from)
}

/// Asks each of `cases` in turn. The first is what the others are compared with.
pub(super) async fn compare(name: &str, cases: &mut [(&'static str, Series<'_>)]) {
    let (rounds, questions) = if directory().is_some() {
        (15, 4000)
    } else {
        (2, 64)
    };
    let mut times = vec![Vec::new(); cases.len()];
    let mut order: Vec<usize> = (0..cases.len()).collect();
    let mut random = Rng::new();
    for _ in 0..rounds {
        random.shuffle(&mut order);
        for &number in &order {
            let start = Instant::now();
            cases[number].1(questions).await;
            times[number].push(start.elapsed().as_secs_f64() * 1e6 / questions as f64);
        }
    }
    let figures: Map<String, Value> = cases
        .iter()
        .zip(&times)
        .map(|((case, _), own)| {
            let ratios = own.iter().zip(&times[0]).map(|(own, raw)| own / raw);
            let figure = json!({
                "microseconds": quartiles(own.iter().copied()),
                "ratio_to_first": quartiles(ratios),
            });
            ((*case).to_owned(), figure)
        })
        .collect();
    if let Some(directory) = directory() {
        let text = serde_json::to_string_pretty(&figures).unwrap();
        std::fs::write(directory.join(format!("{name}.json")), text).unwrap();
    }
}

fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| {
        let value = sorted[(sorted.len() - 1) * quarter / 4];
        (value * 1000.0).round() / 1000.0
    })
}

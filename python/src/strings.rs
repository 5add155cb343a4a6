//! The Python strings of the tokens that were forwarded last.
//!
//! A string of 700 bytes costs 110 ns, a fifth of a cache hit: Python checks each byte, and takes so much memory from
//! the allocator of the C library. Serving a token does not depend on these strings: the core is asked first, each time.

use credgate_core::{Allow, Grant};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyString;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The number of slots, a power of two: 200 KB with tokens of 700 bytes.
const SLOTS: usize = 256;
/// The distance of two tokens in memory is at least this.
const STRIDE: usize = size_of::<Grant>();

/// The value of `Authorization`, and its token. A weak reference leaves the wiping of the token to the core, and keeps its
/// address from being used again.
type Slot = Mutex<Option<(Weak<Grant>, Py<PyString>)>>;

static STRINGS: [Slot; SLOTS] = [const { Mutex::new(None) }; SLOTS];

/// The value of `Authorization`; `None` without a token.
pub(crate) fn authorization<'py>(py: Python<'py>, allow: &Allow) -> Option<Bound<'py, PyString>> {
    let grant = allow.grant()?;
    let slot = &STRINGS[(ptr::from_ref(grant).addr() / STRIDE) % SLOTS];
    // Without the GIL, another thread may be there: then this one does without.
    let mut slot = slot.try_lock().ok();
    if let Some(Some((owner, string))) = slot.as_deref()
        && ptr::eq(owner.as_ptr(), grant)
    {
        return Some(string.bind(py).clone());
    }
    let string = PyString::new(py, grant.authorization());
    let (_, owner) = allow.clone().into_parts();
    if let (Some(slot), Some(owner)) = (&mut slot, owner) {
        **slot = Some((Arc::downgrade(&owner), string.clone().unbind()));
    }
    Some(string)
}

/// Drops all strings: tokens have been purged.
pub(crate) fn clear(py: Python<'_>) {
    for slot in &STRINGS {
        let mut slot = slot
            .lock_py_attached(py)
            .unwrap_or_else(PoisonError::into_inner);
        *slot = None;
    }
}

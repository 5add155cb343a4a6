//! The counters of each client.

use crate::boundary::{Fail, boundary};
use crate::bytes;
use crate::engine::credgate_engine;
use crate::handle::{self, Out};
use crate::status::{CREDGATE_INVALID_ARGUMENT, CREDGATE_NULL_ARGUMENT, CREDGATE_OK};
use crate::structs;
use credgate_core::ClientRequests;
use std::ffi::c_char;
use std::mem::{MaybeUninit, align_of, offset_of, size_of};

/// The requests of a client: see the engine option "metrics_clients".
#[repr(C)]
pub struct credgate_client {
    /// Its id: printable ASCII, at most 255 bytes. "other": all requests
    /// without counters of their own.
    pub client_id: *const c_char,
    /// Its length in bytes.
    pub client_id_len: usize,
    /// Its allowed requests.
    pub allowed: u64,
    /// Its denied requests.
    pub denied: u64,
    /// For tests: 1 if the library writes it, ignored if it reads it.
    #[cfg(credgate_grown)]
    pub grown: u64,
}

/// The size of version 1, the minimum.
const CLIENT_V1_SIZE: usize = offset_of!(credgate_client, denied) + size_of::<u64>();

/// Copies the counters of clients, from position `first` on, at most `capacity`
/// of them, to an array whose elements have `client_size` bytes:
/// sizeof(credgate_client). *out_count is their number. Position 0 is "other";
/// the clients follow in the order of their first token, and never change their
/// position. All numbers only grow, and a host may add up those of several
/// processes by their ids. Without the option "metrics_clients" there are none.
/// The strings belong to the engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_engine_clients(
    engine: *const credgate_engine,
    first: usize,
    clients: *mut credgate_client,
    capacity: usize,
    client_size: usize,
    out_count: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes a valid engine and an array of `capacity` elements, or NULL.
        unsafe {
            let engine = handle::borrow(engine)?;
            let out_count = Out::required(out_count)?;
            check_array(clients, capacity, client_size)?;
            let list = engine.0.clients(first, capacity)?;
            for (at, one) in list.iter().enumerate() {
                // The engine keeps the id until it ends.
                let client = credgate_client {
                    client_id: one.client_id.as_ptr().cast(),
                    client_id_len: one.client_id.len(),
                    allowed: one.allowed,
                    denied: one.denied,
                    #[cfg(credgate_grown)]
                    grown: 1,
                };
                structs::write(clients.byte_add(at * client_size), client_size, &client);
            }
            out_count.set(list.len());
        }
        Ok(CREDGATE_OK)
    })
}

/// Writes the counters of `count` clients in Prometheus's text format, version
/// 0.0.4: to append to the text of credgate_counters_text. No clients: an empty
/// text. CREDGATE_BUFFER_TOO_SMALL: *out_len is the capacity that the text
/// needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn credgate_clients_text(
    clients: *const credgate_client,
    count: usize,
    client_size: usize,
    out: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> i32 {
    boundary(|| {
        // SAFETY: C passes an array of `count` elements, and memory for `capacity` bytes, or NULL.
        unsafe {
            let text = ClientRequests::text(list(clients, count, client_size)?);
            bytes::write(text.as_bytes(), out, capacity, out_len)
        }
    })
}

/// The ids of clients, their allowed and their denied requests.
///
/// # Safety
///
/// NULL, or `count` elements whose strings are valid during `'c`.
pub(crate) unsafe fn list<'c>(
    clients: *const credgate_client,
    count: usize,
    client_size: usize,
) -> Result<Vec<(&'c str, u64, u64)>, Fail> {
    check_array(clients, count, client_size)?;
    let mut list = Vec::with_capacity(count);
    for at in 0..count {
        let mut local = MaybeUninit::uninit();
        // SAFETY: the caller guarantees the array and its strings.
        unsafe {
            let element = clients.byte_add(at * client_size);
            let client: &credgate_client = structs::read(element, client_size, &mut local);
            let id = bytes::text(client.client_id, client.client_id_len)?;
            list.push((id, client.allowed, client.denied));
        }
    }
    Ok(list)
}

fn check_array(
    clients: *const credgate_client,
    count: usize,
    client_size: usize,
) -> Result<(), Fail> {
    if clients.is_null() && count > 0 {
        return Err(Fail(CREDGATE_NULL_ARGUMENT));
    }
    if client_size < CLIENT_V1_SIZE || !client_size.is_multiple_of(align_of::<credgate_client>()) {
        return Err(Fail(CREDGATE_INVALID_ARGUMENT));
    }
    Ok(())
}

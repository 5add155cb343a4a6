//! A cache hit through the C ABI allocates nothing, for credentials in every place. (For a JSON body with nested values
//! the JSON library makes one allocation, its stack of brackets.)

use crate::c_host::{self, outcome, request};
use crate::provider::provider;
use crate::*;
use base64::Engine as _;
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// glibc's own functions. The library's allocator calls malloc, calloc and realloc, which the linker finds here first.
unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
}

/// Counts the allocations of the calling thread.
#[unsafe(export_name = "malloc")]
unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    count();
    // SAFETY: the arguments are passed on unchanged.
    unsafe { __libc_malloc(size) }
}

#[unsafe(export_name = "calloc")]
unsafe extern "C" fn calloc(elements: usize, size: usize) -> *mut c_void {
    count();
    // SAFETY: the arguments are passed on unchanged.
    unsafe { __libc_calloc(elements, size) }
}

#[unsafe(export_name = "realloc")]
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    count();
    // SAFETY: the arguments are passed on unchanged.
    unsafe { __libc_realloc(block, size) }
}

/// A C host's handles.
struct Host {
    gate: *mut credgate_gate,
    queue: *mut credgate_queue,
}

impl Host {
    fn new(json: &str, options: &str) -> Host {
        let (mut gate, mut engine, mut queue) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: all pointers are valid.
        unsafe {
            assert_eq!(
                credgate_gate_new(json.as_ptr().cast(), json.len(), &mut gate, ptr::null_mut()),
                CREDGATE_OK
            );
            assert_eq!(
                credgate_engine_new(
                    options.as_ptr().cast(),
                    options.len(),
                    &mut engine,
                    ptr::null_mut()
                ),
                CREDGATE_OK
            );
            assert_eq!(
                credgate_queue_new(engine, &mut queue, ptr::null_mut()),
                CREDGATE_OK
            );
        }
        Host { gate, queue }
    }

    /// Authenticates and releases the outcome. Returns the status, the cache status and the HTTP status.
    fn authenticate(&self, request: &credgate_request) -> (i32, u32, u32) {
        let mut outcome = outcome();
        let mut ticket = 0;
        // SAFETY: all pointers are valid.
        unsafe {
            let status = credgate_authenticate(
                self.gate,
                self.queue,
                request,
                ptr::null_mut(),
                &mut outcome,
                &mut ticket,
            );
            let result = (status, outcome.cache_status, outcome.http_status);
            credgate_outcome_release(&mut outcome);
            result
        }
    }

    /// Waits for the pending outcome.
    fn wait(&self) {
        let mut outcome = outcome();
        // SAFETY: the queue is valid.
        unsafe {
            c_host::wait(self.queue, &mut outcome);
            assert_eq!(outcome.http_status, 0);
            credgate_outcome_release(&mut outcome);
        }
    }
}

#[test]
fn hit_allocates_nothing() {
    hits(r#""traceparent":false"#, "{}");
}

#[test]
fn hit_with_traceparent_and_counters_of_clients_allocates_nothing() {
    hits(r#""traceparent":true"#, r#"{"metrics_clients":10}"#);
}

fn hits(setting: &str, options: &str) {
    let issuer = provider();
    let host = Host::new(
        &format!(r#"{{"issuer":"{issuer}","allow_loopback_http":true,{setting}}}"#),
        options,
    );
    let header = format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode("client:s3cret")
    );
    let form = "x=1&client_id=client&client_secret=s3cret";
    let json = r#"{"client_id":"client","x":1,"client_secret":"s3cret"}"#;

    let mut by_header = request("GET");
    (by_header.authorization, by_header.authorization_len) = (header.as_ptr().cast(), header.len());
    let mut by_query = request("GET");
    (by_query.query, by_query.query_len) = (form.as_ptr().cast(), form.len());
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    (by_query.traceparent, by_query.traceparent_len) = (parent.as_ptr().cast(), parent.len());
    let mut by_body = request("POST");
    (by_body.content_type, by_body.content_type_len) = (c"application/json".as_ptr(), 16);
    (by_body.body, by_body.body_len) = (json.as_ptr().cast(), json.len());

    assert_eq!(host.authenticate(&by_header).0, CREDGATE_PENDING);
    host.wait();
    for request in [&by_header, &by_query, &by_body] {
        let before = ALLOCATIONS.get();
        let result = host.authenticate(request);
        let allocated = ALLOCATIONS.get() - before;
        assert_eq!(result, (CREDGATE_OK, CREDGATE_CACHE_STATUS_HIT, 0));
        assert_eq!(allocated, 0);
    }
    let before = ALLOCATIONS.get();
    let mut seen = vec![0u8; 10];
    seen.extend_from_slice(header.as_bytes());
    drop((seen, Box::new(host)));
    assert_eq!(
        ALLOCATIONS.get() - before,
        3,
        "the count includes allocations of each kind"
    );
}

//! Calls of a host that needs no provider, for Miri (`tests/miri.sh`): it checks every pointer that they follow, and that
//! nothing leaks.

use crate::c_host::outcome;
use crate::*;
use std::ffi::c_char;
use std::mem::size_of;
use std::ptr;

const GATE: &str = r#"{"issuer":"https://a.example","upstream_headers_claims":["sub"],
    "upstream_headers_names":["x-client"],"client_id_header":"x-id","client_secret_header":"x-secret",
    "token_post_args_client":["audience"]}"#;

/// A pointer and a length, as C passes a string.
fn c(text: &str) -> (*const c_char, usize) {
    (text.as_ptr().cast(), text.len())
}

/// Copies a string that the library lends.
fn lent(read: impl FnOnce(*mut *const c_char, *mut usize) -> i32) -> (i32, String) {
    let (mut data, mut len) = (ptr::null(), 0);
    let status = read(&mut data, &mut len);
    if status != CREDGATE_OK {
        return (status, String::new());
    }
    // SAFETY: the library lends valid memory.
    let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), len) };
    (status, String::from_utf8_lossy(bytes).into_owned())
}

/// Copies a string that the library writes into a buffer of exactly that capacity.
fn written(
    capacity: usize,
    write: impl FnOnce(*mut c_char, usize, *mut usize) -> i32,
) -> (i32, String) {
    let (mut buffer, mut len) = (vec![0u8; capacity].into_boxed_slice(), 0);
    let status = write(buffer.as_mut_ptr().cast(), capacity, &mut len);
    if status != CREDGATE_OK {
        return (status, String::new());
    }
    (status, String::from_utf8_lossy(&buffer[..len]).into_owned())
}

fn new_gate(json: &str) -> (i32, *mut credgate_gate, *mut credgate_error) {
    let ((json, len), mut gate, mut error) = (c(json), ptr::null_mut(), ptr::null_mut());
    // SAFETY: the pointers are valid.
    let status = unsafe { credgate_gate_new(json, len, &mut gate, &mut error) };
    (status, gate, error)
}

#[test]
fn session_hides_and_redacts_within_its_buffers() {
    let (status, gate, error) = new_gate(GATE);
    assert_eq!((status, error.is_null()), (CREDGATE_OK, true));
    let ((query, len), all) = (c("x=1&client_id=a&client_secret=b"), 31);
    // SAFETY: the pointers are valid, and the capacities are those of the buffers.
    unsafe {
        let hide = |out, capacity, out_len| {
            credgate_gate_hide_query(gate, query, len, out, capacity, out_len)
        };
        assert_eq!(written(all, hide), (CREDGATE_OK, "x=1".into()));
        assert_eq!(written(all - 1, hide).0, CREDGATE_BUFFER_TOO_SMALL);
        let (json, json_len) = c(r#"{"client_id":"a","x":1,"client_secret":"b"}"#);
        let (kind, kind_len) = c("application/json");
        let hide = |out, capacity, out_len| {
            credgate_gate_hide_body(gate, kind, kind_len, json, json_len, out, capacity, out_len)
        };
        assert_eq!(written(json_len, hide), (CREDGATE_OK, r#"{"x":1}"#.into()));
        let mut line = *b"GET /?client_secret=abc HTTP/1.1";
        let mut contains = false;
        credgate_text_contains_secret(line.as_ptr().cast(), line.len(), &mut contains);
        assert!(contains);
        assert_eq!(
            credgate_text_redact(line.as_mut_ptr().cast(), line.len()),
            CREDGATE_OK
        );
        assert_eq!(&line, b"GET /?client_secret=*** HTTP/1.1");
        let mut query = *b"client_secret=abc";
        assert_eq!(
            credgate_query_redact(query.as_mut_ptr().cast(), query.len()),
            CREDGATE_OK
        );
        assert_eq!(&query, b"client_secret=***");
        assert_eq!(credgate_query_redact(ptr::null_mut(), 0), CREDGATE_OK);
        assert_eq!(
            credgate_query_redact(ptr::null_mut(), 1),
            CREDGATE_NULL_ARGUMENT
        );
        credgate_gate_free(gate);
    }
}

#[test]
fn session_reads_what_a_gate_lends() {
    let (_, gate, _) = new_gate(GATE);
    // SAFETY: the pointers are valid, and the gate outlives what it lends.
    unsafe {
        let (status, config) = lent(|out, len| credgate_gate_config(gate, out, len));
        assert_eq!(status, CREDGATE_OK);
        assert!(
            config.contains(r#""issuer": "https://a.example""#),
            "{config}"
        );
        for (index, expected) in [(0, "x-id"), (1, "x-secret")] {
            let name = lent(|out, len| credgate_gate_credential_header(gate, index, out, len));
            assert_eq!(name, (CREDGATE_OK, expected.into()));
        }
        assert_eq!(
            lent(|out, len| credgate_gate_credential_header(gate, 2, out, len)).0,
            CREDGATE_EMPTY
        );
        let (mut endpoint, mut check) = (ptr::null_mut(), ptr::null_mut());
        assert_eq!(
            credgate_gate_token_endpoint(gate, &mut endpoint, ptr::null_mut()),
            CREDGATE_OK
        );
        assert_eq!(
            credgate_gate_external(gate, &mut check, ptr::null_mut()),
            CREDGATE_OK
        );
        // The derived gates live on without the first.
        credgate_gate_free(gate);
        let mut milliseconds = 0;
        assert_eq!(
            credgate_gate_timeout(endpoint, &mut milliseconds),
            CREDGATE_OK
        );
        assert_eq!(milliseconds, 10_000);
        credgate_gate_free(endpoint);
        credgate_gate_free(check);
    }
}

#[test]
fn session_of_a_denial_and_a_bypass_frees_what_they_own() {
    let (_, gate, _) = new_gate(GATE);
    let mut outcome = outcome();
    // SAFETY: the pointers are valid, and an outcome is released before it is filled again.
    unsafe {
        assert_eq!(
            credgate_gate_deny(gate, CREDGATE_NO_CREDENTIALS, &mut outcome),
            CREDGATE_OK
        );
        assert_eq!(outcome.http_status, 401);
        let body = std::slice::from_raw_parts(outcome.body.cast::<u8>(), outcome.body_len);
        assert_eq!(body, br#"{"message":"Unauthorized"}"#);
        credgate_outcome_release(&mut outcome);
        assert_eq!(
            credgate_gate_deny(gate, 1, &mut outcome),
            CREDGATE_INVALID_ARGUMENT
        );
        assert_eq!(credgate_gate_bypass(gate, &mut outcome), CREDGATE_OK);
        let mut headers: [credgate_header; 8] = std::mem::zeroed();
        let mut count = 0;
        let size = size_of::<credgate_header>();
        assert_eq!(
            credgate_outcome_headers(&mut outcome, 0, headers.as_mut_ptr(), 8, size, &mut count),
            CREDGATE_OK
        );
        let names: Vec<_> = headers[..count]
            .iter()
            .map(|header| std::slice::from_raw_parts(header.name.cast::<u8>(), header.name_len))
            .collect();
        for name in ["authorization", "x-client", "x-id", "x-secret"] {
            assert!(names.contains(&name.as_bytes()), "{name}");
        }
        assert!(headers.iter().all(|header| header.value.is_null()));
        credgate_outcome_release(&mut outcome);
        credgate_outcome_release(&mut outcome);
        credgate_gate_free(gate);
    }
}

#[test]
fn session_with_an_invalid_configuration_reads_its_problems() {
    let (status, gate, error) = new_gate(r#"{"issuer":"http://a.example","timeout":-1}"#);
    assert!(gate.is_null());
    assert_ne!(status, CREDGATE_OK);
    // SAFETY: the pointers are valid, and the error outlives what it lends.
    unsafe {
        let (status, message) = lent(|out, len| credgate_error_message(error, out, len));
        assert_eq!((status, message.is_empty()), (CREDGATE_OK, false));
        let mut message = (ptr::null(), 0);
        let (status, field) = lent(|out, len| {
            credgate_error_problem(error, 0, out, len, &mut message.0, &mut message.1)
        });
        assert_eq!((status, field.is_empty()), (CREDGATE_OK, false));
        credgate_error_free(error);
    }
}

#[test]
fn session_finds_a_header_among_larger_elements() {
    #[repr(C)]
    struct Element {
        name: credgate_header_name,
        more: u64,
    }
    let element = |name: &'static str| Element {
        name: credgate_header_name {
            len: name.len() as u32,
            data: name.as_ptr().cast(),
        },
        more: u64::MAX,
    };
    let elements = [element("host"), element("authorization"), element("accept")];
    let ((name, len), mut at) = (c("authorization"), 9);
    // SAFETY: the pointers are valid, and the size is that of the elements.
    let status = unsafe {
        credgate_header_find(
            elements.as_ptr().cast(),
            3,
            size_of::<Element>(),
            name,
            len,
            &mut at,
        )
    };
    assert_eq!((status, at), (CREDGATE_OK, 1));
    assert!(elements.iter().all(|element| element.more == u64::MAX));
}

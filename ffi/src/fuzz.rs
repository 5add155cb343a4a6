//! The body of the fuzz target `abi`: sequences of calls, as a C host could make them.
//!
//! The host keeps the header's rules: it frees what it owns once, and passes memory of the length that it states. All else
//! is the input's: which functions it calls and in which order, with NULL, short capacities, old and new sizes of structs.

use crate::provider::provider;
use crate::*;
use std::ffi::{CStr, c_char};
use std::mem::zeroed;
use std::os::fd::BorrowedFd;
use std::ptr;
use std::sync::LazyLock;

/// The engine of the process, its queue, and gates with a cached token of the client `client`.
struct Host {
    engine: *mut credgate_engine,
    queue: *mut credgate_queue,
    gates: Vec<*mut credgate_gate>,
}

// SAFETY: gates and engines may be used from any thread, and `sequence` runs on one thread at a time.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

const OPTIONS: &str = r#"{"metrics_clients":3}"#;
/// Settings of gates beside their issuer.
const GATES: [&str; 4] = [
    "",
    r#","upstream_headers":[{"header":"x-client","path":["azp"]}],"anonymous":"me""#,
    r#","client_id_header":"x-id","client_secret_header":"x-secret","token_post_args_host":["tenant"],"traceparent":true"#,
    r#","client_credentials_param_type":["host"]"#,
];

static HOST: LazyLock<Host> = LazyLock::new(|| {
    let issuer = provider();
    let (mut engine, mut queue) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: all pointers are valid.
    unsafe {
        let made = credgate_engine_new(text(OPTIONS), OPTIONS.len(), &mut engine, ptr::null_mut());
        assert_eq!(made, CREDGATE_OK);
        assert_eq!(
            credgate_queue_new(engine, &mut queue, ptr::null_mut()),
            CREDGATE_OK
        );
    }
    let gates = GATES.map(|own| {
        let json = format!(
            r#"{{"issuer":"{issuer}","allow_loopback_http":true,"purge_token_on_upstream_status_codes":[]{own}}}"#
        );
        let mut gate = ptr::null_mut();
        // SAFETY: all pointers are valid.
        let made =
            unsafe { credgate_gate_new(text(&json), json.len(), &mut gate, ptr::null_mut()) };
        assert_eq!(made, CREDGATE_OK);
        gate
    });
    let host = Host {
        engine,
        queue,
        gates: gates.to_vec(),
    };
    for (gate, own) in host.gates.iter().zip(GATES) {
        host.warm(*gate, own.contains("token_post_args_host"));
    }
    host
});

impl Host {
    /// Has a token cached, so that no call of a sequence needs an exchange. A gate may take an argument.
    fn warm(&self, gate: *mut credgate_gate, takes_argument: bool) {
        let argument = credgate_string {
            data: text("acme"),
            len: 4,
        };
        // SAFETY: zeroed structs are valid and empty, all pointers are valid, and the descriptor outlives the poll.
        unsafe {
            let (mut request, mut outcome) = (request(), outcome());
            (request.client_id, request.client_id_len) = (text("client"), 6);
            (request.client_secret, request.client_secret_len) = (text("s3cret"), 6);
            if takes_argument {
                (request.args, request.args_len) = (&argument, 1);
            }
            let (mut ticket, mut fd) = (0, -1);
            let status = credgate_authenticate(
                gate,
                self.queue,
                &request,
                ptr::null_mut(),
                &mut outcome,
                &mut ticket,
            );
            if status == CREDGATE_PENDING {
                assert_eq!(credgate_queue_fd(self.queue, &mut fd), CREDGATE_OK);
                let mut fds = libc::pollfd {
                    fd,
                    events: libc::POLLIN,
                    revents: 0,
                };
                assert_eq!(libc::poll(&mut fds, 1, 20_000), 1);
                let mut completion: credgate_completion = zeroed();
                completion.struct_size = size_of::<credgate_completion>() as u32;
                completion.outcome = &mut outcome;
                assert_eq!(
                    credgate_queue_next(self.queue, &mut completion),
                    CREDGATE_OK
                );
            }
            assert_eq!(outcome.http_status, 0);
            credgate_outcome_release(&mut outcome);
        }
    }
}

fn text(text: &str) -> *const c_char {
    text.as_ptr().cast()
}

fn request() -> credgate_request {
    // SAFETY: an all-zero request is valid and empty.
    let mut request: credgate_request = unsafe { zeroed() };
    request.struct_size = size_of::<credgate_request>() as u32;
    (request.method, request.method_len) = (text("POST"), 4);
    request
}

fn outcome() -> credgate_outcome {
    // SAFETY: an all-zero outcome is valid and empty.
    let mut outcome: credgate_outcome = unsafe { zeroed() };
    outcome.struct_size = size_of::<credgate_outcome>() as u32;
    outcome
}

/// The input, read from its start; zeros follow it.
struct Script<'d>(&'d [u8]);

impl<'d> Script<'d> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                *byte
            }
            None => 0,
        }
    }

    fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// A string in memory of its own, so that a byte too far is seen; or NULL.
    fn string(&mut self) -> Option<Box<[u8]>> {
        let len = usize::from(self.byte());
        if len == 0xff {
            return None;
        }
        let (string, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        Some(string.into())
    }
}

/// The pointer and the length of a string that may be NULL.
fn parts(string: &Option<Box<[u8]>>) -> (*const c_char, usize) {
    match string {
        Some(bytes) => (bytes.as_ptr().cast(), bytes.len()),
        None => (ptr::null(), 0),
    }
}

/// Memory for an output, with a border that must stay.
struct Buffer {
    bytes: Vec<u8>,
    capacity: usize,
    len: usize,
}

impl Buffer {
    const BORDER: u8 = 0xa5;

    fn new(capacity: usize) -> Buffer {
        Buffer {
            bytes: vec![Buffer::BORDER; capacity + 8],
            capacity,
            len: usize::MAX,
        }
    }

    fn start(&mut self) -> *mut c_char {
        self.bytes.as_mut_ptr().cast()
    }

    /// Checks the border, and returns what a call with this status has written.
    fn written(&self, status: i32) -> Option<&[u8]> {
        known(status);
        assert!(
            self.bytes[self.capacity..]
                .iter()
                .all(|&byte| byte == Buffer::BORDER)
        );
        (status == CREDGATE_OK).then(|| &self.bytes[..self.len])
    }
}

/// A call returns a status of the header, and does not panic.
fn known(status: i32) -> i32 {
    assert_ne!(status, CREDGATE_PANIC);
    // SAFETY: the name is static and ends in NUL.
    let name = unsafe { CStr::from_ptr(credgate_status_name(status)) };
    assert_ne!(name, c"UNKNOWN", "{status}");
    status
}

/// Reads a string that the library returns: it is text.
///
/// # Safety
///
/// The string is valid.
unsafe fn shown(start: *const c_char, len: usize) {
    if start.is_null() {
        return assert_eq!(len, 0);
    }
    // SAFETY: the caller guarantees the string.
    let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) };
    assert!(str::from_utf8(bytes).is_ok());
}

/// The possessions of a host during a sequence.
struct Run<'d> {
    script: Script<'d>,
    gates: Vec<*mut credgate_gate>,
    queue: *mut credgate_queue,
    request: credgate_request,
    /// Its strings.
    strings: Vec<Option<Box<[u8]>>>,
    outcome: credgate_outcome,
}

/// Bytes that each begin a call, with its arguments behind.
pub fn sequence(data: &[u8]) {
    let mut run = Run {
        script: Script(data),
        gates: Vec::new(),
        queue: ptr::null_mut(),
        request: request(),
        strings: Vec::new(),
        outcome: outcome(),
    };
    while !run.script.0.is_empty() {
        // SAFETY: the host keeps the rules of the header.
        unsafe { run.call() };
    }
    // SAFETY: as above; each is freed once.
    unsafe {
        credgate_outcome_release(&mut run.outcome);
        run.gates.iter().for_each(|gate| credgate_gate_free(*gate));
        credgate_queue_free(run.queue);
    }
}

impl Run<'_> {
    /// One of the gates; sometimes NULL.
    fn gate(&mut self) -> *const credgate_gate {
        let all = HOST.gates.len() + self.gates.len() + 1;
        let at = self.script.below(all);
        let mut gates = HOST.gates.iter().chain(&self.gates);
        gates.nth(at).copied().unwrap_or(ptr::null_mut())
    }

    fn queue(&mut self) -> *const credgate_queue {
        match self.script.below(8) {
            0 => ptr::null(),
            1 => self.queue,
            _ => HOST.queue,
        }
    }

    fn engine(&mut self) -> *const credgate_engine {
        if self.script.below(8) == 0 {
            ptr::null()
        } else {
            HOST.engine
        }
    }

    /// The size of a struct: as it is, or that of another version.
    fn size(&mut self, own: usize) -> u32 {
        let sizes = [own, own, own, own, own + 8, own - 1, own - 8, 0];
        sizes[self.script.below(sizes.len())] as u32
    }

    /// # Safety
    ///
    /// Of one thread at a time.
    unsafe fn call(&mut self) {
        // SAFETY: the pointers are valid or NULL, with the lengths that they are passed with.
        unsafe {
            match self.script.below(24) {
                0 => self.make_gate(),
                1 => self.derive_gate(),
                2..=5 => self.set(),
                6..=8 => self.authenticate(),
                9 => self.headers(),
                10 => self.claim(),
                11 => self.token(),
                12 => credgate_outcome_release(&mut self.outcome),
                13 => self.hide(),
                14 => self.redact(),
                15 => self.ask(),
                16 => self.deny(),
                17 => self.counters(),
                18 => self.record(),
                19 => self.purge(),
                20 => self.other_queue(),
                21 => self.clients(),
                22 => self.find_header(),
                _ => self.describe(),
            }
        }
    }

    unsafe fn make_gate(&mut self) {
        let json = self.script.string();
        let (start, len) = parts(&json);
        // No field that names a file of the machine: `…_file`, `…_cert…`, in any spelling.
        let names_file = json
            .iter()
            .flat_map(|json| json.windows(2))
            .any(|two| two == b"ce" || two == b"fi" || two[0] == b'\\');
        if names_file || self.gates.len() > 2 {
            return;
        }
        let (mut gate, mut error) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: as `call`.
        unsafe {
            let status = known(credgate_gate_new(start, len, &mut gate, &mut error));
            assert_eq!(status == CREDGATE_OK, !gate.is_null());
            self.take(gate, error);
        }
    }

    unsafe fn derive_gate(&mut self) {
        if self.gates.len() > 2 {
            return;
        }
        let (from, mut gate, mut error) = (self.gate(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: as `call`.
        unsafe {
            let status = match self.script.below(3) {
                0 => credgate_gate_check(from, &mut gate, &mut error),
                1 => credgate_gate_check(from, ptr::null_mut(), &mut error),
                _ => credgate_gate_token_endpoint(from, &mut gate, &mut error),
            };
            assert_eq!(known(status) == CREDGATE_OK, !gate.is_null());
            self.take(gate, error);
        }
    }

    /// Keeps a gate, or reads and frees the error.
    unsafe fn take(&mut self, gate: *mut credgate_gate, error: *mut credgate_error) {
        if !gate.is_null() {
            self.gates.push(gate);
        }
        let (mut message, mut len) = (ptr::null(), 0);
        let (mut field, mut field_len) = (ptr::null(), 0);
        // SAFETY: as `call`.
        unsafe {
            if known(credgate_error_message(error, &mut message, &mut len)) == CREDGATE_OK {
                shown(message, len);
                let index = self.script.below(4);
                let status = credgate_error_problem(
                    error,
                    index,
                    &mut field,
                    &mut field_len,
                    &mut message,
                    &mut len,
                );
                if known(status) == CREDGATE_OK {
                    shown(field, field_len);
                    shown(message, len);
                }
            }
            credgate_error_free(error);
        }
    }

    /// Sets a part of the request.
    unsafe fn set(&mut self) {
        let which = self.script.below(14);
        let string = match which {
            // Credentials of the cached token.
            0 => Some((*b"Basic Y2xpZW50OnMzY3JldA==").into()),
            1 => Some((*b"client_id=client&client_secret=s3cret").into()),
            _ => self.script.string(),
        };
        let (start, len) = parts(&string);
        let request = &mut self.request;
        match which {
            0 | 2 => (request.authorization, request.authorization_len) = (start, len),
            1 | 3 => (request.query, request.query_len) = (start, len),
            4 => (request.method, request.method_len) = (start, len),
            5 => (request.content_type, request.content_type_len) = (start, len),
            6 => (request.body, request.body_len) = (start, len),
            7 => (request.client_id, request.client_id_len) = (start, len),
            8 => (request.client_secret, request.client_secret_len) = (start, len),
            9 => (request.peer, request.peer_len) = (start, len),
            10 => (request.traceparent, request.traceparent_len) = (start, len),
            11 => (request.client_id_header, request.client_id_header_len) = (start, len),
            12 => {
                (
                    request.client_secret_header,
                    request.client_secret_header_len,
                ) = (start, len)
            }
            _ => {
                request.repeated_header = len as u32 % 2;
                self.request.struct_size = self.size(size_of::<credgate_request>());
                return;
            }
        }
        self.strings.push(string);
    }

    /// Authenticates where no exchange is needed.
    unsafe fn authenticate(&mut self) {
        let (gate, queue, mut ticket) = (self.gate(), self.queue(), 7);
        let own = size_of::<credgate_outcome>();
        // SAFETY: as `call`. The outcome is released before it is filled, and never smaller than it says.
        unsafe {
            credgate_outcome_release(&mut self.outcome);
            self.outcome.struct_size = self.size(own).min(own as u32);
            let stated = self.request.struct_size;
            // A request is not smaller than it says either.
            self.request.struct_size = stated.min(size_of::<credgate_request>() as u32);
            let status =
                credgate_authenticate_at_once(gate, queue, &self.request, &mut self.outcome);
            if known(status) == CREDGATE_OK {
                self.judge();
                credgate_outcome_release(&mut self.outcome);
                let status = credgate_authenticate(
                    gate,
                    queue,
                    &self.request,
                    ptr::null_mut(),
                    &mut self.outcome,
                    &mut ticket,
                );
                assert_eq!((known(status), ticket), (CREDGATE_OK, 7));
                self.judge();
            }
            self.outcome.struct_size = own as u32;
        }
    }

    /// The strings of the outcome are text, and a denial has a body.
    unsafe fn judge(&self) {
        let outcome = &self.outcome;
        // SAFETY: the library filled the outcome.
        unsafe {
            for (start, len) in [
                (outcome.client_id, outcome.client_id_len),
                (outcome.authorization, outcome.authorization_len),
                (outcome.challenge, outcome.challenge_len),
                (outcome.content_type, outcome.content_type_len),
                (outcome.body, outcome.body_len),
                (outcome.detail, outcome.detail_len),
            ] {
                shown(start, len);
            }
        }
        let is_denial = outcome.http_status != 0;
        assert_eq!(is_denial, outcome.body_len > 0);
        assert_eq!(is_denial, outcome.code != CREDGATE_OK);
        assert!(!is_denial || outcome.authorization_len == 0);
    }

    unsafe fn headers(&mut self) {
        let (first, capacity) = (self.script.below(4), self.script.below(4));
        let own = size_of::<credgate_header>();
        let size = [own, own, own + 8, own + 1, own - 8, 0][self.script.below(6)];
        let mut count = usize::MAX;
        let mut memory = vec![0u64; (capacity * size).div_ceil(8)];
        // SAFETY: as `call`.
        unsafe {
            let headers: *mut credgate_header = memory.as_mut_ptr().cast();
            let status = credgate_outcome_headers(
                &mut self.outcome,
                first,
                headers,
                capacity,
                size,
                &mut count,
            );
            if known(status) == CREDGATE_OK {
                for at in 0..count.saturating_sub(first).min(capacity) {
                    let header = &*headers.byte_add(at * size);
                    shown(header.name, header.name_len);
                    shown(header.value, header.value_len);
                }
            }
        }
    }

    unsafe fn claim(&mut self) {
        let name = self.script.string();
        let (start, len) = parts(&name);
        let (mut value, mut value_len) = (ptr::null(), 0);
        // SAFETY: as `call`.
        unsafe {
            let status =
                credgate_outcome_claim(&mut self.outcome, start, len, &mut value, &mut value_len);
            if known(status) == CREDGATE_OK {
                shown(value, value_len);
            }
        }
    }

    unsafe fn token(&mut self) {
        let (mut seconds, mut dropped) = (0, false);
        let (mut json, mut len) = (ptr::null(), 0);
        let (engine, status) = (self.engine(), u32::from(self.script.byte()) + 300);
        // SAFETY: as `call`.
        unsafe {
            known(credgate_outcome_expires_in(&self.outcome, &mut seconds));
            known(credgate_outcome_upstream_status(
                &self.outcome,
                engine,
                status,
                &mut dropped,
            ));
            assert!(!dropped, "no gate here drops tokens");
            if known(credgate_outcome_token_response(
                &mut self.outcome,
                &mut json,
                &mut len,
            )) == CREDGATE_OK
            {
                shown(json, len);
                assert_eq!(self.outcome.http_status, 0);
            }
        }
    }

    unsafe fn hide(&mut self) {
        let (gate, kind) = (self.gate(), self.script.below(3));
        let string = self.script.string();
        let (start, len) = parts(&string);
        let mut out = Buffer::new((len + self.script.below(3)).saturating_sub(1));
        let content_type = ["application/json", "application/x-www-form-urlencoded"][kind / 2];
        // SAFETY: as `call`.
        let status = unsafe {
            if kind == 0 {
                credgate_gate_hide_query(gate, start, len, out.start(), out.capacity, &mut out.len)
            } else {
                credgate_gate_hide_body(
                    gate,
                    text(content_type),
                    content_type.len(),
                    start,
                    len,
                    out.start(),
                    out.capacity,
                    &mut out.len,
                )
            }
        };
        assert!(out.written(status).is_none_or(|hidden| hidden.len() <= len));
    }

    unsafe fn redact(&mut self) {
        let Some(mut string) = self.script.string() else {
            return;
        };
        let (start, len) = (string.as_mut_ptr().cast(), string.len());
        let mut contains = true;
        // SAFETY: as `call`.
        unsafe {
            known(credgate_query_redact(start, len));
            known(credgate_text_redact(start, len));
            known(credgate_text_contains_secret(start, len, &mut contains));
        }
        assert!(!contains);
    }

    unsafe fn ask(&mut self) {
        let (gate, length) = (self.gate(), i64::from(self.script.byte()) - 2);
        let mut out = Buffer::new(self.script.below(64));
        let mut wants = false;
        // SAFETY: as `call`; a request is not smaller than it says.
        unsafe {
            let stated = self.request.struct_size;
            self.request.struct_size = stated.min(size_of::<credgate_request>() as u32);
            known(credgate_gate_wants_body(
                gate,
                &self.request,
                length,
                &mut wants,
            ));
            known(credgate_gate_wants_traceparent(gate, &mut wants));
            known(credgate_gate_searches_requests(gate, &mut wants));
            let status = credgate_gate_presented_client_id(
                gate,
                &self.request,
                out.start(),
                out.capacity,
                &mut out.len,
            );
            let id = out.written(status).unwrap_or_default();
            assert!(id.iter().all(|byte| matches!(byte, 0x20..=0x7e)));
        }
    }

    unsafe fn deny(&mut self) {
        let (gate, code) = (
            self.gate(),
            3000 + 100 * i32::from(self.script.byte() % 21) + i32::from(self.script.byte() % 12),
        );
        // SAFETY: as `call`; the outcome is released before it is filled.
        unsafe {
            credgate_outcome_release(&mut self.outcome);
            let status = if self.script.below(4) == 0 {
                credgate_gate_bypass(gate, &mut self.outcome)
            } else {
                credgate_gate_deny(gate, code, &mut self.outcome)
            };
            if known(status) == CREDGATE_OK {
                self.judge();
            }
        }
    }

    unsafe fn counters(&mut self) {
        let engine = self.engine();
        let count = (CREDGATE_COUNTERS + self.script.below(4)).saturating_sub(2);
        let mut counters = vec![u64::MAX; count];
        let mut out = Buffer::new(64 * self.script.below(256));
        // SAFETY: as `call`.
        unsafe {
            let status = known(credgate_engine_counters(
                engine,
                counters.as_mut_ptr(),
                count,
            ));
            if status != CREDGATE_OK {
                counters.fill(u64::MAX);
            }
            let write = if self.script.below(2) == 0 {
                credgate_counters_report
            } else {
                credgate_counters_text
            };
            let status = write(
                counters.as_ptr(),
                count,
                out.start(),
                out.capacity,
                &mut out.len,
            );
            let written = out.written(status).unwrap_or_default();
            assert!(str::from_utf8(written).is_ok());
        }
    }

    unsafe fn record(&mut self) {
        let (engine, mut level) = (self.engine(), 0);
        let mut out = Buffer::new(self.script.below(64));
        // SAFETY: as `call`.
        let status = unsafe {
            credgate_engine_record(engine, &mut level, out.start(), out.capacity, &mut out.len)
        };
        let line = out.written(status).unwrap_or_default();
        assert!(str::from_utf8(line).is_ok());
    }

    /// Purges other clients than the cached one.
    unsafe fn purge(&mut self) {
        let (engine, gate) = (self.engine(), self.gate());
        let id = self.script.string().map(|id| [b"x", &*id].concat());
        let id = id.unwrap_or_else(|| b"nobody".to_vec());
        // SAFETY: as `call`.
        unsafe {
            known(credgate_engine_purge(
                engine,
                gate,
                id.as_ptr().cast(),
                id.len(),
            ));
            known(credgate_engine_follow_purge(
                engine,
                id.as_ptr().cast(),
                id.len(),
            ));
        }
    }

    /// A queue of the sequence's own.
    unsafe fn other_queue(&mut self) {
        let (mut error, mut fd) = (ptr::null_mut(), -1);
        // SAFETY: as `call`.
        unsafe {
            match self.script.below(4) {
                0 if self.queue.is_null() => {
                    let engine = self.engine();
                    known(credgate_queue_new(engine, &mut self.queue, &mut error));
                    credgate_error_free(error);
                }
                1 => {
                    credgate_queue_free(self.queue);
                    self.queue = ptr::null_mut();
                }
                2 => {
                    let queue = self.queue();
                    known(credgate_ticket_cancel(queue, self.script.byte().into()));
                    if known(credgate_queue_fd(queue, &mut fd)) == CREDGATE_OK {
                        assert!(BorrowedFd::borrow_raw(fd).try_clone_to_owned().is_ok());
                    }
                    known(credgate_queue_hang_up(queue));
                }
                _ => {
                    let queue = self.queue();
                    let mut arrived = outcome();
                    let mut completion: credgate_completion = zeroed();
                    let own = size_of::<credgate_completion>();
                    completion.struct_size = self.size(own).min(own as u32);
                    completion.outcome = &mut arrived;
                    assert_ne!(
                        known(credgate_queue_next(queue, &mut completion)),
                        CREDGATE_OK
                    );
                }
            }
        }
    }

    unsafe fn clients(&mut self) {
        let (engine, first, capacity) = (self.engine(), self.script.below(4), self.script.below(4));
        let own = size_of::<credgate_client>();
        let size = [own, own, own, own + 8, own + 1, 0][self.script.below(6)];
        let mut memory = vec![0u64; (capacity * size).div_ceil(8)];
        let mut count = 0;
        let mut out = Buffer::new(16 * self.script.below(256));
        // SAFETY: as `call`.
        unsafe {
            let clients: *mut credgate_client = memory.as_mut_ptr().cast();
            let status =
                credgate_engine_clients(engine, first, clients, capacity, size, &mut count);
            if known(status) == CREDGATE_OK {
                let copied = count.saturating_sub(first).min(capacity);
                let status = credgate_clients_text(
                    clients,
                    copied,
                    size,
                    out.start(),
                    out.capacity,
                    &mut out.len,
                );
                let written = out.written(status).unwrap_or_default();
                assert!(str::from_utf8(written).is_ok());
            }
        }
    }

    unsafe fn find_header(&mut self) {
        let names: Vec<_> = (0..self.script.below(5))
            .map(|_| self.script.string())
            .collect();
        let headers: Vec<_> = names
            .iter()
            .map(|name| credgate_header_name {
                len: parts(name).1 as u32,
                data: parts(name).0,
            })
            .collect();
        let wanted = self.script.string();
        let (name, len) = parts(&wanted);
        let mut index = usize::MAX;
        let own = size_of::<credgate_header_name>();
        let size = [own, own, own - 1, own - 8][self.script.below(4)];
        // SAFETY: as `call`.
        let status = unsafe {
            credgate_header_find(headers.as_ptr(), headers.len(), size, name, len, &mut index)
        };
        if known(status) == CREDGATE_OK {
            assert_eq!(names[index].as_deref(), wanted.as_deref());
        }
    }

    /// Everything that describes a gate.
    unsafe fn describe(&mut self) {
        let (gate, index) = (self.gate(), self.script.below(4));
        let (mut start, mut len, mut milliseconds) = (ptr::null(), 0, 0);
        // SAFETY: as `call`.
        unsafe {
            known(credgate_gate_timeout(gate, &mut milliseconds));
            if known(credgate_gate_config(gate, &mut start, &mut len)) == CREDGATE_OK {
                shown(start, len);
            }
            for describe in [
                credgate_gate_warning,
                credgate_gate_arg,
                credgate_gate_credential_header,
            ] {
                if known(describe(gate, index, &mut start, &mut len)) == CREDGATE_OK {
                    shown(start, len);
                }
            }
        }
    }
}

#[cfg(test)]
mod committed_inputs_keep_the_promises_of {
    use std::fs;

    #[test]
    fn abi() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/fuzz/corpus/abi");
        let inputs = fs::read_dir(corpus).expect("a corpus");
        let mut replayed = 0;
        for input in inputs {
            super::sequence(&fs::read(input.expect("a file").path()).expect("an input"));
            replayed += 1;
        }
        assert!(replayed >= 10, "the corpus is small");
    }
}

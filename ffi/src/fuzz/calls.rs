//! The calls, each with arguments from the input.

use super::checks::{Buffer, known, shown};
use super::script::parts;
use super::{Run, text};
use crate::c_host::outcome;
use crate::*;
use std::mem::zeroed;
use std::os::fd::BorrowedFd;
use std::ptr;

impl Run<'_> {
    pub(super) unsafe fn make_gate(&mut self) {
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

    pub(super) unsafe fn derive_gate(&mut self) {
        if self.gates.len() > 2 {
            return;
        }
        let (from, mut gate, mut error) = (self.gate(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: as `call`.
        unsafe {
            let status = match self.script.below(3) {
                0 => credgate_gate_external(from, &mut gate, &mut error),
                1 => credgate_gate_external(from, ptr::null_mut(), &mut error),
                _ => credgate_gate_token_endpoint(from, &mut gate, &mut error),
            };
            assert_eq!(known(status) == CREDGATE_OK, !gate.is_null());
            self.take(gate, error);
        }
    }

    /// Keeps a gate, or reads and frees the error.
    pub(super) unsafe fn take(&mut self, gate: *mut credgate_gate, error: *mut credgate_error) {
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
    pub(super) unsafe fn set(&mut self) {
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
    pub(super) unsafe fn authenticate(&mut self) {
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
    pub(super) unsafe fn judge(&self) {
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

    pub(super) unsafe fn headers(&mut self) {
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

    pub(super) unsafe fn claim(&mut self) {
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

    pub(super) unsafe fn token(&mut self) {
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

    pub(super) unsafe fn hide(&mut self) {
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

    pub(super) unsafe fn redact(&mut self) {
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

    pub(super) unsafe fn ask(&mut self) {
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

    pub(super) unsafe fn deny(&mut self) {
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

    pub(super) unsafe fn counters(&mut self) {
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

    pub(super) unsafe fn record(&mut self) {
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
    pub(super) unsafe fn purge(&mut self) {
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
    pub(super) unsafe fn other_queue(&mut self) {
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

    pub(super) unsafe fn clients(&mut self) {
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

    pub(super) unsafe fn find_header(&mut self) {
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
    pub(super) unsafe fn describe(&mut self) {
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

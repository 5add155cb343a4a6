//! The host that makes the calls.

use super::text;
use crate::c_host::{self, outcome, request};
use crate::provider::provider;
use crate::*;
use std::ptr;
use std::sync::LazyLock;

/// The engine of the process, its queue, and gates with a cached token of the client `client`.
pub(super) struct Host {
    pub(super) engine: *mut credgate_engine,
    pub(super) queue: *mut credgate_queue,
    pub(super) gates: Vec<*mut credgate_gate>,
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

pub(super) static HOST: LazyLock<Host> = LazyLock::new(|| {
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
        // SAFETY: all pointers are valid.
        unsafe {
            let (mut request, mut outcome) = (request("POST"), outcome());
            (request.client_id, request.client_id_len) = (text("client"), 6);
            (request.client_secret, request.client_secret_len) = (text("s3cret"), 6);
            if takes_argument {
                (request.args, request.args_len) = (&argument, 1);
            }
            let mut ticket = 0;
            let status = credgate_authenticate(
                gate,
                self.queue,
                &request,
                ptr::null_mut(),
                &mut outcome,
                &mut ticket,
            );
            if status == CREDGATE_PENDING {
                c_host::wait(self.queue, &mut outcome);
            }
            assert_eq!(outcome.http_status, 0);
            credgate_outcome_release(&mut outcome);
        }
    }
}

//! The body of the fuzz target `abi`: sequences of calls, as a C host could make them.
//!
//! The host keeps the header's rules: it frees what it owns once, and passes memory of the length that it states. All else
//! is the input's: which functions it calls and in which order, with NULL, short capacities, old and new sizes of structs.

mod calls;
mod checks;
mod host;
mod script;

use crate::c_host::{outcome, request};
use crate::*;
use host::HOST;
use script::Script;
use std::ffi::c_char;
use std::ptr;

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
        request: request("POST"),
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
}

fn text(text: &str) -> *const c_char {
    text.as_ptr().cast()
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

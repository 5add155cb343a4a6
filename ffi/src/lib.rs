//! The C ABI of Credgate. `include/credgate.h` is generated from this crate and is its manual.
//!
//! No behaviour is here: every function translates to one call of `credgate_core`.
#![allow(
    non_camel_case_types,
    reason = "types are named as C names them, so that the header needs no renaming"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "what C must keep to is said once, in the header's chapters"
)]

use std::alloc::System;
use zeroizing_alloc::ZeroAlloc;

mod version;

mod status;

mod boundary;
mod bytes;
mod handle;
mod structs;

mod error;

mod request;

mod gate;

mod outcome;

mod engine;

mod queue;

mod hide;

mod operate;

/// What the library frees is wiped: requests and answers of the token endpoint pass through buffers of others, which do
/// not wipe them. A hit frees nothing.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

pub use engine::*;
pub use error::*;
pub use gate::*;
pub use hide::*;
pub use operate::*;
pub use outcome::*;
pub use queue::*;
pub use request::*;
pub use status::*;
pub use version::*;

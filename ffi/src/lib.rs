//! The C ABI of Credgate. `include/credgate.h` is generated from this crate and is its manual.
//!
//! The rules are those of `credgate_core`: this crate translates them to C. It also installs an allocator that wipes freed
//! memory.
#![allow(
    non_camel_case_types,
    reason = "types have their C names, so that the header needs no renaming"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "the header's chapters state the rules for C once"
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

mod clients;

mod page;

// Miri has a malloc of its own.
#[cfg(all(test, not(miri)))]
mod hit;
#[cfg(test)]
mod session;

#[cfg(any(test, feature = "fuzz"))]
mod c_host;
#[cfg(any(test, feature = "fuzz"))]
mod provider;

#[cfg(any(test, feature = "fuzz"))]
#[doc(hidden)]
pub mod fuzz;

/// Wipes memory when it is freed: token requests and responses pass through
/// buffers of dependencies that do not wipe them. A hit frees nothing.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

pub use clients::*;
pub use engine::*;
pub use error::*;
pub use gate::*;
pub use hide::*;
pub use operate::*;
pub use outcome::*;
pub use page::*;
pub use queue::*;
pub use request::*;
pub use status::*;
pub use version::*;

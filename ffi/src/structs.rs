//! Structs that state their own size: a host may know fewer fields than the library, or more.

use crate::boundary::Fail;
use crate::handle;
use crate::status::CREDGATE_INVALID_ARGUMENT;
use std::mem::{MaybeUninit, size_of};
use std::ptr;

/// The size that a struct states in its first field, at least `minimum`.
///
/// # Safety
///
/// The pointer is NULL, or points to a struct that begins with its size.
pub(crate) unsafe fn stated_size<T>(pointer: *const T, minimum: usize) -> Result<usize, Fail> {
    // SAFETY: the size is the first field.
    let size = *unsafe { handle::borrow(pointer.cast::<u32>()) }? as usize;
    if size < minimum {
        Err(Fail(CREDGATE_INVALID_ARGUMENT))
    } else {
        Ok(size)
    }
}

/// Borrows a struct of `size` bytes: in place if it has all fields that the
/// library knows, else a copy in `local`, in which the other fields are zero.
///
/// # Safety
///
/// The pointer is valid for `size` bytes as long as `local` is borrowed, and a
/// `T` may be zero.
pub(crate) unsafe fn read<T>(pointer: *const T, size: usize, local: &mut MaybeUninit<T>) -> &T {
    // SAFETY: the caller guarantees pointer and size; a zeroed `T` is valid, and so are its first bytes from C.
    unsafe {
        if size >= size_of::<T>() {
            return &*pointer;
        }
        *local = MaybeUninit::zeroed();
        ptr::copy_nonoverlapping(pointer.cast::<u8>(), local.as_mut_ptr().cast(), size);
        local.assume_init_ref()
    }
}

/// Writes the first `size` bytes of a struct, or all of it if it has fewer.
///
/// # Safety
///
/// The pointer may be written to for `size` bytes.
pub(crate) unsafe fn write<T>(pointer: *mut T, size: usize, value: &T) {
    let size = size.min(size_of::<T>());
    // SAFETY: the caller guarantees pointer and size.
    unsafe { ptr::copy_nonoverlapping(ptr::from_ref(value).cast::<u8>(), pointer.cast(), size) };
}

//! Real pointers: texts and arrays from the caller, and those that the caller releases with `free()`.

use std::{
    ffi::{CStr, CString, c_char},
    mem, ptr,
};

use crate::error::{Failure, VIR_ERR_NO_MEMORY, VIR_FROM_NONE};

/// Returns a text from the caller, or `None` for a null pointer.
///
/// # Safety
///
/// The pointer is null, or leads to bytes with a zero at their end.
pub(crate) unsafe fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: it is not null, and the caller says the rest.
    let text = (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })?;
    Some(text.to_string_lossy().into_owned())
}

/// Returns the items of a null-terminated array from the caller, or `None` for a null pointer.
///
/// # Safety
///
/// The pointer is null, or leads to pointers of which the last is null.
pub(crate) unsafe fn items<T>(array: *const *mut T) -> Option<Vec<*mut T>> {
    if array.is_null() {
        return None;
    }
    // SAFETY: everything up to the first null pointer is part of the array, says the caller.
    let item = |index| unsafe { *array.add(index) };
    Some((0..).map(item).take_while(|item| !item.is_null()).collect())
}

/// Writes to a place of the caller.
///
/// # Safety
///
/// A value of this type may be written there, at any alignment.
pub(crate) unsafe fn write<T>(place: *mut T, value: T) {
    // SAFETY: the caller says so.
    unsafe { place.write_unaligned(value) }
}

/// Returns a copy of the text that the caller releases with `free()`.
pub(crate) fn give_text(text: &str) -> Result<*mut c_char, Failure> {
    // SAFETY: it reads no further than the text's length, and adds the zero itself.
    let copy = unsafe { libc::strndup(text.as_ptr().cast(), text.len()) };
    if copy.is_null() { Err(out_of_memory()) } else { Ok(copy) }
}

/// Returns a copy of the array, a null pointer added, that the caller releases with `free()`.
pub(crate) fn give_items<T>(items: &[*mut T]) -> Result<*mut *mut T, Failure> {
    // SAFETY: any sizes are allowed.
    let copy = unsafe { libc::calloc(items.len() + 1, mem::size_of::<*mut T>()) };
    let copy: *mut *mut T = copy.cast();
    if copy.is_null() {
        return Err(out_of_memory());
    }
    // SAFETY: there is room for one more than that, and nobody else knows the place. The last one
    // is null already.
    unsafe { ptr::copy_nonoverlapping(items.as_ptr(), copy, items.len()) };
    Ok(copy)
}

/// Returns the text as C reads it.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

fn out_of_memory() -> Failure {
    Failure::new(VIR_ERR_NO_MEMORY, VIR_FROM_NONE, "out of memory")
}

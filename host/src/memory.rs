//! How the process's allocator gives memory back to the system. It knows nothing of who allocates.

/// The largest block that the allocator keeps on its heap. Blocks of a read (1 MiB) are below it, so that they are not mapped anew each time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGEST_ON_HEAP: libc::c_int = 4 << 20;

/// What a heap may keep of what was freed, in bytes. There is a heap for each worker.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 8 << 20;

/// What a heap grows by, in bytes: else by a page at a time, each time with a call of the system's that holds up every thread of the process.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const GROWTH: libc::c_int = 256 << 10;

/// Bounds what the allocator keeps of memory that was freed. To be called before anything else, with no second thread yet.
///
/// Without this, glibc raises its own bounds with the largest block that was ever freed, to 64 MiB for each worker: one conversion that
/// made the host hold much would keep the process large for ever.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub fn bound_what_is_kept() {
    for (parameter, bytes) in [(libc::M_MMAP_THRESHOLD, LARGEST_ON_HEAP), (libc::M_TRIM_THRESHOLD, KEPT), (libc::M_TOP_PAD, GROWTH)] {
        // SAFETY: it takes two integers and sets a number in the allocator, under the allocator's lock. It fails only for numbers that are
        // out of range, and then nothing has changed.
        unsafe { libc::mallopt(parameter, bytes) };
    }
}

/// Other allocators have such bounds of their own.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn bound_what_is_kept() {}

/// Gives back what is free between blocks that are in use. It takes milliseconds for a large process.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub fn give_back() {
    // SAFETY: it takes an integer, and releases pages that hold no block, under the allocator's locks.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators do so on their own.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}

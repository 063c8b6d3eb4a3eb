//! The calls through which programs reach files, in place of the C library's.
//!
//! A program that links this crate calls these, since its own definition of a symbol comes before
//! any shared library's. Each does what the system call of its name does; on a watched file it also
//! keeps the account, and asks first whether to go wrong.
//!
//! Seen: reads, writes and their positioned and vectored forms, `ftruncate`, `fallocate`,
//! `copy_file_range`, `sendfile`, opening with `O_TRUNC`, `O_SYNC` and `O_DSYNC`, `mmap` for
//! writing, `msync`, `fsync`, `fdatasync`, `syncfs`, `sync`, `mkdir`. Names need not be seen: what a
//! directory holds is looked up when it is flushed. `sync_file_range` is not taken for a flush; it
//! promises nothing. Not seen, and not used by any engine here: system calls made without the C
//! library, and io_uring.

#![allow(
    unsafe_code,
    reason = "these are the C library's functions, with its types"
)]

use std::ffi::{CStr, OsStr};
use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libc::{c_char, c_int, c_long, c_uint, c_void, iovec, mode_t, off_t, size_t, ssize_t};

use crate::disk::{Fault, Operation, Verdict, Watched, is_anything_watched, watched};
use crate::image::{Inode, Length, inode_of};
use crate::{is_quiet, quietly};

/// Where in a file a call reads or writes.
enum At {
    Cursor,
    Offset(off_t),
}

// ---- Writing

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, from: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's arguments, or less of the same buffer.
    on_write(fd, At::Cursor, len, |len| unsafe {
        call(libc::SYS_write, [fd as _, from as _, len as _])
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, from: *const c_void, len: size_t, at: off_t) -> ssize_t {
    // SAFETY: the caller's arguments, or less of the same buffer.
    on_write(fd, At::Offset(at), len, |len| unsafe {
        call(libc::SYS_pwrite64, [fd as _, from as _, len as _, at as _])
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(fd: c_int, from: *const c_void, len: size_t, at: off_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { pwrite64(fd, from, len, at) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, from: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's arguments.
    on_write(fd, At::Cursor, 0, |_| unsafe {
        call(libc::SYS_writev, [fd as _, from as _, count as _])
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev(fd: c_int, from: *const iovec, count: c_int, at: off_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    on_write(fd, At::Offset(at), 0, |_| unsafe {
        call(
            libc::SYS_pwritev,
            [fd as _, from as _, count as _, at as _, 0],
        )
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev64(fd: c_int, from: *const iovec, count: c_int, at: off_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { pwritev(fd, from, count, at) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, len: off_t) -> c_int {
    // SAFETY: the caller's arguments.
    on_change(fd, len as u64, || unsafe {
        call(libc::SYS_ftruncate, [fd as _, len as _])
    }) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(fd: c_int, len: off_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { ftruncate64(fd, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate64(fd: c_int, mode: c_int, at: off_t, len: off_t) -> c_int {
    // SAFETY: the caller's arguments.
    on_change(fd, 0, || unsafe {
        call(libc::SYS_fallocate, [fd as _, mode as _, at as _, len as _])
    }) as c_int
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate(fd: c_int, mode: c_int, at: off_t, len: off_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { fallocate64(fd, mode, at, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_at: *mut off_t,
    to: c_int,
    to_at: *mut off_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    on_change(to, 0, || unsafe {
        let args = [
            from as _,
            from_at as _,
            to as _,
            to_at as _,
            len as _,
            flags as _,
        ];
        call(libc::SYS_copy_file_range, args)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(to: c_int, from: c_int, at: *mut off_t, len: size_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    on_change(to, 0, || unsafe {
        call(libc::SYS_sendfile, [to as _, from as _, at as _, len as _])
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile(to: c_int, from: c_int, at: *mut off_t, len: size_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { sendfile64(to, from, at, len) }
}

// ---- Reading

#[unsafe(no_mangle)]
unsafe extern "C" fn read(fd: c_int, to: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    let (read, flip) = on_read(fd, || unsafe {
        call(libc::SYS_read, [fd as _, to as _, len as _])
    });
    // SAFETY: so many bytes of the caller's buffer were just written.
    unsafe { turn(flip, to, read) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pread64(fd: c_int, to: *mut c_void, len: size_t, at: off_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    let (read, flip) = on_read(fd, || unsafe {
        call(libc::SYS_pread64, [fd as _, to as _, len as _, at as _])
    });
    // SAFETY: so many bytes of the caller's buffer were just written.
    unsafe { turn(flip, to, read) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pread(fd: c_int, to: *mut c_void, len: size_t, at: off_t) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { pread64(fd, to, len, at) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn readv(fd: c_int, to: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller's arguments.
    let (read, flip) = on_read(fd, || unsafe {
        call(libc::SYS_readv, [fd as _, to as _, count as _])
    });
    if read > 0 && count > 0 {
        // SAFETY: the first buffer is written before the others.
        unsafe {
            let first = &*to;
            turn(flip, first.iov_base, read.min(first.iov_len as ssize_t));
        }
    }
    read
}

// ---- Flushing

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    // SAFETY: the caller's argument.
    on_flush(fd, || unsafe { call(libc::SYS_fsync, [fd as _]) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: the caller's argument.
    on_flush(fd, || unsafe { call(libc::SYS_fdatasync, [fd as _]) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sync() {
    on_watched(|disks| {
        for disk in disks {
            // It cannot say that it failed. What it failed to flush is then not flushed.
            let _ = disk.flush_everything();
        }
    });
}

/// Of the disk that the file is on.
#[unsafe(no_mangle)]
unsafe extern "C" fn syncfs(fd: c_int) -> c_int {
    let watched = on_inode(fd, |disk, _, _, _| match disk.flush_everything() {
        Ok(()) => 0,
        Err(_) => fail(libc::EIO) as c_int,
    });
    // SAFETY: the caller's argument.
    watched.unwrap_or_else(|| unsafe { call(libc::SYS_syncfs, [fd as _]) as c_int })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn msync(from: *mut c_void, len: size_t, flags: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    let done = unsafe { call(libc::SYS_msync, [from as _, len as _, flags as _]) } as c_int;
    let is_flush = done == 0 && flags & libc::MS_SYNC != 0;
    let flushed =
        is_flush.then(|| on_watched(|disks| flush_mapping(disks, from as u64, len as u64)));
    match flushed.flatten() {
        Some(Err(_)) => fail(libc::EIO) as c_int,
        _ => done,
    }
}

// ---- Opening

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    at: *mut c_void,
    len: size_t,
    access: c_int,
    flags: c_int,
    fd: c_int,
    offset: off_t,
) -> *mut c_void {
    let is_shared = flags & libc::MAP_TYPE != libc::MAP_PRIVATE;
    if access & libc::PROT_WRITE != 0 && is_shared && flags & libc::MAP_ANONYMOUS == 0 {
        on_file(fd, |disk, inode| disk.map(inode));
    }
    // SAFETY: the caller's arguments.
    unsafe {
        let args = [
            at as _,
            len as _,
            access as _,
            flags as _,
            fd as _,
            offset as _,
        ];
        call(libc::SYS_mmap, args) as *mut c_void
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    at: *mut c_void,
    len: size_t,
    access: c_int,
    flags: c_int,
    fd: c_int,
    offset: off_t,
) -> *mut c_void {
    // SAFETY: the caller's arguments.
    unsafe { mmap64(at, len, access, flags, fd, offset) }
}

// The C library's take the mode as an optional argument, which on Linux's architectures is passed
// as the third one is; without `O_CREAT` nobody looks at it.

#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    let fd = unsafe {
        call(
            libc::SYS_openat,
            [at as _, path as _, flags as _, mode as _],
        ) as c_int
    };
    if fd >= 0 && flags & (libc::O_TRUNC | libc::O_CREAT) != 0 {
        let noted = on_file(fd, |disk, inode| match flags & libc::O_TRUNC {
            0 => Ok(()),
            _ => disk.change(inode, (0, u64::MAX), Length::Set(0)),
        });
        if let Some(Err(_)) = noted {
            return fail(libc::EIO) as c_int;
        }
    }
    fd
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { openat64(at, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { openat64(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { openat64(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments.
    let made = unsafe {
        call(
            libc::SYS_mkdirat,
            [libc::AT_FDCWD as _, path as _, mode as _],
        ) as c_int
    };
    if made == 0 {
        // SAFETY: the system has just read a string there.
        let path = Path::new(OsStr::from_bytes(
            unsafe { CStr::from_ptr(path) }.to_bytes(),
        ));
        let noted = on_watched(|disks| {
            let inode = inode_of(&fs::metadata(path)?);
            let mut disks = disks.iter_mut();
            disks.try_for_each(|disk| disk.forget_directory(inode))
        });
        if let Some(Err(_)) = noted {
            return fail(libc::EIO) as c_int;
        }
    }
    made
}

// ---- What they have in common

/// # Safety
///
/// As the system call of this number asks.
unsafe fn call<const N: usize>(number: c_long, args: [c_long; N]) -> ssize_t {
    let arg = |index: usize| args.get(index).copied().unwrap_or(0);
    // SAFETY: the caller's; what is too much is not looked at.
    unsafe { libc::syscall(number, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) as ssize_t }
}

fn on_write(fd: c_int, at: At, len: size_t, write: impl Fn(size_t) -> ssize_t) -> ssize_t {
    let watched = on_file(fd, |disk, inode| {
        match disk.judge(Operation::Write) {
            Verdict::Fault(Fault::Fail(error)) => return fail(error),
            Verdict::Do | Verdict::Fault(Fault::Flip(_)) => {}
            Verdict::Die(mut dice) => {
                write(dice.below(len + 1));
                die()
            }
        }
        if !disk.has_room(len) {
            return fail(libc::ENOSPC);
        }
        let written = write(len);
        let Ok(len) = u64::try_from(written) else {
            return written;
        };
        let range = written_range(fd, at, len);
        let noted = disk.change(inode, range, Length::Written(len_of(fd)));
        let flushed = match flags_of(fd) & libc::O_DSYNC {
            0 => Ok(()),
            _ => disk.flush_range(inode, range),
        };
        if noted.and(flushed).is_err() {
            return fail(libc::EIO);
        }
        written
    });
    watched.unwrap_or_else(|| write(len))
}

/// Of a change that may reach anything from there on.
fn on_change(fd: c_int, start: u64, change: impl Fn() -> ssize_t) -> ssize_t {
    let watched = on_file(fd, |disk, inode| {
        match disk.judge(Operation::Write) {
            Verdict::Fault(Fault::Fail(error)) => return fail(error),
            Verdict::Do | Verdict::Fault(Fault::Flip(_)) => {}
            Verdict::Die(_) => die(),
        }
        let done = change();
        if disk
            .change(inode, (start, u64::MAX), Length::Set(len_of(fd)))
            .is_err()
        {
            return fail(libc::EIO);
        }
        done
    });
    watched.unwrap_or_else(change)
}

/// What was read, and which bit of it to turn.
fn on_read(fd: c_int, read: impl Fn() -> ssize_t) -> (ssize_t, Option<u64>) {
    let watched = on_file(fd, |disk, _| match disk.judge(Operation::Read) {
        Verdict::Do | Verdict::Die(_) => (read(), None),
        Verdict::Fault(Fault::Fail(error)) => (fail(error), None),
        Verdict::Fault(Fault::Flip(bit)) => (read(), Some(bit)),
    });
    watched.unwrap_or_else(|| (read(), None))
}

/// # Safety
///
/// If `len` is positive, so many bytes can be written there.
unsafe fn turn(bit: Option<u64>, bytes: *mut c_void, len: ssize_t) -> ssize_t {
    if let Some(bit) = bit
        && len > 0
    {
        let bit = (bit % (len as u64 * 8)) as usize;
        // SAFETY: within those bytes.
        unsafe { *bytes.cast::<u8>().add(bit / 8) ^= 1 << (bit % 8) };
    }
    len
}

fn on_flush(fd: c_int, flush: impl Fn() -> ssize_t) -> c_int {
    let watched = on_inode(fd, |disk, inode, kind, path| {
        let is_directory = kind == libc::S_IFDIR;
        match disk.judge(Operation::Flush) {
            Verdict::Do | Verdict::Fault(Fault::Flip(_)) => {}
            Verdict::Fault(Fault::Fail(error)) => {
                disk.fail_flush(inode);
                return fail(error) as c_int;
            }
            Verdict::Die(mut dice) => {
                if !is_directory {
                    // Whatever came of it, nobody was told.
                    let _ = disk.flush_part_of(inode, &mut dice);
                }
                die()
            }
        }
        // The system's own flush is left out: no test cuts the power of this machine.
        let flushed = if is_directory {
            disk.flush_directory(inode, path)
        } else {
            disk.flush_file(inode)
        };
        match flushed {
            Ok(()) => 0,
            Err(_) => fail(libc::EIO) as c_int,
        }
    });
    watched.unwrap_or_else(|| flush() as c_int)
}

/// Flushes what lies behind these addresses.
fn flush_mapping(disks: &mut [Watched], start: u64, len: u64) -> std::io::Result<()> {
    let end = start + len;
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        // start-end access offset device inode path
        let mut fields = line.split_ascii_whitespace();
        let mut next = || fields.next().unwrap_or_default();
        let (addresses, _, offset, device, number) = (next(), next(), next(), next(), next());
        let hex = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
        let (from, to) = addresses.split_once('-').unwrap_or_default();
        let (major, minor) = device.split_once(':').unwrap_or_default();
        let (from, to) = (hex(from).max(start), hex(to).min(end));
        if from >= to {
            continue;
        }
        let device = libc::makedev(hex(major) as c_uint, hex(minor) as c_uint);
        let inode = (device, number.parse().unwrap_or(0));
        let in_file = hex(offset) + (from - hex(addresses.split('-').next().unwrap_or_default()));
        for disk in disks.iter_mut() {
            disk.flush_range(inode, (in_file, in_file + (to - from)))?;
        }
    }
    Ok(())
}

/// Does something about a file, if it is watched. Nobody else does anything to it meanwhile.
fn on_file<T>(fd: c_int, act: impl FnOnce(&mut Watched, Inode) -> T) -> Option<T> {
    on_inode(fd, |disk, inode, kind, path| {
        (kind == libc::S_IFREG && disk.adopt_file(inode, path).is_ok()).then(|| act(disk, inode))
    })
    .flatten()
}

fn on_inode<T>(fd: c_int, act: impl FnOnce(&mut Watched, Inode, mode_t, &Path) -> T) -> Option<T> {
    on_watched(|disks| {
        let stat = stat_of(fd)?;
        let kind = stat.st_mode & libc::S_IFMT;
        if kind != libc::S_IFREG && kind != libc::S_IFDIR {
            return None;
        }
        let inode = (stat.st_dev, stat.st_ino);
        let path = path_of(fd)?;
        let is_its = |disk: &&mut Watched| disk.watches(inode) || disk.holds(&path);
        let disk = disks.iter_mut().find(is_its)?;
        Some(act(disk, inode, kind, &path))
    })
    .flatten()
}

/// `None` for what the layer itself does, and while nothing is watched.
fn on_watched<T>(act: impl FnOnce(&mut [Watched]) -> T) -> Option<T> {
    if !is_anything_watched() || is_quiet() {
        return None;
    }
    Some(quietly(|| act(&mut watched())))
}

fn path_of(fd: c_int) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{fd}")).ok()
}

/// Where a write that has just been done went.
fn written_range(fd: c_int, at: At, len: u64) -> (u64, u64) {
    match at {
        // The system ignores the offset.
        At::Offset(_) if flags_of(fd) & libc::O_APPEND != 0 => (0, u64::MAX),
        At::Offset(at) => (at as u64, at as u64 + len),
        At::Cursor => {
            // SAFETY: it takes no pointer.
            let end = unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) } as u64;
            (end - len, end)
        }
    }
}

fn stat_of(fd: c_int) -> Option<libc::stat> {
    let mut stat = MaybeUninit::uninit();
    // SAFETY: it is written to whole, or the call fails.
    unsafe { (libc::fstat(fd, stat.as_mut_ptr()) == 0).then(|| stat.assume_init()) }
}

fn len_of(fd: c_int) -> u64 {
    stat_of(fd).map_or(0, |stat| stat.st_size as u64)
}

fn flags_of(fd: c_int) -> c_int {
    // SAFETY: it takes no pointer.
    unsafe { libc::fcntl(fd, libc::F_GETFL) }
}

fn fail(error: i32) -> ssize_t {
    // SAFETY: the C library's own, of this thread.
    unsafe { *libc::__errno_location() = error };
    -1
}

fn die() -> ! {
    loop {
        // SAFETY: it takes no pointer.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

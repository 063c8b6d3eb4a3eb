//! What glommio needs of this machine.

use std::os::fd::OwnedFd;
use std::{fs, thread};

use rustix::io::Errno;
use rustix::io_uring::{io_uring_params, io_uring_setup};
use rustix::process::{Resource, getrlimit};

/// What glommio wants to be allowed to lock, for each of its threads.
const LOCKED_BYTES: u64 = 512 << 10;

/// Whether everybody may use io_uring, or some, or nobody: 0, 1 or 2.
const SWITCH: &str = "/proc/sys/kernel/io_uring_disabled";

/// Something that this machine does not give, and how to get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The limit on locked memory.
    #[error(
        "this process may lock {has} bytes of memory and glommio needs {LOCKED_BYTES}: raise the \
         limit (ulimit -l 512, LimitMEMLOCK=512K for systemd, --ulimit memlock=524288 for docker), \
         or choose another runtime"
    )]
    LockedMemory {
        /// How much it may lock.
        has: u64,
    },
    /// The system's switch.
    #[error(
        "io_uring is switched off on this machine: as root, sysctl kernel.io_uring_disabled=0; or \
         choose another runtime"
    )]
    SwitchedOff,
    /// A sandbox.
    #[error(
        "io_uring is forbidden to this process, as containers often do: run it with a seccomp \
         profile that allows io_uring_setup, io_uring_enter and io_uring_register (docker: \
         --security-opt seccomp=FILE), or choose another runtime"
    )]
    Forbidden,
    /// The kernel.
    #[error(
        "this kernel has no io_uring: glommio needs Linux 5.8 or later, built with \
         CONFIG_IO_URING; or choose another runtime"
    )]
    Kernel,
    /// Anything else.
    #[error("io_uring does not work on this machine ({0}): choose another runtime")]
    Ring(Errno),
}

/// Looks for all that glommio needs.
pub fn probe() -> Result<(), Missing> {
    if let Some(has) = getrlimit(Resource::Memlock).current
        && has < LOCKED_BYTES
    {
        return Err(Missing::LockedMemory { has });
    }
    // When a ring goes, the kernel interrupts the thread that made it.
    let ring = thread::spawn(|| set_up().map(drop)).join();
    match ring.unwrap_or(Err(Errno::IO)) {
        Ok(()) => Ok(()),
        Err(Errno::PERM | Errno::ACCESS) if is_switched_off() => Err(Missing::SwitchedOff),
        Err(Errno::PERM | Errno::ACCESS) => Err(Missing::Forbidden),
        Err(Errno::NOSYS) => Err(Missing::Kernel),
        Err(error) => Err(Missing::Ring(error)),
    }
}

fn set_up() -> Result<OwnedFd, Errno> {
    let mut params = io_uring_params::default();
    #[expect(
        unsafe_code,
        reason = "the kernel writes to the parameters, which outlive the call"
    )]
    unsafe {
        io_uring_setup(1, &mut params)
    }
}

fn is_switched_off() -> bool {
    fs::read_to_string(SWITCH).is_ok_and(|switch| switch.trim() != "0")
}

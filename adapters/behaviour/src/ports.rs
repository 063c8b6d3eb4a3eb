//! Where nodes under test may listen.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

/// So many ports in a row that nobody else has. They are of an address of loopback that is this
/// process's own: whatever was let go of at the usual one, somebody else may have by now.
#[must_use]
pub fn free_ports(count: usize) -> Vec<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(1024);
    let count = u16::try_from(count).unwrap();
    let first = NEXT.fetch_add(count, Ordering::Relaxed);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, 64 + high, middle, low);
    (first..first + count)
        .map(|port| SocketAddr::from((own, port)))
        .collect()
}

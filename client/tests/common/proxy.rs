//! A wire between a node and everybody else that takes time, and can be cut for clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// Where a hello says who speaks, and what clients say there.
const ROLE: usize = 46;
const CLIENT: u8 = 2;

#[derive(Default)]
pub(crate) struct Wire {
    /// One way, for clients.
    pub(crate) delay_us: AtomicU64,
    /// Whether what clients say, and what they are told, is held back.
    pub(crate) is_cut: AtomicBool,
}

/// Passes connections on to a node. Returns where.
pub(crate) async fn wire(to: SocketAddr, wire: Arc<Wire>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let wire = wire.clone();
            tokio::spawn(async move {
                let mut near = near;
                let mut hello = vec![0; ROLE + 1];
                let Ok(_) = near.read_exact(&mut hello).await else {
                    return;
                };
                let Ok(mut far) = TcpStream::connect(to).await else {
                    return;
                };
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let is_client = hello[ROLE] == CLIENT;
                if far.write_all(&hello).await.is_err() {
                    return;
                }
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(carry(near_in, far_out, wire.clone(), is_client));
                carry(far_in, near_out, wire, is_client).await;
            });
        }
    });
    address
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    wire: Arc<Wire>,
    is_client: bool,
) {
    let (send, mut receive) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let late = wire.clone();
    let writer = async move {
        while let Some((at, bytes)) = receive.recv().await {
            sleep_until(at).await;
            while is_client && late.is_cut.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(5)).await;
            }
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    let reader = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(len @ 1..) = from.read(&mut buffer).await {
            let delay = match is_client {
                true => wire.delay_us.load(Ordering::Relaxed),
                false => 0,
            };
            let at = Instant::now() + Duration::from_micros(delay);
            if send.send((at, buffer[..len].to_vec())).is_err() {
                return;
            }
        }
    };
    tokio::join!(writer, reader);
}

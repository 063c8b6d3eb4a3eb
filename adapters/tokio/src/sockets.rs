//! Connections that are made: to the node's own port, and to other nodes again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dynamo_proto::NodeId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::lobby::Lobby;
use crate::random;

/// Most connections at once of which nobody knows yet who it is. Others wait to be accepted.
const STRANGERS: usize = 256;

/// How long to wait if the machine gives out no more sockets.
const NO_SOCKET: Duration = Duration::from_millis(100);

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(2);

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Lets in whoever comes, for ever. What it let in ends with it.
pub(crate) async fn accept(listener: TcpListener, lobby: Arc<Lobby>) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = strangers.clone().acquire_owned().await;
            let place = place.expect("the semaphore is never closed");
            (listener.accept().await, place)
        };
        tokio::select! {
            (accepted, place) = accepted => match accepted {
                Ok((socket, _)) => {
                    let lobby = lobby.clone();
                    connections.spawn(async move { lobby.welcome(socket, place).await });
                }
                Err(_) => sleep(NO_SOCKET).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Keeps a connection to a node, for ever.
pub(crate) async fn keep(peer: NodeId, address: SocketAddr, lobby: Arc<Lobby>) {
    let mut wait = FIRST_WAIT;
    loop {
        if let Ok(Ok(socket)) = timeout(CONNECT, TcpStream::connect(address)).await
            && lobby.visit(socket, peer).await.is_ok()
        {
            wait = FIRST_WAIT;
        }
        sleep(random::jittered(wait)).await;
        wait = (2 * wait).min(LONGEST_WAIT);
    }
}

//! One connection of a client to one node, one request at a time.
//!
//! For the command line and for tests. It never tries again: whoever does must know that a write
//! may have been done.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use dynamo_driver::{Connection, Event, Unsent};
use dynamo_proto::node::{Request, Response};
use dynamo_proto::wire::{Hello, Message, Role, Ticket, Versions};
use dynamo_proto::{ClusterId, Limits};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::timeout;

use crate::line::{Line, Lost};
use crate::random;

/// How long a connection may take to be established.
const CONNECT: Duration = Duration::from_secs(5);

/// How much longer than the node may take its answer is waited for.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// A client of one node.
pub struct Client {
    line: Line,
    asked: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The request was not sent, so nothing was done.
    #[error(transparent)]
    Unsent(#[from] Unsent),
    /// The connection ended first. A write may have been done.
    #[error("the connection ended before the answer came: {0}")]
    Lost(#[from] Lost),
    /// No answer came in time. A write may have been done.
    #[error("no answer came in time")]
    Late,
}

impl Client {
    /// Connects to a node of that cluster, with limits equal to the node's.
    pub async fn connect(
        node: impl ToSocketAddrs,
        cluster: ClusterId,
        limits: Limits,
    ) -> Result<Self, Lost> {
        Self::connect_as(Role::Client, node, cluster, limits).await
    }

    /// Connects to a node of that cluster to look after it, which may be done however busy it is. It
    /// may only be [told](Self::tell) something.
    pub async fn administer(node: impl ToSocketAddrs, cluster: ClusterId) -> Result<Self, Lost> {
        Self::connect_as(Role::Admin, node, cluster, Limits::default()).await
    }

    async fn connect_as(
        role: Role,
        node: impl ToSocketAddrs,
        cluster: ClusterId,
        limits: Limits,
    ) -> Result<Self, Lost> {
        let hello = Hello {
            versions: Versions::OURS,
            nonce: random::nonce()?,
            cluster,
            role,
        };
        let established = timeout(CONNECT, async {
            let socket = TcpStream::connect(node).await?;
            // One request at a time waits, and an empty buffer takes any.
            let mut line = Line::new(socket, Connection::dial(hello, None, limits, 0))?;
            line.establish().await?;
            Ok::<_, Lost>(line)
        });
        let line = established.await.map_err(io::Error::from)??;
        Ok(Self { line, asked: 0 })
    }

    /// Asks, and waits that long for the answer.
    pub async fn ask(
        &mut self,
        request: Request,
        patience: Duration,
    ) -> Result<Response, AskError> {
        let ticket = Ticket(self.asked);
        self.asked += 1;
        self.line.send(&Message::Request {
            epoch: Default::default(),
            ticket,
            patience,
            request,
        })?;
        let answered = timeout(patience + ON_THE_WAY, self.answer(ticket));
        match answered.await {
            Ok(answered) => Ok(answered?),
            Err(_) => Err(AskError::Late),
        }
    }

    /// Gives a command for the cluster, as JSON. Returns whether it was carried out, and what came of
    /// it or why it was not.
    pub async fn tell(&mut self, command: Bytes) -> Result<(bool, Bytes), AskError> {
        let ticket = Ticket(self.asked);
        self.asked += 1;
        self.line.send(&Message::Admin { ticket, command })?;
        let told = async {
            loop {
                while let Some(event) = self.line.poll()? {
                    if let Event::Message(Message::Administered {
                        ticket: answered,
                        is_done,
                        answer,
                    }) = event
                        && answered == ticket
                    {
                        return Ok::<_, Lost>((is_done, answer));
                    }
                }
                self.line.exchange(true).await?;
            }
        };
        match timeout(CONNECT, told).await {
            Ok(told) => Ok(told?),
            Err(_) => Err(AskError::Late),
        }
    }

    /// Skips answers that were given up before.
    async fn answer(&mut self, ticket: Ticket) -> Result<Response, Lost> {
        loop {
            while let Some(event) = self.line.poll()? {
                if let Event::Message(Message::Response {
                    ticket: answered,
                    response,
                }) = event
                    && answered == ticket
                {
                    return Ok(response);
                }
            }
            self.line.exchange(true).await?;
        }
    }
}

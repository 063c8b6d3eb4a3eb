//! One connection to one node, to look after its cluster.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dynamo_driver::admin::Command;
use dynamo_driver::{Connection, Event};
use dynamo_proto::wire::{Hello, Message, Nonce, Role, Ticket, Versions};
use dynamo_proto::{ClusterId, Limits};
use serde_json::Value;

use crate::machine::Trouble;
use crate::runtime::Runtime;

/// How long a connection may take to be established, and an answer to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much is read at once.
const READ_BYTES: usize = 16 << 10;

/// Whoever looks after a cluster, by way of one of its nodes: that has room for it however busy it is. It
/// never tries again: a command whose answer is lost may have been carried out.
pub struct Admin<R: Runtime> {
    socket: R::Socket,
    connection: Connection,
    asked: u64,
    buffer: Box<[u8]>,
}

/// Why a command is not known to be carried out.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is no connection to the node, or none any more.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// No answer came in time.
    #[error("no answer came in time")]
    Late,
    /// The node says why it is not.
    #[error("{0}")]
    Refused(String),
    /// What came is no answer.
    #[error("the node's answer cannot be understood: {0}")]
    Confused(#[from] serde_json::Error),
    /// The system gives no random numbers.
    #[error("no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

impl<R: Runtime> Admin<R> {
    /// Connects to a node of that cluster.
    pub async fn connect(node: impl Into<String>, cluster: ClusterId) -> Result<Self, AdminError> {
        let hello = Hello {
            versions: Versions::OURS,
            nonce: nonce()?,
            cluster,
            role: Role::Admin,
        };
        let established = async {
            let socket = R::dial(node.into()).await;
            let mut admin = Self {
                socket: socket.map_err(|_| Trouble::NoConnection)?,
                // One command at a time waits, and an empty buffer takes any.
                connection: Connection::dial(hello, None, Limits::default(), 0),
                asked: 0,
                buffer: vec![0; READ_BYTES].into(),
            };
            while !matches!(admin.next().await?, Event::Established(_)) {}
            Ok(admin)
        };
        let within = within::<R, _>(established).await;
        within.unwrap_or(Err(Trouble::NoConnection.into()))
    }

    /// Gives a command. Returns what came of it.
    pub async fn tell(&mut self, command: &Command) -> Result<Value, AdminError> {
        let ticket = Ticket(self.asked);
        self.asked += 1;
        let command = serde_json::to_vec(command)?.into();
        let sent = self.connection.send(&Message::Admin { ticket, command });
        sent.map_err(|_| Trouble::Closed)?; // nothing waits, and commands are short
        let told = within::<R, _>(self.answer(ticket)).await;
        let (is_done, answer) = told.ok_or(AdminError::Late)??;
        let answer: Value = serde_json::from_slice(&answer)?;
        match is_done {
            true => Ok(answer),
            false => {
                let why = answer["error"].as_str().unwrap_or_default();
                Err(AdminError::Refused(why.into()))
            }
        }
    }

    /// Skips answers that were given up before.
    async fn answer(&mut self, asked: Ticket) -> Result<(bool, Bytes), Trouble> {
        loop {
            if let Event::Message(Message::Administered {
                ticket,
                is_done,
                answer,
            }) = self.next().await?
                && ticket == asked
            {
                return Ok((is_done, answer));
            }
        }
    }

    async fn next(&mut self) -> Result<Event, Trouble> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, Trouble>> {
        loop {
            while !self.connection.outgoing().is_empty() {
                let outgoing = self.connection.outgoing();
                match R::poll_write(&mut self.socket, context, outgoing) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(len @ 1..)) => self.connection.sent(len),
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Trouble::Closed)),
                }
            }
            if let Some(event) = self.connection.poll()? {
                return Poll::Ready(Ok(event));
            }
            let most = self.connection.room().min(self.buffer.len());
            match R::poll_read(&mut self.socket, context, &mut self.buffer[..most]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(len @ 1..)) => self.connection.receive(&mut &self.buffer[..len]),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Trouble::Closed)),
            }
        }
    }
}

/// What comes of it, if it does so in time.
async fn within<R: Runtime, F: Future>(work: F) -> Option<F::Output> {
    let (mut work, mut alarm) = (pin!(work), R::alarm(Instant::now() + PATIENCE));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Pin::new(&mut alarm).poll(context).map(|_| None),
    })
    .await
}

fn nonce() -> Result<Nonce, getrandom::Error> {
    loop {
        if let Some(nonce) = Nonce::new(getrandom::u32()?) {
            return Ok(nonce);
        }
    }
}

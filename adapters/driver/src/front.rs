//! The face between the driver and the protocols that it speaks to clients.
//!
//! ```text
//!   bytes ---> Front::receive ---> Desk::asks ---> the node
//!   bytes <--- Desk::out      <--- Front::answered <--+
//! ```
//!
//! A [`Front`] is pure: it makes requests of bytes and bytes of answers. It keeps:
//! - the order of its answers, where its protocol has one. What it keeps back until its turn it
//!   [counts](Front::kept_back);
//! - its limits: what it has not understood yet grows no further than its protocol allows.
//!
//! The driver keeps:
//! - the order of requests on one key within a connection, so that later ones see what earlier ones
//!   wrote. Those on different keys run side by side;
//! - the bounds: how many requests of one connection are unanswered, how many bytes of answers are
//!   unread. Beyond them it does not read on;
//! - that each [`Ask`] is answered exactly once, unless the connection ends first.

use std::fmt;

use bytes::BytesMut;
use dynamo_proto::node::{Operation, Options, Response};
use dynamo_proto::{Key, Now};
use serde_json::Value;

use crate::admin::{Command, Refused};
use crate::{Dice, Site};

/// A protocol for clients, and how far one connection has come in it.
pub trait Front: Send {
    /// Takes as many bytes off the front of `input` as make sense, and says in [`Desk::asks`] what
    /// is wanted of the node, in [`Desk::out`] what it can answer by itself.
    ///
    /// Called when bytes have come, and again, with what it has left of them, after each answer and
    /// when there is room again. It stops between two commands once there is no [room](Desk::has_room).
    fn receive(&mut self, input: &mut BytesMut, desk: &mut Desk<'_>) -> Result<(), Goodbye>;

    /// One of its requests was answered. It may ask for more: what is asked under the same ticket
    /// has the turn of what was answered, before all that waits for it.
    fn answered(
        &mut self,
        ticket: Ticket,
        response: Response,
        desk: &mut Desk<'_>,
    ) -> Result<(), Goodbye>;

    /// One of its commands for the cluster was carried out, or refused. Of fronts that give none,
    /// none is.
    fn administered(
        &mut self,
        _ticket: Ticket,
        _outcome: Result<Value, Refused>,
        _desk: &mut Desk<'_>,
    ) -> Result<(), Goodbye> {
        Ok(())
    }

    /// How many bytes of answers it keeps back until their turn.
    fn kept_back(&self) -> usize;

    /// How many more bytes are known to belong to what it has begun to read: room for them is made
    /// as they come. 0 if that is not known.
    fn wants(&self) -> usize;

    /// Says that there is no room for another connection; nothing is read from it.
    fn turn_away(&self, out: &mut BytesMut);
}

/// A request, as the front that asks names it: unique among its unanswered ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something that a front wants of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Its name.
    pub ticket: Ticket,
    /// What it is about.
    pub key: Key,
    /// What to do.
    pub operation: Operation,
    /// How; what is not said is as the bucket has it.
    pub options: Options,
    /// Whether a read is the first step of a change: what comes after it on its key waits as it
    /// would for a write. Writes need not say so.
    pub leads_to_write: bool,
}

/// Why a front wants its connection closed. What it has written goes out first; what it asked for
/// and was not answered is not waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// The client asked for it, or said that it would ask for nothing more.
    Asked,
    /// What follows cannot be made sense of, for this reason.
    Senseless(&'static str),
}

/// What a front works with, lent to it for one call.
pub struct Desk<'a> {
    /// Where answers are written, in the order in which the client is to read them.
    pub out: &'a mut BytesMut,
    /// What the node is asked. One command may ask for more than there is room for: the rest waits
    /// its turn.
    pub asks: &'a mut Vec<Ask>,
    /// What is to be done about the cluster.
    pub commands: &'a mut Vec<(Ticket, Command)>,
    /// How many more requests may be asked for before the client has to wait.
    pub room: usize,
    /// Draws numbers: for what has to have a name of its own.
    pub dice: &'a mut Dice,
    /// Both clocks.
    pub now: Now,
    /// What there is to tell about the node.
    pub site: Site<'a>,
}

impl Desk<'_> {
    /// Whether another command should be read: few requests are unanswered and few bytes unread.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.asks.len() < self.room
    }
}

impl fmt::Display for Goodbye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "the client has finished",
            Self::Senseless(reason) => reason,
        })
    }
}

//! What every adapter shares, still without I/O: no sockets, no clock, no runtime.
//!
//! So far one side of one connection: received bytes become [`Event`]s, messages become bytes to
//! send.
//!
//! ```text
//!   socket ---bytes---> receive / read_buffer --+            +-- poll ---> Event
//!                                               | Connection |
//!   socket <--bytes---- outgoing, sent  <-------+            +<- send ---- Message
//! ```
//!
//! Two nodes that meet and talk, over two `Vec`s:
//!
//! ```
//! use dynamo_driver::{Connection, Event, Identity};
//! use dynamo_proto::wire::{Message, Nonce, Role, Ticket, Versions};
//! use dynamo_proto::membership::ShortEpoch;
//! use dynamo_proto::{ClusterId, Generation, Key, Limits, NodeId};
//!
//! let limits = Limits::default();
//! let identity = |node| Identity {
//!     cluster: ClusterId(1),
//!     node: NodeId(node),
//!     generation: Generation(1),
//!     versions: Versions::OURS,
//! };
//! let nonce = |number| Nonce::new(number).expect("not 0"); // at random, in earnest
//! let hello = identity(1).hello(nonce(7));
//! let mut alice = Connection::dial(hello, Some(NodeId(2)), limits, 1 << 20);
//! let mut bob = Connection::accept(identity(2), nonce(8), limits, 1 << 20);
//!
//! /// Brings what one side has written to the other, and tells what the other made of it.
//! fn carry(from: &mut Connection, wire: &mut Vec<u8>, to: &mut Connection) -> Vec<Event> {
//!     wire.extend_from_slice(from.outgoing());
//!     from.sent(from.outgoing().len());
//!     let (mut bytes, mut events) = (&wire[..], Vec::new());
//!     while !bytes.is_empty() {
//!         to.receive(&mut bytes);
//!         while let Some(event) = to.poll().expect("nothing changes bytes here") {
//!             events.push(event);
//!         }
//!     }
//!     wire.clear();
//!     events
//! }
//!
//! let (mut east, mut west) = (Vec::new(), Vec::new());
//! let met = carry(&mut alice, &mut east, &mut bob);
//! let [Event::Established(alice_there)] = &met[..] else { panic!("a hello makes one event") };
//! assert_eq!(alice_there.peer, Role::Peer { node: NodeId(1), generation: Generation(1) });
//! carry(&mut bob, &mut west, &mut alice); // the welcome
//!
//! let key = Key::new("default", "carts", "alice", &limits)?;
//! let epoch = ShortEpoch::default();
//! let message = Message::Fetch { ticket: Ticket(1), epoch, held_for: None, key };
//! alice.send(&message)?;
//! assert_eq!(carry(&mut alice, &mut east, &mut bob), [Event::Message(message)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod admin;
pub mod driver;
pub mod front;
pub mod http;
pub mod resp;
pub mod riak;

mod bounds;
mod connection;
mod dice;
mod error;
mod handshake;
mod incoming;
mod metrics;
mod outgoing;
mod site;

pub use bounds::{Bounds, Waits};
pub use connection::{Connection, Event};
pub use dice::Dice;
pub use error::{Ended, Unsent};
pub use handshake::{Established, Identity};
pub use metrics::Metrics;
pub use outgoing::Waiting;
pub use site::{Load, PeerStatus, SeedStatus, Site};

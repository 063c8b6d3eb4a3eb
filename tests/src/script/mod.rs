//! Scripts: what a few nodes do, command by command, with every event and effect written down.
//!
//! A script is prose, commands and the traces that they cause:
//!
//! ```text
//! # A write is done as soon as two replicas have it.
//!
//! cluster nodes=3
//! ----
//! A, B, C on duty for cart
//!
//! put A cart tea blind
//! ----
//! A: #1 put cart = tea, blind
//!    read cart
//!    wakes at 5s
//! ...
//! ```
//!
//! Lines that begin with `#` are prose. A block is commands, `----`, and all that they caused, up
//! to an empty line. [`rewrite`] runs a script and returns it with the traces of today.
//!
//! # The world
//!
//! Nothing happens by itself. A message waits on its link until it is delivered, time stands still
//! until told to move, and a store answers at once unless it holds its answers back. Nodes have the
//! letters of their order of duty for the key that `cluster` names, so that a trace does not hang
//! on where keys fall.
//!
//! # Commands
//!
//! | Command | |
//! | --- | --- |
//! | `cluster [nodes=3] [hosts=3] [key=cart] [n=3] [r=2] [w=2] [pr=0] [pw=0] [policy=siblings\|last-write-wins] [max-skew=1h] [durability=flushed] [one-flushed] [timeout=5s] [longest=60s] [retry=500ms] [requests=N] [peers=N] [reads=N] [max-siblings=N]` | invents a cluster |
//! | `get A key [head] ...` | a client asks A |
//! | `put A key value MODE [CONDITION] ...` | MODE is `context=$name`, `blind` or `overwrite`; CONDITION is `if-absent` or `if-unchanged=$name` |
//! | `delete A key MODE [CONDITION] ...` | |
//! | `... [as=$name] [again=1] [retry] [fastest=B] [waited=1s] [n=] [r=] [w=] [pr=] [pw=] [timeout=] [durability=] [absent-counts=] [majority-absent=]` | of every request: `as` names the context that comes with the answer, `again` gives it the name of request #1, `retry` says that somebody may have been asked for it before, `waited` is how long ago it arrived |
//! | `deliver` | every message, until none waits |
//! | `deliver A B` | the same, among those only |
//! | `deliver A->B [2]` | the first on that link, or so many |
//! | `drop ...` | as `deliver`, but they are lost |
//! | `copy A->B` | the first on that link comes once more, after all others |
//! | `unsent A->B [full\|too-long]` | the first on that link never left, for want of a connection if nothing else is said |
//! | `break A B` | the connection breaks: what was on it is lost, both are told |
//! | `cut A B`, `cut A->B`, `heal` | nothing crosses, and nobody is told |
//! | `queue` | shows what waits on the links |
//! | `often 20 3ms get A key` | so often, with so long between question and answer; not shown |
//! | `tick 500ms` | time moves on, from deadline to deadline |
//! | `clock A +1h` | A's wall clock is off by so much |
//! | `crash A [after-writing]`, `restart A` | its store stays, with what was asked of it or without |
//! | `store A MOOD` | `works`, `holds`, `full`, `reserved`, `fails`, `fails-after-writing`, `fails-to-flush`, `unreadable`, `weak` |
//! | `store A next` | carries out one command that it holds |
//! | `show A key` | what A's record holds |
//! | `damage A key`, `wipe A` | a bit of the record is flipped; the store is emptied |
//! | `scrub A key` | whoever looks through A's store found the record damaged |
//!
//! # A trace
//!
//! A line at the margin is an event at a node, those below it are its effects in order, the last of
//! them when it wants to be woken, if that has changed. `#1` is a client's request, `[a1]` the first
//! request of A that others hear of, `A1` the first actor born at A, `tea@A1:2` a value with its
//! dot (`tea@A1:2/3s` where stamps decide), `{A1:2, B1:1}` a clock. Times count from the script's
//! beginning; `0.5s+` is one that a node drew at random, up to half a second later.
//!
//! # What is checked besides
//!
//! Whatever a script says: every request is answered once, by its deadline; no dot names two
//! writes; no node asks its store for more at once than it announces; every message crosses as
//! bytes.

mod arguments;
mod cluster;
mod command;
mod disk;
mod file;
mod shape;
mod words;

pub use file::{Error, rewrite};

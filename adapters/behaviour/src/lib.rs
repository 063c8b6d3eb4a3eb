//! What every adapter must do, written once: each behaviour is a cluster on loopback ports and what
//! its clients, its peers and strangers see of it.
//!
//! An adapter's test is a program without a harness of its own:
//!
//! ```ignore
//! fn main() -> ExitCode {
//!     dynamo_behaviour::run("tokio", |doors, setup| Ok(stop(dynamo_tokio::serve(doors, setup)?)))
//! }
//! ```
//!
//! It runs [`BEHAVIOURS`], or those whose names contain one of its arguments, and prints what came
//! of each and how many there were.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test may panic"
)]

mod client;
mod hostile;
mod lines;
mod ports;
mod requests;
mod restarts;
pub mod session;
mod world;

use std::error::Error;
use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use dynamo_keeper::{Door, Nodes, Server, Servers, Setup};
use futures_lite::future::block_on;

pub use crate::client::{Client, Lost};
use crate::world::{Serving, World};

pub use crate::ports::free_ports;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/write-an-adapter.md")]
mod page {}

/// No behaviour takes longer.
const LONGEST: Duration = Duration::from_secs(60);

/// Why something could not be done.
pub type Failed = Box<dyn Error + Send + Sync>;

/// Stops a node: it finishes what is under way, lets go of its ports, and closes its store.
pub type Stop = Box<dyn FnOnce() -> Result<(), Failed> + Send>;

/// How an adapter serves a node.
pub type Serve = fn(Vec<(TcpListener, Door)>, Setup) -> Result<Stop, Failed>;

/// How an adapter serves the nodes of a process, each on a thread of its own.
pub type ServeOnCores = fn(Nodes, usize) -> Result<Stop, Failed>;

/// A behaviour and its name.
pub type Behaviour = (&'static str, fn(&World));

macro_rules! behaviours {
    ($($room:ident: $($name:ident)+;)+) => {
        &[$($((stringify!($name), $room::$name),)+)+]
    };
}

/// All of them.
pub const BEHAVIOURS: &[Behaviour] = behaviours! {
    requests:
        what_is_put_at_one_node_is_read_and_deleted_at_the_others
        blind_writes_are_siblings_until_a_write_that_has_seen_them
        every_node_of_a_large_cluster_finds_every_key
        the_largest_value_travels
        a_context_of_another_key_is_refused
        a_session_is_answered_byte_by_byte_as_everywhere;
    restarts:
        two_of_three_nodes_are_enough
        one_of_three_nodes_is_too_few
        what_a_restarted_node_forgot_is_read_from_the_others
        a_node_that_was_stopped_has_everything_when_it_is_back
        what_is_under_way_is_finished_before_a_node_stops
        a_client_of_a_stopped_node_is_told
        a_port_is_nobody_elses_until_its_node_has_stopped
        a_record_that_rots_unread_is_repaired_by_the_others;
    hostile:
        garbage_is_hung_up_on_and_does_no_harm
        nobody_passes_for_a_node_that_is_there
        an_earlier_life_of_a_node_does_not_displace_it
        a_client_of_another_cluster_is_refused
        a_client_may_only_ask
        a_client_that_never_reads_is_not_read_from_and_others_are_served
        a_client_that_talks_on_hears_why_it_is_hung_up_on
        a_peer_that_never_reads_holds_nobody_up
        a_flood_of_connections_is_survived;
};

/// Stops the node of a [`Server`].
#[must_use]
pub fn stop(server: Server) -> Stop {
    Box::new(|| Ok(block_on(server.stop())?))
}

/// Stops all nodes of a process.
#[must_use]
pub fn stop_all(servers: Servers) -> Stop {
    Box::new(|| Ok(block_on(servers.stop())?))
}

/// Runs the behaviours on an adapter.
pub fn run(adapter: &str, serve: Serve) -> ExitCode {
    run_with(adapter, Serving::Alone(serve))
}

/// Runs them with two nodes in each process, on two threads.
pub fn run_on_cores(adapter: &str, serve: ServeOnCores) -> ExitCode {
    run_with(&format!("{adapter}, two cores"), Serving::OnCores(serve))
}

fn run_with(adapter: &str, serve: Serving) -> ExitCode {
    let wanted: Vec<_> = std::env::args().skip(1).collect();
    let wanted: Vec<_> = wanted.iter().filter(|it| !it.starts_with('-')).collect();
    let (mut kept, mut broken) = (0, 0);
    for (name, behaviour) in BEHAVIOURS {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(*part)) {
            continue;
        }
        let start = Instant::now();
        match examine(*behaviour, serve) {
            Ok(()) => {
                kept += 1;
                println!("kept    {name} ({} ms)", start.elapsed().as_millis());
            }
            Err(how) => {
                broken += 1;
                println!("BROKEN  {name}: {how}");
            }
        }
    }
    println!("{adapter}: {kept} behaviours kept, {broken} broken\n");
    ExitCode::from(u8::from(broken > 0 || kept == 0))
}

fn examine(behaviour: fn(&World), serve: Serving) -> Result<(), String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let ran = std::panic::catch_unwind(AssertUnwindSafe(|| behaviour(&World { serve })));
        let _ = tell.send(ran.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            text.unwrap_or_else(|| "it panicked".into())
        }));
    });
    let told = told.recv_timeout(LONGEST);
    told.unwrap_or_else(|_| Err(format!("it takes longer than {LONGEST:?}")))
}

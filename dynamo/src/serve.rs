//! The nodes of a process, one if nothing else is said, until they are told to stop.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use dynamo_driver::Waits;
use dynamo_driver::driver::Lane;
use dynamo_driver::http::Http;
use dynamo_driver::resp::Resp;
use dynamo_driver::riak::Riak;
use dynamo_keeper::{Door, Servers, Setup};
use dynamo_proto::NodeId;
use dynamo_proto::node::{Known, Start};
use dynamo_proto::store::ReadOutcome;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};

use crate::backup::Desk;
use crate::cli::Serve;
use crate::cores;
use crate::engine;
use crate::error::Error;
use crate::journal;
use crate::print;
use crate::settings::{Settings, Storage, check_environment};

/// How many may wait at a door to be let in.
const BACKLOG: i32 = 1024;

/// Serves until SIGINT or SIGTERM, or until the node halts.
pub(crate) async fn run(options: Serve) -> Result<(), Error> {
    check_environment()?;
    let mut settings = options
        .options
        .or_file(options.config.as_deref())?
        .settle()?;
    if options.check {
        return print::out(&print::settings(&settings));
    }
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let (nodes, servers, desks) = start(&mut settings)?;
    let names: Vec<_> = nodes.iter().map(ToString::to_string).collect();
    let text = print::settings(&settings);
    print::out(&format!("node {} of {text}", names.join(", ")))?;
    let served = async {
        for server in servers.nodes() {
            server.serving().await?;
        }
        print::out("ready\n")?;
        std::future::pending::<Result<Infallible, Error>>().await
    };
    tokio::select! {
        Err(error) = served => return Err(error),
        halted = servers.halted() => return Err(halted.into()),
        never = journal::keep(servers.nodes()) => match never {},
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    // A backup under way ends first: it has the store.
    drop(desks);
    servers.stop().await?;
    print::out("stopped\n")
}

/// Takes the ports first: whoever else has them is noticed before the store is touched. Any port will do
/// where 0 is given; which ones they became is in the settings then.
fn start(settings: &mut Settings) -> Result<(Vec<NodeId>, Servers, Vec<Desk>), Error> {
    allow_many_sockets();
    let count = settings.nodes()?;
    let (mut doors, mut addresses) = (Vec::new(), Vec::new());
    let first = settings.listen;
    for core in 0..count {
        let listener = listen(cores::address(first, core)?)?;
        if core == 0 {
            settings.listen = listener.local_addr()?;
        }
        addresses.push(match settings.advertise {
            Some(first) => cores::address(first, core)?,
            None => listener.local_addr()?,
        });
        let mut of_core = vec![(listener, Door::Native)];
        if let Some(address) = &mut settings.resp {
            of_core.push((share(address, core, count)?, resp()));
        }
        if let Some(address) = &mut settings.http {
            of_core.push((share(address, core, count)?, http()));
        }
        if let Some(address) = &mut settings.riak {
            of_core.push((share(address, core, count)?, riak()));
        }
        doors.push(of_core);
    }
    let mut stores = Vec::new();
    for core in 0..count {
        let storage = Storage {
            place: settings.storage.place.of_core(core),
            ..settings.storage.clone()
        };
        let outstanding = settings.capacity.stores();
        stores.push(engine::open(&storage, settings.cluster(), outstanding)?);
    }
    let nodes: Vec<_> = stores.iter().map(|opened| opened.node).collect();
    let members: Vec<_> = nodes
        .iter()
        .map(|it| settings.member(*it, nodes[0]))
        .collect();
    let is_new = |opened: &engine::Opened| {
        opened.store.read(Start::SPACE, &Start::place()) == ReadOutcome::Absent
    };
    let are_new: Vec<_> = stores.iter().map(is_new).collect();
    let are_all_new = are_new.iter().all(|is_new| *is_new);
    let birth = settings.birth.as_ref().map(|beginning| {
        let mut first = members.clone();
        first.sort_by_key(|member| member.id);
        Arc::new(beginning.clone().birth(settings.cluster(), first))
    });
    if birth.is_none() && are_all_new && settings.seeds.is_empty() {
        return Err(Error::NoCluster);
    }
    let (mut setups, mut back_ups) = (Vec::new(), Vec::new());
    for (at, ((opened, member), doors)) in stores.into_iter().zip(members).zip(doors).enumerate() {
        let known = match &birth {
            // A new node beside one that knows a cluster begins none of its own.
            Some(birth) if are_all_new || !are_new[at] => Known::Birth(birth.clone()),
            _ => Known::Nothing,
        };
        // Who is told to ask itself learns nothing.
        let seeds = addresses.iter().chain(&settings.seeds);
        let seeds = seeds.filter(|seed| **seed != addresses[at]);
        let setup = Setup {
            config: settings.config(opened.node),
            start: Start {
                member,
                address: addresses[at].to_string().into(),
                seeds: 0, // as many as there are in the setup
                is_restored: settings.storage.adopt || opened.is_copy,
                known,
                saved: None,
            },
            peers: BTreeMap::new(),
            seeds: seeds.copied().collect(),
            generation: opened.generation,
            store: opened.store,
            bounds: settings.bounds,
            waits: Waits::default(),
        };
        setups.push((doors, setup));
        back_ups.extend(opened.back_up);
    }
    let servers = settings.runtime.serve_all(setups, settings.cores.into())?;
    let desks = back_ups.into_iter().filter_map(|(directory, back_up)| {
        let desk = Desk::open(&directory, back_up);
        let complain = |error| eprintln!("dynamo: no backups while it runs: {error}");
        desk.map_err(complain).ok()
    });
    Ok((nodes, servers, desks.collect()))
}

/// Where clients of Redis come in.
pub(crate) fn resp() -> Door {
    Door::Front(Box::new(|| Box::new(Resp::default())), Lane::Clients)
}

/// Where the node is looked after, among others.
pub(crate) fn http() -> Door {
    Door::Front(Box::new(|| Box::new(Http::default())), Lane::Admins)
}

/// Where clients of Riak come in.
pub(crate) fn riak() -> Door {
    Door::Front(Box::new(|| Box::new(Riak::default())), Lane::Clients)
}

/// A port that was let go of a moment ago can be taken again at once.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    bind(address, false)
}

/// One node's part of a port that all nodes of a process have, if there are several. That nobody else has
/// it is known from the first, who tries to have it alone.
fn share(address: &mut SocketAddr, core: u16, count: u16) -> Result<TcpListener, Error> {
    if core == 0 {
        let alone = listen(*address)?;
        *address = alone.local_addr()?;
        if count == 1 {
            return Ok(alone);
        }
    }
    bind(*address, true)
}

fn bind(address: SocketAddr, is_shared: bool) -> Result<TcpListener, Error> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(is_shared)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bind().map_err(|error| Error::listening(address, error))
}

/// Each connection is an open file, of which a process may often have no more than 1,024 until it
/// asks for more. If it gets none, connections beyond wait to be let in.
fn allow_many_sockets() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}

//! Several nodes in one process, on a thread for each core.

use std::net::TcpListener;
use std::sync::mpsc;
use std::task::Poll;
use std::{future, thread};

use crate::keeper::Keeper;
use crate::reactor::Reactor;
use crate::server::{Door, Prepared, ServeError, Server, Setup, StartError, prepare_all};

/// The nodes of a process, each behind listeners of its own.
pub type Nodes = Vec<(Vec<(TcpListener, Door)>, Setup)>;

/// The handle to the nodes of a process. They stop when this is dropped.
#[derive(Debug)]
pub struct Servers(Vec<Server>);

/// Those nodes of a process that one thread serves.
pub struct Core {
    nodes: Vec<Prepared>,
    has_begun: Box<dyn FnOnce(Result<(), StartError>) + Send>,
}

/// Serves nodes on so many threads, each pinned to a processor of its own if there are several, and
/// waits until all have begun. What is said between the nodes goes through mailboxes. `run` is called in
/// each thread, and has its runtime run [`Core::serve`] to the end.
pub fn on_cores<E: From<StartError> + Send + 'static>(
    nodes: Nodes,
    cores: usize,
    run: impl Fn(Core) -> Result<(), E> + Clone + Send + 'static,
) -> Result<Servers, E> {
    let (servers, prepared) = prepare_all(nodes)?;
    let cores = cores.clamp(1, prepared.len().max(1));
    let mut shares: Vec<_> = (0..cores).map(|_| Vec::new()).collect();
    for (at, node) in prepared.into_iter().enumerate() {
        shares[at % cores].push(node);
    }
    let (tell, told) = mpsc::channel();
    for (at, nodes) in shares.into_iter().enumerate() {
        let (run, tell, failed) = (run.clone(), tell.clone(), tell.clone());
        let thread = thread::Builder::new().name(format!("dynamo-core-{at}"));
        let core = Core {
            nodes,
            has_begun: Box::new(move |how| drop(tell.send(how.map_err(E::from)))),
        };
        let serve = move || {
            if cores > 1 {
                pin(at);
            }
            if let Err(error) = run(core) {
                let _ = failed.send(Err(error));
            }
        };
        thread.spawn(serve).map_err(StartError::Thread)?;
    }
    drop(tell);
    for _ in 0..cores {
        told.recv()
            .unwrap_or_else(|_| Err(StartError::Lost.into()))?;
    }
    Ok(Servers(servers))
}

impl Core {
    /// Serves its nodes to their end. After the last socket of one is dropped and before it is told that
    /// it has ended, the runtime may want one more turn.
    pub async fn serve<R: Reactor>(self, last_turn: impl AsyncFn()) {
        let kept = self.nodes.into_iter().map(Prepared::keep::<R>);
        let keepers: Vec<Keeper<R>> = match kept.collect() {
            Ok(keepers) => keepers,
            Err(error) => return (self.has_begun)(Err(error)),
        };
        (self.has_begun)(Ok(()));
        let keep = async |keeper: Keeper<R>| {
            let ended = keeper.await;
            last_turn().await;
            ended.close();
        };
        let mut all: Vec<_> = keepers.into_iter().map(|it| Box::pin(keep(it))).collect();
        let all_end = future::poll_fn(|context| {
            all.retain_mut(|one| one.as_mut().poll(context).is_pending());
            if all.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        all_end.await;
    }
}

impl Servers {
    /// Each node, in the order in which they were given.
    #[must_use]
    pub fn nodes(&self) -> &[Server] {
        &self.0
    }

    /// Waits until a node halts, for ever if all is well.
    pub async fn halted(&self) -> ServeError {
        let mut all: Vec<_> = self.0.iter().map(|it| Box::pin(it.halted())).collect();
        let any = future::poll_fn(|context| {
            let mut polled = all.iter_mut().map(|it| it.as_mut().poll(context));
            polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
        });
        any.await
    }

    /// Stops all of them: what is under way at any is finished first.
    pub async fn stop(self) -> Result<(), ServeError> {
        let stopping: Vec<_> = self.0.into_iter().map(Server::stopping).collect();
        let mut how = Ok(());
        for stopped in stopping {
            let stopped = stopped.await;
            how = how.and(stopped);
        }
        how
    }
}

impl From<Server> for Servers {
    fn from(server: Server) -> Self {
        Self(vec![server])
    }
}

impl From<Servers> for Vec<Server> {
    fn from(servers: Servers) -> Self {
        servers.0
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Core");
        debug.field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// Keeps this thread on one of the processors that it may run on. Where that is forbidden it stays where
/// the system puts it.
#[cfg(target_os = "linux")]
fn pin(at: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    let processors = (0..CpuSet::MAX_CPU).filter(|it| allowed.is_set(*it));
    let processors: Vec<_> = processors.collect();
    let Some(mine) = processors.get(at % processors.len().max(1)) else {
        return;
    };
    let mut only = CpuSet::new();
    only.set(*mine);
    let _ = sched_setaffinity(None, &only);
}

#[cfg(not(target_os = "linux"))]
fn pin(_: usize) {}

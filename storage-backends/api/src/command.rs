//! From the core's commands to an engine's calls.

use dynamo_proto::store::{Command, Completion};

use crate::{Backend, Write};

/// Does what the core asks for and says what became of it.
///
/// For an engine that runs in the core's own thread; whoever has several writes waiting gives them
/// to [`Backend::write`] together.
///
/// ```
/// use dynamo_proto::store::{Address, Command, Completion, Space};
/// use dynamo_storage::{Backend, carry_out};
///
/// fn is_kept(backend: &dyn Backend, at: Address) -> bool {
///     let completion = carry_out(backend, Command::Read { space: Space::Objects, at });
///     matches!(completion, Completion::Read(_))
/// }
/// ```
pub fn carry_out<B: Backend + ?Sized>(backend: &B, command: Command) -> Completion {
    match command {
        Command::Read { space, at } => Completion::Read(backend.read(space, &at)),
        Command::Write(batch) => {
            let mut group = [Write::from(batch)];
            backend.write(&mut group);
            let [write] = group;
            Completion::Wrote(write.answer)
        }
        Command::Scan { space, span, limit } => {
            Completion::Scanned(backend.scan(space, &span, limit))
        }
    }
}

//! A write as it arrives: what it asks for, and what that takes.

use crate::node::{Condition, Env, Mode, Operation, Options, Request};
use crate::version::{Content, ContextError, Past, RequestId, Update};
use crate::{Key, NodeId};

/// A write as it arrives.
pub(crate) struct NewPut {
    pub(crate) id: RequestId,
    pub(crate) is_retry: bool,
    pub(crate) key: Key,
    pub(crate) fastest: Option<NodeId>,
    pub(crate) mode: Mode,
    pub(crate) change: Change,
    pub(crate) condition: Condition,
    pub(crate) options: Options,
}

/// What a write makes of what is there.
pub(crate) enum Change {
    /// This, whatever it is.
    To(Content),
    /// What this makes of it.
    By(Update),
}

impl NewPut {
    /// The write that a request asks for, if it asks for one.
    pub(crate) fn of(request: Request) -> Option<Self> {
        let Request {
            id,
            is_retry,
            key,
            operation,
            options,
        } = request;
        let (fastest, mode, change, condition) = match operation {
            Operation::Get { .. } | Operation::Fetch { .. } | Operation::List(_) => return None,
            Operation::Put {
                fastest,
                mode,
                content,
                condition,
            } => (fastest, mode, Change::To(content), condition),
            Operation::Update {
                fastest,
                update,
                context,
            } => {
                let mode = match (update.takes_away(), context) {
                    (true, Some(context)) => Mode::Context([context].into_iter().collect()),
                    (true, None) => Mode::Overwrite,
                    (false, _) => Mode::Blind,
                };
                (fastest, mode, Change::By(update), Condition::None)
            }
        };
        Some(Self {
            id,
            is_retry,
            key,
            fastest,
            mode,
            change,
            condition,
            options,
        })
    }

    pub(crate) fn into_request(self) -> Request {
        let Self {
            id,
            is_retry,
            key,
            fastest,
            mode,
            change,
            condition,
            options,
        } = self;
        let operation = match change {
            Change::To(content) => Operation::Put {
                fastest,
                mode,
                content,
                condition,
            },
            Change::By(update) => Operation::Update {
                fastest,
                update,
                context: match mode {
                    Mode::Context(contexts) => contexts.into_iter().next(),
                    Mode::Blind | Mode::Overwrite => None,
                },
            },
        };
        Request {
            id,
            is_retry,
            key,
            operation,
            options,
        }
    }

    /// Whether it depends on what is there.
    pub(super) fn must_read(&self) -> bool {
        let takes_away = match &self.change {
            Change::By(update) => update.takes_away(),
            Change::To(_) => false,
        };
        takes_away || self.mode == Mode::Overwrite || self.condition != Condition::None
    }

    /// Whether it may be done, if it is not found here. Another coordinator may have done what was
    /// asked for before, or this one before it was started on a store that lost what it had; or it
    /// is in a record that was lost since, which is a sibling too many for a value, but for an
    /// update counts twice.
    pub(super) fn may_be_done(&self, env: &Env<'_>) -> bool {
        let remembers = planted!(StartForgotten ? true; env.has_been_here_throughout());
        let is_update = matches!(self.change, Change::By(_));
        let is_update = planted!(UpdateRedone ? false; is_update);
        !self.is_retry || (self.options.only_here && remembers && !is_update)
    }

    /// What the client had seen, by the contexts that it hands back.
    pub(super) fn past(&self, env: &Env<'_>) -> Result<Option<Past>, ContextError> {
        if let Condition::Unchanged(sealed) = &self.condition {
            env.seal.open(&self.key, sealed)?;
        }
        match &self.mode {
            Mode::Context(sealed) => env.seal.open_all(&self.key, sealed).map(Some),
            Mode::Blind | Mode::Overwrite => Ok(None),
        }
    }
}

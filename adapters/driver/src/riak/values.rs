//! Getting, putting and deleting values.

use bytes::Bytes;
use dynamo_proto::node::{Condition, Got, Mode, Operation, Written};
use dynamo_proto::version::{Action, Content};

use super::exchange::{Next, Said, read, read_after};
use super::messages::{self, DonePut};
use super::object;
use super::refusal::Refusal;
use super::ways::Ways;

/// A read.
#[derive(Debug)]
pub(crate) struct Get {
    /// What the client has: if that is all there is, it is told so, and nothing else.
    pub(crate) if_modified: Option<Bytes>,
    pub(crate) head: bool,
    /// Whether it wants the context of a delete.
    pub(crate) deletedvclock: bool,
}

/// A write.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) content: Content,
    /// What the client had read.
    pub(crate) vclock: Option<Bytes>,
    pub(crate) condition: Condition,
    /// Whether it did not name the key.
    pub(crate) is_key_new: bool,
    pub(crate) returns: Returns,
}

/// What a write is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returns {
    Nothing,
    Head,
    Body,
}

/// A delete.
#[derive(Debug)]
pub(crate) struct Delete {
    /// What the client had read.
    vclock: Option<Bytes>,
    condition: Condition,
}

impl Get {
    pub(crate) fn new(asked: &messages::Get) -> Self {
        Self {
            if_modified: asked.if_modified.clone(),
            head: asked.head.unwrap_or(false),
            deletedvclock: asked.deletedvclock.unwrap_or(false),
        }
    }

    pub(crate) fn first(&self) -> Operation {
        // What a client has is compared with the context, for which no bodies are needed; but it
        // may turn out to be old.
        read(self.head)
    }

    pub(crate) fn answer(&self, got: &Got, ways: &Ways) -> Said {
        let siblings = object::shown(got, ways.allow_mult);
        let vclock = Some(got.context.sealed.clone());
        Said::Got(
            if siblings.is_empty() || siblings.iter().all(|it| object::is_zero(it)) {
                let is_deleted = !got.siblings.is_absent();
                messages::Got {
                    vclock: vclock.filter(|_| is_deleted && self.deletedvclock),
                    ..messages::Got::default()
                }
            } else if self.if_modified.is_some() && self.if_modified == vclock {
                messages::Got {
                    unchanged: Some(true),
                    ..messages::Got::default()
                }
            } else {
                let content = |sibling| object::content(sibling, !self.head);
                messages::Got {
                    content: siblings.into_iter().map(content).collect(),
                    vclock,
                    unchanged: None,
                }
            },
        )
    }
}

impl Put {
    pub(crate) fn new(
        asked: &messages::Put,
        content: Content,
        is_key_new: bool,
    ) -> Result<Self, Refusal> {
        let vclock = asked.vclock.clone().filter(|vclock| !vclock.is_empty());
        let yes = |flag: Option<bool>| flag.unwrap_or(false);
        let condition = match &vclock {
            _ if yes(asked.if_none_match) => Condition::Absent,
            Some(vclock) if yes(asked.if_not_modified) => Condition::Unchanged(vclock.clone()),
            None if yes(asked.if_not_modified) => return Err(Refusal::new("modified")),
            _ => Condition::None,
        };
        let returns = match () {
            () if yes(asked.return_body) => Returns::Body,
            () if yes(asked.return_head) => Returns::Head,
            () => Returns::Nothing,
        };
        Ok(Self {
            content,
            vclock,
            condition,
            is_key_new,
            returns,
        })
    }

    pub(crate) fn first(&self, ways: &Ways) -> Operation {
        let (content, vclock) = (self.content.clone(), self.vclock.clone());
        operation(content, vclock, self.condition.clone(), ways)
    }

    pub(crate) fn written(&self, key: &[u8], written: Written) -> Next {
        if self.returns != Returns::Nothing {
            return Next::Ask(read_after(written, self.returns == Returns::Head));
        }
        let context = written.context;
        let done = DonePut {
            key: self.new_key(key),
            ..DonePut::default()
        };
        Next::Say(Said::Put { done, context })
    }

    pub(crate) fn answer(&self, key: &[u8], got: &Got, ways: &Ways) -> Said {
        let with_bodies = self.returns == Returns::Body;
        let siblings = object::shown(got, ways.allow_mult);
        let content = |sibling| object::content(sibling, with_bodies);
        let done = DonePut {
            content: siblings.into_iter().map(content).collect(),
            vclock: Some(got.context.sealed.clone()),
            key: self.new_key(key),
        };
        let context = None;
        Said::Put { done, context }
    }

    fn new_key(&self, key: &[u8]) -> Option<Bytes> {
        self.is_key_new.then(|| Bytes::copy_from_slice(key))
    }
}

impl Delete {
    pub(crate) fn new(vclock: Option<Bytes>, condition: Condition) -> Self {
        let vclock = vclock.filter(|vclock| !vclock.is_empty());
        Self { vclock, condition }
    }

    /// Whether what the client has read is to go, and nothing else is asked for.
    pub(crate) fn is_of_what_was_read(&self) -> bool {
        self.vclock.is_some() && self.condition == Condition::None
    }

    /// With what the client has read that is deleted, and otherwise what is there.
    pub(crate) fn first(&self, ways: &Ways) -> Operation {
        let is_counter = ways.data.is_some_and(|kind| kind.is_counter());
        let is_all_said = ways.allow_mult || self.condition != Condition::None;
        match self.vclock.clone() {
            Some(vclock) if is_all_said && !is_counter => {
                let condition = self.condition.clone();
                operation(Content::Tombstone, Some(vclock), condition, ways)
            }
            _ => read(true),
        }
    }

    /// What is there decides.
    pub(crate) fn looked(&self, got: &Got) -> Next {
        if got.siblings.is_deleted() {
            return Next::Say(Said::Deleted { was_there: false });
        }
        let data = got.siblings.values().iter();
        let counted = data.filter_map(|sibling| match &sibling.value.content {
            Content::Data(data) if data.kind().is_counter() => Some(data.view().count()),
            Content::Data(_) | Content::Live { .. } | Content::Tombstone => None,
        });
        Next::Ask(match counted.last() {
            Some(0) => return Next::Say(Said::Deleted { was_there: false }),
            Some(count) => Operation::Update {
                fastest: got.context.fastest,
                update: Action::Count(count.saturating_neg()).into(),
                context: None,
            },
            None => Operation::Put {
                fastest: got.context.fastest,
                mode: Mode::Context([got.context.sealed.clone()].into_iter().collect()),
                content: Content::Tombstone,
                condition: Condition::None,
            },
        })
    }
}

/// A write that supersedes what its client has read; where one value is shown, all that is there.
fn operation(
    content: Content,
    vclock: Option<Bytes>,
    condition: Condition,
    ways: &Ways,
) -> Operation {
    let mode = match vclock {
        _ if !ways.allow_mult && !ways.last_write_wins => Mode::Overwrite,
        Some(vclock) => Mode::Context([vclock].into_iter().collect()),
        // There may be tombstones, which it is not to stand beside.
        None if condition == Condition::Absent => Mode::Overwrite,
        None => Mode::Blind,
    };
    Operation::Put {
        fastest: None,
        mode,
        content,
        condition,
    }
}

//! What nodes say to each other to find out where they differ, and to be equal.

use dynamo_proto::wire::{Exchange, Message};

/// A kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// What some parts of the sender's trees say.
    Roots,
    /// What the leaves of a twig say.
    Leaves,
    /// What of either differs.
    Unequal,
    /// That trees may be wrong.
    Doubt,
    /// What keys the sender has, and what else is there?
    Compare,
    /// That, and what is lacking.
    Compared,
    /// Copies.
    Handoff,
    /// What became of them.
    HandedOff,
}

/// How much of each was said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Talk([(u64, u64); Word::ALL.len()]);

impl Word {
    /// All of them, in the order in which they are said.
    pub const ALL: [Self; 8] = [
        Self::Roots,
        Self::Leaves,
        Self::Unequal,
        Self::Doubt,
        Self::Compare,
        Self::Compared,
        Self::Handoff,
        Self::HandedOff,
    ];

    /// Of a message about what replicas have in common: in runs without hints and moves, all of them are
    /// of exchanges.
    pub(crate) fn of(message: &Message) -> Option<Self> {
        Some(match message {
            Message::Exchange(Exchange::Roots { .. }) => Self::Roots,
            Message::Exchange(Exchange::Leaves { .. }) => Self::Leaves,
            Message::Exchange(Exchange::Unequal { .. }) => Self::Unequal,
            Message::Exchange(Exchange::Doubt { .. }) => Self::Doubt,
            Message::Compare { .. } => Self::Compare,
            Message::Compared { .. } => Self::Compared,
            Message::Handoff { .. } => Self::Handoff,
            Message::HandedOff { .. } => Self::HandedOff,
            _ => return None,
        })
    }
}

impl Talk {
    pub(crate) fn add(&mut self, word: Word, messages: u64, bytes: u64) {
        let said = &mut self.0[word as usize];
        *said = (said.0 + messages, said.1 + bytes);
    }

    /// How many messages of that kind there were, and how many bytes they had in all.
    #[must_use]
    pub fn of(&self, word: Word) -> (u64, u64) {
        self.0[word as usize]
    }

    /// The bytes of all.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|said| said.1).sum()
    }

    /// What was said since it was so much.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut talk = *self;
        for (said, before) in talk.0.iter_mut().zip(before.0) {
            *said = (said.0 - before.0, said.1 - before.1);
        }
        talk
    }
}

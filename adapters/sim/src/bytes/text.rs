//! Clients of RESP that ask for much at once, and read it at their own pace, or not at all.

use std::collections::VecDeque;
use std::time::Duration;

use dynamo_driver::driver::{Entrance, Lane};
use dynamo_driver::resp::Resp;

use super::World;
use super::guests::Kind;
use crate::report::Count;

/// Most commands without an answer.
const PIPELINE: usize = 60;

pub(super) struct Text {
    /// How many bytes it takes in its turn; none if it takes all at once.
    pace: Option<usize>,
    /// It never reads.
    is_deaf: bool,
    /// For each command without an answer: what that has to be, if that is known.
    expected: VecDeque<Option<Vec<u8>>>,
    number: u64,
}

impl Text {
    pub(super) fn new(pace: Option<usize>, is_deaf: bool) -> Self {
        Self {
            pace,
            is_deaf,
            expected: VecDeque::new(),
            number: 0,
        }
    }

    pub(super) fn reads_at_once(&self) -> bool {
        self.pace.is_none() && !self.is_deaf
    }

    /// A command, and its answer if that is known.
    fn next(&mut self, chance: u64, size: usize) -> (Vec<u8>, Option<Vec<u8>>) {
        self.number += 1;
        let name = self.number.to_string();
        let key = format!("text-{}", chance % 5);
        let value = vec![b'v'; size];
        match self.number % 4 {
            0 | 2 => {
                let echo = format!("${}\r\n{name}\r\n", name.len()).into_bytes();
                (command(&[b"ECHO", name.as_bytes()]), Some(echo))
            }
            1 => (command(&[b"SET", key.as_bytes(), &value]), None),
            _ if self.is_deaf || chance.is_multiple_of(2) => {
                (command(&[b"GET", key.as_bytes()]), None)
            }
            _ => (
                command(&[b"MGET", b"text-0", key.as_bytes(), b"text-9"]),
                None,
            ),
        }
    }
}

impl World {
    fn text(&mut self, at: usize) -> &mut Text {
        match &mut self.guests[at].kind {
            Kind::Text(text) => text,
            _ => unreachable!("it was one just now"),
        }
    }

    pub(super) fn text_turn(&mut self, at: usize) -> Duration {
        if self.guests[at].pipe.is_none() {
            let node = self.dice.index(self.nodes.len());
            let front = Entrance::Front(Box::new(Resp::default()), Lane::Clients);
            self.call(at, node, front);
            return Duration::from_millis(50);
        }
        if let Some(pace) = self.text(at).pace {
            self.take_some(at, pace);
            self.text_hears(at);
            if let Some(pipe) = self.guests[at].pipe {
                self.give(pipe, 0); // there is room again
            }
        }
        let room = PIPELINE.saturating_sub(self.text(at).expected.len());
        for _ in 0..room.min(1 + self.dice.index(12)) {
            let (chance, size) = (self.dice.number(), self.dice.index(6_000));
            let text = self.text(at);
            let (bytes, answer) = text.next(chance, size);
            text.expected.push_back(answer);
            self.guests[at].outgoing.extend(bytes);
        }
        self.say(at);
        Duration::from_millis(10)
    }

    pub(super) fn text_hears(&mut self, at: usize) {
        while let Some(end) = end_of_reply(&self.guests[at].heard) {
            let answer: Vec<u8> = self.guests[at].heard.drain(..end).collect();
            self.counters.add(Count::TextAnswer, 1);
            match self.text(at).expected.pop_front() {
                None => self.fail(
                    "order",
                    format!("nobody asked for {}", answer.escape_ascii()),
                ),
                Some(Some(expected)) if expected != answer => {
                    let (expected, answer) = (expected.escape_ascii(), answer.escape_ascii());
                    let what = format!("{expected} should have been answered, not {answer}");
                    self.fail("order", what);
                }
                Some(_) => {}
            }
        }
    }

    pub(super) fn text_forgets(&mut self, at: usize) {
        self.text(at).expected.clear();
    }
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend(*word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// Where the first reply ends, if all of it is there.
fn end_of_reply(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let number = std::str::from_utf8(&bytes[1..end - 2]).ok()?;
    let number = number.parse::<usize>().ok();
    match (bytes[0], number) {
        (b'$', Some(len)) => (bytes.len() >= end + len + 2).then_some(end + len + 2),
        (b'*', Some(items)) => {
            for _ in 0..items {
                end += end_of_reply(&bytes[end..])?;
            }
            Some(end)
        }
        _ => Some(end),
    }
}

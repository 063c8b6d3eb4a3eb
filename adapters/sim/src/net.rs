//! An invented network: connections between machines that delay, hold, lose and damage what they
//! carry.
//!
//! Bytes of one connection arrive in order, as a stream does, unless noise is on. What is sent while
//! a link is cut is held, as by a sender that tries again, and arrives when the cut ends before the
//! connection is given up.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use dynamo_driver::Connection;

use crate::dice::Dice;
use crate::report::{Count, Counters};

/// One end of a link: 0 is the machine of the lower number, which dials.
pub(crate) type End = usize;

/// Two machines and what is between them.
pub(crate) struct Link {
    /// Counts connections, so that what belongs to an earlier one is known.
    pub(crate) epoch: u64,
    pub(crate) ends: [Side; 2],
    /// How many faults make its connections break under forwarded requests.
    pub(crate) frailty: u32,
}

/// One end's view of the link, and the way from it to the other end.
#[derive(Default)]
pub(crate) struct Side {
    pub(crate) connection: Option<Connection>,
    /// Which connection that is.
    pub(crate) epoch: u64,
    pub(crate) is_established: bool,
    /// How many faults cut the way out of this end.
    pub(crate) cuts: u32,
    /// How many times as long the way out takes, by each fault that says so.
    pub(crate) clogs: Vec<u32>,
    /// How many faults want what is sent next to end in the middle.
    pub(crate) severs: u32,
    /// Of which connection the end never arrives.
    severed: Option<u64>,
    /// What each fault that wants to has remembered of what was sent.
    pub(crate) records: Vec<(usize, Vec<Bytes>)>,
    /// Whether the stream out of this end is no longer what was sent, or comes far too late.
    pub(crate) has_suffered: bool,
    /// How many bytes were sent from this end.
    pub(crate) sent: u64,
    /// What waits for the cut to end.
    held: VecDeque<(u64, Bytes)>,
    /// When the last piece sent will arrive.
    last_arrival: Duration,
}

/// A piece on its way.
pub(crate) struct Piece {
    pub(crate) epoch: u64,
    pub(crate) bytes: Bytes,
    pub(crate) arrives: Duration,
}

/// How often in a million a piece suffers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noise {
    pub(crate) lost: u32,
    pub(crate) damaged: u32,
    pub(crate) doubled: u32,
    pub(crate) reordered: u32,
    pub(crate) resent: u32,
}

/// How long a way takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) least: Duration,
    pub(crate) more: Duration,
}

/// How long a connection is kept that nothing comes through.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

/// How long TCP waits before it sends again what was lost.
const RESENT_AFTER: Duration = Duration::from_millis(200);

/// How much is remembered of what was sent, to be sent again.
const RECORD_BYTES: usize = 64 << 10;

/// About a gigabit per second.
const NANOS_PER_BYTE: u64 = 8;

/// What decides how a piece travels.
pub(crate) struct Weather<'a> {
    pub(crate) now: Duration,
    pub(crate) way: Way,
    pub(crate) noise: Noise,
    pub(crate) dice: &'a mut Dice,
    pub(crate) counters: &'a mut Counters,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            epoch: 0,
            ends: [Side::default(), Side::default()],
            frailty: 0,
        }
    }
}

impl Side {
    /// A new connection begins at this end.
    pub(crate) fn begin(&mut self, connection: Connection, epoch: u64) {
        self.connection = Some(connection);
        self.epoch = epoch;
        self.last_arrival = Duration::ZERO;
    }

    /// Cuts what was sent into pieces and says when each arrives at the other end.
    pub(crate) fn carry(&mut self, mut bytes: Bytes, weather: &mut Weather<'_>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if self.severed == Some(self.epoch) {
            return pieces;
        }
        self.sent += bytes.len() as u64;
        for (_, record) in &mut self.records {
            if record.iter().map(Bytes::len).sum::<usize>() < RECORD_BYTES {
                record.push(bytes.clone());
            }
        }
        if self.severs > 0 && bytes.len() > 1 {
            self.severs -= 1;
            self.severed = Some(self.epoch);
            bytes.truncate(1 + weather.dice.index(bytes.len() - 1));
            weather.counters.add(Count::Severed, 1);
        }
        while !bytes.is_empty() {
            let is_whole = !weather.dice.is_one_in(4);
            let len = if is_whole {
                bytes.len()
            } else {
                1 + weather.dice.index(bytes.len())
            };
            let piece = bytes.split_to(len);
            if self.cuts > 0 {
                self.held.push_back((self.epoch, piece));
            } else {
                self.send(piece, self.epoch, weather, &mut pieces);
            }
        }
        pieces
    }

    /// When what was sent last has arrived.
    pub(crate) fn last_arrival(&self) -> Duration {
        self.last_arrival
    }

    /// When what was sent last has arrived, if nothing more of its connection will.
    pub(crate) fn severed(&self) -> Option<Duration> {
        (self.severed == Some(self.epoch)).then_some(self.last_arrival)
    }

    /// A cut ends: what was held goes on its way.
    pub(crate) fn release(&mut self, weather: &mut Weather<'_>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (epoch, piece) in std::mem::take(&mut self.held) {
            self.send(piece, epoch, weather, &mut pieces);
        }
        pieces
    }

    fn send(
        &mut self,
        mut bytes: Bytes,
        epoch: u64,
        weather: &mut Weather<'_>,
        pieces: &mut Vec<Piece>,
    ) {
        let noise = weather.noise;
        let is_lost = self.suffers(noise.lost, Count::Lost, weather);
        let is_doubled = self.suffers(noise.doubled, Count::Doubled, weather);
        let is_reordered = self.suffers(noise.reordered, Count::Reordered, weather);
        if self.suffers(noise.damaged, Count::Damaged, weather) {
            bytes = damage(&bytes, weather.dice);
        }
        if is_lost {
            return;
        }
        let transfer = Duration::from_nanos(bytes.len() as u64 * NANOS_PER_BYTE);
        let way = weather.way;
        let clog = self.clogs.iter().copied().max().unwrap_or(1);
        weather.counters.add(Count::Clogged, u64::from(clog > 1));
        let takes = way.least + weather.dice.delay(way.more) + transfer;
        let mut arrives = weather.now + takes * clog;
        if weather.dice.is_one_in_million(noise.resent) {
            arrives += RESENT_AFTER;
        }
        // A stream keeps its order, whatever it takes.
        let arrives = if is_reordered {
            arrives
        } else {
            arrives.max(self.last_arrival)
        };
        self.last_arrival = self.last_arrival.max(arrives);
        self.has_suffered |= arrives > weather.now + PATIENCE;
        if is_doubled {
            pieces.push(Piece {
                epoch,
                bytes: bytes.clone(),
                arrives: arrives + way.more,
            });
        }
        pieces.push(Piece {
            epoch,
            bytes,
            arrives,
        });
    }

    fn suffers(&mut self, millionths: u32, count: Count, weather: &mut Weather<'_>) -> bool {
        let suffers = weather.dice.is_one_in_million(millionths);
        weather.counters.add(count, u64::from(suffers));
        self.has_suffered |= suffers;
        suffers
    }
}

fn damage(bytes: &[u8], dice: &mut Dice) -> Bytes {
    let mut bytes = bytes.to_vec();
    if dice.is_one_in(2) {
        bytes.truncate(dice.index(bytes.len()));
    } else {
        let bit = dice.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    bytes.into()
}

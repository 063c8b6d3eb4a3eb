//! One scripted session, and how it is answered wherever it is played: on every adapter, and on
//! drivers that are joined by nothing but memory.
//!
//! A line is the number of a node and a command for it; what follows is the answer, as
//! [`escape_ascii`](u8::escape_ascii) writes bytes. `$context` is the last context that was answered:
//! births in it are random, so it has no bytes that could be kept.

/// How many nodes it takes.
pub const NODES: u64 = 3;

/// The session with its answers.
pub const EXPECTED: &str = include_str!("session.txt");

/// Clients of RESP, one at each node.
pub trait Wires {
    /// Writes all of it to that node.
    fn say(&mut self, node: usize, bytes: &[u8]);

    /// What has come from that node, at least a byte.
    fn hear(&mut self, node: usize) -> Vec<u8>;
}

/// Plays the commands of [`EXPECTED`]: the same text, with the answers that came.
///
/// # Panics
///
/// If an answer is no RESP.
pub fn play(wires: &mut impl Wires) -> String {
    let (mut heard, mut context) = (String::new(), Vec::new());
    for line in EXPECTED.lines() {
        let Some((node, command)) = said(line) else {
            continue;
        };
        wires.say(node, &encode(command, &context));
        let mut answer = Vec::new();
        while end_of_reply(&answer).is_none() {
            let more = wires.hear(node);
            assert!(!more.is_empty(), "{line}: {}", answer.escape_ascii());
            answer.extend(more);
        }
        if command.starts_with("DYNAMO.") {
            answer = mask(answer, &mut context);
        }
        heard += &format!("{line}\n{}\n", answer.escape_ascii());
    }
    heard
}

/// Whether all was answered as it is everywhere.
///
/// # Panics
///
/// With the first line that is not.
pub fn check(heard: &str) {
    for (heard, expected) in heard.lines().zip(EXPECTED.lines()) {
        assert_eq!(heard, expected);
    }
    assert_eq!(heard.lines().count(), EXPECTED.lines().count());
}

/// A line that is a command, and where it goes.
fn said(line: &str) -> Option<(usize, &str)> {
    let (node, command) = line.split_once("> ")?;
    Some((node.parse().ok()?, command))
}

fn encode(command: &str, context: &[u8]) -> Vec<u8> {
    let words = command.split(' ').map(|word| match word {
        "$context" => context,
        "\"\"" => b"",
        word => word.as_bytes(),
    });
    crate::lines::command(&words.collect::<Vec<_>>())
}

/// Puts the first string of an answer aside, and its name in its place.
fn mask(answer: Vec<u8>, context: &mut Vec<u8>) -> Vec<u8> {
    let Some(start) = answer.iter().position(|byte| *byte == b'$') else {
        return answer;
    };
    let (len, body) = length(&answer[start..]).expect("it is complete");
    let Some(len) = len.filter(|len| *len > 0) else {
        return answer;
    };
    let (before, body) = (&answer[..start], &answer[start + body..]);
    *context = body[..len].to_vec();
    [before, b"$context\r\n", &body[len + 2..]].concat()
}

/// Where the first reply ends, if all of it is there.
fn end_of_reply(bytes: &[u8]) -> Option<usize> {
    let (len, mut end) = length(bytes)?;
    match (bytes[0], len) {
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

/// The number in the first line, if it is one and not negative, and where that line ends.
fn length(bytes: &[u8]) -> Option<(Option<usize>, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let number = std::str::from_utf8(&bytes[1..end]).ok();
    Some((number.and_then(|it| it.parse().ok()), end + 2))
}

//! What broken and hostile clients send costs no more than its bytes, and no crash.

use allocation_counter::measure;
use dynamo_driver::Dice;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

use crate::desk::pieces::{below, bend, withstand_malformed};
use crate::{command, plain, words};

/// What a connection may take beyond its input: buffers that have doubled, answers to short commands.
const ONCE: usize = 256 << 10;

/// Good commands with a few bytes changed, cut, doubled or made up.
fn bent(dice: &mut Dice) -> Vec<u8> {
    const LINES: [&str; 12] = [
        "SET k v",
        "GET k",
        "MGET k k k",
        "DEL k j",
        "MSET a 1 b 2",
        "HELLO 3",
        "CLIENT ID",
        "INFO",
        "DYNAMO.GET b k",
        "DYNAMO.PUT b k c v W 2",
        "DYNAMO.PREFLIST b k",
        "EXISTS k",
    ];
    const SNIPPETS: [&[u8]; 10] = [
        b"*1\r\n",
        b"$5\r\n",
        b"\r\n",
        b"*-1\r\n",
        b"$536870912\r\n",
        b"*1048576\r\n",
        b"\"",
        b"\n",
        b"$-1\r\n",
        b"*1\r\n*1\r\n",
    ];
    let mut bytes = Vec::new();
    for _ in 0..1 + below(dice, 3) {
        let line = LINES[below(dice, LINES.len())];
        match below(dice, 3) {
            0 => bytes.extend(format!("{line}\r\n").bytes()),
            _ => bytes.extend(words(line)),
        }
    }
    bend(&mut bytes, &SNIPPETS, dice);
    bytes
}

#[test]
fn a_hundred_thousand_malformed_inputs_are_withstood() {
    withstand_malformed([3; 32], ONCE, plain, bent);
}

#[test]
fn what_is_only_announced_takes_no_memory() {
    for said in [
        &b"*1048576\r\n"[..],
        b"*1048576\r\n$536870912\r\n",
        b"*2\r\n$1048576\r\n",
    ] {
        let mut world = plain();
        let used = measure(|| world.feed(said).unwrap());
        assert!(used.bytes_max < 4096, "{used:?}");
    }
}

#[test]
fn arrays_are_not_nested() {
    let said = b"*1\r\n".repeat(100_000);
    let (last, _) = plain().last_words(said);
    assert_eq!(last, "-ERR Protocol error: expected '$', got '*'\r\n");
}

/// Where both decoders take a command for whole and right, they agree on it.
#[test]
fn another_decoder_agrees() {
    let mut dice = Dice::new([4; 32]);
    let mut compared = 0;
    for _ in 0..20_000 {
        let argument: Vec<u8> = (0..below(&mut dice, 8))
            .map(|_| dice.number() as u8)
            .collect();
        let mut bytes = command(&[b"ECHO", &argument]);
        if below(&mut dice, 2) == 0 {
            let at = below(&mut dice, bytes.len());
            bytes[at] = b"0123456789*$\r\n-"[below(&mut dice, 15)];
        }
        let mut world = plain();
        let ours = world.feed(&bytes);
        let Ok(Some((OwnedFrame::Array(parts), len))) = decode(&bytes) else {
            continue;
        };
        if bytes.first() != Some(&b'*') || len < bytes.len() {
            continue;
        }
        let [OwnedFrame::BulkString(name), OwnedFrame::BulkString(echoed)] = &parts[..] else {
            continue;
        };
        if !name.eq_ignore_ascii_case(b"ECHO") {
            continue;
        }
        compared += 1;
        assert_eq!(ours, Ok(()), "{}", bytes.escape_ascii());
        let expected = [format!("${}\r\n", echoed.len()).as_bytes(), echoed, b"\r\n"].concat();
        assert_eq!(&world.out[..], expected, "{}", bytes.escape_ascii());
    }
    assert!(compared > 5000, "{compared}");
}

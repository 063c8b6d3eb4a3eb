//! Writing and reading the frame of a state, and what takes as long at least.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use criterion::{Bencher, Criterion};
use dynamo_benches::criterion;
use dynamo_benches::frames::{self, BODIES, Burst, Connection};
use dynamo_benches::postcards::{self, Store};
use serde_bytes::{ByteBuf, Bytes};

fn main() {
    let mut criterion = criterion();
    encode(&mut criterion);
    decode(&mut criterion);
    criterion.final_summary();
}

/// Into a buffer that keeps its capacity.
fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (name, body_bytes) in BODIES {
        let message = frames::store(body_bytes);
        group.bench_function(format!("{name}/dynamo"), |bencher| {
            let mut outbound = frames::outbound();
            let mut buffer = BytesMut::new();
            bencher.iter(|| {
                buffer.clear();
                outbound.write(black_box(&message), &mut buffer);
                black_box(&buffer).len()
            });
        });
        let store = Store::of(&message);
        group.bench_function(format!("{name}/postcard"), |bencher| {
            let mut buffer = vec![0; 2 * body_bytes + 1024];
            bencher.iter(|| {
                let len = postcards::write(black_box(&store), &mut buffer);
                black_box(&buffer[..len]).len()
            });
        });
    }
    group.finish();
}

/// Off a buffer that a read has just filled.
fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, body_bytes) in BODIES {
        let message = frames::store(body_bytes);
        let burst = frames::burst(&message);
        group.bench_function(format!("{name}/dynamo"), |bencher| {
            read(
                bencher,
                &burst,
                Connection::admitted,
                |connection, buffer| {
                    black_box(&connection.next(buffer));
                },
            );
        });
        let burst = postcards::burst(&message);
        group.bench_function(format!("{name}/postcard, owned"), |bencher| {
            read(
                bencher,
                &burst,
                || (),
                |(), buffer| {
                    let len = {
                        let (store, len) = postcards::read::<ByteBuf>(buffer);
                        black_box(&store);
                        len
                    };
                    buffer.advance(len);
                },
            );
        });
        group.bench_function(format!("{name}/postcard, borrowed"), |bencher| {
            read(
                bencher,
                &burst,
                || (),
                |(), buffer| {
                    let len = {
                        let (store, len) = postcards::read::<&Bytes>(buffer);
                        black_box(&store);
                        len
                    };
                    buffer.advance(len);
                },
            );
        });
    }
    group.finish();
}

/// Measures what takes one frame off the buffer, but not what fills it: that is the socket's.
fn read<C>(
    bencher: &mut Bencher<'_>,
    burst: &Burst,
    connect: impl Fn() -> C,
    mut next: impl FnMut(&mut C, &mut BytesMut),
) {
    bencher.iter_custom(|iterations| {
        let mut taken = Duration::ZERO;
        let mut left = iterations;
        let mut buffer = BytesMut::new();
        while left > 0 {
            let mut connection = connect();
            buffer.clear();
            buffer.extend_from_slice(&burst.bytes);
            let frames = left.min(burst.frames);
            let start = Instant::now();
            for _ in 0..frames {
                next(&mut connection, &mut buffer);
            }
            taken += start.elapsed();
            left -= frames;
        }
        taken
    });
}

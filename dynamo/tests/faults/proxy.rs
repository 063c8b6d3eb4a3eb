//! What is between nodes takes long.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::crowd::Crowd;
use crate::processes::{Cluster, Resp};

const DELAY: Duration = Duration::from_millis(30);

#[test]
fn nodes_far_apart_answer_as_soon_as_the_way_allows() {
    let cluster = Cluster::behind(3, &["--storage", "memory"], |node| delay(node, DELAY));
    let nodes: Vec<_> = cluster.nodes.iter().map(|node| node.native).collect();
    let mut client = Resp::connect(cluster.resp()[0]).unwrap();
    let mut took = Vec::new();
    for number in 0..20 {
        let start = Instant::now();
        let answer = client
            .ask(&["SET", &format!("key {number}"), "tea"])
            .unwrap();
        assert_eq!(answer, "+OK\r\n");
        took.push(start.elapsed());
    }
    took.sort();
    // There and back at least once, however it is spread.
    assert!(took[0] >= 2 * DELAY, "{took:?}");
    println!("a write took {:?} to {:?}", took[0], took[19]);

    let crowd = Crowd::gather(&nodes, 2);
    let done = crowd.acknowledged_in(Duration::from_secs(4));
    assert!(done > 20, "{done}");
    crowd.end(&nodes);
}

/// A door to that one, through which everything takes so long, both ways.
fn delay(to: SocketAddr, wait: Duration) -> SocketAddr {
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = door.local_addr().unwrap();
    thread::spawn(move || {
        for one in door.incoming().map_while(Result::ok) {
            let Ok(other) = TcpStream::connect(to) else {
                continue; // who dialed is hung up on
            };
            for (from, to) in [(&one, &other), (&other, &one)] {
                let _ = from.set_nodelay(true);
                pass_on(from.try_clone().unwrap(), to.try_clone().unwrap(), wait);
            }
        }
    });
    address
}

/// What comes from the one goes to the other so much later, however much comes.
fn pass_on(mut from: TcpStream, mut to: TcpStream, wait: Duration) {
    let (sender, pieces) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            if sender
                .send((Instant::now() + wait, buffer[..len].to_vec()))
                .is_err()
            {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        for (due, piece) in pieces {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

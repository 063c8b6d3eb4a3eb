//! Three nodes, each in a network namespace of its own, joined by a bridge. What is between them is cut, in
//! both directions or in one, or loses packets; clients reach all of them all the time.
//!
//! The test makes the namespaces itself, inside of one of its own that goes with it, so it needs no rights
//! where user namespaces are allowed. It needs iproute2 and nftables.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::crowd::Crowd;
use crate::processes::{PATIENCE, PROGRAM, http, skip};

const INSIDE: &str = "namespaces::inside_a_network_of_its_own";
const NODES: u8 = 3;

#[test]
fn nothing_is_lost_whatever_is_cut_or_lost_between_nodes() {
    let own = ["--user", "--map-root-user", "--net", "--mount"];
    let runs = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let output = command.args(arguments).output();
        output
            .map_err(|error| format!("{program}: {error}"))
            .and_then(|output| {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                let is_good = output.status.success();
                is_good.then_some(()).ok_or(format!("{program}: {said}"))
            })
    };
    let can = runs("ip", &["-V"])
        .and_then(|()| runs("nft", &["-v"]))
        .and_then(|()| {
            let try_it =
                "mount -t tmpfs tmpfs /run && ip link add name hub type bridge && nft add table inet t";
            runs("unshare", &[&own[..], &["sh", "-euc", try_it]].concat())
        });
    if let Err(why) = can {
        return skip("network namespaces", &why);
    }
    let this = std::env::current_exe().unwrap();
    let inside = Command::new("unshare")
        .args(own)
        .arg(this)
        .args([INSIDE, "--exact", "--ignored", "--nocapture"])
        .status();
    assert!(inside.unwrap().success());
}

#[test]
#[ignore = "it is run in a network of its own, by the test above"]
fn inside_a_network_of_its_own() {
    let net = Net::new();
    let nodes: Vec<_> = (1..=NODES).map(|node| at(node, 7400)).collect();
    net.meet();
    let crowd = Crowd::gather(&nodes, 2);
    let mut done = vec![("calm", crowd.acknowledged_in(Duration::from_secs(2)))];

    net.cut(1, 2);
    done.push((
        "cut from 1 to 2",
        crowd.acknowledged_in(Duration::from_secs(5)),
    ));
    net.heal();

    for other in [1, 2] {
        net.cut(3, other);
        net.cut(other, 3);
    }
    done.push(("3 cut off", crowd.acknowledged_in(Duration::from_secs(12))));
    net.heal();
    net.meet();

    for from in 1..=NODES {
        for to in (1..=NODES).filter(|to| *to != from) {
            net.lose(from, to, 20);
        }
    }
    done.push((
        "a fifth lost",
        crowd.acknowledged_in(Duration::from_secs(5)),
    ));
    net.heal();
    net.meet();
    done.push(("healed", crowd.acknowledged_in(Duration::from_secs(2))));
    println!("{done:?}");
    // Two of three are enough, and a way that is cut is gone around.
    assert!(done.iter().all(|(_, writes)| *writes > 20), "{done:?}");
    crowd.end(&nodes);
}

fn at(node: u8, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 77, 0, node), port))
}

/// The nodes, killed when a test forgets them; the namespaces go with the process.
struct Net {
    nodes: Vec<Child>,
    _directory: TempDir,
}

impl Net {
    fn new() -> Self {
        sh("mount -t tmpfs tmpfs /run && mkdir /run/netns
            ip link set lo up
            ip link add name hub type bridge && ip addr add 10.77.0.254/24 dev hub
            ip link set hub up");
        let directory = TempDir::new().unwrap();
        let mut nodes = Vec::new();
        for node in 1..=NODES {
            sh(&format!(
                "ip netns add n{node}
                 ip link add v{node} type veth peer name eth0 netns n{node}
                 ip link set v{node} master hub up
                 ip -n n{node} addr add 10.77.0.{node}/24 dev eth0
                 ip -n n{node} link set eth0 up && ip -n n{node} link set lo up
                 ip netns exec n{node} nft add table inet faults
                 ip netns exec n{node} nft 'add chain inet faults in {{ type filter hook input priority 0; }}'"
            ));
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &format!("n{node}"), PROGRAM, "serve"]);
            command.arg("--insecure-listen");
            command.args(["--listen", &at(node, 7400).to_string()]);
            command.args(["--http", &at(node, 8098).to_string()]);
            command
                .arg("--data")
                .arg(directory.path().join(node.to_string()));
            match node {
                1 => command.args(["--bootstrap", "--auto-admit"]),
                _ => command.args(["--seed", &at(1, 7400).to_string()]),
            };
            nodes.push(command.stdout(Stdio::null()).spawn().unwrap());
        }
        Self {
            nodes,
            _directory: directory,
        }
    }

    /// Waits until all are connected to each other.
    fn meet(&self) {
        let until = Instant::now() + PATIENCE;
        for node in 1..=NODES {
            let door = at(node, 8098);
            let are_met = || {
                std::net::TcpStream::connect(door).is_ok()
                    && http(door, "/metrics").contains("\ndynamo_peers_connected 2\n")
                    && http(door, "/cluster").contains("\"settled\":true")
            };
            while !are_met() {
                assert!(Instant::now() < until, "they do not meet");
                sleep(Duration::from_millis(50));
            }
        }
    }

    /// Nothing of the one arrives at the other any more.
    fn cut(&self, from: u8, to: u8) {
        rule(to, &format!("ip saddr {} drop", at(from, 0).ip()));
    }

    /// So many of a hundred packets do not.
    fn lose(&self, from: u8, to: u8, percent: u8) {
        let from = at(from, 0).ip();
        rule(
            to,
            &format!("ip saddr {from} numgen random mod 100 < {percent} drop"),
        );
    }

    fn heal(&self) {
        for node in 1..=NODES {
            sh(&format!(
                "ip netns exec n{node} nft flush chain inet faults in"
            ));
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

fn rule(node: u8, rule: &str) {
    sh(&format!(
        "ip netns exec n{node} nft 'add rule inet faults in {rule}'"
    ));
}

fn sh(script: &str) {
    let status = Command::new("sh").args(["-euc", script]).status();
    assert!(status.unwrap().success(), "{script}");
}

//! Rings that change while clients work: how other systems lost data then, and what is promised here.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dynamo_proto::node::Failure;
use dynamo_sim::{Count, Lab, LabError, Place, Read, Wish};

/// That many members, and two newcomers behind them.
fn cluster(founders: usize) -> Lab {
    Lab::with(founders, (2, 2), |scenario| {
        scenario.founders = Some(founders);
        for at in founders..founders + 2 {
            scenario.nodes.push(Place {
                host: at as u8,
                zone: 0,
            });
        }
    })
}

fn items(read: &Read) -> BTreeSet<String> {
    let values = read.values().into_iter().map(String::from_utf8_lossy);
    let items = values.flat_map(|text| text.split(',').map(str::to_owned).collect::<Vec<_>>());
    items.filter(|item| !item.is_empty()).collect()
}

/// Clients that add to sets: each reads one, adds something, and writes it with what it has read.
#[derive(Default)]
struct Clients {
    added: usize,
    acked: BTreeMap<String, BTreeSet<String>>,
}

impl Clients {
    fn work(&mut self, lab: &mut Lab, nodes: &[usize], times: usize) {
        for _ in 0..times {
            self.added += 1;
            let (node, key) = (nodes[self.added % nodes.len()], self.added * 7 % 10);
            let (key, item) = (format!("set-{key}"), self.added.to_string());
            let Ok(seen) = lab.get(node, &key) else {
                continue;
            };
            let mut all = items(&seen);
            all.insert(item.clone());
            let value = all.into_iter().collect::<Vec<_>>().join(",");
            match lab.put(node, &key, value, Some(&seen)) {
                Ok(_) => {
                    self.acked.entry(key).or_default().insert(item);
                }
                Err(LabError::Failed(_) | LabError::Unknown) => {}
            }
        }
    }

    /// All that was acknowledged is there, wherever it is asked for.
    fn check(&self, lab: &mut Lab, nodes: &[usize]) {
        assert!(self.acked.values().map(BTreeSet::len).sum::<usize>() > self.added / 2);
        for (key, acked) in &self.acked {
            for node in nodes {
                let found = items(&lab.get(*node, key).unwrap());
                let lost: Vec<_> = acked.difference(&found).collect();
                assert!(lost.is_empty(), "{key} at node {node} lost {lost:?}");
            }
        }
    }
}

fn settle(lab: &mut Lab) {
    for _ in 0..120 {
        if lab.has_moved() {
            return;
        }
        lab.wait(Duration::from_secs(1));
    }
    panic!("it has not moved");
}

/// Acknowledged writes were lost in almost every run of this.
#[test]
fn kv_1754_joining_and_leaving_under_load_loses_nothing() {
    let (mut lab, mut clients) = (cluster(5), Clients::default());
    clients.work(&mut lab, &[0, 1, 2, 3, 4], 50);
    // What nobody writes again has to be moved.
    let still = (0..20).map(|at| format!("still-{at}")).collect::<Vec<_>>();
    for key in &still {
        assert!(lab.put(0, key, "as it was", None).is_ok());
    }
    assert!(lab.decide(0, &[Wish::Join(5)]));
    clients.work(&mut lab, &[0, 1, 2, 3, 4], 50);
    assert!(lab.decide(3, &[Wish::Join(6)]));
    clients.work(&mut lab, &[0, 1, 2, 3, 4, 5], 100);
    settle(&mut lab);
    assert!(lab.decide(5, &[Wish::Leave(1)]));
    clients.work(&mut lab, &[0, 2, 3, 4, 5, 6], 100);
    settle(&mut lab);
    clients.check(&mut lab, &[0, 2, 3, 4, 5, 6]);
    for key in &still {
        assert_eq!(lab.get(6, key).unwrap().values(), [b"as it was"]);
    }
    assert!(lab.count(Count::Pulled) > 0 && lab.count(Count::Shed) > 0);
}

/// A bootstrap that was given up left writes on a node that nobody asked any more.
#[test]
fn cassandra_a_join_that_is_taken_back_midway_loses_nothing() {
    let (mut lab, mut clients) = (cluster(4), Clients::default());
    clients.work(&mut lab, &[0, 1, 2, 3], 50);
    assert!(lab.decide(0, &[Wish::Join(4)]));
    // Long enough for all to know it and for some to have come.
    for _ in 0..8 {
        clients.work(&mut lab, &[0, 1, 2, 3], 10);
        lab.wait(Duration::from_millis(500));
    }
    assert!(lab.decide(2, &[Wish::Leave(4)]));
    clients.work(&mut lab, &[0, 1, 2, 3], 100);
    settle(&mut lab);
    assert!(lab.decide(2, &[Wish::Remove(4)]));
    settle(&mut lab);
    clients.check(&mut lab, &[0, 1, 2, 3]);
}

/// Chain 6: two changes at once and a crash in the midst of them: quorums of before and after have
/// to meet all the same.
#[test]
fn chain_6_two_changes_and_a_crash_lose_nothing() {
    let (mut lab, mut clients) = (cluster(5), Clients::default());
    clients.work(&mut lab, &[0, 1, 2, 3, 4], 50);
    assert!(lab.decide(0, &[Wish::Join(5), Wish::Leave(2)]));
    clients.work(&mut lab, &[0, 1, 3, 4], 30);
    lab.stop(3);
    assert!(lab.decide(4, &[Wish::Join(6)]));
    clients.work(&mut lab, &[0, 1, 4], 100);
    assert!(!lab.has_moved(), "nobody is left behind");
    lab.restart(3);
    settle(&mut lab);
    clients.check(&mut lab, &[0, 1, 3, 4, 5, 6]);
}

#[test]
fn a_replacement_takes_writes_at_once_and_gets_what_the_others_have() {
    let (mut lab, mut clients) = (cluster(4), Clients::default());
    clients.work(&mut lab, &[0, 1, 2, 3], 100);
    lab.stop(3);
    clients.work(&mut lab, &[0, 1, 2], 50);
    assert!(lab.decide(1, &[Wish::Replace { dead: 3, by: 4 }]));
    clients.work(&mut lab, &[0, 1, 2], 100);
    settle(&mut lab);
    clients.check(&mut lab, &[0, 1, 2, 4]);
}

#[test]
fn two_administrators_in_two_halves_end_with_one_ring_and_lose_nothing() {
    let (mut lab, mut clients) = (cluster(6), Clients::default());
    clients.work(&mut lab, &[0, 1, 2, 3, 4, 5], 50);
    lab.cut(&[0, 1, 2, 6], &[3, 4, 5, 7]);
    assert!(lab.decide(0, &[Wish::Join(6)]));
    assert!(lab.decide(3, &[Wish::Join(7)]));
    lab.with_quorum(1, 1);
    clients.work(&mut lab, &[0, 1, 2, 3, 4, 5], 60);
    lab.heal();
    lab.with_quorum(2, 2);
    settle(&mut lab);
    clients.check(&mut lab, &[0, 2, 3, 5, 6, 7]);
}

#[test]
fn a_removed_node_that_comes_back_serves_nothing() {
    let (mut lab, mut clients) = (cluster(4), Clients::default());
    clients.work(&mut lab, &[0, 1, 2, 3], 50);
    lab.stop(2);
    assert!(lab.decide(0, &[Wish::Remove(2)]));
    clients.work(&mut lab, &[0, 1, 3], 50);
    settle(&mut lab);
    assert_eq!(lab.count(Count::Removed), 0);
    lab.restart(2);
    lab.wait(Duration::from_secs(5));
    assert_eq!(lab.count(Count::Removed), 1);
    let refused = lab.put(2, "set-0", "anything", None);
    assert_eq!(refused, Err(LabError::Failed(Failure::NotServing)));
    clients.check(&mut lab, &[0, 1, 3]);
}

/// A coordinator that lags behind learns of a change from whom it asks, and does not wait for the next
/// rounds of gossip, which are a second apart.
#[test]
fn a_coordinator_that_lags_behind_learns_from_its_first_request() {
    let mut lab = cluster(4);
    lab.wait(Duration::from_secs(5));
    assert!(lab.decide(0, &[Wish::Join(4)]));
    let knew = lab.count(Count::Epoch);
    for node in 1..4 {
        let with_0 = (0..).map(|at| format!("key-{at}"));
        let mut with_0 = with_0.filter(|key| lab.in_order_of_duty(key)[..3].contains(&0));
        let key = with_0.next().unwrap();
        assert!(lab.put(node, &key, "anything", None).is_ok());
        // On its way back with the answer.
        lab.wait(Duration::from_millis(5));
    }
    assert!(lab.count(Count::Epoch) >= knew + 3, "each of them");
    assert!(lab.count(Count::OtherEpoch) >= 3);
}

//! What has happened, counted, and how long things took.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use dynamo_proto::node::Notice;

use crate::Site;

/// What has happened since the start.
#[derive(Clone, Debug)]
pub struct Metrics {
    counts: [u64; COUNTS.len()],
    stages: [Histogram; STAGES.len()],
}

/// Makes the enum, and the table of its names and explanations in the same order.
macro_rules! counts {
    ($($variant:ident $name:literal $help:literal,)*) => {
        /// Something that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Count { $($variant,)* }

        const COUNTS: &[(&str, &str)] = &[$(($name, $help),)*];
    };
}

counts! {
    Got "dynamo_gets_total" "Reads of clients that were answered with what was found",
    Put "dynamo_puts_total" "Writes of clients that were done",
    Listed "dynamo_listings_total" "Pages of listings that clients were given",
    Failed "dynamo_failed_total" "Requests of clients of which nothing was done",
    Unknown "dynamo_unknown_total" "Writes of clients of which it is not known whether they were done",
    Refused "dynamo_overloaded_total" "Requests of clients that were refused because something was full",
    PeerMessage "dynamo_peer_messages_total" "Messages from other nodes",
    Passed "dynamo_passed_total" "Messages from other nodes of this process, which came as they are",
    TooLong "dynamo_too_long_total" "Messages to other nodes that no frame can hold: keys with too many or too large siblings",
    Unsent "dynamo_unsent_total" "Messages to other nodes that could not be queued",
    Stored "dynamo_store_commands_total" "Commands that the store has carried out",
    Accepted "dynamo_connections_accepted_total" "Connections that others have opened",
    Closed "dynamo_connections_closed_total" "Connections that are over",
    TurnedAway "dynamo_connections_turned_away_total" "Connections for which there was no room, or of strangers",
    HungUp "dynamo_connections_hung_up_total" "Connections given up because the other side was silent or did not read",
    Senseless "dynamo_connections_senseless_total" "Connections on which something made no sense",
    Unsupported "dynamo_unsupported_total" "Messages that another node did not understand",
    Dialed "dynamo_dials_total" "Attempts to connect to other nodes",
    DialFailed "dynamo_dials_failed_total" "Attempts to connect that failed",
    PeerMet "dynamo_peers_met_total" "Connections to other nodes that came about",
    PeerLost "dynamo_peers_lost_total" "Connections to other nodes that were lost",
    BytesReceived "dynamo_received_bytes_total" "Bytes received on all connections",
    BytesSent "dynamo_sent_bytes_total" "Bytes sent on all connections",
    Forwarded "dynamo_forwarded_total" "Writes passed on to a node on duty for their key",
    Divergent "dynamo_divergent_reads_total" "Reads that got different answers",
    Retried "dynamo_retries_total" "Messages to other nodes that were sent again",
    Repeated "dynamo_repeated_writes_total" "Writes that came a second time and were not done twice",
    Superseded "dynamo_superseded_values_total" "Values that writes have superseded",
    Newborn "dynamo_newborn_actors_total" "Writes minted under a newborn actor",
    Renewed "dynamo_renewals_total" "Times that this node had to be born anew",
    TooWeak "dynamo_too_weak_stores_total" "Writes that the store keeps less safely than their bucket promises",
    Damaged "dynamo_damaged_records_total" "Records that could not be read",
    Unreadable "dynamo_unreadable_spans_total" "Parts of the store, beyond single records, that were found unreadable and are not repaired by themselves",
    BegunAnew "dynamo_lost_records_total" "Writes over records that could not be read and that no other node has",
    Shared "dynamo_shared_reads_total" "Reads answered together with others",
    Full "dynamo_full_total" "Requests and messages that the node refused because something was full",
    Answered "dynamo_answers_total" "Requests of clients that were answered",
    Suspected "dynamo_suspicions_total" "Times that another node was taken to be away",
    Trusted "dynamo_trusted_again_total" "Times that it was there again",
    WasAway "dynamo_pauses_total" "Times that this node was not running for a while",
    Hedged "dynamo_hedged_reads_total" "Reads for which one more replica was asked because one was late",
    Repaired "dynamo_repairs_total" "Replicas that lagged and were sent what they lacked",
    HintTaken "dynamo_hints_taken_total" "Copies taken to hold for a node that is away",
    HintRefused "dynamo_hints_refused_total" "Copies for which there was no room",
    Pulled "dynamo_moved_copies_total" "Copies that have come because this node is on duty for them now",
    Shed "dynamo_shed_records_total" "Records given up because this node is not on duty for them any more",
    Epochs "dynamo_epochs_total" "Times that more was learnt or carried out of what is decided about the cluster",
    OtherEpoch "dynamo_other_epochs_total" "Requests of other nodes by another epoch than this node's that were answered with what is known",
    Removed "dynamo_removed_total" "Times that this node learnt that it is removed: it serves nothing any more",
    Overtaken "dynamo_overtaken_total" "Times that somebody else was met under this node's name: it serves nothing any more",
    OtherCluster "dynamo_other_clusters_total" "Messages about another cluster of the same identity",
    HistoryFull "dynamo_history_full_total" "Times that there was no room for what was decided about the cluster",
    LevelledHere "dynamo_exchanged_copies_received_total" "Copies of what this node lacked, which came by an exchange with another replica",
    LevelledThere "dynamo_exchanged_copies_sent_total" "Copies of what another replica lacked, which went there by an exchange",
    TreeMended "dynamo_tree_leaves_mended_total" "Leaves of this node's trees that were not what its keys say, and were made anew",
    HandedOff "dynamo_hints_handed_off_total" "Copies that arrived at the node for which they were held",
}

/// Something whose duration is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Get,
    Put,
    List,
}

const STAGES: [(&str, &str); 3] = [
    (
        "dynamo_get_seconds",
        "From the arrival of a read to its answer",
    ),
    (
        "dynamo_put_seconds",
        "From the arrival of a write to its answer",
    ),
    (
        "dynamo_list_seconds",
        "From the request for a page of a listing to its answer",
    ),
];

/// Upper ends of the buckets, in microseconds.
const ENDS: [u64; 20] = [
    50, 100, 200, 400, 700, 1000, 1500, 2000, 3000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000,
    500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

#[derive(Clone, Copy, Debug, Default)]
struct Histogram {
    buckets: [u64; ENDS.len()],
    count: u64,
    micros: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            counts: [0; COUNTS.len()],
            stages: [Histogram::default(); STAGES.len()],
        }
    }
}

impl Metrics {
    pub(crate) fn count(&mut self, what: Count) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: Count, many: u64) {
        self.counts[what as usize] += many;
    }

    pub(crate) fn took(&mut self, stage: Stage, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let histogram = &mut self.stages[stage as usize];
        histogram.count += 1;
        histogram.micros = histogram.micros.saturating_add(micros);
        let at = ENDS.partition_point(|end| *end < micros);
        if let Some(bucket) = histogram.buckets.get_mut(at) {
            *bucket += 1;
        }
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        let (what, many) = match notice {
            Notice::Forwarded { .. } => (Count::Forwarded, 1),
            Notice::Divergent { .. } => (Count::Divergent, 1),
            Notice::Retried { .. } => (Count::Retried, 1),
            Notice::Repeated => (Count::Repeated, 1),
            Notice::Superseded { values } => (Count::Superseded, values.into()),
            Notice::Newborn => (Count::Newborn, 1),
            Notice::Renewed => (Count::Renewed, 1),
            Notice::TooWeak { .. } => (Count::TooWeak, 1),
            Notice::Damaged => (Count::Damaged, 1),
            Notice::TooLong { .. } => (Count::TooLong, 1),
            Notice::BegunAnew => (Count::BegunAnew, 1),
            Notice::Shared { reads } => (Count::Shared, reads.into()),
            Notice::Overloaded => (Count::Full, 1),
            Notice::Answered { .. } => (Count::Answered, 1),
            Notice::Suspected { .. } => (Count::Suspected, 1),
            Notice::Trusted { .. } => (Count::Trusted, 1),
            Notice::WasAway => (Count::WasAway, 1),
            Notice::Hedged { .. } => (Count::Hedged, 1),
            Notice::Repaired { .. } => (Count::Repaired, 1),
            Notice::HintTaken { .. } => (Count::HintTaken, 1),
            Notice::HintRefused => (Count::HintRefused, 1),
            Notice::HandedOff { copies, .. } => (Count::HandedOff, copies.into()),
            Notice::Pulled { copies, .. } => (Count::Pulled, copies.into()),
            Notice::Shed { copies } => (Count::Shed, copies.into()),
            Notice::Epoch { .. } => (Count::Epochs, 1),
            Notice::Levelled { got, gave, .. } => {
                self.add(Count::LevelledThere, gave.into());
                (Count::LevelledHere, got.into())
            }
            Notice::TreeMended { leaves } => (Count::TreeMended, leaves.into()),
            Notice::OtherEpoch { .. } => (Count::OtherEpoch, 1),
            Notice::Removed => (Count::Removed, 1),
            Notice::Overtaken => (Count::Overtaken, 1),
            Notice::OtherCluster { .. } => (Count::OtherCluster, 1),
            Notice::HistoryFull => (Count::HistoryFull, 1),
        };
        self.add(what, many);
    }

    /// How often that was counted, by its name in Prometheus' text.
    #[must_use]
    pub fn counted(&self, name: &str) -> Option<u64> {
        let at = COUNTS.iter().position(|(known, _)| *known == name)?;
        Some(self.counts[at])
    }

    /// Appends all metrics as Prometheus reads them.
    pub(crate) fn write(&self, site: &Site<'_>, out: &mut BytesMut) {
        let mut text = String::with_capacity(16 << 10);
        for ((name, help), value) in COUNTS.iter().zip(&self.counts) {
            head(&mut text, name, help, "counter");
            line(&mut text, format_args!("{name} {value}"));
        }
        for ((name, help), histogram) in STAGES.iter().zip(&self.stages) {
            histogram.write(&mut text, name, help);
        }
        let load = site.load;
        let members = site.peers.iter().filter(|peer| peer.is_member);
        let connected = members.filter(|peer| peer.connected.is_some());
        for (name, help, value) in [
            (
                "dynamo_ready",
                "Whether requests are taken",
                site.is_ready.into(),
            ),
            (
                "dynamo_members",
                "Nodes of the cluster",
                site.ring.members().len() as u64,
            ),
            (
                "dynamo_peers_connected",
                "Other nodes that are connected",
                connected.count() as u64,
            ),
            (
                "dynamo_client_connections",
                "Connections of clients",
                load.clients as u64,
            ),
            (
                "dynamo_requests_running",
                "Requests under way",
                load.running as u64,
            ),
            (
                "dynamo_store_load",
                "Changes and store commands under way",
                load.stores as u64,
            ),
            (
                "dynamo_waiting_bytes",
                "Bytes that wait on all connections, both ways",
                load.waiting_bytes as u64,
            ),
            (
                "dynamo_hints_held",
                "Copies held for other nodes",
                load.held.copies,
            ),
            ("dynamo_hints_held_bytes", "Their bytes", load.held.bytes),
            (
                "dynamo_keys",
                "Keys of which this node has a record, deletes too",
                load.keys,
            ),
            (
                "dynamo_stretches",
                "Stretches of the ring that this node and another are both to have",
                load.level.stretches as u64,
            ),
            (
                "dynamo_stretches_agreed",
                "Those of which both were found to have the same, or made to, since this node started",
                load.level.agreed as u64,
            ),
            (
                "dynamo_agreement_age_seconds",
                "How long ago that was, where it is longest ago",
                load.level.oldest.as_secs(),
            ),
            (
                "dynamo_retired_boots",
                "Boots that the cluster has retired: clocks need not name them any more",
                site.membership.retired().height().0.into(),
            ),
            (
                "dynamo_retired_boots_seen",
                "Those of which this node has seen all that they wrote, whatever the key",
                site.membership.earned().0.into(),
            ),
        ] {
            head(&mut text, name, help, "gauge");
            line(&mut text, format_args!("{name} {value}"));
        }
        out.put_slice(text.as_bytes());
    }
}

impl Histogram {
    fn write(&self, text: &mut String, name: &str, help: &str) {
        head(text, name, help, "histogram");
        let mut sum = 0;
        for (end, count) in ENDS.iter().zip(&self.buckets) {
            sum += count;
            let end = seconds(*end);
            line(text, format_args!("{name}_bucket{{le=\"{end}\"}} {sum}"));
        }
        let count = self.count;
        line(text, format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
        line(text, format_args!("{name}_sum {}", seconds(self.micros)));
        line(text, format_args!("{name}_count {count}"));
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    line(text, format_args!("# HELP {name} {help}"));
    line(text, format_args!("# TYPE {name} {kind}"));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_that_ends_at_or_after_it() {
        let mut metrics = Metrics::default();
        for micros in [1, 50, 51, 20_000_000] {
            metrics.took(Stage::Put, Duration::from_micros(micros));
        }
        let mut text = String::new();
        metrics.stages[Stage::Put as usize].write(&mut text, "t", "help");
        assert!(text.contains("t_bucket{le=\"0.00005\"} 2\n"), "{text}");
        assert!(text.contains("t_bucket{le=\"0.0001\"} 3\n"), "{text}");
        assert!(text.contains("t_bucket{le=\"10\"} 3\n"), "{text}");
        assert!(
            text.contains("t_bucket{le=\"+Inf\"} 4\nt_sum 20.000102\nt_count 4\n"),
            "{text}"
        );
    }
}

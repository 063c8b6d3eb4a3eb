//! On the server that `DYNAMO_MYSQL_URL` names.

#![allow(clippy::unwrap_used, reason = "a test")]

mod database;
mod proxy;
mod stage;

use std::thread;

use bytes::Bytes;
use database::Database;
use dynamo_proto::Durability;
use dynamo_proto::store::{Address, ReadOutcome, Space, WriteError};
use dynamo_storage::conformance::{End, Subject, check};
use dynamo_storage::directory::Opening;
use dynamo_storage::{Backend, Item, Limit, Scan, Span, Write};
use dynamo_storage_mysql::{Error, Mysql, Options};
use proxy::{Cut, Proxy};
use stage::{given, place, refused, set, write};

const SERVER: &str = "DYNAMO_MYSQL_URL";

struct OnServer(Database);

impl Subject for OnServer {
    type Backend = Mysql;

    fn open(&mut self) -> Mysql {
        self.0.open().0
    }

    /// What the server does when it is killed is tested elsewhere.
    fn reopen(&mut self, backend: Mysql, end: End) -> Option<Mysql> {
        drop(backend);
        (end == End::Process).then(|| self.open())
    }

    fn damage(&mut self, _: &Mysql, _: Space, at: &Address) -> bool {
        let place: String = dynamo_storage::address::encode(at)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.0.query(&format!(
            "UPDATE objects SET rest = 'x' WHERE place = 0x{place}"
        ));
        true
    }
}

#[test]
fn it_keeps_what_an_engine_promises() {
    let Some(server) = given(SERVER) else { return };
    let report = check(|| OnServer(Database::new(&server)));
    let skipped: Vec<_> = report.skipped().collect();
    assert_eq!(
        skipped,
        [
            "what_was_flushed_outlives_the_machine",
            "a_flush_covers_what_went_before",
            "a_batch_survives_whole_or_not_at_all",
            "what_can_be_read_after_opening_stays",
            "a_failed_flush_is_final",
            "a_full_store_takes_nothing_of_a_batch",
            "a_full_store_can_be_emptied",
        ]
    );
}

#[test]
fn values_of_16_mib_come_back() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    let (store, reports) = database.open();
    let large = |seed: u8| -> Bytes {
        let bytes =
            (0..16 << 20).map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed);
        bytes.collect()
    };
    let [one, two, three] = [1, 2, 3].map(large);
    // Two in one transaction, and one over another.
    assert_eq!(
        write(&store, [set(1, one.clone()), set(2, two.clone())]),
        Ok(Durability::Flushed)
    );
    assert_eq!(
        write(&store, [set(1, three.clone())]),
        Ok(Durability::Flushed)
    );
    assert!(store.read(Space::Objects, &place(1)) == ReadOutcome::Found(three.clone()));
    assert!(store.read(Space::Objects, &place(2)) == ReadOutcome::Found(two.clone()));
    // A page ends with what reaches its limit.
    let page = store
        .scan(Space::Objects, &Span::all(), Limit::default())
        .unwrap();
    assert_eq!(page.items.len(), 1);
    let scanned: Vec<_> = Scan::new(&store, Space::Objects, Span::all())
        .map(|item| match item.unwrap() {
            Item::Found { bytes, .. } => bytes,
            Item::Corrupt(span) => panic!("{span:?}"),
        })
        .collect();
    assert!(scanned == [three, two]);
    assert_eq!(reports.all(), [""; 0]);
}

#[test]
fn names_that_share_their_first_2048_bytes_are_kept_apart_and_in_order() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    let (store, _) = database.open();
    let long = |len: usize, end: u8| {
        let mut name = vec![b'x'; len];
        name.push(end);
        Address {
            position: 1,
            name: name.into(),
        }
    };
    let mut places: Vec<_> = (0..20)
        .map(|end| long(3000 + usize::from(end) % 3, end))
        .collect();
    places.extend([
        long(2030, b'a'),
        long(2031, b'a'),
        long(2032, b'a'),
        place(0),
        place(2),
    ]);
    places.sort();
    for at in places.iter().rev() {
        let change = dynamo_proto::store::Change {
            space: Space::Objects,
            at: at.clone(),
            bytes: Some(at.name.clone()),
        };
        write(&store, [change]).unwrap();
    }
    for (index, first) in places.iter().enumerate() {
        for items in [1, 2, 7] {
            let span = Span::new(first.clone(), places.get(index + 9).cloned());
            let limit = Limit {
                items,
                bytes: usize::MAX,
            };
            let scanned: Vec<_> = Scan::by(&store, Space::Objects, span, limit)
                .map(|item| item.unwrap().first().clone())
                .collect();
            let end = (index + 9).min(places.len());
            assert_eq!(scanned, places[index..end]);
        }
    }
    let middle = Span::new(places[5].clone(), Some(places[15].clone()));
    store
        .delete(Space::Objects, &middle, Durability::Flushed)
        .unwrap();
    let left: Vec<_> = Scan::new(&store, Space::Objects, Span::all())
        .map(|item| item.unwrap().first().clone())
        .collect();
    assert_eq!(left, [&places[..5], &places[15..]].concat());
}

#[test]
fn a_server_that_takes_no_packet_of_the_largest_record_is_refused_with_advice() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    let options = Options {
        largest_record: 2 << 30,
        ..database.options()
    };
    let error = refused(options);
    assert!(matches!(error, Error::PacketTooSmall { .. }));
    assert!(
        error
            .to_string()
            .contains("set max_allowed_packet=2148532224 or more"),
        "{error}"
    );
}

#[test]
fn a_record_over_the_limit_is_refused_alone() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    let (store, reports) = database.open();
    let too_large = vec![0; database.options().largest_record + 1];
    let mut group = [set(1, "tea"), set(2, too_large), set(3, "tea")].map(|change| {
        Write::from(dynamo_proto::store::Batch {
            changes: [change].into_iter().collect(),
            durability: Durability::Flushed,
            may_use_reserve: false,
        })
    });
    store.write(&mut group);
    let answers = group.map(|write| write.answer);
    let [flushed, failed] = [Ok(Durability::Flushed), Err(WriteError::Failed)];
    assert_eq!(answers, [flushed, failed, flushed]);
    assert_eq!(store.read(Space::Objects, &place(2)), ReadOutcome::Absent);
    let said = reports.all();
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("a record of 16842753 bytes is over the limit of 16842752"));
}

#[test]
fn threads_that_change_the_same_places_all_succeed() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    let (store, reports) = database.open();
    thread::scope(|scope| {
        for thread in 0..8_u128 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..25 {
                    // In opposite orders, so that they wait for one another in a circle.
                    let (one, other) = if thread % 2 == 0 { (1, 2) } else { (2, 1) };
                    let text = format!("{thread} {round}");
                    let mine = 10 + thread;
                    let changes = [
                        set(one, text.clone()),
                        set(other, text.clone()),
                        set(mine, text.clone()),
                    ];
                    assert_eq!(write(store, changes), Ok(Durability::Flushed));
                    let read = store.read(Space::Objects, &place(mine));
                    assert_eq!(read, ReadOutcome::Found(text.into()));
                }
            });
        }
    });
    let [one, two] = [1, 2].map(|at| store.read(Space::Objects, &place(at)));
    assert_eq!(one, two);
    assert_eq!(reports.all(), [""; 0]);
}

/// A store behind a line that can be cut, with "old" in it.
fn behind_proxy(database: &Database) -> (Proxy, Mysql, stage::Reports) {
    let proxy = Proxy::to(&database.url);
    let options = Options {
        url: proxy.url(),
        ..database.options()
    };
    // Another port each time.
    let (store, reports) = stage::open(options, Opening::Adopt).unwrap();
    write(&store, [set(1, "old"), set(2, "old")]).unwrap();
    (proxy, store, reports)
}

fn both(store: &Mysql) -> [ReadOutcome; 2] {
    [1, 2].map(|position| store.read(Space::Objects, &place(position)))
}

#[test]
fn a_line_cut_before_the_commit_is_made_good() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    for cut in [Cut::At("START"), Cut::At("holder"), Cut::AfterBytes(300)] {
        let (proxy, store, reports) = behind_proxy(&database);
        proxy.cut(cut);
        let written = write(&store, [set(1, "new"), set(2, "new")]);
        assert_eq!(
            written,
            Ok(Durability::Flushed),
            "{cut:?}: {:?}",
            reports.all()
        );
        assert_eq!(
            both(&store),
            ["new", "new"].map(|it| ReadOutcome::Found(it.into()))
        );
        assert_eq!(reports.all(), [""; 0]);
    }
}

#[test]
fn a_line_cut_at_the_commit_is_answered_failed_and_then_nothing_changes_any_more() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    for (cut, expected) in [
        (Cut::At("COMMIT"), "old"),
        (Cut::Behind("COMMIT"), "new"),
        // The server hears of it long after we gave up.
        (Cut::LateAt("COMMIT"), "new"),
    ] {
        let (proxy, store, reports) = behind_proxy(&database);
        proxy.cut(cut);
        let written = write(&store, [set(1, "new"), set(2, "new")]);
        assert_eq!(written, Err(WriteError::Failed), "{cut:?}");
        let said = reports.all();
        assert_eq!(said.len(), 1);
        assert!(
            said[0].starts_with("the connection was lost during a commit"),
            "{said:?}"
        );
        // The first look already sees what it came to.
        assert_eq!(
            both(&store),
            [expected; 2].map(|it| ReadOutcome::Found(it.into())),
            "{cut:?}"
        );
        write(&store, [set(1, "newer"), set(2, "newer")]).unwrap();
        thread::sleep(proxy::LATE * 2);
        assert_eq!(
            both(&store),
            ["newer"; 2].map(|it| ReadOutcome::Found(it.into()))
        );
    }
}

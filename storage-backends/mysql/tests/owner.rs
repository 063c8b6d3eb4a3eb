//! Whose a database is, who has it open, and how it was left; on the server that `DYNAMO_MYSQL_URL`
//! names.

#![allow(clippy::unwrap_used, reason = "a test")]

mod database;
mod stage;

use database::Database;
use dynamo_proto::store::{ReadOutcome, Space, WriteError};
use dynamo_proto::{ClusterId, Durability, Generation, NodeId};
use dynamo_storage::directory::{Found, Opening, Owner};
use dynamo_storage::{Backend, Span};
use dynamo_storage_mysql::{Error, Mysql};
use stage::{OWNER, given, open, place, refused, set, write};

const SERVER: &str = "DYNAMO_MYSQL_URL";

#[test]
fn each_opening_is_counted_and_says_how_the_store_was_left() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    let (store, _) = database.open();
    assert_eq!(
        (store.found(), store.generation()),
        (Found::Empty, Generation(1))
    );
    drop(store);
    let (store, _) = database.open();
    assert_eq!(
        (store.found(), store.generation()),
        (Found::Abandoned, Generation(2))
    );
    store.close().unwrap();
    let (store, _) = database.open();
    assert_eq!(
        (store.found(), store.generation()),
        (Found::Closed, Generation(3))
    );
}

#[test]
fn a_store_is_not_opened_for_anyone_else() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    database.open().0.close().unwrap();
    let others = [
        Owner {
            node: NodeId(2),
            ..OWNER
        },
        Owner {
            cluster: ClusterId(8),
            ..OWNER
        },
    ];
    for other in others {
        let opened = Mysql::open(database.options(), other, Opening::Adopt, |_| {});
        let Err(error) = opened else {
            panic!("opened");
        };
        assert!(
            matches!(error, Error::Foreign { found, expected } if (found, expected) == (OWNER, other)),
            "{error}"
        );
    }
    // Nothing came of it.
    assert_eq!(database.open().0.generation(), Generation(2));
}

/// As a dump does.
fn fill(copy: &Database, original: &Database) {
    for table in ["store", "objects", "hints", "trees", "meta"] {
        let theirs = format!("`{}`.`{table}`", original.name);
        copy.query(&format!("CREATE TABLE `{table}` LIKE {theirs}"));
        copy.query(&format!("INSERT INTO `{table}` SELECT * FROM {theirs}"));
    }
}

#[test]
fn a_copy_is_noticed_until_it_is_adopted() {
    let Some(server) = given(SERVER) else { return };
    let (original, copy) = (Database::new(&server), Database::new(&server));
    let (store, _) = original.open();
    write(&store, [set(1, "tea")]).unwrap();
    store.close().unwrap();
    fill(&copy, &original);
    let said = refused(copy.options()).to_string();
    assert!(
        said.contains(&original.name) && said.contains(&copy.name),
        "{said}"
    );
    let (adopted, _) = open(copy.options(), Opening::Adopt).unwrap();
    assert_eq!(
        (adopted.found(), adopted.generation()),
        (Found::Copied, Generation(2))
    );
    let tea = ReadOutcome::Found("tea".into());
    assert_eq!(adopted.read(Space::Objects, &place(1)), tea);
    adopted.close().unwrap();
    assert_eq!(copy.open().0.found(), Found::Closed);
    // And the original is not disturbed.
    assert_eq!(original.open().0.found(), Found::Closed);
}

#[test]
fn a_store_that_is_open_is_refused_and_one_that_is_taken_writes_no_more() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    let (first, reports) = database.open();
    write(&first, [set(1, "first")]).unwrap();
    let error = refused(database.options());
    assert!(matches!(error, Error::InUse(_)), "{error}");
    let said = error.to_string();
    assert!(said.contains("is in use by 127.0.0.1:"), "{said}");
    write(&first, [set(1, "still first")]).unwrap();

    let (second, _) = open(database.options(), Opening::Adopt).unwrap();
    let late = write(&first, [set(1, "late")]);
    assert_eq!(late, Err(WriteError::FlushFailed));
    let deleted = first.delete(Space::Objects, &Span::all(), Durability::Memory);
    assert_eq!(deleted, Err(WriteError::FlushFailed));
    let read = second.read(Space::Objects, &place(1));
    assert_eq!(read, ReadOutcome::Found("still first".into()));
    write(&second, [set(1, "second")]).unwrap();
    let said = reports.all();
    assert!(
        said[0].starts_with("another program has opened the store since"),
        "{said:?}"
    );
    assert!(matches!(first.close(), Err(Error::OpenedElsewhere)));
}

#[test]
fn a_store_of_another_format_is_refused() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    drop(database.open());
    database.query("UPDATE store SET format = 9");
    assert_eq!(
        refused(database.options()).to_string(),
        "the store has format 9, and this program knows 2: use the version that wrote it or a later \
         one"
    );
}

#[test]
fn what_is_no_store_is_left_alone() {
    let Some(server) = given(SERVER) else { return };
    for theirs in [
        "CREATE TABLE objects (name TEXT)",
        "CREATE TABLE store (name TEXT)",
    ] {
        let database = Database::new(&server);
        database.query(theirs);
        let error = refused(database.options());
        assert!(matches!(error, Error::NotAStore(_)), "{error}");
    }
}

#[test]
fn a_table_that_is_gone_is_not_made_again() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    database.open().0.close().unwrap();
    database.query("DROP TABLE hints");
    for _ in 0..2 {
        let error = refused(database.options());
        assert!(
            matches!(error, Error::Missing { table: "hints" }),
            "{error}"
        );
    }
}

/// Its process ended before it had made all tables.
#[test]
fn a_store_that_was_made_by_half_is_made_whole() {
    let Some(server) = given(SERVER) else { return };
    let database = Database::new(&server);
    drop(database.open());
    database.query("DELETE FROM store");
    database.query("DROP TABLE meta");
    let (store, _) = database.open();
    assert_eq!(store.found(), Found::Empty);
    write(&store, [set(1, "tea")]).unwrap();
}

//! What is said when there is no server, and what a store says.

use std::env;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use dynamo_proto::store::{Address, Batch, Change, Space, WriteError};
use dynamo_proto::{ClusterId, Durability, NodeId};
use dynamo_storage::directory::{Opening, Owner};
use dynamo_storage::{Backend, Write};
use dynamo_storage_mysql::{Error, Mysql, Options};

/// The value of an environment variable, or a loud word on what is left out without it.
pub(crate) fn given(variable: &str) -> Option<String> {
    let value = env::var(variable).ok();
    if value.is_none() {
        let said =
            format!("\nSKIPPED for want of a server: set {variable} (see scripts/mariadb)\n\n");
        // Not captured, unlike what the macros print.
        io::stderr().write_all(said.as_bytes()).unwrap();
    }
    value
}

/// Of all stores here.
pub(crate) const OWNER: Owner = Owner {
    cluster: ClusterId(7),
    node: NodeId(1),
};

/// Opens a store that tells what goes wrong.
pub(crate) fn open(options: Options, opening: Opening) -> Result<(Mysql, Reports), Error> {
    let reports = Reports::default();
    let report = reports.clone();
    let store = Mysql::open(options, OWNER, opening, move |error: &Error| {
        report.add(error.to_string());
    })?;
    Ok((store, reports))
}

/// Why a store is not opened.
pub(crate) fn refused(options: Options) -> Error {
    let Err(error) = open(options, Opening::InPlace) else {
        panic!("opened");
    };
    error
}

/// All that a store reported.
#[derive(Clone, Default)]
pub(crate) struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    pub(crate) fn add(&self, report: String) {
        self.0.lock().unwrap().push(report);
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

pub(crate) fn place(position: u128) -> Address {
    Address {
        position,
        name: Bytes::from_static(b"cart"),
    }
}

pub(crate) fn set(position: u128, bytes: impl Into<Bytes>) -> Change {
    Change {
        space: Space::Objects,
        at: place(position),
        bytes: Some(bytes.into()),
    }
}

pub(crate) fn write(
    store: &Mysql,
    changes: impl IntoIterator<Item = Change>,
) -> Result<Durability, WriteError> {
    let mut group = [Write::from(Batch {
        changes: changes.into_iter().collect(),
        durability: Durability::Flushed,
        may_use_reserve: false,
    })];
    store.write(&mut group);
    let [write] = group;
    write.answer
}

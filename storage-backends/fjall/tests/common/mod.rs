//! Stores in temporary directories, and the short words to use them.
#![allow(dead_code, reason = "each test uses some of it")]

use std::fs;
use std::path::Path;

use bytes::Bytes;
use dynamo_proto::store::{Address, Batch, Change, Space, WriteError};
use dynamo_proto::{ClusterId, Durability, NodeId};
use dynamo_storage::directory::{Opening, Owner};
use dynamo_storage::{Backend, Write};
use dynamo_storage_fjall::{Fjall, OpenError, Options};
use tempfile::TempDir;

pub(crate) const OWNER: Owner = Owner {
    cluster: ClusterId(7),
    node: NodeId(1),
};

pub(crate) fn open(path: &Path) -> Result<Fjall, OpenError> {
    Fjall::open(path, OWNER, Opening::InPlace, Options::default())
}

pub(crate) fn adopt(path: &Path) -> Result<Fjall, OpenError> {
    Fjall::open(path, OWNER, Opening::Adopt, Options::default())
}

/// All the files as they are now.
pub(crate) fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(crate) fn place(position: u128) -> Address {
    Address {
        position,
        name: Bytes::from_static(b"cart"),
    }
}

pub(crate) fn put(
    backend: &impl Backend,
    position: u128,
    bytes: impl Into<Bytes>,
    durability: Durability,
) -> Result<Durability, WriteError> {
    let change = Change {
        space: Space::Objects,
        at: place(position),
        bytes: Some(bytes.into()),
    };
    let mut group = [Write::from(Batch {
        changes: [change].into_iter().collect(),
        durability,
        may_use_reserve: false,
    })];
    backend.write(&mut group);
    group[0].answer
}

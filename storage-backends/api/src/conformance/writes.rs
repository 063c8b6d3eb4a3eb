//! Reading what was written.

use bytes::Bytes;
use dynamo_proto::Durability;
use dynamo_proto::store::Space;

use super::Subject;
use super::places::{apply, awkward, batch, expect, place, set, unset, write};
use super::report::{Outcome, ensure};
use crate::{Backend, SPACES, Write};

pub(super) fn what_was_never_written_is_absent<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    for space in SPACES {
        for at in awkward() {
            expect(&backend, space, &at, None)?;
        }
    }
    Ok(())
}

/// Each place has bytes of its own, so one that is taken for another shows.
pub(super) fn what_was_written_is_found<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let places = || {
        SPACES
            .into_iter()
            .flat_map(|it| awkward().into_iter().map(move |at| (it, at)))
    };
    for (number, (space, at)) in places().enumerate() {
        apply(&backend, set(space, &at, number.to_string()))?;
    }
    for (number, (space, at)) in places().enumerate() {
        expect(&backend, space, &at, Some(&number.to_string().into()))?;
    }
    Ok(())
}

pub(super) fn bytes_of_any_size_come_back<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    for len in [0, 1, 255, 4096, 65_536, 1 << 20, (4 << 20) + 1] {
        let at = place(len as u128, b"sized");
        let bytes: Bytes = (0..len).map(|index| (index % 251) as u8).collect();
        apply(&backend, set(Space::Objects, &at, bytes.clone()))?;
        expect(&backend, Space::Objects, &at, Some(&bytes))?;
    }
    Ok(())
}

/// As long as the core's limits let the name of a key become, and differing at the very end.
pub(super) fn names_of_any_size_are_kept_apart<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let places = [1, 255, 256, 1024, 6148].into_iter().flat_map(|len| {
        [b'x', b'y'].map(|last| {
            let mut name = vec![0xee; len - 1];
            name.push(last);
            place(7, &name)
        })
    });
    let places: Vec<_> = places.collect();
    for (number, at) in places.iter().enumerate() {
        apply(&backend, set(Space::Objects, at, number.to_string()))?;
    }
    for (number, at) in places.iter().enumerate() {
        expect(
            &backend,
            Space::Objects,
            at,
            Some(&number.to_string().into()),
        )?;
    }
    Ok(())
}

pub(super) fn the_latest_write_wins<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let at = place(3, b"cart");
    for bytes in ["tea", "", "tea and a longer list of other things", "x"] {
        apply(&backend, set(Space::Hints, &at, bytes))?;
        expect(&backend, Space::Hints, &at, Some(&bytes.into()))?;
    }
    Ok(())
}

pub(super) fn what_was_deleted_is_absent<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let (gone, kept, never) = (place(3, b"a"), place(3, b"ab"), place(3, b"b"));
    for at in [&gone, &kept] {
        apply(&backend, set(Space::Objects, at, "tea"))?;
    }
    apply(&backend, set(Space::Meta, &gone, "tea"))?;
    for at in [&gone, &never] {
        apply(&backend, unset(Space::Objects, at))?;
    }
    expect(&backend, Space::Objects, &gone, None)?;
    expect(&backend, Space::Objects, &kept, Some(&"tea".into()))?;
    expect(&backend, Space::Meta, &gone, Some(&"tea".into()))?;
    apply(&backend, set(Space::Objects, &gone, "again"))?;
    expect(&backend, Space::Objects, &gone, Some(&"again".into()))
}

pub(super) fn all_changes_of_a_batch_happen<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let (here, there) = (place(0, b"here"), place(u128::MAX, b"there"));
    apply(&backend, set(Space::Objects, &there, "old"))?;
    let changes = [
        set(Space::Objects, &here, "object"),
        set(Space::Trees, &here, "leaf"),
        unset(Space::Objects, &there),
        set(Space::Meta, &there, "note"),
    ];
    write(&backend, batch(changes, Durability::Flushed))?;
    expect(&backend, Space::Objects, &here, Some(&"object".into()))?;
    expect(&backend, Space::Trees, &here, Some(&"leaf".into()))?;
    expect(&backend, Space::Objects, &there, None)?;
    expect(&backend, Space::Meta, &there, Some(&"note".into()))
}

pub(super) fn batches_of_a_group_happen_in_order<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let (rewritten, removed, revived) = (place(1, b"x"), place(1, b"y"), place(1, b"z"));
    let changes = [
        set(Space::Objects, &rewritten, "first"),
        set(Space::Objects, &removed, "first"),
        unset(Space::Objects, &revived),
        set(Space::Objects, &rewritten, "second"),
        unset(Space::Objects, &removed),
        set(Space::Objects, &revived, "second"),
    ];
    let mut group = changes.map(|change| Write::from(batch([change], Durability::Memory)));
    backend.write(&mut group);
    expect(&backend, Space::Objects, &rewritten, Some(&"second".into()))?;
    expect(&backend, Space::Objects, &removed, None)?;
    expect(&backend, Space::Objects, &revived, Some(&"second".into()))
}

pub(super) fn every_batch_of_a_group_is_answered<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let levels = [Durability::Memory, Durability::Flushed, Durability::Written];
    for len in [0, 1, 2, 100] {
        let mut group: Vec<_> = (0..len)
            .map(|number| {
                let change = set(Space::Objects, &place(number, b""), "tea");
                Write::from(batch([change], levels[number as usize % 3]))
            })
            .collect();
        backend.write(&mut group);
        for write in group {
            ensure!(write.answer.is_ok(), "answered {:?}", write.answer);
        }
    }
    write(&backend, batch([], Durability::Flushed)).map(drop)
}

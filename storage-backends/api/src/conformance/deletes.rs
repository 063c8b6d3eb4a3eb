//! Deleting whole spans.

use dynamo_proto::Durability;
use dynamo_proto::store::Space;

use super::Subject;
use super::places::{apply, awkward, expect, pages, place, set};
use super::report::{Miss, Outcome, ensure};
use crate::{Backend, Limit, Span};

fn delete<B: Backend>(backend: &B, span: &Span) -> Outcome<Durability> {
    backend
        .delete(Space::Objects, span, Durability::Flushed)
        .map_err(|error| Miss::Broken(format!("a delete was answered {error:?}")))
}

pub(super) fn a_deleted_span_is_gone_and_nothing_else<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let empty = Span::new(place(9, b"b"), Some(place(9, b"a")));
    for span in [
        Span::of_positions(1..=0xff),
        Span::of_positions(u128::MAX..=u128::MAX),
        Span::new(place(0, b"a"), Some(place(0, b"ab"))),
        Span::of_one(place(0x100, b"\0")),
        empty,
        Span::all(),
    ] {
        for at in awkward() {
            apply(&backend, set(Space::Objects, &at, "tea"))?;
            apply(&backend, set(Space::Trees, &at, "leaf"))?;
        }
        delete(&backend, &span)?;
        for at in awkward() {
            let left = (!span.contains(&at)).then(|| "tea".into());
            expect(&backend, Space::Objects, &at, left.as_ref())?;
            expect(&backend, Space::Trees, &at, Some(&"leaf".into()))?;
        }
    }
    Ok(())
}

pub(super) fn more_than_a_page_is_deleted<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let all = Limit::default().items as u128 * 2 + 1;
    for position in 0..all {
        apply(&backend, set(Space::Objects, &place(position, b""), "tea"))?;
    }
    delete(&backend, &Span::of_positions(1..=all - 2))?;
    let left = pages(&backend, Space::Objects, &Span::all(), Limit::default())?;
    let left: Vec<_> = left.into_iter().map(|(at, _)| at.position).collect();
    ensure!(left == [0, all - 1], "left: {left:?}");
    Ok(())
}

pub(super) fn a_deleted_span_can_be_written_again<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let at = place(5, b"cart");
    for bytes in ["tea", "coffee"] {
        apply(&backend, set(Space::Objects, &at, bytes))?;
        expect(&backend, Space::Objects, &at, Some(&bytes.into()))?;
        delete(&backend, &Span::of_positions(5..=5))?;
        expect(&backend, Space::Objects, &at, None)?;
        delete(&backend, &Span::of_positions(5..=5))?;
    }
    Ok(())
}

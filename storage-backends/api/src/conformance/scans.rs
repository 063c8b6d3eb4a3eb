//! Scanning, page by page.

use bytes::Bytes;
use dynamo_proto::store::{Address, Space};

use super::Subject;
use super::places::{apply, awkward, pages, place, set, unset};
use super::report::{Miss, Outcome, ensure};
use crate::{Backend, Item, Limit, SPACES, Scan, Span};

/// One at each awkward place, written from the last to the first.
fn fill<B: Backend>(backend: &B) -> Outcome<Vec<(Address, Bytes)>> {
    let numbered = awkward().into_iter().enumerate();
    let all: Vec<_> = numbered
        .map(|(number, at)| (at, Bytes::from(number.to_string())))
        .collect();
    for (at, bytes) in all.iter().rev() {
        apply(backend, set(Space::Objects, at, bytes.clone()))?;
    }
    Ok(all)
}

pub(super) fn a_scan_is_in_the_order_of_addresses<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let all = fill(&backend)?;
    for space in SPACES {
        let found = pages(&backend, space, &Span::all(), Limit::default())?;
        let expected: &[_] = if space == Space::Objects { &all } else { &[] };
        ensure!(found == expected, "{space:?} scans as {found:?}");
    }
    Ok(())
}

pub(super) fn a_span_holds_its_first_address_and_not_its_end<S: Subject>(
    subject: &mut S,
) -> Outcome {
    let backend = subject.open();
    let all = fill(&backend)?;
    let ends = || all.iter().map(|(at, _)| at.clone());
    let mut spans: Vec<_> = ends().map(Span::of_one).collect();
    for first in ends().step_by(3) {
        spans.extend(
            ends()
                .step_by(5)
                .map(|end| Span::new(first.clone(), Some(end))),
        );
        spans.push(Span::new(first.clone(), None));
        spans.push(Span::of_positions(first.position..=first.position));
    }
    for span in spans {
        let found = pages(&backend, Space::Objects, &span, Limit::default())?;
        let expected = all.iter().filter(|(at, _)| span.contains(at));
        ensure!(found.iter().eq(expected), "{span:?} scans as {found:?}");
    }
    Ok(())
}

pub(super) fn a_page_keeps_its_limit_and_the_next_goes_on<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let all = fill(&backend)?;
    for limit in [
        Limit { items: 0, bytes: 0 },
        Limit {
            items: 1,
            bytes: usize::MAX,
        },
        Limit {
            items: 7,
            bytes: usize::MAX,
        },
        Limit {
            items: all.len(),
            bytes: usize::MAX,
        },
        Limit {
            items: usize::MAX,
            bytes: 1,
        },
        Limit {
            items: usize::MAX,
            bytes: 20,
        },
    ] {
        let found = pages(&backend, Space::Objects, &Span::all(), limit)?;
        ensure!(found == all, "{limit:?} scans as {found:?}");
    }
    Ok(())
}

/// What was there all along is shown once, whatever is written and deleted between two items.
pub(super) fn a_scan_goes_on_beside_writers<S: Subject>(subject: &mut S) -> Outcome {
    let backend = subject.open();
    let (steady, fleeting) = (
        |number| place(number, b"steady"),
        |number| place(number, b"x"),
    );
    const ALL: u128 = 40;
    for number in 0..ALL {
        apply(&backend, set(Space::Objects, &steady(number), "tea"))?;
        apply(&backend, set(Space::Objects, &fleeting(number), "tea"))?;
    }
    let mut seen: Vec<Address> = Vec::new();
    let limit = Limit {
        items: 3,
        bytes: usize::MAX,
    };
    for item in Scan::by(&backend, Space::Objects, Span::all(), limit) {
        match item.map_err(|failed| Miss::Broken(failed.to_string()))? {
            Item::Found { at, .. } => seen.push(at),
            Item::Corrupt(span) => ensure!(false, "{span:?} is damaged in an undamaged store"),
        }
        let number = (seen.len() as u128 * 7) % ALL;
        apply(&backend, unset(Space::Objects, &fleeting(number)))?;
        apply(&backend, set(Space::Objects, &place(number, b"new"), "tea"))?;
        apply(&backend, set(Space::Objects, &steady(number), "more tea"))?;
        ensure!(seen.len() < 1000, "the scan does not end");
    }
    ensure!(seen.is_sorted_by(|a, b| a < b), "out of order: {seen:?}");
    let steady: Vec<_> = (0..ALL).map(steady).collect();
    let missed = steady.iter().find(|at| !seen.contains(at));
    ensure!(missed.is_none(), "{missed:?} was there all along");
    Ok(())
}

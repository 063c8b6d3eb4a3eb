//! A page of a scan: first names and sizes, then the values of no more than go into it.

use std::collections::BTreeMap;

use dynamo_proto::store::Space;
use dynamo_storage::{Item, Limit, Page, Span};

use crate::Error;
use crate::connection::{Connection, Listed};
use crate::key::{Key, PLACE_BYTES, behind_all};

/// Most names that are looked at for one page.
const MOST_NAMES: usize = 1000;

pub(crate) fn page(
    connection: &mut Connection,
    space: Space,
    span: &Span,
    limit: Limit,
) -> Result<Page, Error> {
    if span.is_empty() {
        return Ok(Page {
            items: Vec::new(),
            rest: None,
        });
    }
    connection.begin_snapshot()?;
    let page = page_of_snapshot(connection, space, span, limit);
    // Whatever went wrong: the next to use the connection must not be in there.
    connection.roll_back()?;
    page
}

fn page_of_snapshot(
    connection: &mut Connection,
    space: Space,
    span: &Span,
    limit: Limit,
) -> Result<Page, Error> {
    let most = limit.items.clamp(1, MOST_NAMES);
    let (mut names, mut rest) = list(connection, space, span, most)?;
    let mut bytes = 0;
    let is_over = |(index, Listed { at, size, .. }): (usize, &Listed)| {
        let is_over = index > 0 && (index >= limit.items || bytes >= limit.bytes);
        bytes += at.name.len() + size;
        is_over
    };
    if let Some(over) = names.iter().enumerate().position(is_over) {
        rest = Some(span.starting_at(names[over].at.clone()));
        names.truncate(over);
    }
    let items = values(connection, space, names)?;
    Ok(Page { items, rest })
}

/// Some names from the span's beginning on, in order, and where the others begin.
fn list(
    connection: &mut Connection,
    space: Space,
    span: &Span,
    most: usize,
) -> Result<(Vec<Listed>, Option<Span>), Error> {
    let end = span.end().map_or_else(behind_all, |end| Key::of(end).place);
    let mut from = Key::of(span.first()).place;
    let mut names = Vec::new();
    loop {
        // One more, to know where the others begin.
        let mut listed = connection.list(space, &from, &end, most + 1)?;
        let last = listed.last().map(|last| Key::of(&last.at).place);
        let Some(mut last) = last.filter(|_| listed.len() > most) else {
            take_in(&mut names, listed, span);
            return Ok((names, None));
        };
        if last.len() == PLACE_BYTES {
            // Those of one place come in no order, and there may be more of them.
            listed.retain(|it| Key::of(&it.at).place != last);
            listed.extend(connection.list_one_place(space, &last)?);
        }
        take_in(&mut names, listed, span);
        if names.len() > most {
            let others = names.split_off(most);
            let rest = others.first().map(|it| span.starting_at(it.at.clone()));
            return Ok((names, rest));
        }
        // What shares its place with the span's ends was not all of the span.
        last.push(0);
        from = last;
    }
}

fn take_in(names: &mut Vec<Listed>, mut listed: Vec<Listed>, span: &Span) {
    listed.retain(|it| span.contains(&it.at));
    listed.sort_by(|a, b| a.at.cmp(&b.at));
    names.append(&mut listed);
}

fn values(
    connection: &mut Connection,
    space: Space,
    names: Vec<Listed>,
) -> Result<Vec<Item>, Error> {
    let (Some(first), Some(last)) = (names.first(), names.last()) else {
        return Ok(Vec::new());
    };
    let (from, to) = (Key::of(&first.at).place, Key::of(&last.at).place);
    let mut values: BTreeMap<_, _> = match connection.values(space, &from, &to) {
        Ok(values) => values.into_iter().collect(),
        Err(error) if error.is_damage() => {
            let all = Span::new(first.at.clone(), Some(last.at.successor()));
            return Ok(vec![Item::Corrupt(all)]);
        }
        Err(error) => return Err(error),
    };
    let items = names.into_iter().map(|Listed { at, is_damaged, .. }| {
        match values.remove(&at).filter(|_| !is_damaged) {
            Some(bytes) => Item::Found { at, bytes },
            None => Item::Corrupt(Span::of_one(at)),
        }
    });
    Ok(items.collect())
}

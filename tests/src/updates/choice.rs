//! Updates that make sense for a type, by number.

use bytes::Bytes;
use dynamo_proto::version::{Action, DataType, Path, Step, Update};

/// The n-th update that makes sense for a type.
pub(super) fn an_update(kind: DataType, which: usize) -> Update {
    if kind == DataType::Map {
        let steps = 1 + which % 3;
        let steps = (0..steps).map(|at| in_map(Path::default(), which / 3 + 5 * at, 2));
        return steps.collect();
    }
    let at = Path::default();
    let action = action(kind, which);
    Update::from_iter([Step { at, action }])
}

/// Something done to a field of a map, or of a map in it.
fn in_map(at: Path, which: usize, depth: usize) -> Step {
    let (kind, rest) = (DataType::ALL[which % 9], which / 9);
    let (name, rest) = ([b"a", b"b"][rest % 2], rest / 2);
    let path = at.clone().field(kind, name).expect("a short path");
    match kind {
        DataType::Map if depth == 0 => in_map(at, which + 1, 0),
        _ if rest.is_multiple_of(5) => Step {
            at: path,
            action: Action::Clear,
        },
        DataType::Map => in_map(path, rest, depth - 1),
        _ => Step {
            at: path,
            action: action(kind, rest),
        },
    }
}

fn action(kind: DataType, which: usize) -> Action {
    let name = |which: usize| Bytes::from(vec![b'a' + (which % 4) as u8]);
    match kind {
        DataType::GrowCounter => Action::Count((which % 5) as i64),
        DataType::Counter => Action::Count((which % 9) as i64 - 4),
        DataType::GrowSet | DataType::Sketch => Action::Add(name(which)),
        DataType::Set if which.is_multiple_of(3) => Action::Remove(name(which / 3)),
        DataType::Set => Action::Add(name(which / 3)),
        DataType::Register | DataType::MultiRegister => Action::Assign(name(which)),
        DataType::Flag if which.is_multiple_of(2) => Action::Disable,
        DataType::Flag => Action::Enable,
        DataType::Map => Action::Clear,
    }
}

//! Commands on keys of data types: what they ask of the node, and what they answer.
//!
//! Each has two names: the plain one acts on the bucket `default`, the other, with `dynamo.` before
//! it, on the bucket that it names first. Either is refused, with what to do instead, where the
//! bucket's keys are of another type.

use bytes::Bytes;
use dynamo_proto::Key;
use dynamo_proto::node::{Got, Operation, Options, Written};
use dynamo_proto::version::{
    Action, Content, DataField, DataType, Path, PathError, Policy, Step, Update, View,
};

use super::commands::{Described, ONE_KEY, Verb, described, shown};
use super::reader::{Arguments, number};
use super::reply::Reply;
use super::turns::Wish;
use super::{Asked, BUCKET, key, outcome, read};
use crate::front::Desk;

/// What a command does to a key of a data type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Incr,
    Decr,
    IncrBy,
    DecrBy,
    SAdd,
    SRem,
    SMembers,
    SIsMember,
    SCard,
    PfAdd,
    PfCount,
    HSet,
    HGet,
    HDel,
    HGetAll,
    HIncrBy,
    HExists,
    HLen,
    Update,
}

/// What is asked of what was read.
#[derive(Clone, Debug)]
pub(super) enum Question {
    Members,
    IsMember(Bytes),
    Card,
    Estimate,
    Field(Bytes),
    Fields,
    HasField(Bytes),
    Len,
}

/// Where the key is among the arguments of a command that names its bucket.
const BEHIND_BUCKET: usize = 2;

macro_rules! commands {
    ($($name:literal, $deed:ident, $arity:literal, $flag:literal, $summary:literal;)*) => {
        /// All of them, under both names.
        pub(super) const COMMANDS: &[Described] = &[
            $(
                described(
                    $name,
                    Verb::Data(Deed::$deed, 1),
                    $arity,
                    $flag,
                    ONE_KEY,
                    $summary,
                ),
                described(
                    concat!("dynamo.", $name),
                    Verb::Data(Deed::$deed, BEHIND_BUCKET),
                    if $arity < 0 { $arity - 1 } else { $arity + 1 },
                    $flag,
                    [2, 2, 1],
                    concat!("bucket, then as ", $name, ". ", $summary),
                ),
            )*
            described(
                "dynamo.update",
                Verb::Data(Deed::Update, BEHIND_BUCKET),
                -4,
                "write",
                [2, 2, 1],
                "bucket key [FIELD type name ...] COUNT by, ADD element, REMOVE element, ASSIGN \
                 value, ENABLE, DISABLE or CLEAR: changes the key, or a field of its map.",
            ),
        ];
    };
}

commands! {
    "incr", Incr, 2, "write", "Counts one up.";
    "decr", Decr, 2, "write", "Counts one down.";
    "incrby", IncrBy, 3, "write", "Counts up.";
    "decrby", DecrBy, 3, "write", "Counts down.";
    "sadd", SAdd, -3, "write", "Adds elements to a set.";
    "srem", SRem, -3, "write", "Takes elements out of a set.";
    "smembers", SMembers, 2, "readonly", "The elements of a set.";
    "sismember", SIsMember, 3, "readonly", "Whether a set has an element.";
    "scard", SCard, 2, "readonly", "How many elements a set has.";
    "pfadd", PfAdd, -3, "write", "Adds elements to a sketch.";
    "pfcount", PfCount, 2, "readonly", "About how many different elements a sketch was given.";
    "hset", HSet, -4, "write", "Assigns registers of a map.";
    "hget", HGet, 3, "readonly", "A register of a map, or a counter if there is none.";
    "hdel", HDel, -3, "write", "Takes registers and counters out of a map.";
    "hgetall", HGetAll, 2, "readonly", "All registers and counters of a map.";
    "hincrby", HIncrBy, 4, "write", "Counts a counter of a map.";
    "hexists", HExists, 3, "readonly", "Whether a map has a register or a counter of that name.";
    "hlen", HLen, 2, "readonly", "How many registers and counters a map has.";
}

/// What such a command asks of the node.
pub(super) fn ask(deed: Deed, key_at: usize, arguments: &Arguments, desk: &Desk<'_>) -> Asked {
    let limits = &desk.site.config.limits;
    let key = match key_at {
        1 => key(BUCKET, arguments.at(1), limits),
        _ => key(arguments.at(1), arguments.at(2), limits),
    };
    let key = key.map_err(outcome::bad_key)?;
    check_type(deed, arguments.name(), &key, desk)?;
    let rest = key_at + 1;
    let each = || (rest..arguments.len()).map(|at| arguments.keep(at));
    let look = |question| Ok((read(false), Wish::Data(question)));
    let change = |update| {
        let operation = Operation::Update {
            fastest: None,
            update,
            context: None,
        };
        Ok((operation, Wish::CameTo(i64::MAX)))
    };
    let here = |action| Step {
        at: Path::default(),
        action,
    };
    let asked: Result<(Operation, Wish), Reply> = match deed {
        Deed::Incr => change(Action::Count(1).into()),
        Deed::Decr => change(Action::Count(-1).into()),
        Deed::IncrBy => change(Action::Count(amount(arguments.at(rest))?).into()),
        Deed::DecrBy => {
            let by = amount(arguments.at(rest))?.checked_neg();
            change(Action::Count(by.ok_or_else(no_amount)?).into())
        }
        Deed::SAdd => change(each().map(Action::Add).map(here).collect()),
        Deed::SRem => change(each().map(Action::Remove).map(here).collect()),
        Deed::SMembers => look(Question::Members),
        Deed::SIsMember => look(Question::IsMember(arguments.keep(rest))),
        Deed::SCard => look(Question::Card),
        Deed::PfAdd => {
            let asked = change(each().map(Action::Add).map(here).collect());
            asked.map(|(operation, _)| (operation, Wish::CameTo(1)))
        }
        Deed::PfCount => look(Question::Estimate),
        Deed::HSet => change(assignments(arguments, rest)?),
        Deed::HGet => look(Question::Field(arguments.keep(rest))),
        Deed::HDel => {
            let kinds = [DataType::Register, DataType::Counter];
            let all = (rest..arguments.len()).flat_map(|at| kinds.map(|kind| (kind, at)));
            let steps = all.map(|(kind, at)| field(kind, arguments.at(at), Action::Clear));
            change(steps.collect::<Result<_, _>>().map_err(no_path)?)
        }
        Deed::HGetAll => look(Question::Fields),
        Deed::HIncrBy => {
            let count = Action::Count(amount(arguments.at(rest + 1))?);
            let step = field(DataType::Counter, arguments.at(rest), count);
            change([step.map_err(no_path)?].into_iter().collect())
        }
        Deed::HExists => look(Question::HasField(arguments.keep(rest))),
        Deed::HLen => look(Question::Len),
        Deed::Update => change([step(arguments, rest)?].into_iter().collect()),
    };
    let (operation, wish) = asked?;
    Ok((key, operation, Options::default(), wish))
}

/// Whether the bucket's keys are what the command is for.
fn check_type(deed: Deed, name: &[u8], key: &Key, desk: &Desk<'_>) -> Result<(), Reply> {
    let needs = match deed {
        Deed::Incr | Deed::Decr | Deed::IncrBy | Deed::DecrBy => DataType::Counter,
        Deed::SAdd | Deed::SRem | Deed::SMembers | Deed::SIsMember | Deed::SCard => DataType::Set,
        Deed::PfAdd | Deed::PfCount => DataType::Sketch,
        Deed::HSet | Deed::HGet | Deed::HDel | Deed::HGetAll => DataType::Map,
        Deed::HIncrBy | Deed::HExists | Deed::HLen => DataType::Map,
        Deed::Update => return Ok(()), // the node looks at each step
    };
    let policy = desk.site.buckets.of(key).policy;
    let fits = match policy {
        Policy::Data(kind) => match needs {
            DataType::Counter => kind.is_counter(),
            DataType::Set => kind.is_set(),
            _ => kind == needs,
        },
        Policy::Siblings | Policy::LastWriteWins { .. } => false,
    };
    if fits {
        return Ok(());
    }
    let name = shown(name).to_ascii_uppercase();
    let plain = name.trim_start_matches("DYNAMO.");
    Err(Reply::error(format!(
        "WRONGTYPE {name} is for buckets of the type {needs}, which this one is not: DYNAMO.{plain} \
         {needs}/BUCKET KEY acts on one"
    )))
}

fn amount(digits: &[u8]) -> Result<i64, Reply> {
    number(digits).ok_or_else(no_amount)
}

fn no_amount() -> Reply {
    Reply::error("ERR value is not an integer or out of range")
}

fn no_path(error: PathError) -> Reply {
    Reply::error(format!("ERR {error}"))
}

fn field(kind: DataType, name: &[u8], action: Action) -> Result<Step, PathError> {
    let at = Path::default().field(kind, name)?;
    Ok(Step { at, action })
}

/// The names and values that follow.
fn assignments(arguments: &Arguments, from: usize) -> Result<Update, Reply> {
    if !(arguments.len() - from).is_multiple_of(2) {
        return Err(Reply::error(
            "ERR a value is missing: names and values take turns",
        ));
    }
    let pairs = (from..arguments.len()).step_by(2);
    let steps = pairs.map(|at| {
        let assign = Action::Assign(arguments.keep(at + 1));
        field(DataType::Register, arguments.at(at), assign)
    });
    steps.collect::<Result<_, _>>().map_err(no_path)
}

/// What `DYNAMO.UPDATE` says.
fn step(arguments: &Arguments, mut from: usize) -> Result<Step, Reply> {
    let is = |at: usize, word: &str| arguments.at(at).eq_ignore_ascii_case(word.as_bytes());
    let mut at = Path::default();
    while is(from, "field") && from + 2 < arguments.len() {
        let kind = arguments.at(from + 1);
        let known = DataType::ALL
            .into_iter()
            .find(|it| it.name().as_bytes() == kind);
        let kind = known.ok_or_else(|| {
            let names: Vec<_> = DataType::ALL.iter().map(|kind| kind.name()).collect();
            let (kind, names) = (shown(kind), names.join(", "));
            Reply::error(format!("ERR no type is called '{kind}', but {names}"))
        })?;
        at = at.field(kind, arguments.at(from + 2)).map_err(no_path)?;
        from += 3;
    }
    let operand = arguments.len().checked_sub(from + 1);
    let action = match operand {
        Some(0) if is(from, "enable") => Action::Enable,
        Some(0) if is(from, "disable") => Action::Disable,
        Some(0) if is(from, "clear") => Action::Clear,
        Some(1) if is(from, "count") => Action::Count(amount(arguments.at(from + 1))?),
        Some(1) if is(from, "add") => Action::Add(arguments.keep(from + 1)),
        Some(1) if is(from, "remove") => Action::Remove(arguments.keep(from + 1)),
        Some(1) if is(from, "assign") => Action::Assign(arguments.keep(from + 1)),
        _ => {
            return Err(Reply::error(
                "ERR syntax error: FIELD type name, as often as maps are nested, and then COUNT by, \
                 ADD element, REMOVE element, ASSIGN value, ENABLE, DISABLE or CLEAR",
            ));
        }
    };
    Ok(Step { at, action })
}

/// What an update came to.
pub(super) fn came_to(written: &Written, most: i64) -> Reply {
    match written.came_to {
        Some(came_to) => Reply::Integer(came_to.min(most)),
        None => Reply::error(
            "REPEATED it was sent twice and done once, and what it came to is not remembered: read",
        ),
    }
}

/// What a question about a key is answered.
pub(super) fn answer(question: &Question, got: &Got) -> Reply {
    let Some(view) = view(got) else {
        return none(question);
    };
    let yes = |is_so: bool| Reply::Integer(is_so.into());
    match question {
        Question::Members => rendered(&view),
        Question::IsMember(element) => yes(view.contains(element)),
        Question::Card => Reply::Integer(view.elements().count() as i64),
        Question::Estimate => rendered(&view),
        Question::Field(name) => field_of(&view, name).unwrap_or(Reply::Nil),
        Question::HasField(name) => yes(field_of(&view, name).is_some()),
        Question::Len => Reply::Integer(simple_fields(&view).count() as i64),
        Question::Fields => Reply::Fields(
            simple_fields(&view)
                .map(|field| {
                    let value = rendered(&view.field(field));
                    (Bytes::copy_from_slice(field.name), text(value))
                })
                .collect(),
        ),
    }
}

/// What it is answered about a key that is not there.
fn none(question: &Question) -> Reply {
    match question {
        Question::Members => Reply::Array(Vec::new()),
        Question::Fields => Reply::Fields(Vec::new()),
        Question::Field(_) => Reply::Nil,
        Question::IsMember(_) | Question::Card | Question::Estimate => Reply::Integer(0),
        Question::HasField(_) | Question::Len => Reply::Integer(0),
    }
}

fn view(got: &Got) -> Option<View<'_>> {
    got.siblings
        .values()
        .iter()
        .find_map(|sibling| match &sibling.value.content {
            Content::Data(data) => Some(data.view()),
            Content::Live { .. } | Content::Tombstone => None,
        })
}

fn simple_fields<'a>(view: &'a View<'_>) -> impl Iterator<Item = DataField<'a>> {
    let is_simple =
        |field: &DataField<'_>| field.kind == DataType::Register || field.kind.is_counter();
    view.fields().filter(is_simple)
}

fn field_of(view: &View<'_>, name: &[u8]) -> Option<Reply> {
    let found = simple_fields(view).filter(|field| field.name == name);
    let field = found.max_by_key(|field| field.kind)?; // a register comes after counters
    Some(text(rendered(&view.field(field))))
}

/// Numbers are text where text is expected.
fn text(reply: Reply) -> Reply {
    match reply {
        Reply::Integer(number) => Reply::text(number.to_string()),
        reply => reply,
    }
}

/// What a plain read answers.
pub(super) fn plain_value(view: &View<'_>) -> Result<Option<Bytes>, Reply> {
    let kind = view.kind();
    match text(rendered(view)) {
        Reply::Bulk(value) if kind.is_counter() || kind == DataType::Register => Ok(Some(value)),
        Reply::Nil => Ok(None),
        _ => Err(Reply::error(format!(
            "WRONGTYPE the key is a {kind}: DYNAMO.GET shows it"
        ))),
    }
}

/// All that data says. A map's fields are named by name and type.
pub(super) fn rendered(view: &View<'_>) -> Reply {
    let bulk = |bytes: &[u8]| Reply::Bulk(Bytes::copy_from_slice(bytes));
    match view.kind() {
        DataType::GrowCounter | DataType::Counter => Reply::Integer(view.count()),
        DataType::GrowSet | DataType::Set => Reply::Array(view.elements().map(bulk).collect()),
        DataType::Register => view.value().map_or(Reply::Nil, bulk),
        DataType::MultiRegister => Reply::Array(view.values().map(bulk).collect()),
        DataType::Flag => Reply::Integer(view.is_enabled().into()),
        DataType::Sketch => Reply::Integer(view.estimate() as i64),
        DataType::Map => {
            let field = |field: DataField<'_>| {
                let name = [field.name, b"_", field.kind.name().as_bytes()].concat();
                (name.into(), rendered(&view.field(field)))
            };
            Reply::Fields(view.fields().map(field).collect())
        }
    }
}

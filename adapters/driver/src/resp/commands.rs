//! Which commands there are, and which there cannot be, and why.

use super::data::{self, Deed};
use super::reply::Reply;

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Set,
    GetDel,
    StrLen,
    Ttl,
    Del,
    Exists,
    MGet,
    MSet,
    Ping,
    Echo,
    Hello,
    Select,
    Client,
    Command,
    Info,
    Quit,
    DynamoGet,
    DynamoPut,
    DynamoDel,
    DynamoBucket,
    DynamoPreflist,
    DynamoCluster,
    /// On a key of a data type, which is that argument.
    Data(Deed, usize),
}

/// A command as `COMMAND` describes it.
pub(super) struct Described {
    pub(super) name: &'static str,
    pub(super) verb: Verb,
    /// How many arguments, its name included; at least so many if negative.
    arity: i64,
    flag: &'static str,
    /// Where its keys are: first, last and how far apart.
    keys: [i64; 3],
    summary: &'static str,
}

pub(super) const fn described(
    name: &'static str,
    verb: Verb,
    arity: i64,
    flag: &'static str,
    keys: [i64; 3],
    summary: &'static str,
) -> Described {
    Described {
        name,
        verb,
        arity,
        flag,
        keys,
        summary,
    }
}

const NO_KEYS: [i64; 3] = [0, 0, 0];
pub(super) const ONE_KEY: [i64; 3] = [1, 1, 1];
const ALL_KEYS: [i64; 3] = [1, -1, 1];

/// Every command but those on data types, the most frequent ones first.
#[rustfmt::skip]
const COMMANDS: &[Described] = &[
    described("get", Verb::Get, 2, "readonly", ONE_KEY, "The value of a key."),
    described("set", Verb::Set, -3, "write", ONE_KEY, "Writes a value over what is there."),
    described("mget", Verb::MGet, -2, "readonly", ALL_KEYS, "The values of several keys, each read by itself."),
    described("mset", Verb::MSet, -3, "write", [1, -1, 2], "Writes several keys, each by itself."),
    described("del", Verb::Del, -2, "write", ALL_KEYS, "Deletes what is there, each key by itself."),
    described("unlink", Verb::Del, -2, "write", ALL_KEYS, "The same as DEL."),
    described("exists", Verb::Exists, -2, "readonly", ALL_KEYS, "How many of the keys have a value."),
    described("getdel", Verb::GetDel, 2, "write", ONE_KEY, "Reads a value, then deletes what was read."),
    described("strlen", Verb::StrLen, 2, "readonly", ONE_KEY, "The length of a key's value."),
    described("ttl", Verb::Ttl, 2, "readonly", ONE_KEY, "-1, or -2 without a value: nothing expires."),
    described("pttl", Verb::Ttl, 2, "readonly", ONE_KEY, "The same as TTL."),
    described("dynamo.get", Verb::DynamoGet, 3, "readonly", [2, 2, 1], "A key's context and its values; null stands for a delete beside values."),
    described("dynamo.put", Verb::DynamoPut, -5, "write", [2, 2, 1], "bucket key context value [W n]: writes over what the context saw, or beside everything if it is empty. Answers the new context, or null where there are values that it has not seen."),
    described("dynamo.del", Verb::DynamoDel, -3, "write", [2, 2, 1], "bucket key [context]: deletes what the context saw, or what is there. Answers as DYNAMO.PUT."),
    described("dynamo.bucket", Verb::DynamoBucket, 2, "readonly", NO_KEYS, "How a bucket is kept."),
    described("dynamo.preflist", Verb::DynamoPreflist, 3, "readonly", [2, 2, 1], "The nodes that are on duty for a key, in order."),
    described("dynamo.cluster", Verb::DynamoCluster, -1, "admin", NO_KEYS, "The cluster's nodes, as this one sees them; with STATUS, PLAN, COMMIT, UNSTAGE, JOIN, LEAVE, REMOVE, REPLACE, WEIGHT or ZONE, what `dynamo cluster` does, answered as JSON."),
    described("ping", Verb::Ping, -1, "fast", NO_KEYS, "Answers PONG, or what it is given."),
    described("echo", Verb::Echo, 2, "fast", NO_KEYS, "Answers what it is given."),
    described("hello", Verb::Hello, -1, "fast", NO_KEYS, "Chooses RESP2 or RESP3 and tells about the server."),
    described("select", Verb::Select, 2, "fast", NO_KEYS, "There is one database, number 0."),
    described("client", Verb::Client, -2, "fast", NO_KEYS, "ID, GETNAME, SETNAME, SETINFO."),
    described("command", Verb::Command, -1, "fast", NO_KEYS, "COUNT, LIST, INFO, DOCS: describes the commands."),
    described("info", Verb::Info, -1, "fast", NO_KEYS, "What is going on at this node."),
    described("quit", Verb::Quit, -1, "fast", NO_KEYS, "Ends the connection."),
];

const NO_SUCH_PART: &str = "a value is read and written as a whole; beside plain bytes there are \
     counters, sets, sketches and maps";
const NO_STEP: &str = "reading and writing as one step needs a lock, and a store that is always \
     writeable has none: DYNAMO.GET, then DYNAMO.PUT with its context, loses nothing";
pub(super) const NO_EXPIRY: &str = "nothing expires here: delete what is not needed";
const NO_LIST: &str = "keys are not listed here: it would take every node";
const NO_FLUSH: &str = "each key is deleted by itself: DEL";
const NO_CHANNELS: &str = "there are no channels and no scripts";
const NO_ADMIN: &str = "nodes are looked after by DYNAMO.CLUSTER";
const NO_USERS: &str = "nobody is authenticated here: connect without a password";

/// What other servers of this protocol have and this one refuses.
#[rustfmt::skip]
const REFUSED: &[(&str, &[&str])] = &[
    (NO_STEP, &[
        "incrbyfloat", "append", "getset", "setnx", "msetnx", "setrange", "rename",
        "renamenx", "copy", "multi", "exec", "discard", "watch", "unwatch",
    ]),
    (NO_EXPIRY, &[
        "expire", "pexpire", "expireat", "pexpireat", "persist", "setex", "psetex", "getex", "expiretime", "pexpiretime",
    ]),
    (NO_LIST, &["keys", "scan", "dbsize", "randomkey"]),
    (NO_FLUSH, &["flushall", "flushdb"]),
    (NO_CHANNELS, &[
        "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "publish", "pubsub", "spublish", "eval",
        "evalsha", "script", "function", "fcall",
    ]),
    (NO_ADMIN, &[
        "config", "save", "bgsave", "bgrewriteaof", "lastsave", "replicaof", "slaveof", "shutdown", "debug", "monitor", "sync",
        "psync", "role", "wait", "waitaof", "failover", "cluster", "readonly", "readwrite", "asking", "slowlog", "latency",
        "memory", "module", "swapdb", "move", "migrate", "object", "dump", "restore",
    ]),
    (NO_USERS, &["auth", "acl"]),
    (NO_SUCH_PART, &[
        "type", "getrange", "substr", "getbit", "setbit", "bitcount", "bitop", "bitpos", "bitfield", "lpush", "rpush", "lpop",
        "rpop", "llen", "lrange", "lindex", "lset", "lrem", "ltrim", "linsert", "blpop", "brpop", "lmove", "spop",
        "sunion", "sinter", "sdiff", "sscan",
        "hmset", "hmget", "hkeys", "hvals", "hscan", "zadd", "zrem", "zrange", "zscore", "zcard",
        "zincrby", "zrank", "zscan", "xadd", "xread", "xrange", "xlen", "xgroup", "pfmerge", "geoadd",
        "geosearch", "sort",
    ]),
];

/// The command of that name, whatever its case; or why there is none.
pub(super) fn find(name: &[u8]) -> Result<&'static Described, Reply> {
    if let Some(known) = described_as(name) {
        return Ok(known);
    }
    let is_refused = |other: &&str| name.eq_ignore_ascii_case(other.as_bytes());
    let refused = REFUSED
        .iter()
        .find(|(_, names)| names.iter().any(is_refused));
    let shown = shown(name);
    Err(Reply::error(match refused {
        Some((reason, _)) => format!("ERR {shown} is not supported: {reason}"),
        None => format!("ERR unknown command '{shown}'"),
    }))
}

fn all() -> impl Iterator<Item = &'static Described> {
    COMMANDS.iter().chain(data::COMMANDS)
}

fn described_as(name: &[u8]) -> Option<&'static Described> {
    all().find(|known| known.is(name))
}

/// What somebody sent, made short and harmless.
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 64;
    let (shown, rest) = bytes.split_at(bytes.len().min(MOST));
    let more = if rest.is_empty() { "" } else { "..." };
    format!("{}{more}", shown.escape_ascii())
}

impl Described {
    /// Whether it may have so many arguments, its name included.
    pub(super) fn takes(&self, arguments: usize) -> bool {
        let is_at_least = arguments >= self.arity.unsigned_abs() as usize;
        let most = match self.verb {
            Verb::Ping => 2,
            _ if self.arity > 0 => self.arity as usize,
            _ => usize::MAX,
        };
        let is_odd = self.verb == Verb::MSet && arguments.is_multiple_of(2);
        is_at_least && arguments <= most && !is_odd
    }

    pub(super) fn wrong_number(&self) -> Reply {
        let name = self.name;
        Reply::error(format!(
            "ERR wrong number of arguments for '{name}' command"
        ))
    }

    fn info(&self) -> Reply {
        let mut parts = vec![Reply::text(self.name), Reply::Integer(self.arity)];
        parts.push(Reply::Array(vec![Reply::Simple(self.flag)]));
        parts.extend(self.keys.map(Reply::Integer));
        Reply::Array(parts)
    }

    fn docs(&self) -> Reply {
        Reply::Map(vec![("summary", Reply::text(self.summary))])
    }

    fn is(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name.as_bytes())
    }
}

/// `COMMAND` and what it has below it.
pub(super) fn describe(below: &[u8], names: &[&[u8]]) -> Reply {
    let is = |name: &str| below.eq_ignore_ascii_case(name.as_bytes());
    if below.is_empty() {
        Reply::Array(all().map(Described::info).collect())
    } else if is("count") {
        Reply::Integer(all().count() as i64)
    } else if is("list") {
        let names = all().map(|known| Reply::text(known.name));
        Reply::Array(names.collect())
    } else if is("info") {
        let info = |name: &&[u8]| described_as(name).map_or(Reply::Nil, Described::info);
        match names {
            [] => describe(b"", &[]),
            _ => Reply::Array(names.iter().map(info).collect()),
        }
    } else if is("docs") {
        let is_asked =
            |known: &&Described| names.is_empty() || names.iter().any(|name| known.is(name));
        let docs = all().filter(is_asked);
        Reply::Map(docs.map(|known| (known.name, known.docs())).collect())
    } else {
        let shown = shown(below);
        Reply::error(format!(
            "ERR unknown subcommand '{shown}': COUNT, LIST, INFO, DOCS are known"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_both_known_and_refused() {
        let mut names: Vec<_> = all().map(|known| known.name).collect();
        names.extend(REFUSED.iter().flat_map(|(_, names)| names.iter().copied()));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_command_is_found_in_any_case() {
        for name in ["GET", "get", "GeT"] {
            let found = find(name.as_bytes()).map(|known| known.verb);
            assert_eq!(found, Ok(Verb::Get));
        }
    }
}

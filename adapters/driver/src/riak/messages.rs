//! Riak's messages: their codes, and their fields as far as anything is made of them.

use bytes::{Bytes, BytesMut};

use super::pb::{Budget, Field, Message, Signed, Undecodable, Value, messages};

macro_rules! codes {
    ($($name:ident $code:literal)*) => {
        $(pub(crate) const $name: u8 = $code;)*
    };
}

codes! {
    ERROR 0
    PING 1                  PONG 2
    GET_CLIENT_ID 3         CLIENT_ID 4
    SET_CLIENT_ID 5         CLIENT_ID_SET 6
    GET_SERVER_INFO 7       SERVER_INFO 8
    GET 9                   GOT 10
    PUT 11                  DONE_PUT 12
    DELETE 13               DELETED 14
    LIST_BUCKETS 15         BUCKETS 16
    LIST_KEYS 17            KEYS 18
    GET_BUCKET 19           BUCKET 20
    SET_BUCKET 21           BUCKET_SET 22
    RESET_BUCKET 29         BUCKET_RESET 30
    GET_BUCKET_TYPE 31      SET_BUCKET_TYPE 32
    GET_PREFLIST 33         PREFLIST 34
    UPDATE_COUNTER 50       COUNTER_UPDATED 51
    GET_COUNTER 52          COUNTER 53
    FETCH_DATA 80           DATA 81
    UPDATE_DATA 82          DATA_UPDATED 83
    START_TLS 255
}

messages! {
    Failed {
        1 errmsg: Bytes,
        2 errcode: u32,
    }
    ClientId {
        1 client_id: Bytes,
    }
    ServerInfo {
        1 node: Bytes,
        2 server_version: Bytes,
    }
    Get {
        1 bucket: Bytes,
        2 key: Bytes,
        3 r: Option<u32>,
        4 pr: Option<u32>,
        5 basic_quorum: Option<bool>,
        6 notfound_ok: Option<bool>,
        7 if_modified: Option<Bytes>,
        8 head: Option<bool>,
        9 deletedvclock: Option<bool>,
        10 timeout: Option<u32>,
        11 sloppy_quorum: Option<bool>,
        12 n_val: Option<u32>,
        13 bucket_type: Option<Bytes>,
        14 node_confirms: Option<u32>,
    }
    Got {
        1 content: Vec<Content>,
        2 vclock: Option<Bytes>,
        3 unchanged: Option<bool>,
    }
    Put {
        1 bucket: Bytes,
        2 key: Option<Bytes>,
        3 vclock: Option<Bytes>,
        4 content: Content,
        5 w: Option<u32>,
        6 dw: Option<u32>,
        7 return_body: Option<bool>,
        8 pw: Option<u32>,
        9 if_not_modified: Option<bool>,
        10 if_none_match: Option<bool>,
        11 return_head: Option<bool>,
        12 timeout: Option<u32>,
        14 sloppy_quorum: Option<bool>,
        15 n_val: Option<u32>,
        16 bucket_type: Option<Bytes>,
        17 node_confirms: Option<u32>,
    }
    DonePut {
        1 content: Vec<Content>,
        2 vclock: Option<Bytes>,
        3 key: Option<Bytes>,
    }
    Delete {
        1 bucket: Bytes,
        2 key: Bytes,
        3 rw: Option<u32>,
        4 vclock: Option<Bytes>,
        5 r: Option<u32>,
        6 w: Option<u32>,
        7 pr: Option<u32>,
        8 pw: Option<u32>,
        9 dw: Option<u32>,
        10 timeout: Option<u32>,
        11 sloppy_quorum: Option<bool>,
        12 n_val: Option<u32>,
        13 bucket_type: Option<Bytes>,
    }
    Content {
        1 value: Bytes,
        2 content_type: Option<Bytes>,
        3 charset: Option<Bytes>,
        4 content_encoding: Option<Bytes>,
        5 vtag: Option<Bytes>,
        6 links: Vec<Link>,
        7 last_mod: Option<u32>,
        8 last_mod_usecs: Option<u32>,
        9 usermeta: Vec<Pair>,
        10 indexes: Vec<Pair>,
        11 deleted: Option<bool>,
    }
    Link {
        1 bucket: Option<Bytes>,
        2 key: Option<Bytes>,
        3 tag: Option<Bytes>,
    }
    Pair {
        1 key: Bytes,
        2 value: Option<Bytes>,
    }
    ListBuckets {
        1 timeout: Option<u32>,
        2 stream: Option<bool>,
        3 bucket_type: Option<Bytes>,
    }
    Listed {
        1 names: Vec<Bytes>,
        2 done: Option<bool>,
    }
    ListKeys {
        1 bucket: Bytes,
        2 timeout: Option<u32>,
        3 bucket_type: Option<Bytes>,
    }
    OfBucket {
        1 bucket: Bytes,
        2 bucket_type: Option<Bytes>,
    }
    Bucket {
        1 props: Props,
    }
    SetBucket {
        1 bucket: Bytes,
        2 props: Props,
        3 bucket_type: Option<Bytes>,
    }
    GetBucketType {
        1 bucket_type: Bytes,
    }
    SetBucketType {
        1 bucket_type: Bytes,
        2 props: Props,
    }
    Props {
        1 n_val: Option<u32>,
        2 allow_mult: Option<bool>,
        3 last_write_wins: Option<bool>,
        4 precommit: Vec<Hook>,
        5 has_precommit: Option<bool>,
        6 postcommit: Vec<Hook>,
        7 has_postcommit: Option<bool>,
        8 chash_keyfun: Option<Function>,
        9 linkfun: Option<Function>,
        10 old_vclock: Option<u32>,
        11 young_vclock: Option<u32>,
        12 big_vclock: Option<u32>,
        13 small_vclock: Option<u32>,
        14 pr: Option<u32>,
        15 r: Option<u32>,
        16 w: Option<u32>,
        17 pw: Option<u32>,
        18 dw: Option<u32>,
        19 rw: Option<u32>,
        20 basic_quorum: Option<bool>,
        21 notfound_ok: Option<bool>,
        22 backend: Option<Bytes>,
        23 search: Option<bool>,
        24 repl: Option<u32>,
        25 search_index: Option<Bytes>,
        26 datatype: Option<Bytes>,
        27 consistent: Option<bool>,
        28 write_once: Option<bool>,
        29 hll_precision: Option<u32>,
    }
    Function {
        1 module: Bytes,
        2 function: Bytes,
    }
    Hook {
        1 modfun: Option<Function>,
        2 name: Option<Bytes>,
    }
    GetPreflist {
        1 bucket: Bytes,
        2 key: Bytes,
        3 bucket_type: Option<Bytes>,
    }
    Preflist {
        1 items: Vec<OnDuty>,
    }
    OnDuty {
        1 partition: u64,
        2 node: Bytes,
        3 primary: bool,
    }
    UpdateCounter {
        1 bucket: Bytes,
        2 key: Bytes,
        3 amount: Signed,
        4 w: Option<u32>,
        5 dw: Option<u32>,
        6 pw: Option<u32>,
        7 returnvalue: Option<bool>,
        8 node_confirms: Option<u32>,
    }
    GetCounter {
        1 bucket: Bytes,
        2 key: Bytes,
        3 r: Option<u32>,
        4 pr: Option<u32>,
        5 basic_quorum: Option<bool>,
        6 notfound_ok: Option<bool>,
        7 node_confirms: Option<u32>,
    }
    Counter {
        1 value: Option<Signed>,
    }
    FetchData {
        1 bucket: Bytes,
        2 key: Bytes,
        3 bucket_type: Bytes,
        4 r: Option<u32>,
        5 pr: Option<u32>,
        6 basic_quorum: Option<bool>,
        7 notfound_ok: Option<bool>,
        8 timeout: Option<u32>,
        9 sloppy_quorum: Option<bool>,
        10 n_val: Option<u32>,
        11 include_context: Option<bool>,
        12 node_confirms: Option<u32>,
    }
    Data {
        1 context: Option<Bytes>,
        2 kind: u32,
        3 value: Option<DataValue>,
    }
    DataValue {
        1 counter: Option<Signed>,
        2 set: Vec<Bytes>,
        3 map: Vec<MapEntry>,
        4 hll: Option<u64>,
        5 gset: Vec<Bytes>,
    }
    UpdateData {
        1 bucket: Bytes,
        2 key: Option<Bytes>,
        3 bucket_type: Bytes,
        4 context: Option<Bytes>,
        5 op: DataOp,
        6 w: Option<u32>,
        7 dw: Option<u32>,
        8 pw: Option<u32>,
        9 return_body: Option<bool>,
        10 timeout: Option<u32>,
        11 sloppy_quorum: Option<bool>,
        12 n_val: Option<u32>,
        13 include_context: Option<bool>,
        14 node_confirms: Option<u32>,
    }
    DataUpdated {
        1 key: Option<Bytes>,
        2 context: Option<Bytes>,
        3 counter: Option<Signed>,
        4 set: Vec<Bytes>,
        5 map: Vec<MapEntry>,
        6 hll: Option<u64>,
        7 gset: Vec<Bytes>,
    }
    DataOp {
        1 counter: Option<CounterOp>,
        2 set: Option<SetOp>,
        3 map: Option<MapOp>,
        4 hll: Option<AddOp>,
        5 gset: Option<AddOp>,
    }
    CounterOp {
        1 increment: Option<Signed>,
    }
    SetOp {
        1 adds: Vec<Bytes>,
        2 removes: Vec<Bytes>,
    }
    AddOp {
        1 adds: Vec<Bytes>,
    }
    MapOp {
        1 removes: Vec<MapField>,
        2 updates: Vec<MapUpdate>,
    }
    MapField {
        1 name: Bytes,
        2 kind: u32,
    }
    MapUpdate {
        1 field: MapField,
        2 counter: Option<CounterOp>,
        3 set: Option<SetOp>,
        4 register: Option<Bytes>,
        5 flag: Option<u32>,
        6 map: Option<MapOp>,
    }
    MapEntry {
        1 field: MapField,
        2 counter: Option<Signed>,
        3 set: Vec<Bytes>,
        4 register: Option<Bytes>,
        5 flag: Option<bool>,
        6 map: Vec<MapEntry>,
    }
}

/// A frame: the length of what follows, the code, the message.
pub(crate) fn write(code: u8, message: &impl Message, out: &mut BytesMut) {
    let len = message.size();
    out.reserve(5 + len);
    out.extend_from_slice(&(1 + len as u32).to_be_bytes());
    out.extend_from_slice(&[code]);
    message.write(out);
}

/// A frame without a message.
pub(crate) fn write_empty(code: u8, out: &mut BytesMut) {
    out.extend_from_slice(&[0, 0, 0, 1, code]);
}

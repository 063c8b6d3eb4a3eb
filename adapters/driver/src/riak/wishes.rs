//! What a request says of how it is to be done.

use super::messages::{
    Delete, FetchData, Get, GetCounter, ListBuckets, ListKeys, Put, UpdateCounter, UpdateData,
};
use super::quorum::Quorum;

/// As far as it says anything.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) n_val: Option<u32>,
    pub(crate) r: Option<Quorum>,
    pub(crate) pr: Option<Quorum>,
    pub(crate) w: Option<Quorum>,
    pub(crate) dw: Option<Quorum>,
    pub(crate) pw: Option<Quorum>,
    /// Of a delete: `r`, `w` and `dw`, where they are not said.
    pub(crate) rw: Option<Quorum>,
    pub(crate) node_confirms: Option<u32>,
    pub(crate) basic_quorum: Option<bool>,
    pub(crate) notfound_ok: Option<bool>,
    /// In milliseconds.
    pub(crate) timeout: Option<u32>,
    /// Whether others may stand in for those on duty.
    pub(crate) sloppy_quorum: Option<bool>,
}

/// Of each message the fields that say so: its quorums, and the others.
macro_rules! wishes {
    ($($message:ident: $($quorum:ident)*; $($other:ident)*;)*) => {$(
        impl $message {
            pub(crate) fn wishes(&self) -> Wishes {
                Wishes {
                    $($quorum: self.$quorum.map(Quorum::of_code),)*
                    $($other: self.$other,)*
                    ..Wishes::default()
                }
            }
        }
    )*};
}

wishes! {
    Get: r pr; n_val node_confirms basic_quorum notfound_ok timeout sloppy_quorum;
    Put: w dw pw; n_val node_confirms timeout sloppy_quorum;
    Delete: rw r w dw pr pw; n_val timeout sloppy_quorum;
    FetchData: r pr; n_val node_confirms basic_quorum notfound_ok timeout sloppy_quorum;
    UpdateData: w dw pw; n_val node_confirms timeout sloppy_quorum;
    GetCounter: r pr; node_confirms basic_quorum notfound_ok;
    UpdateCounter: w dw pw; node_confirms;
    ListBuckets: ; timeout;
    ListKeys: ; timeout;
}

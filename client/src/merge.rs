//! Ready-made ways to make one value of several.
//!
//! Each must give the same for the same values in any order, and may be applied twice.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::read::Read;

/// All elements that any of the values has. What one of them has removed comes back if another still
/// has it: the paper's shopping cart. A [set](crate::Client::set) of the cluster's removes truly.
///
/// ```
/// let carts = vec![[1, 2].into(), [2, 3].into()];
/// assert_eq!(dynamo_client::merge::union(carts), [1, 2, 3].into());
/// ```
#[must_use]
pub fn union<T: Ord>(values: Vec<BTreeSet<T>>) -> BTreeSet<T> {
    values.into_iter().flatten().collect()
}

/// The greatest of the values; none of none.
///
/// ```
/// assert_eq!(dynamo_client::merge::max(vec![3, 7, 5]), Some(7));
/// ```
#[must_use]
pub fn max<T: Ord>(values: Vec<T>) -> Option<T> {
    values.into_iter().max()
}

/// The value that was stamped last; all others are dropped, although they were acknowledged, and the
/// clocks of two coordinators decide which. Only for what may be lost.
#[must_use]
pub fn last_writer(read: &Read) -> Option<Bytes> {
    let values = read.siblings().answers().map(|sibling| &sibling.value);
    let live = values.filter_map(|value| Some((value.stamp, value.request, value.content.body()?)));
    live.max_by_key(|(stamp, request, _)| (*stamp, *request))
        .map(|(_, _, body)| body.clone())
}

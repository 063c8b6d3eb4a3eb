//! A merge of one's own, tested where it matters: on both sides of a cut, in a simulated cluster, in
//! milliseconds.
//!
//! `cargo run -p dynamo-client --example own_merge`

use std::collections::BTreeMap;

use dynamo_sim::{Lab, LabError, Read};

/// How many of each thing; of two that differ the greater number.
type Cart = BTreeMap<String, u32>;

fn merge(carts: Vec<Cart>) -> Cart {
    let mut merged = Cart::new();
    for (thing, count) in carts.into_iter().flatten() {
        let most = merged.entry(thing).or_default();
        *most = count.max(*most);
    }
    merged
}

fn carts(read: &Read) -> Vec<Cart> {
    let values = read.values().into_iter();
    values
        .map(|body| serde_json::from_slice(body).expect("it was written so"))
        .collect()
}

fn cart(things: &[(&str, u32)]) -> Vec<u8> {
    let cart: Cart = things
        .iter()
        .map(|(thing, count)| (thing.to_string(), *count))
        .collect();
    serde_json::to_vec(&cart).expect("it has a JSON")
}

/// Returns what is left of a cart that was changed on both sides of a cut.
pub(crate) fn examine() -> Result<Cart, LabError> {
    let mut lab = Lab::new(3, 1, 1);
    lab.put(0, "alice", cart(&[("tea", 1)]), None)?;
    let seen = lab.get(1, "alice")?;
    lab.cut(&[0], &[1, 2]);
    lab.put(0, "alice", cart(&[("tea", 2)]), Some(&seen))?;
    lab.put(1, "alice", cart(&[("tea", 1), ("rice", 3)]), Some(&seen))?;
    lab.heal();
    let read = lab.with_quorum(3, 3).get(2, "alice")?;
    let merged = merge(carts(&read));
    let body = serde_json::to_vec(&merged).expect("it has a JSON");
    lab.put(2, "alice", body, Some(&read))?;
    Ok(merge(carts(&lab.get(0, "alice")?)))
}

#[allow(dead_code, reason = "a test runs the example without it")]
fn main() -> Result<(), LabError> {
    println!("{:?}", examine()?);
    Ok(())
}

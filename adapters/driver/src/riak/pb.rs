//! Protocol Buffers, as much of proto2 as Riak's messages have.
//!
//! A reader of our own: runs of bytes are slices of what was received, nesting and the number of
//! parts have an end whatever is announced, and a field that must be there is.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Messages within messages, at most: maps are nested 8 deep, each is two messages, and they are
/// within an operation. What is one map deeper can be read, and is refused for that.
const MOST_NESTED: u32 = 20;

/// Parts of one message, those of messages within it included.
const MOST_PARTS: u32 = 1 << 16;

/// Why bytes are not such a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undecodable {
    #[error("the message ends too early, or has a part that cannot be read")]
    Malformed,
    #[error("a required field is missing")]
    Missing,
    #[error("the message has too many parts, or is nested too deep")]
    TooMuch,
}

/// What a field says, as it travels.
#[derive(Debug)]
pub(crate) enum Value {
    Number(u64),
    Run(Bytes),
    /// Four or eight bytes: no field that is known is one.
    Fixed,
}

/// How much more may be read.
#[derive(Debug)]
pub(crate) struct Budget {
    nested: u32,
    parts: u32,
}

/// A message whose fields are known.
pub(crate) trait Message: Default {
    /// The numbers of the fields that must be there, as bits.
    const REQUIRED: u64;

    /// Takes in a field; one that is not known is nobody's business.
    fn field(&mut self, number: u64, value: Value, budget: &mut Budget) -> Result<(), Undecodable>;

    fn write(&self, out: &mut BytesMut);

    fn size(&self) -> usize;

    /// The message that is all of these bytes.
    fn decode(bytes: Bytes) -> Result<Self, Undecodable> {
        let mut budget = Budget {
            nested: MOST_NESTED,
            parts: MOST_PARTS,
        };
        read(bytes, &mut budget)
    }
}

/// What one field of a message may be.
pub(crate) trait Field: Default {
    const IS_REQUIRED: bool;

    fn take(&mut self, value: Value, budget: &mut Budget) -> Result<(), Undecodable>;

    fn put(&self, number: u64, out: &mut BytesMut);

    fn len(&self, number: u64) -> usize;
}

/// One value, without its number.
pub(crate) trait Single: Sized {
    const IS_RUN: bool;

    fn of(value: Value, budget: &mut Budget) -> Result<Self, Undecodable>;

    fn put_value(&self, out: &mut BytesMut);

    fn value_len(&self) -> usize;
}

/// A number that may be negative, zigzag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signed(pub(crate) i64);

fn read<M: Message>(mut bytes: Bytes, budget: &mut Budget) -> Result<M, Undecodable> {
    let mut message = M::default();
    let mut seen = 0_u64;
    while !bytes.is_empty() {
        budget.parts = budget.parts.checked_sub(1).ok_or(Undecodable::TooMuch)?;
        let key = number(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Number(number(&mut bytes)?),
            2 => {
                let len = usize::try_from(number(&mut bytes)?);
                let len = len.ok().filter(|len| *len <= bytes.len());
                Value::Run(bytes.split_to(len.ok_or(Undecodable::Malformed)?))
            }
            kind @ (1 | 5) => {
                let len = if kind == 1 { 8 } else { 4 };
                if bytes.len() < len {
                    return Err(Undecodable::Malformed);
                }
                bytes.advance(len);
                Value::Fixed
            }
            _ => return Err(Undecodable::Malformed),
        };
        let number = key >> 3;
        if number == 0 {
            return Err(Undecodable::Malformed);
        }
        seen |= 1_u64.checked_shl(number.min(64) as u32).unwrap_or(0);
        message.field(number, value, budget)?;
    }
    match seen & M::REQUIRED == M::REQUIRED {
        true => Ok(message),
        false => Err(Undecodable::Missing),
    }
}

fn number(bytes: &mut Bytes) -> Result<u64, Undecodable> {
    let mut number = 0;
    for at in 0..10 {
        if bytes.is_empty() {
            break;
        }
        let byte = bytes.get_u8();
        number |= u64::from(byte & 0x7f) << (7 * at); // what does not fit is cut off, as by others
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Undecodable::Malformed)
}

fn put_number(mut number: u64, out: &mut BytesMut) {
    while number >= 0x80 {
        out.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

fn number_len(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

fn key<F: Single>(number: u64) -> u64 {
    number << 3 | if F::IS_RUN { 2 } else { 0 }
}

impl<F: Single> Field for Option<F> {
    const IS_REQUIRED: bool = false;

    fn take(&mut self, value: Value, budget: &mut Budget) -> Result<(), Undecodable> {
        *self = Some(F::of(value, budget)?);
        Ok(())
    }

    fn put(&self, number: u64, out: &mut BytesMut) {
        if let Some(value) = self {
            put_number(key::<F>(number), out);
            value.put_value(out);
        }
    }

    fn len(&self, number: u64) -> usize {
        let len = |value: &F| number_len(key::<F>(number)) + value.value_len();
        self.as_ref().map_or(0, len)
    }
}

impl<F: Single> Field for Vec<F> {
    const IS_REQUIRED: bool = false;

    fn take(&mut self, value: Value, budget: &mut Budget) -> Result<(), Undecodable> {
        self.push(F::of(value, budget)?);
        Ok(())
    }

    fn put(&self, number: u64, out: &mut BytesMut) {
        for value in self {
            put_number(key::<F>(number), out);
            value.put_value(out);
        }
    }

    fn len(&self, number: u64) -> usize {
        let len = |value: &F| number_len(key::<F>(number)) + value.value_len();
        self.iter().map(len).sum()
    }
}

impl<F: Single + Default> Field for F {
    const IS_REQUIRED: bool = true;

    fn take(&mut self, value: Value, budget: &mut Budget) -> Result<(), Undecodable> {
        *self = F::of(value, budget)?;
        Ok(())
    }

    fn put(&self, number: u64, out: &mut BytesMut) {
        put_number(key::<F>(number), out);
        self.put_value(out);
    }

    fn len(&self, number: u64) -> usize {
        number_len(key::<F>(number)) + self.value_len()
    }
}

impl Single for Bytes {
    const IS_RUN: bool = true;

    fn of(value: Value, _: &mut Budget) -> Result<Self, Undecodable> {
        match value {
            Value::Run(run) => Ok(run),
            Value::Number(_) | Value::Fixed => Err(Undecodable::Malformed),
        }
    }

    fn put_value(&self, out: &mut BytesMut) {
        put_number(self.len() as u64, out);
        out.put_slice(self);
    }

    fn value_len(&self) -> usize {
        number_len(self.len() as u64) + self.len()
    }
}

impl<M: Message> Single for M {
    const IS_RUN: bool = true;

    fn of(value: Value, budget: &mut Budget) -> Result<Self, Undecodable> {
        let Value::Run(run) = value else {
            return Err(Undecodable::Malformed);
        };
        budget.nested = budget.nested.checked_sub(1).ok_or(Undecodable::TooMuch)?;
        let message = read(run, budget)?;
        budget.nested += 1;
        Ok(message)
    }

    fn put_value(&self, out: &mut BytesMut) {
        put_number(self.size() as u64, out);
        self.write(out);
    }

    fn value_len(&self) -> usize {
        let len = self.size();
        number_len(len as u64) + len
    }
}

macro_rules! numbers {
    ($($type:ty: $of:expr, $number:expr;)*) => {$(
        impl Single for $type {
            const IS_RUN: bool = false;

            fn of(value: Value, _: &mut Budget) -> Result<Self, Undecodable> {
                let Value::Number(number) = value else {
                    return Err(Undecodable::Malformed);
                };
                let of: fn(u64) -> Self = $of;
                Ok(of(number))
            }

            fn put_value(&self, out: &mut BytesMut) {
                let number: fn(Self) -> u64 = $number;
                put_number(number(*self), out);
            }

            fn value_len(&self) -> usize {
                let number: fn(Self) -> u64 = $number;
                number_len(number(*self))
            }
        }
    )*};
}

numbers! {
    bool: |number| number != 0, u64::from;
    u32: |number| number as u32, u64::from;
    u64: |number| number, |number| number;
    Signed: |number| Signed((number >> 1) as i64 ^ -((number & 1) as i64)),
        |Signed(number)| ((number << 1) ^ (number >> 63)) as u64;
}

/// Messages, each as its table: number, name and type of its fields. What is neither optional nor
/// repeated is required.
macro_rules! messages {
    ($($name:ident { $($number:literal $field:ident: $type:ty,)* })*) => {$(
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $name {
            $(pub(crate) $field: $type,)*
        }

        impl Message for $name {
            const REQUIRED: u64 = 0 $(| (<$type as Field>::IS_REQUIRED as u64) << $number)*;

            fn field(
                &mut self,
                number: u64,
                value: Value,
                budget: &mut Budget,
            ) -> Result<(), Undecodable> {
                match number {
                    $($number => Field::take(&mut self.$field, value, budget),)*
                    _ => Ok(()),
                }
            }

            fn write(&self, out: &mut BytesMut) {
                $(Field::put(&self.$field, $number, out);)*
            }

            fn size(&self) -> usize {
                0 $(+ Field::len(&self.$field, $number))*
            }
        }
    )*};
}

pub(crate) use messages;

#[cfg(test)]
mod tests {
    use super::*;

    messages! {
        Leaf {
            1 name: Bytes,
            2 amount: Option<Signed>,
        }
        Tree {
            1 leaves: Vec<Leaf>,
            2 below: Vec<Tree>,
            3 is_red: Option<bool>,
            15 count: Option<u32>,
            16 far: Option<u64>,
        }
    }

    fn bytes(message: &impl Message) -> Bytes {
        let mut out = BytesMut::new();
        message.write(&mut out);
        assert_eq!(out.len(), message.size());
        out.freeze()
    }

    fn deep(depth: usize) -> Tree {
        (0..depth).fold(Tree::default(), |below, _| Tree {
            below: vec![below],
            ..Tree::default()
        })
    }

    #[test]
    fn what_is_written_is_read() {
        let amounts = [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN];
        let leaf = |amount| Leaf {
            name: Bytes::from(vec![7; 200]),
            amount: Some(Signed(amount)),
        };
        let tree = Tree {
            leaves: amounts.into_iter().map(leaf).collect(),
            below: vec![deep(3), deep(0)],
            is_red: Some(true),
            count: Some(u32::MAX - 4),
            far: Some(u64::MAX),
        };
        assert_eq!(Tree::decode(bytes(&tree)), Ok(tree));
    }

    #[test]
    fn numbers_are_what_others_make_of_them() {
        let one = |number| {
            bytes(&Leaf {
                name: Bytes::new(),
                amount: Some(Signed(number)),
            })
        };
        assert_eq!(&one(-3)[..], [0x0a, 0, 0x10, 5]);
        assert_eq!(&one(150)[..], [0x0a, 0, 0x10, 0xac, 2]);
    }

    #[test]
    fn what_must_be_there_is() {
        assert_eq!(
            Leaf::decode(Bytes::from_static(&[0x10, 5])),
            Err(Undecodable::Missing)
        );
        let unknown = [0x0a, 1, b'n', 0x78, 1, 0x81, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        let leaf = Leaf::decode(Bytes::copy_from_slice(&unknown));
        assert_eq!(leaf.map(|leaf| leaf.name), Ok(Bytes::from_static(b"n")));
    }

    #[test]
    fn no_cut_and_no_kind_of_another_field_is_read() {
        let whole = bytes(&Leaf {
            name: Bytes::from_static(b"name"),
            amount: Some(Signed(9)),
        });
        for cut in [1, 3, 5, whole.len() - 1] {
            assert!(Leaf::decode(whole.slice(..cut)).is_err(), "cut at {cut}");
        }
        for wrong in [
            &[0x08, 1][..],
            &[0x0b],
            &[0x02, 0],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(
                Leaf::decode(Bytes::copy_from_slice(wrong)),
                Err(Undecodable::Malformed)
            );
        }
    }

    #[test]
    fn depth_and_number_have_an_end() {
        assert!(Tree::decode(bytes(&deep(MOST_NESTED as usize))).is_ok());
        let deeper = bytes(&deep(MOST_NESTED as usize + 1));
        assert_eq!(Tree::decode(deeper), Err(Undecodable::TooMuch));
        let many = [0x12, 0].repeat(MOST_PARTS as usize);
        assert!(Tree::decode(Bytes::copy_from_slice(&many[2..])).is_ok());
        assert!(Tree::decode(Bytes::copy_from_slice(&many)).is_ok());
        let more = [&many[..], &[0x12, 0]].concat();
        assert_eq!(Tree::decode(Bytes::from(more)), Err(Undecodable::TooMuch));
    }
}

//! Messages as anybody may write and read them: numbers and runs of bytes under numbers.

/// A message, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message(Vec<(u64, Value)>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Number(u64),
    Run(Vec<u8>),
}

impl Message {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A message on a key of a bucket: its first two fields.
    pub(crate) fn of(bucket: &str, key: &str) -> Self {
        Self::new().run(1, bucket).run(2, key)
    }

    pub(crate) fn run(mut self, number: u64, run: impl AsRef<[u8]>) -> Self {
        self.0.push((number, Value::Run(run.as_ref().to_vec())));
        self
    }

    pub(crate) fn set(mut self, number: u64, value: u64) -> Self {
        self.0.push((number, Value::Number(value)));
        self
    }

    pub(crate) fn within(self, number: u64, message: &Self) -> Self {
        let bytes = message.bytes();
        self.run(number, bytes)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, value) in &self.0 {
            match value {
                Value::Number(value) => {
                    put(number << 3, &mut bytes);
                    put(*value, &mut bytes);
                }
                Value::Run(run) => {
                    put(number << 3 | 2, &mut bytes);
                    put(run.len() as u64, &mut bytes);
                    bytes.extend_from_slice(run);
                }
            }
        }
        bytes
    }

    pub(crate) fn frame(&self, code: u8) -> Vec<u8> {
        let bytes = self.bytes();
        let mut frame = (1 + bytes.len() as u32).to_be_bytes().to_vec();
        frame.push(code);
        frame.extend(bytes);
        frame
    }

    pub(crate) fn read(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = take(&mut bytes);
            let value = match key & 7 {
                0 => Value::Number(take(&mut bytes)),
                2 => {
                    let len = take(&mut bytes) as usize;
                    let (run, rest) = bytes.split_at(len);
                    bytes = rest;
                    Value::Run(run.to_vec())
                }
                kind => panic!("a field of kind {kind}"),
            };
            fields.push((key >> 3, value));
        }
        Self(fields)
    }

    pub(crate) fn runs(&self, number: u64) -> Vec<Vec<u8>> {
        let runs = self.0.iter().filter_map(|field| match field {
            (its, Value::Run(run)) if *its == number => Some(run.clone()),
            _ => None,
        });
        runs.collect()
    }

    pub(crate) fn text(&self, number: u64) -> String {
        String::from_utf8(self.runs(number).concat()).expect("text")
    }

    pub(crate) fn texts(&self, number: u64) -> Vec<String> {
        let runs = self.runs(number).into_iter();
        runs.map(|run| String::from_utf8(run).expect("text"))
            .collect()
    }

    pub(crate) fn number(&self, number: u64) -> Option<u64> {
        self.0.iter().find_map(|field| match field {
            (its, Value::Number(value)) if *its == number => Some(*value),
            _ => None,
        })
    }

    /// A number that may be negative.
    pub(crate) fn signed(&self, number: u64) -> Option<i64> {
        let zigzag = self.number(number)?;
        Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    pub(crate) fn messages(&self, number: u64) -> Vec<Self> {
        self.runs(number)
            .iter()
            .map(|run| Self::read(run))
            .collect()
    }
}

/// As it travels, a number that may be negative.
pub(crate) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// All frames in some bytes.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(u8, Message)> {
    let mut frames = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*len) as usize);
        frames.push((frame[0], Message::read(&frame[1..])));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "a frame is cut short");
    frames
}

fn put(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().expect("a number goes on");
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return number;
        }
    }
}

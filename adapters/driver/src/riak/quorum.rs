//! How many replicas, as Riak's clients say it.

/// A number of replicas, or a word for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quorum {
    Number(u32),
    One,
    Most,
    All,
    Default,
}

const WORDS: [(Quorum, &str, u32); 4] = [
    (Quorum::One, "one", u32::MAX - 1),
    (Quorum::Most, "quorum", u32::MAX - 2),
    (Quorum::All, "all", u32::MAX - 3),
    (Quorum::Default, "default", u32::MAX - 4),
];

impl Quorum {
    /// By its number in messages.
    pub(crate) fn of_code(code: u32) -> Self {
        let word = WORDS.iter().find(|(.., number)| *number == code);
        word.map_or(Self::Number(code), |(quorum, ..)| *quorum)
    }

    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Number(number) => number,
            word => WORDS
                .iter()
                .find(|(quorum, ..)| *quorum == word)
                .map_or(0, |(.., code)| *code),
        }
    }

    /// Its word; the digits of a number are not one.
    pub(crate) fn word(self) -> Option<&'static str> {
        let word = WORDS.iter().find(|(quorum, ..)| *quorum == self);
        word.map(|(_, word, _)| *word)
    }

    /// By its word or its digits; none if it is neither.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let word = WORDS.iter().find(|(_, word, _)| *word == text);
        match word {
            Some((quorum, ..)) => Some(*quorum),
            None => text.parse().ok().map(Self::Number),
        }
    }

    /// How many of `n` that is; none if it is for the bucket to say.
    pub(crate) fn of(self, n: u8) -> Option<u32> {
        match self {
            Self::Number(number) => Some(number),
            Self::One => Some(1),
            Self::Most => Some(u32::from(n) / 2 + 1),
            Self::All => Some(n.into()),
            Self::Default => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_numbers_and_numbers_have_none() {
        for (quorum, word, code) in WORDS {
            assert_eq!(Quorum::parse(word), Some(quorum));
            assert_eq!(Quorum::of_code(code), quorum);
            assert_eq!((quorum.code(), quorum.word()), (code, Some(word)));
        }
        assert_eq!(Quorum::of_code(3), Quorum::Number(3));
        assert_eq!(Quorum::parse("3"), Some(Quorum::Number(3)));
        assert_eq!(Quorum::parse("most"), None);
        assert_eq!(Quorum::Most.of(3), Some(2));
        assert_eq!(Quorum::Most.of(4), Some(3));
        assert_eq!(Quorum::Default.of(3), None);
    }
}

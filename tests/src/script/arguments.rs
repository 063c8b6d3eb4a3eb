//! The words of a command after its name.

use std::str::FromStr;
use std::time::Duration;

use super::words::Letter;

/// Words and `name=word` pairs, each to be taken once.
pub(super) struct Arguments<'a> {
    words: Vec<&'a str>,
    named: Vec<(&'a str, &'a str)>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(all: impl Iterator<Item = &'a str>) -> Self {
        let (mut words, mut named) = (Vec::new(), Vec::new());
        for word in all {
            match word.split_once('=') {
                Some(pair) => named.push(pair),
                None => words.push(word),
            }
        }
        Self { words, named }
    }

    /// The next word, which must be there.
    pub(super) fn word(&mut self, what: &str) -> Result<&'a str, String> {
        self.maybe_word()
            .ok_or_else(|| format!("{what} is missing"))
    }

    pub(super) fn maybe_word(&mut self) -> Option<&'a str> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }

    pub(super) fn letter(&mut self) -> Result<Letter, String> {
        Letter::parse(self.word("a node")?)
    }

    /// All words that are left, as nodes.
    pub(super) fn letters(&mut self) -> Result<Vec<Letter>, String> {
        self.words.drain(..).map(Letter::parse).collect()
    }

    /// Whether that word is among those left.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| *word != name);
        self.words.len() < before
    }

    pub(super) fn named(&mut self, name: &str) -> Option<&'a str> {
        let at = self.named.iter().position(|(other, _)| *other == name)?;
        Some(self.named.remove(at).1)
    }

    pub(super) fn parsed<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        self.named(name).map(|word| parse(name, word)).transpose()
    }

    pub(super) fn duration(&mut self, name: &str) -> Result<Option<Duration>, String> {
        self.named(name).map(duration).transpose()
    }

    /// A context's name, without its sign.
    pub(super) fn context(&mut self, name: &str) -> Result<Option<String>, String> {
        let word = self.named(name);
        let stripped = word.map(|word| match word.strip_prefix('$') {
            Some(word) if !word.is_empty() => Ok(word.to_owned()),
            _ => Err(format!("{name}={word}: names of contexts begin with $")),
        });
        stripped.transpose()
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), String> {
        if let Some(word) = self.words.first() {
            return Err(format!("not understood: {word}"));
        }
        match self.named.first() {
            Some((name, word)) => Err(format!("not understood: {name}={word}")),
            None => Ok(()),
        }
    }
}

pub(super) fn parse<T: FromStr>(name: &str, word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{name} cannot be {word}"))
}

pub(super) fn duration(word: &str) -> Result<Duration, String> {
    let wrong = || format!("not a length of time: {word}");
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match &word[digits.len()..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(60 * number)),
        "h" => Ok(Duration::from_secs(3600 * number)),
        _ => Err(wrong()),
    }
}

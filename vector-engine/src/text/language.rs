//! The languages that text can be analyzed in.

use std::fmt;
use std::str::FromStr;

use rust_stemmers::Algorithm;

use crate::{Error, Result};

/// A language that texts of a metadata key are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// `en`
    English,
    /// `fr`
    French,
    /// `es`
    Spanish,
    /// `pt`
    Portuguese,
    /// `it`
    Italian,
    /// `de`
    German,
    /// `nl`
    Dutch,
    /// `zh`
    Chinese,
    /// `ja`
    Japanese,
    /// `ko`
    Korean,
}

impl Language {
    /// All of them, in the order in which the API names them.
    pub const ALL: [Self; 10] = [
        Self::English,
        Self::French,
        Self::Spanish,
        Self::Portuguese,
        Self::Italian,
        Self::German,
        Self::Dutch,
        Self::Chinese,
        Self::Japanese,
        Self::Korean,
    ];

    /// Its ISO 639-1 code, as the API writes it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Portuguese => "pt",
            Self::Italian => "it",
            Self::German => "de",
            Self::Dutch => "nl",
            Self::Chinese => "zh",
            Self::Japanese => "ja",
            Self::Korean => "ko",
        }
    }

    /// Its stemmer, where words are inflected at their ends.
    pub(super) const fn stemmer(self) -> Option<Algorithm> {
        match self {
            Self::English => Some(Algorithm::English),
            Self::French => Some(Algorithm::French),
            Self::Spanish => Some(Algorithm::Spanish),
            Self::Portuguese => Some(Algorithm::Portuguese),
            Self::Italian => Some(Algorithm::Italian),
            Self::German => Some(Algorithm::German),
            Self::Dutch => Some(Algorithm::Dutch),
            Self::Chinese | Self::Japanese | Self::Korean => None,
        }
    }

    /// Its number in an encoded index; 0 stands for none.
    pub(super) const fn number(language: Option<Self>) -> u8 {
        match language {
            None => 0,
            Some(Self::English) => 1,
            Some(Self::French) => 2,
            Some(Self::Spanish) => 3,
            Some(Self::Portuguese) => 4,
            Some(Self::Italian) => 5,
            Some(Self::German) => 6,
            Some(Self::Dutch) => 7,
            Some(Self::Chinese) => 8,
            Some(Self::Japanese) => 9,
            Some(Self::Korean) => 10,
        }
    }

    /// The reverse of [`Self::number`].
    pub(super) fn numbered(number: u8) -> Option<Option<Self>> {
        let all = std::iter::once(None).chain(Self::ALL.into_iter().map(Some));
        all.into_iter().find(|&language| Self::number(language) == number)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Language {
    type Err = Error;

    fn from_str(code: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|language| language.code() == code)
            .ok_or_else(|| Error::Invalid("language is not one that texts are analyzed in".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_is_read_back_from_its_code_and_its_number() {
        for language in Language::ALL {
            assert_eq!(language.code().parse::<Language>().unwrap(), language);
            assert_eq!(language.to_string(), language.code());
            let number = Language::number(Some(language));
            assert_eq!(Language::numbered(number), Some(Some(language)));
        }
        assert_eq!(Language::numbered(0), Some(None));
    }

    #[test]
    fn other_codes_and_numbers_are_refused() {
        for code in ["", "EN", "english", "ru", "en "] {
            assert!(matches!(code.parse::<Language>(), Err(Error::Invalid(_))), "{code:?}");
        }
        for number in [11, 255] {
            assert_eq!(Language::numbered(number), None);
        }
    }
}

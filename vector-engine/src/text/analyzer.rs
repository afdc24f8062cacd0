//! From a text to its terms: one spelling, word boundaries, then what the language knows of words.
//!
//! Two steps, so that a builder takes the second once a different word: [`Analyzer::words`] finds the
//! words of a text, [`Analyzer::term`] makes a word its term. Both are functions of the text alone:
//! rows and queries meet because they go the same way. Only runs of Chinese, Japanese and Korean
//! characters are cut in two ways: rows by every pair and every single character that can be a word,
//! queries by pairs, unless a character stands alone.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use rust_stemmers::Stemmer;
use unicode_segmentation::UnicodeSegmentation;

use super::stop_words::stop_words;
use super::{Language, TERM_BYTES_MAX, fold};

/// What an index says it was made by. Raise it with any change of the terms that a text gives:
/// indexes of another version have to be built anew from the rows.
pub(super) const ANALYZER_VERSION: u8 = 1;

/// Letters of a word beyond which it is not looked at as one: no language here has longer ones.
const WORD_BYTES_MAX: usize = 64;

/// Who the words are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// They are indexed.
    Row,
    /// They are looked for.
    Query,
}

/// Makes texts terms, for one metadata key.
pub struct Analyzer {
    language: Option<Language>,
    stemmer: Option<Stemmer>,
    stop_words: HashSet<&'static str>,
}

impl Analyzer {
    /// The analyzer of a language; of none, the standard one: words in lower case as they are.
    pub fn new(language: Option<Language>) -> Self {
        Self {
            language,
            stemmer: language.and_then(Language::stemmer).map(Stemmer::create),
            stop_words: language.map_or(HashSet::new(), |language| {
                stop_words(language).split_whitespace().collect()
            }),
        }
    }

    /// What it was made for.
    pub fn language(&self) -> Option<Language> {
        self.language
    }

    /// The terms of a row's text, in their order.
    pub fn row_terms(&self, text: &str) -> Vec<String> {
        self.terms(text, Side::Row)
    }

    /// The terms of a query's text, in their order.
    pub fn query_terms(&self, text: &str) -> Vec<String> {
        self.terms(text, Side::Query)
    }

    fn terms(&self, text: &str, side: Side) -> Vec<String> {
        let mut terms = Vec::new();
        self.words(text, side, &mut String::new(), |word| {
            terms.extend(self.term(word).map(Cow::into_owned));
        });
        terms
    }

    /// Shows the words of `text` to `each`; `scratch` is memory to work in.
    pub(super) fn words(
        &self,
        text: &str,
        side: Side,
        scratch: &mut String,
        mut each: impl FnMut(&str),
    ) {
        fold::normalize(text, scratch);
        let mut rest = scratch.as_str();
        if self.in_characters() && !rest.is_ascii() {
            while let Some(start) = rest.find(is_cjk) {
                let (before, from) = rest.split_at(start);
                let end = from.find(|c| !is_cjk(c)).unwrap_or(from.len());
                let (run, after) = from.split_at(end);
                before.unicode_words().for_each(&mut each);
                cut(run, side, &mut each);
                rest = after;
            }
        }
        rest.unicode_words().for_each(each);
    }

    /// The term of a word from [`Self::words`]; none for a stop word.
    pub(super) fn term<'w>(&self, word: &'w str) -> Option<Cow<'w, str>> {
        let word = self.bare(word);
        if word.is_empty() || self.stop_words.contains(word) {
            return None;
        }
        let word = Cow::Borrowed(truncated(word));
        let Some(stemmer) = &self.stemmer else { return Some(word) };
        let word = match self.language {
            // Other accents come with words from elsewhere, and hide endings from the stemmer.
            Some(Language::English) => without_accents(word, ""),
            Some(Language::German) => without_accents(word, "äöüß"),
            _ => word,
        };
        // Names, numbers and codes are not inflected, and other scripts are not the stemmer's.
        let inflected = word.len() <= WORD_BYTES_MAX && word.chars().all(is_latin_letter);
        let stem = if inflected { Cow::Owned(stemmer.stem(&word).into_owned()) } else { word };
        Some(match self.language {
            // A letter of its own, not the same with something left away.
            Some(Language::Spanish) => without_accents(stem, "ñ"),
            _ => without_accents(stem, ""),
        })
    }

    /// A word without what the language writes to it with an apostrophe.
    fn bare<'w>(&self, word: &'w str) -> &'w str {
        match self.language {
            Some(Language::English | Language::Dutch) => word.strip_suffix("'s").unwrap_or(word),
            Some(Language::French | Language::Italian) => match word.split_once('\'') {
                Some((article, noun)) if self.elides(article) => noun,
                _ => word,
            },
            _ => word,
        }
    }

    fn elides(&self, article: &str) -> bool {
        let articles: &[&str] = match self.language {
            Some(Language::French) => &[
                "l", "d", "c", "j", "m", "n", "s", "t", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu",
            ],
            Some(Language::Italian) => &[
                "l", "d", "c", "m", "s", "t", "v", "un", "all", "coll", "dall", "dell", "nell",
                "sull", "quell", "quest", "bell", "sant", "gl", "agl", "dagl", "degl", "negl",
                "sugl",
            ],
            _ => &[],
        };
        articles.contains(&article)
    }

    fn in_characters(&self) -> bool {
        matches!(self.language, Some(Language::Chinese | Language::Japanese | Language::Korean))
    }
}

impl fmt::Debug for Analyzer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Analyzer").field("language", &self.language).finish_non_exhaustive()
    }
}

/// Shows the pairs of neighbouring characters of a run, and the single ones as the side needs.
fn cut(run: &str, side: Side, each: &mut impl FnMut(&str)) {
    let mut alone = true;
    let mut before: Option<usize> = None;
    for (at, c) in run.char_indices() {
        let end = at + c.len_utf8();
        if side == Side::Row && is_word_by_itself(c) {
            run.get(at..end).into_iter().for_each(&mut *each);
        }
        if let Some(pair) = before.and_then(|before| run.get(before..end)) {
            each(pair);
            alone = false;
        }
        before = Some(at);
    }
    let indexed = side == Side::Row && run.chars().next().is_some_and(is_word_by_itself);
    if alone && !indexed {
        each(run);
    }
}

fn without_accents<'w>(word: Cow<'w, str>, kept: &str) -> Cow<'w, str> {
    if word.is_ascii() {
        return word;
    }
    let mut plain = String::with_capacity(word.len());
    fold::strip_accents(&word, kept, &mut plain);
    Cow::Owned(plain)
}

/// The beginning of a word that is no longer than a term may be.
fn truncated(word: &str) -> &str {
    word.get(..word.floor_char_boundary(TERM_BYTES_MAX)).unwrap_or(word)
}

fn is_latin_letter(c: char) -> bool {
    matches!(c, 'a'..='z' | '\'' | 'ß'..='ö' | 'ø'..='ſ')
}

/// A character that is written without blanks between words, or (Hangul) with endings to words.
fn is_cjk(c: char) -> bool {
    is_word_by_itself(c)
        || matches!(c,
        '\u{3041}'..='\u{309F}' // Hiragana
        | '\u{30A1}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' // Katakana
        | '\u{1100}'..='\u{11FF}' | '\u{3131}'..='\u{318E}') // Hangul letters
}

/// A Chinese character or Hangul syllable: one can be a word, which a letter of kana is not.
fn is_word_by_itself(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFD}' | '\u{3005}'..='\u{3007}' | '\u{AC00}'..='\u{D7A3}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analyzed(language: Option<Language>, text: &str) -> String {
        Analyzer::new(language).row_terms(text).join(" ")
    }

    #[test]
    fn each_language_gives_these_terms() {
        use Language::*;
        let cases = [
            (None, "The Quick-Brown foxes, jumped!", "the quick brown foxes jumped"),
            (None, "Café 3.14 don't foo_bar C++ x86_64", "café 3.14 don't foo_bar c x86_64"),
            (None, "python3.11-dev (= 2:1.0)", "python3.11 dev 2 1.0"),
            (None, "Привет МИР", "привет мир"),
            (None, " \n -- ... ", ""),
            (Some(English), "The runner's dogs were running", "runner dog run"),
            (Some(English), "a naïve café’s Résumés", "naiv cafe resum"),
            (Some(English), "libraries for MP3s and UTF-8", "librari mp3s utf 8"),
            (Some(French), "L’avion d'Hélène n'est pas arrivé", "avion helen arriv"),
            (Some(French), "les éléphants, LES ELEPHANTS", "eleph eleph"),
            (Some(Spanish), "Los niños y las canciones del año", "niñ cancion año"),
            (Some(Spanish), "informaciÓN informacion", "inform informacion"),
            (Some(Portuguese), "As informações dos corações", "inform coraco"),
            (Some(Italian), "dell'università gli amici", "univers amic"),
            (Some(German), "Die Häuser über den Straßen", "haus strass"),
            (Some(German), "das Café im CAFE", "caf caf"),
            (Some(Dutch), "De auto's van de huizen", "auto huiz"),
            (Some(Chinese), "我爱北京 linux", "我 爱 我爱 北 爱北 京 北京 linux"),
            (Some(Japanese), "東京タワー、猫", "東 京 東京 京タ タワ ワー 猫"),
            (Some(Japanese), "ＡＢＣのｶﾅ", "abc のカ カナ"),
            (Some(Korean), "한국어 책 OS", "한 국 한국 어 국어 책 os"),
            (Some(Chinese), "Plain English words", "plain english words"),
        ];
        for (language, text, expected) in cases {
            assert_eq!(analyzed(language, text), expected, "{language:?} {text:?}");
        }
    }

    #[test]
    fn queries_look_for_pairs_and_for_characters_that_stand_alone() {
        let analyzer = Analyzer::new(Some(Language::Japanese));
        let cases = [
            ("東京タワー", "東京 京タ タワ ワー"),
            ("猫", "猫"),
            ("ア", "ア"),
            ("猫 dog", "猫 dog"),
        ];
        for (text, expected) in cases {
            assert_eq!(analyzer.query_terms(text).join(" "), expected);
        }
    }

    #[test]
    fn every_query_term_of_a_text_is_among_the_terms_of_a_row_that_holds_the_text() {
        let texts = ["東京タワーの猫", "ア", "カタカナ", "책", "the l'été naïve x", "がｶﾞ가"];
        for language in Language::ALL.into_iter().map(Some).chain([None]) {
            let analyzer = Analyzer::new(language);
            for text in texts {
                let row = analyzer.row_terms(text);
                for term in analyzer.query_terms(text) {
                    assert!(row.contains(&term), "{language:?} {text:?} {term:?}");
                }
            }
        }
    }

    #[test]
    fn long_words_are_found_by_their_beginning() {
        let long = "é".repeat(500);
        for language in [None, Some(Language::English), Some(Language::Chinese)] {
            let terms = Analyzer::new(language).row_terms(&long);
            assert_eq!(terms.len(), 1);
            assert!(terms[0].len() <= TERM_BYTES_MAX, "{language:?}");
        }
        let terms = Analyzer::new(None).row_terms(&long);
        assert_eq!(terms[0], "é".repeat(TERM_BYTES_MAX / 2));
    }

    #[test]
    fn every_stop_word_says_nothing() {
        for language in Language::ALL {
            assert_eq!(analyzed(Some(language), stop_words(language)), "", "{language}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_an_analyzer_panic_or_a_term_too_long(
            text in "([a-zA-Zßàâäæçèéêëìíîïñòóôöùúûüÿœ'’]{0,24}|\\PC{0,16}|[ァ-ン가-힣ぁ-ん一-龠]{0,8}){0,6}"
        ) {
            for language in Language::ALL.into_iter().map(Some).chain([None]) {
                let analyzer = Analyzer::new(language);
                for term in analyzer.row_terms(&text).iter().chain(&analyzer.query_terms(&text)) {
                    proptest::prop_assert!(!term.is_empty() && term.len() <= TERM_BYTES_MAX);
                }
            }
        }
    }
}

//! One spelling for what readers take for the same: case, width, composed accents.
//!
//! Not the whole of Unicode's NFKC: Latin letters with one accent, kana and Hangul are composed,
//! full and half widths and the common ligatures are folded. Rarer forms (Vietnamese double
//! accents, mathematical letters) match only as they were written.

/// Accents (as combining marks) with the letters that they compose with, and what that gives.
const ACCENTS: &[(char, &[(char, char)])] = &[
    ('\u{300}', &[('a', 'à'), ('e', 'è'), ('i', 'ì'), ('o', 'ò'), ('u', 'ù'), ('n', 'ǹ')]),
    (
        '\u{301}',
        &[
            ('a', 'á'),
            ('e', 'é'),
            ('i', 'í'),
            ('o', 'ó'),
            ('u', 'ú'),
            ('y', 'ý'),
            ('c', 'ć'),
            ('l', 'ĺ'),
            ('n', 'ń'),
            ('r', 'ŕ'),
            ('s', 'ś'),
            ('z', 'ź'),
        ],
    ),
    (
        '\u{302}',
        &[
            ('a', 'â'),
            ('e', 'ê'),
            ('i', 'î'),
            ('o', 'ô'),
            ('u', 'û'),
            ('c', 'ĉ'),
            ('g', 'ĝ'),
            ('h', 'ĥ'),
            ('j', 'ĵ'),
            ('s', 'ŝ'),
            ('w', 'ŵ'),
            ('y', 'ŷ'),
        ],
    ),
    ('\u{303}', &[('a', 'ã'), ('n', 'ñ'), ('o', 'õ'), ('i', 'ĩ'), ('u', 'ũ')]),
    ('\u{304}', &[('a', 'ā'), ('e', 'ē'), ('i', 'ī'), ('o', 'ō'), ('u', 'ū')]),
    ('\u{306}', &[('a', 'ă'), ('e', 'ĕ'), ('g', 'ğ'), ('i', 'ĭ'), ('o', 'ŏ'), ('u', 'ŭ')]),
    ('\u{307}', &[('c', 'ċ'), ('e', 'ė'), ('g', 'ġ'), ('z', 'ż')]),
    ('\u{308}', &[('a', 'ä'), ('e', 'ë'), ('i', 'ï'), ('o', 'ö'), ('u', 'ü'), ('y', 'ÿ')]),
    ('\u{30A}', &[('a', 'å'), ('u', 'ů')]),
    ('\u{30B}', &[('o', 'ő'), ('u', 'ű')]),
    (
        '\u{30C}',
        &[
            ('c', 'č'),
            ('d', 'ď'),
            ('e', 'ě'),
            ('l', 'ľ'),
            ('n', 'ň'),
            ('r', 'ř'),
            ('s', 'š'),
            ('t', 'ť'),
            ('z', 'ž'),
            ('a', 'ǎ'),
        ],
    ),
    ('\u{326}', &[('s', 'ș'), ('t', 'ț')]),
    (
        '\u{327}',
        &[
            ('c', 'ç'),
            ('s', 'ş'),
            ('t', 'ţ'),
            ('g', 'ģ'),
            ('k', 'ķ'),
            ('l', 'ļ'),
            ('n', 'ņ'),
            ('r', 'ŗ'),
        ],
    ),
    ('\u{328}', &[('a', 'ą'), ('e', 'ę'), ('i', 'į'), ('u', 'ų')]),
];

/// What half-width forms from U+FF66 stand for.
const HALF_WIDTH_KANA: &str = "ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン";

/// Replaces what `out` holds by `text` in its one spelling: lower case, composed, one width.
pub(super) fn normalize(text: &str, out: &mut String) {
    out.clear();
    if text.is_ascii() {
        out.push_str(text);
        out.make_ascii_lowercase();
        return;
    }
    out.reserve(text.len());
    for c in text.chars() {
        match c {
            'A'..='Z' => out.push(c.to_ascii_lowercase()),
            '\0'..='\x7F' => out.push(c),
            // Invisible in print: soft hyphen, byte order mark, variation selectors.
            '\u{AD}' | '\u{FEFF}' | '\u{FE00}'..='\u{FE0F}' => {}
            '’' | 'ʼ' | '＇' => out.push('\''),
            'ſ' => out.push('s'),
            'ς' => out.push('σ'),
            'µ' => out.push('μ'),
            'ª' => out.push('a'),
            'º' => out.push('o'),
            '¹' => out.push('1'),
            '²' => out.push('2'),
            '³' => out.push('3'),
            // Its lower case in Unicode is an i with a second dot.
            'İ' => out.push('i'),
            '\u{3000}' => out.push(' '),
            'ﬀ' => out.push_str("ff"),
            'ﬁ' => out.push_str("fi"),
            'ﬂ' => out.push_str("fl"),
            'ﬃ' => out.push_str("ffi"),
            'ﬄ' => out.push_str("ffl"),
            '\u{FF01}'..='\u{FF5E}' => {
                let narrow = char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c);
                out.push(narrow.to_ascii_lowercase());
            }
            '\u{FF66}'..='\u{FF9D}' => {
                let nth = u32::from(c) - 0xFF66;
                out.push(HALF_WIDTH_KANA.chars().nth(nth as usize).unwrap_or(c));
            }
            '\u{FF9E}' | '\u{3099}' => combine(out, '\u{3099}'),
            '\u{FF9F}' | '\u{309A}' => combine(out, '\u{309A}'),
            '\u{300}'..='\u{36F}' | '\u{1161}'..='\u{1175}' | '\u{11A8}'..='\u{11C2}' => {
                combine(out, c);
            }
            _ => out.extend(c.to_lowercase()),
        }
    }
}

/// Appends a mark, composed with the character before it where they make one.
fn combine(out: &mut String, mark: char) {
    let composed = out.chars().next_back().and_then(|base| compose(base, mark));
    if composed.is_some() {
        out.pop();
    }
    out.push(composed.unwrap_or(mark));
}

fn compose(base: char, mark: char) -> Option<char> {
    match mark {
        '\u{300}'..='\u{36F}' => {
            let (_, letters) = ACCENTS.iter().find(|(accent, _)| *accent == mark)?;
            letters.iter().find(|(plain, _)| *plain == base).map(|(_, accented)| *accented)
        }
        '\u{3099}' => match base {
            'う' => Some('ゔ'),
            'ウ' => Some('ヴ'),
            'か'..='ち' | 'カ'..='チ' if u32::from(base) % 2 == 1 => after(base, 1),
            'つ' | 'て' | 'と' | 'ツ' | 'テ' | 'ト' => after(base, 1),
            'は' | 'ひ' | 'ふ' | 'へ' | 'ほ' | 'ハ' | 'ヒ' | 'フ' | 'ヘ' | 'ホ' => {
                after(base, 1)
            }
            _ => None,
        },
        '\u{309A}' => match base {
            'は' | 'ひ' | 'ふ' | 'へ' | 'ほ' | 'ハ' | 'ヒ' | 'フ' | 'ヘ' | 'ホ' => {
                after(base, 2)
            }
            _ => None,
        },
        // Hangul: 19 leading consonants by 21 vowels by 28 trailing consonants, the first of them none.
        '\u{1161}'..='\u{1175}' => {
            let leading = u32::from(base).checked_sub(0x1100).filter(|&nth| nth < 19)?;
            after('가', (leading * 21 + u32::from(mark) - 0x1161) * 28)
        }
        '\u{11A8}'..='\u{11C2}' => {
            let open = matches!(base, '가'..='힣') && (u32::from(base) - 0xAC00) % 28 == 0;
            if open { after(base, u32::from(mark) - 0x11A7) } else { None }
        }
        _ => None,
    }
}

fn after(base: char, steps: u32) -> Option<char> {
    char::from_u32(u32::from(base) + steps)
}

/// A Latin letter without its accent, if it has one that [`normalize`] composes.
fn plain(c: char) -> Option<char> {
    let letters = ACCENTS.iter().flat_map(|(_, letters)| letters.iter());
    letters.copied().find(|&(_, accented)| accented == c).map(|(plain, _)| plain)
}

/// Appends `word` without the accents of Latin letters, those in `kept` excepted.
pub(super) fn strip_accents(word: &str, kept: &str, out: &mut String) {
    for c in word.chars() {
        match c {
            '\0'..='\x7F' => out.push(c),
            _ if kept.contains(c) => out.push(c),
            'æ' => out.push_str("ae"),
            'œ' => out.push_str("oe"),
            'ß' => out.push_str("ss"),
            'ø' => out.push('o'),
            'đ' => out.push('d'),
            'ł' => out.push('l'),
            'ı' => out.push('i'),
            _ => out.push(plain(c).unwrap_or(c)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_the_same_become_the_same() {
        let cases = [
            ("Plain ASCII 42", "plain ascii 42"),
            ("CAFÉ", "café"),
            ("cafe\u{301}", "café"),
            ("A\u{30A}ngstro\u{308}m", "ångström"),
            ("Straße", "straße"),
            ("STRAẞE", "straße"),
            ("İstanbul", "istanbul"),
            ("ΣΟΦΟΣ σοφος σοφος", "σοφοσ σοφοσ σοφοσ"),
            ("ΜΟΣΚΒΑ Москва", "μοσκβα москва"),
            ("ＡＢＣ　１２３", "abc 123"),
            ("l’eau", "l'eau"),
            ("co\u{AD}operate é", "cooperate é"),
            ("ﬁne ﬂow oﬃce", "fine flow office"),
            ("m² é", "m2 é"),
            ("ｶﾞｷﾞﾊﾟﾃﾞ", "ガギパデ"),
            ("か\u{3099} は\u{309A} う\u{3099} ア\u{3099}", "が ぱ ゔ ア\u{3099}"),
            ("\u{1112}\u{1161}\u{11AB}\u{1100}\u{1173}\u{11AF}", "한글"),
            ("x\u{315}", "x\u{315}"),
            ("", ""),
        ];
        let mut out = String::new();
        for (text, expected) in cases {
            normalize(text, &mut out);
            assert_eq!(out, expected, "{text:?}");
        }
    }

    #[test]
    fn every_accented_letter_is_composed_and_stripped() {
        for (mark, letters) in ACCENTS {
            for (letter, accented) in *letters {
                let mut out = String::new();
                normalize(&format!("{letter}{mark}"), &mut out);
                assert_eq!(out, accented.to_string());
                out.clear();
                strip_accents(&accented.to_string(), "", &mut out);
                assert_eq!(out, letter.to_string());
            }
        }
    }

    #[test]
    fn letters_to_keep_keep_their_accent() {
        let cases = [
            ("español", "ñ", "español"),
            ("español", "", "espanol"),
            ("cœur", "", "coeur"),
            ("дом", "", "дом"),
        ];
        for (word, kept, expected) in cases {
            let mut out = String::new();
            strip_accents(word, kept, &mut out);
            assert_eq!(out, expected);
        }
    }
}

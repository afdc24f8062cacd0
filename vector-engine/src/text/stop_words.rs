//! Words of each language that say nothing about what a text is about: articles, pronouns,
//! prepositions, conjunctions and the forms of "to be" and "to have".
//!
//! Lower case, with their accents, separated by blanks. Changing a list changes what is indexed:
//! raise [`super::analyzer::ANALYZER_VERSION`] with it.

use super::Language;

/// The stop words of a language; none where terms are not words.
pub(super) const fn stop_words(language: Language) -> &'static str {
    match language {
        Language::English => ENGLISH,
        Language::French => FRENCH,
        Language::Spanish => SPANISH,
        Language::Portuguese => PORTUGUESE,
        Language::Italian => ITALIAN,
        Language::German => GERMAN,
        Language::Dutch => DUTCH,
        Language::Chinese | Language::Japanese | Language::Korean => "",
    }
}

const ENGLISH: &str = "a an and are as at be but by for from had has have he her his i if in into is it \
    its my no not of on or our she so such than that the their them then there these they this those \
    to was we were will with you your";

const FRENCH: &str = "à ai as au aux avait avec avez avons c ce ces cet cette d dans de des du elle \
    elles en es est et était eu eux furent fut il ils j je l la le les leur leurs lui m ma mais me \
    mes moi mon n ne nos notre nous on ont ou où par pas pour qu que qui s sa se ses si son sont sur \
    t ta te tes toi ton tu un une vos votre vous y";

const SPANISH: &str = "a al como con cual cuando de del desde donde e el él ella ellas ellos en entre \
    era eran es esa esas ese eso esos esta está están estas este esto estos fue fueron ha han hasta \
    hay la las le les lo los me mi mis muy nada ni no nos nosotros o os otra otro para pero por porque \
    que qué se ser si sí sin sobre son su sus también te tiene tienen todo todos tu tus u un una unas \
    uno unos y ya yo";

const PORTUGUESE: &str = "a à ao aos aquela aquele aquilo as às até com como da das de dela dele deles \
    do dos e é ela elas ele eles em entre era eram essa esse esta está estão este eu foi foram há isso \
    isto já lhe lhes mais mas me mesmo meu minha muito na não nas nem no nos nós nossa nosso num numa o \
    os ou para pela pelas pelo pelos por qual quando que quem se sem ser seu seus só sua suas também \
    te tem têm teu tu tua um uma você vocês";

const ITALIAN: &str = "a ad agli ai al alla alle allo anche c che chi ci col come con contro cui da \
    dagli dai dal dalla dalle dallo degli dei del della delle dello di dove e è ed era erano essere fu \
    gli ha hai hanno ho i il in io l la le lei li lo loro lui ma mi mia mie miei mio ne negli nei nel \
    nella nelle nello noi non nostra nostro o per perché più quale quando quella quelle quelli quello \
    questa queste questi questo se sei si sia siamo siete sono su sua sue sugli sui sul sulla sulle \
    sullo suo suoi ti tra tu tua tuo un una uno vi voi";

const GERMAN: &str = "aber als am an auch auf aus bei bin bis bist da damit das dass daß dein deine dem \
    den denn der des dich die dies diese diesem diesen dieser dieses dir doch dort du durch ein eine \
    einem einen einer eines er es euch euer für hab habe haben hat hatte hatten hier ich ihm ihn ihnen \
    ihr ihre ihrem ihren ihrer im in ins ist ja kein keine mein meine mich mir mit nach nicht noch nun \
    nur ob oder ohne sehr sein seine seinem seinen seiner sich sie sind so über um und uns unser unter \
    vom von vor war waren was weil wenn wer wie wir wird wo zu zum zur";

const DUTCH: &str = "aan al als bij dan dat de der deze die dit doch door een en er ge geen haar had \
    heb hebben heeft hem het hier hij hoe hun ik in is ja je kan me men met mij mijn naar niet nog nu \
    of om omdat ons ook op over te ten ter tot u uit uw van voor want waren was wat we wel werd wezen \
    wie wij wordt ze zich zij zijn zo zonder zou";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_lower_case_words_each_once() {
        for language in Language::ALL {
            let words: Vec<&str> = stop_words(language).split_whitespace().collect();
            assert_eq!(words.is_empty(), language.stemmer().is_none(), "{language}");
            for (nth, word) in words.iter().enumerate() {
                assert_eq!(*word, word.to_lowercase());
                assert!(word.chars().all(char::is_alphabetic), "{word:?}");
                assert!(!words[..nth].contains(word), "{language}: {word} stands twice");
            }
        }
    }
}

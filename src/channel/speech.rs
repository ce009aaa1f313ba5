//! Texts for voices: what a provider takes in one piece, and nothing that is not spoken.

/// Cuts a text into pieces of at most `max` characters, at the end of a sentence where there
/// is one, else between words. Control characters are left out.
pub fn pieces(text: &str, max: usize) -> Vec<String> {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut pieces = Vec::new();
    let mut rest = clean.trim();
    while rest.chars().count() > max {
        let end = rest.char_indices().nth(max).map_or(rest.len(), |(at, _)| at);
        let head = &rest[..end];
        let cut = head
            .rfind(". ")
            .map(|at| at + 1)
            .or_else(|| head.rfind(' '))
            .filter(|at| *at > 0)
            .unwrap_or(end);
        pieces.push(rest[..cut].trim().to_owned());
        rest = rest[cut..].trim_start();
    }
    if !rest.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_text_is_cut_after_a_sentence_or_between_words() {
        assert_eq!(pieces("One two. Three four.", 12), ["One two.", "Three four."]);
        assert_eq!(pieces("one two three", 8), ["one two", "three"]);
        assert_eq!(pieces("overlong", 4), ["over", "long"]);
        assert_eq!(pieces("a\u{0}b\n", 10), ["a b"]);
        assert!(pieces(" \t ", 10).is_empty());
    }

    proptest! {
        #[test]
        fn no_piece_is_too_long_and_no_letter_is_lost(text in "[a-zé. ]{0,200}", max in 5_usize..50) {
            let pieces = pieces(&text, max);
            prop_assert!(pieces.iter().all(|piece| piece.chars().count() <= max));
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&pieces.concat()), letters(&text));
        }
    }
}

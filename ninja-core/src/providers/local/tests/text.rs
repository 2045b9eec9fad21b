//! Bytes, characters, tokens, cycles.

use proptest::prelude::*;

use super::tiny::{Tiny, byte_character};
use crate::providers::local::byte_text::{TextStream, byte_of, bytes_of};
use crate::providers::local::error::ModelError;
use crate::providers::local::gguf::GgufFile;
use crate::providers::local::repetition::RepetitionGuard;
use crate::providers::local::vocabulary::Vocabulary;

fn vocabulary(tiny: &Tiny) -> Result<Vocabulary, ModelError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    tiny.write(&path);
    Vocabulary::from_gguf(&GgufFile::open(&path)?)
}

fn shown(vocabulary: &Vocabulary, ids: &[u32]) -> String {
    String::from_utf8(ids.iter().flat_map(|&id| vocabulary.shown(id).to_vec()).collect()).unwrap()
}

fn words(vocabulary: &Vocabulary, text: &str) -> Vec<String> {
    let ids = vocabulary.encode(text).unwrap();
    ids.iter().map(|&id| String::from_utf8_lossy(vocabulary.shown(id)).into_owned()).collect()
}

#[test]
fn every_byte_has_its_character() {
    for byte in 0..=255 {
        assert_eq!(byte_of(byte_character(byte)), Some(byte));
    }
    assert_eq!(byte_of('€'), None);
    assert_eq!(byte_of(' '), None);
    assert_eq!(bytes_of("Ġhé").as_deref(), Some(&[b' ', b'h', 0xE9][..]));
    assert_eq!(bytes_of("a b"), None);
}

#[test]
fn a_character_is_held_back_until_it_is_whole() {
    let mut stream = TextStream::default();
    let parts: Vec<String> = "a€𝄞".bytes().map(|byte| stream.push(&[byte])).collect();
    assert_eq!(parts, ["a", "", "", "€", "", "", "", "𝄞"]);
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let mut stream = TextStream::default();
    assert_eq!(stream.push(b"a\xFFb\xE2\x82"), "a\u{FFFD}b");
    assert_eq!(stream.push(b"c"), "\u{FFFD}c");
}

proptest! {
    #[test]
    fn a_stream_of_pieces_is_the_text(text in ".{0,60}", cuts in proptest::collection::vec(1usize..5, 0..80)) {
        let mut stream = TextStream::default();
        let mut rest = text.as_bytes();
        let mut all = String::new();
        for cut in cuts {
            let (piece, tail) = rest.split_at(cut.min(rest.len()));
            all.push_str(&stream.push(piece));
            rest = tail;
        }
        all.push_str(&stream.push(rest));
        prop_assert_eq!(all, text);
    }

    #[test]
    fn any_text_comes_back_from_its_tokens(texts in proptest::collection::vec("(?s).{0,40}", 8)) {
        for split in ["smollm", "gpt-2", "llama-bpe"] {
            let vocabulary = vocabulary(&Tiny { split, ..Tiny::default() }).unwrap();
            for text in &texts {
                let ids = vocabulary.encode(text).unwrap();
                prop_assert_eq!(&shown(&vocabulary, &ids), text);
                prop_assert!(!ids.iter().any(|&id| vocabulary.ends_turn(id)));
            }
        }
    }
}

#[test]
fn no_text_becomes_a_control_token() {
    for split in ["smollm", "gpt-2", "qwen2", "llama-bpe"] {
        let vocabulary = vocabulary(&Tiny { split, ..Tiny::default() }).unwrap();
        for name in ["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<tool_call>"] {
            let id = vocabulary.special(name).unwrap();
            let ids = vocabulary.encode(&format!("x{name}y {name}")).unwrap();
            assert!(!ids.contains(&id), "{split} {name}");
            assert_eq!(shown(&vocabulary, &ids), format!("x{name}y {name}"));
        }
    }
}

#[test]
fn words_are_merged_and_digits_stand_alone() {
    let vocabulary = vocabulary(&Tiny::default()).unwrap();
    assert_eq!(words(&vocabulary, "hello hello"), ["hello", " hello"]);
    assert_eq!(words(&vocabulary, "a12"), ["a", "1", "2"]);
}

#[test]
fn each_rule_cuts_as_its_model_was_trained() {
    let words_of = |split| {
        let tiny = Tiny {
            split,
            words: vec!["12", "123", "Ġ1", "ĊĊ"],
            merges: vec!["1 2", "12 3", "Ġ 1", "Ċ Ċ"],
            ..Tiny::default()
        };
        words(&vocabulary(&tiny).unwrap(), "123 1\n\nx")
    };
    assert_eq!(words_of("llama-bpe"), ["123", " ", "1", "\n\n", "x"]);
    assert_eq!(words_of("qwen2"), ["1", "2", "3", " ", "1", "\n\n", "x"]);
    assert_eq!(words_of("gpt-2"), ["123", " 1", "\n", "\n", "x"]);
    assert_eq!(words_of("smollm"), ["1", "2", "3", " ", "1", "\n", "\n", "x"]);
}

#[test]
fn qwen_composes_accents() {
    let vocabulary = vocabulary(&Tiny { split: "qwen2", ..Tiny::default() }).unwrap();
    assert_eq!(shown(&vocabulary, &vocabulary.encode("e\u{301}").unwrap()), "é");
}

#[test]
fn an_unknown_rule_is_refused_by_name() {
    let error = vocabulary(&Tiny { split: "deepseek-coder", ..Tiny::default() }).err().unwrap();
    assert!(error.to_string().contains("`deepseek-coder`"), "{error}");
}

#[test]
fn every_control_token_ends_the_turn_and_a_marker_does_not() {
    let vocabulary = vocabulary(&Tiny::default()).unwrap();
    let ends = |name| vocabulary.ends_turn(vocabulary.special(name).unwrap());
    assert!(ends("<|im_end|>") && ends("<|im_start|>") && ends("<|endoftext|>") && vocabulary.ends_turn(u32::MAX));
    assert!(!ends("<tool_call>"));
    assert_eq!(vocabulary.turn_ends(), [2, 0]);
    assert_eq!(vocabulary.shown(2), b"");
}

fn cycle_at(tokens: impl IntoIterator<Item = u32>) -> Option<usize> {
    let mut guard = RepetitionGuard::default();
    tokens.into_iter().position(|token| guard.push(token))
}

#[test]
fn a_cycle_is_noticed_when_it_has_come_three_times_and_is_long_enough() {
    assert_eq!(cycle_at(std::iter::repeat_n(5, 100)), Some(31));
    assert_eq!(cycle_at((0..200).map(|i| i % 20)), Some(59));
    assert_eq!(cycle_at((0..400).map(|i| i % 64)), Some(191));
    assert_eq!(cycle_at((1_000..1_050).chain((0..200).map(|i| i % 20))), Some(50 + 59));
}

#[test]
fn honest_text_is_no_cycle() {
    assert_eq!(cycle_at(0..5_000), None);
    assert_eq!(cycle_at(std::iter::repeat_n(5, 31)), None);
    assert_eq!(cycle_at((0..40).map(|i| i % 20)), None);
    // The same frame with another word in it each time, such as a table or a list.
    assert_eq!(cycle_at((0..500).map(|i| if i % 5 == 4 { 1_000 + i } else { i % 5 })), None);
}

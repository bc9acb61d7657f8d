//! Grammars in llama.cpp's notation: they take the texts that llama.cpp takes (`tests/test-gbnf-validator` of its sources says of each text below
//! what is said here), and no others.

use bantam_runtime::constraints::Constraints;
use bantam_runtime::sampling::{Constraint, Sampler, SamplingOptions};
use bantam_tokens::{Kind, SpecialTokens, Tokenizer, TrainOptions};

const JSON: &str = r#"
# Objects, as llama.cpp's own example has them.
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws

array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws

string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws

number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws

# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= | " " | "\n" [ \t]{0,20}
"#;

/// The space before the end of a line may belong to a term or to the line, which only a reader of characters can tell.
const ARITHMETIC: &str = r#"root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*
"#;

/// A grammar, texts that it makes, and texts that it does not.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const CASES: &[Case] = &[
    (
        JSON,
        &["{}", r#"{"a": [1, -2.5e3, true, null], "é": {"b": "\u00e9\n"}}"#, "{\"a\":\n\t\t1}"],
        &["", "[]", r#"{"a": }"#, r#"{"a": 01}"#, r#"{"a": "\x"}"#, r#"{"a": 1,}"#],
    ),
    (ARITHMETIC, &["x=1\n", "a_1 +2 *(b -3) = c \n\nx=1\n"], &["x=1", "x=\n", "1x=2\n", "(a=b\n"]),
    ("root ::= [a-z]+ \"x\" \"y\"", &["axy", "xxy", "axxyxy"], &["xy", "axx", "ax"]),
    ("root ::= \"a\" [b] \"c\" | \"ab\" \"d\" | \"abc\"*", &["abc", "abd", "", "abcabc"], &["ab", "abcd", "abca"]),
    ("root ::= a-b{2} | c\na-b ::= \"no\" | \"so\"\nc ::= .", &["noso", "o", "\n", "東"], &["no", "noo", ""]),
    (
        "root ::= [^a-c\\n]{1,2} | [-+]{3,} | [x-]{0} [\\]\\x41\\u00e9\\U0001F413]",
        &["dz", "-+-+", "]", "A", "é", "🐓"],
        &["a", "dd\n"],
    ),
    ("root ::= \"a\" | # first\n   \"b\" (\n \"c\"\n | \"d\" )\r\n", &["a", "bc", "bd"], &["b", "c"]),
    (
        "root ::= ((\"a\"?)+ \"\"){2} end\nend ::= \"\" | \"tab\\t\\\"\\\\\" end",
        &["", "aa", "tab\t\"\\tab\t\"\\"],
        &["b", "tab\t\""],
    ),
    ("root ::= list\nlist ::= item | item \",\" list\nitem ::= [0-9]+", &["1", "12,3,4"], &["1,", ",", ""]),
];

fn tokenizer() -> Tokenizer {
    let special = SpecialTokens { extra: vec!["<think>".into()], ..SpecialTokens::decoder() };
    let options = TrainOptions { vocabulary: 400, min_frequency: 1, special, ..TrainOptions::default() };
    let texts = ["{\"a\": [1, 2], \"b\": true}", "noso abc abd axxyxy tab a_1 + 2 * (b - 3) = c"];
    Tokenizer::train(Kind::Bpe, texts, &options).unwrap()
}

fn constraints(tokenizer: &Tokenizer) -> Constraints {
    let end = tokenizer.special().end.unwrap();
    Constraints::new(tokenizer, &[end], tokenizer.vocabulary_size()).unwrap()
}

/// Whether an answer may be this text and end there.
fn takes(tokenizer: &Tokenizer, mut constraint: Box<dyn Constraint>, text: &str) -> bool {
    for token in tokenizer.encode_content(text) {
        if constraint.is_done() || !constraint.mask().allows(token) {
            return false;
        }
        constraint.accept(token);
    }
    assert_eq!(constraint.fault(), None, "{text:?}");
    constraint.is_done() || constraint.mask().allows(tokenizer.special().end.unwrap())
}

#[test]
fn grammars_take_what_llama_cpp_takes() {
    let tokenizer = tokenizer();
    let constraints = constraints(&tokenizer);
    for (grammar, taken, refused) in CASES {
        let takes = |text: &str| takes(&tokenizer, constraints.grammar(grammar).unwrap(), text);
        for text in *taken {
            assert!(takes(text), "{text:?} of {grammar}");
        }
        for text in *refused {
            assert!(!takes(text), "{text:?} not of {grammar}");
        }
    }
}

#[test]
fn answers_are_what_the_grammar_makes() {
    let tokenizer = tokenizer();
    let constraints = constraints(&tokenizer);
    let end = tokenizer.special().end.unwrap();
    let mut whole = 0;
    for seed in 0..40 {
        let mut constraint = constraints.grammar(JSON).unwrap();
        let mut sampler = Sampler::new(SamplingOptions::default(), seed);
        let (mut tokens, mut has_ended) = (Vec::new(), false);
        while tokens.len() < 400 && !constraint.is_done() && !has_ended {
            let mut random = bantam_model::Random::new(seed, tokens.len() as u64);
            let closes = |id: u32| tokenizer.token(id).is_some_and(|token| token.contains(['"', '}', ']']));
            let bonus = |id: u32| if closes(id) || id == end { 4.0 } else { 0.0 };
            let ids = 0..tokenizer.vocabulary_size() as u32;
            let logits: Vec<f32> = ids.map(|id| 2.0 * random.normal() + bonus(id)).collect();
            let token = sampler.choose(&logits, Some(constraint.mask())).unwrap().token;
            has_ended = token == end;
            if !has_ended {
                sampler.accept(token);
                constraint.accept(token);
                tokens.push(token);
            }
        }
        if has_ended || constraint.is_done() {
            let text = tokenizer.decode(&tokens);
            assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap().is_object(), "{text}");
            whole += 1;
        }
    }
    assert!(whole > 20, "{whole} of 40 answers came to their end");
}

#[test]
fn tokens_may_be_named() {
    let tokenizer = tokenizer();
    let constraints = constraints(&tokenizer);
    let think = tokenizer.id("<think>").unwrap();
    for grammar in ["root ::= <think> \"a\"".to_owned(), format!("root ::= <[{think}]> \"a\"")] {
        let mut constraint = constraints.grammar(&grammar).unwrap();
        assert!(constraint.mask().allows(think));
        constraint.accept(think);
        assert!(takes(&tokenizer, constraint, "a"), "{grammar}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let tokenizer = tokenizer();
    let constraints = constraints(&tokenizer);
    let deep = format!("root ::= {}\"a\"{}", "(".repeat(100), ")".repeat(100));
    let cases = [
        ("root ::= other \"a\"", "line 1, column 10: there is no rule `other`"),
        ("first ::= \"a\"", "there is no rule `root`"),
        ("root ::= \"a\"\n\nroot ::= \"b\"", "line 3, column 1: there are two rules `root`"),
        ("root ::= \"a\" \"b\nc", "line 1, column 14: the literal has no end"),
        ("root ::= [a-z", "column 10: the list of characters has no end"),
        ("root ::= []", "the list of characters is empty"),
        ("root ::= [z-a]", "column 11: the range ends with 'a', before 'z'"),
        ("root ::= \"\\q\"", "column 11: what is escaped here?"),
        ("root ::= \"\\x4\"", "2 hexadecimal digits"),
        ("root ::= \"\\uD800\"", "4 hexadecimal digits"),
        ("root ::= * \"a\"", "column 10: `*` has nothing to repeat"),
        ("root ::= \"a\"{3,1}", "at least 3 and at most 1 times"),
        ("root ::= \"a\"{9999999999999999999999}", "more than 2000"),
        ("root ::= \"a\"{x}", "expected a number, found 'x'"),
        ("root ::= (\"a\"", "expected `)`, found the end"),
        ("root ::= \"a\" ) \"b\"", "column 14: expected `|` or the end of the line, found ')'"),
        ("root ::= \"a\"\nother = \"b\"", "line 2, column 7: expected `::=` after `other`, found '='"),
        ("root ::= !<think>", "must not come"),
        ("root ::= <think", "the token has no `>`"),
        (&deep, "brackets are nested deeper than"),
    ];
    for (grammar, told) in cases {
        let fault = constraints.grammar(grammar).err().map(|fault| fault.to_string());
        assert!(fault.as_ref().is_some_and(|fault| fault.contains(told)), "{grammar}: {fault:?}");
    }
}

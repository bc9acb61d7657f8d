//! Answers that must have a form: whatever a model's scores are, they have it; and what nothing can meet is refused.

use bantam_model::Random;
use bantam_runtime::chat::{ChatFormat, Tool, ToolChoice};
use bantam_runtime::constraints::Constraints;
use bantam_runtime::sampling::{Constraint, Sampler, SamplingOptions};
use bantam_tokens::{Kind, SpecialTokens, Tokenizer, TrainOptions};
use serde_json::{Value, json};

const TEXTS: [&str; 4] = [
    "{\"name\": \"Ada\", \"age\": 36, \"tags\": [\"a\", \"b\"], \"ok\": true, \"none\": null, \"x\": -1.5e3}",
    "where is my order 12345, naïve café 東京?",
    "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 _-+.,:;()[]{}<>/\\|!?@#$%&*'",
    "{}[]\":, true false null \\n \\u00e9",
];

fn trained(kind: Kind) -> Tokenizer {
    let special =
        SpecialTokens { extra: vec!["<tool_call>".into(), "[TOOL_CALLS]".into()], ..SpecialTokens::decoder() };
    let options = TrainOptions { vocabulary: 500, min_frequency: 1, special, ..TrainOptions::default() };
    Tokenizer::train(kind, TEXTS, &options).unwrap()
}

/// As Llama 2: characters that the vocabulary lacks are spelled in bytes, and the first space is dropped.
fn with_byte_fallback() -> Tokenizer {
    let mut vocabulary = serde_json::Map::new();
    let bytes = (0..=255u32).map(|byte| format!("<0x{byte:02X}>"));
    let pieces = ["▁", "{\"", "▁{", "\":", "▁\"", "\"}", "tr", "true", "▁1", "é", "[", "▁a"].map(str::to_owned);
    for (id, token) in ["<unk>", "<s>", "</s>"].map(str::to_owned).into_iter().chain(bytes).chain(pieces).enumerate() {
        vocabulary.insert(token, id.into());
    }
    let added = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let value = json!({
        "version": "1.0",
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {
            "type": "BPE", "vocab": vocabulary, "merges": [], "unk_token": "<unk>",
            "byte_fallback": true, "fuse_unk": true,
        },
    });
    Tokenizer::from_bytes(value.to_string().as_bytes()).unwrap()
}

struct Model {
    name: &'static str,
    tokenizer: Tokenizer,
    constraints: Constraints,
    end: u32,
}

fn models() -> Vec<Model> {
    let all = [
        ("bpe", trained(Kind::Bpe)),
        ("unigram", trained(Kind::Unigram)),
        ("wordpiece", trained(Kind::WordPiece)),
        ("byte fallback", with_byte_fallback()),
    ];
    all.into_iter()
        .map(|(name, tokenizer)| {
            let end = tokenizer.special().end.unwrap();
            // More rows than tokens, as real models have.
            let constraints = Constraints::new(&tokenizer, &[end], tokenizer.vocabulary_size() + 37).unwrap();
            Model { name, tokenizer, constraints, end }
        })
        .collect()
}

/// An answer of random scores, and whether it ended by itself.
fn answer(model: &Model, mut constraint: Box<dyn Constraint>, seed: u64) -> (String, bool) {
    let rows = model.tokenizer.vocabulary_size() + 37;
    let mut sampler = Sampler::new(SamplingOptions::default(), seed);
    let mut tokens = Vec::new();
    for place in 0..3_000 {
        if constraint.is_done() {
            return (model.tokenizer.decode(&tokens), true);
        }
        let mut random = Random::new(seed, place);
        let mut logits: Vec<f32> = (0..rows).map(|_| 2.0 * random.normal()).collect();
        // What closes a text is likelier, or it would go on for long.
        for (id, logit) in logits.iter_mut().enumerate().take(rows - 37) {
            if model.tokenizer.token(id as u32).is_some_and(|token| token.contains(['"', '}', ']'])) {
                *logit += 5.0;
            }
        }
        let mask = constraint.mask();
        let Some(choice) = sampler.choose(&logits, Some(mask)) else {
            // Tokens of WordPiece cannot spell all texts.
            assert_eq!(model.name, "wordpiece");
            break;
        };
        assert!(mask.allows(choice.token) && (choice.token as usize) < rows - 37);
        if choice.token == model.end {
            return (model.tokenizer.decode(&tokens), true);
        }
        sampler.accept(choice.token);
        constraint.accept(choice.token);
        tokens.push(choice.token);
    }
    (model.tokenizer.decode(&tokens), false)
}

type Check = fn(&Value) -> bool;

fn schemas() -> Vec<(Value, Check)> {
    vec![
        (
            json!({
                "type": "object",
                "properties": {"age": {"type": "integer", "minimum": 3, "maximum": 120}, "ok": {"type": "boolean"}},
                "required": ["age", "ok"], "additionalProperties": false,
            }),
            |value| {
                let fields = value.as_object().unwrap();
                fields.len() == 2
                    && fields["age"].as_i64().is_some_and(|age| (3..=120).contains(&age))
                    && fields["ok"].is_boolean()
            },
        ),
        (json!({"enum": ["refund", "delivery", 7, null]}), |value| {
            [json!("refund"), json!("delivery"), json!(7), json!(null)].contains(value)
        }),
        (json!({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 4}), |value| {
            let items = value.as_array().unwrap();
            (2..=4).contains(&items.len()) && items.iter().all(|item| item == "a" || item == "b")
        }),
        (
            json!({
                "$defs": {"point": {
                    "type": "object", "properties": {"x": {"type": "number", "minimum": -1, "maximum": 1}},
                    "required": ["x"], "additionalProperties": false,
                }},
                "type": "object",
                "properties": {"at": {"$ref": "#/$defs/point"}, "more": {"type": "array", "items": {"$ref": "#/$defs/point"}, "maxItems": 2}},
                "required": ["at", "more"], "additionalProperties": false,
            }),
            |value| {
                let is_point = |point: &Value| point["x"].as_f64().is_some_and(|x| (-1.0..=1.0).contains(&x));
                is_point(&value["at"]) && value["more"].as_array().unwrap().iter().all(is_point)
            },
        ),
        (json!({"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}), |value| {
            let text = value.as_str().unwrap().as_bytes();
            text.len() == 6
                && text[..2].iter().all(u8::is_ascii_uppercase)
                && text[2] == b'-'
                && text[3..].iter().all(u8::is_ascii_digit)
        }),
        (
            json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 30}}, "required": ["name"]}),
            |value| value["name"].as_str().is_some_and(|name| name.chars().count() <= 30),
        ),
    ]
}

#[test]
fn answers_of_any_model_meet_the_schema() {
    for model in models() {
        for (schema, check) in schemas() {
            let mut ended = 0;
            for seed in 0..12 {
                let (text, is_whole) = answer(&model, model.constraints.json_schema(&schema).unwrap(), seed);
                if !is_whole {
                    continue;
                }
                ended += 1;
                let value: Value = serde_json::from_str(&text).unwrap_or_else(|fault| {
                    panic!("{}: {schema}: {text:?}: {fault}", model.name);
                });
                assert!(check(&value), "{}: {schema}: {text}", model.name);
            }
            let least = if model.name == "wordpiece" { 0 } else { 8 };
            assert!(ended >= least, "{}: {schema}: {ended} of 12 answers ended", model.name);
        }
        let (text, is_whole) = answer(&model, model.constraints.regex(r"\{ ?1 ?[a-z]* ?\}").unwrap(), 1);
        assert!(is_whole && text.starts_with('{') && text.ends_with('}'), "{}: {text}", model.name);
        for seed in 0..5 {
            let (text, is_whole) = answer(&model, model.constraints.json_object().unwrap(), seed);
            assert!(!is_whole || serde_json::from_str::<Value>(&text).unwrap().is_object(), "{}: {text}", model.name);
        }
    }
}

#[test]
fn expressions_and_grammars_are_met_to_the_end() {
    let expression = r"(yes|no|perhaps), [0-9]{2,4} (a/b|é)";
    let truth = regex::Regex::new(&format!("^(?:{expression})$")).unwrap();
    let lark = "start: \"sum \" number (\"+\" number)*\nnumber: /[0-9]{1,3}/\n";
    let sum = regex::Regex::new(r"^sum [0-9]{1,3}(\+[0-9]{1,3})*$").unwrap();
    // WordPiece has no way to write without spaces.
    for model in models().into_iter().filter(|model| model.name != "wordpiece") {
        for seed in 0..20 {
            let (text, is_whole) = answer(&model, model.constraints.regex(expression).unwrap(), seed);
            assert!(is_whole && truth.is_match(&text), "{}: {text:?}", model.name);
            let (text, is_whole) = answer(&model, model.constraints.grammar(lark).unwrap(), seed);
            assert!(!is_whole || sum.is_match(&text), "{}: {text:?}", model.name);
        }
    }
}

fn weather() -> Tool {
    let parameters = json!({
        "$defs": {"city": {"enum": ["Rome", "Oslo"]}},
        "properties": {"city": {"$ref": "#/$defs/city"}}, "required": ["city"], "additionalProperties": false,
    });
    Tool { name: "weather".to_owned(), description: None, parameters }
}

#[test]
fn forced_calls_are_read_as_calls_in_every_style() {
    let now = Tool {
        name: "now".to_owned(),
        description: None,
        parameters: json!({"type": "object", "properties": {}, "additionalProperties": false}),
    };
    let tools = [weather(), now];
    let model = &models()[0];
    for template in ["<tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "none"] {
        let format = ChatFormat::new(template, &model.tokenizer).unwrap();
        for seed in 0..20 {
            let named = ToolChoice::Named("weather".to_owned());
            for choice in [ToolChoice::Required, named] {
                let constraint = model.constraints.tool_call(&format, &tools, &choice).unwrap();
                let (text, is_whole) = answer(model, constraint, seed);
                assert!(is_whole, "{template}: {text}");
                let parsed = format.tool_calls(&text);
                assert_eq!(parsed.text, "", "{template}: {text}");
                assert!(!parsed.calls.is_empty());
                for call in &parsed.calls {
                    let is_weather = call.name == "weather";
                    assert!(is_weather || (choice == ToolChoice::Required && call.name == "now"));
                    assert!(!is_weather || call.arguments["city"] == "Rome" || call.arguments["city"] == "Oslo");
                }
                assert!(choice == ToolChoice::Required || parsed.calls.len() == 1);
            }
        }
    }
}

#[test]
fn what_cannot_be_met_is_refused_before_the_first_token_with_its_place() {
    let model = &models()[0];
    let constraints = &model.constraints;
    let schema = |schema: Value| constraints.json_schema(&schema).err().expect("it cannot be met").to_string();
    let unsupported = json!({"type": "object", "properties": {"a/b": {"items": {"not": {"type": "null"}}}}});
    let told = schema(unsupported);
    assert!(told.contains("/properties/a~1b/items/not") && told.contains("`not` is not supported"), "{told}");
    let cases = [
        (json!({"type": "array", "uniqueItems": true}), "/uniqueItems"),
        (json!({"type": "integer", "minimum": 5, "maximum": 3}), "minimum"),
        (
            json!({"type": "object", "properties": {"age": {"type": "integer", "minimum": 5, "maximum": 3}}, "required": ["age"]}),
            "age",
        ),
        (json!({"type": "object", "properties": {"a": false}, "required": ["a"]}), "'a'"),
        (json!({"type": "strnig"}), "strnig"),
        (json!({"$ref": "#/$defs/none"}), "none"),
        (json!({"type": "string", "format": "shoe-size"}), "shoe-size"),
        (json!({"type": "string", "pattern": "["}), "["),
        (json!([1]), "no JSON object"),
        (json!(false), "no JSON object"),
        (json!({"x-guidance": {"lenient": true}, "not": {}}), "not supported"),
    ];
    for (value, part) in cases {
        let told = schema(value.clone());
        assert!(told.contains(part) && !told.contains("panic") && told.len() < 400, "{value}: {told}");
    }
    let mut deep = json!({"type": "null"});
    (0..500).for_each(|_| deep = json!({"type": "array", "items": deep.take()}));
    assert!(schema(deep).contains("nested deeper"));
    let refused = |result: Result<Box<dyn Constraint>, _>| -> String {
        let fault: bantam_runtime::constraints::ConstraintError = result.err().expect("it cannot be met");
        fault.to_string()
    };
    assert!(refused(constraints.regex("(a")).contains("the regular expression: "));
    assert!(refused(constraints.regex("a(?=b)")).contains("the regular expression: "));
    assert!(refused(constraints.grammar("start: other\n")).contains("other"));
    assert!(refused(constraints.grammar("start: \"a")).contains("the grammar: "));
    assert!(refused(constraints.grammar(&"(".repeat(10_000))).contains("nested deeper"));
    assert!(refused(constraints.regex(&"[".repeat(10_000))).len() < 400);
    assert!(refused(constraints.choices(&[])).contains("the choices: there are none"));
    let format = ChatFormat::plain();
    let tools = [Tool { parameters: json!({"properties": {"a": {"if": {}}}}), ..weather() }];
    assert!(
        refused(constraints.tool_call(&format, &tools, &ToolChoice::Required))
            .contains("weather\" at /properties/a/if")
    );
    let unknown = ToolChoice::Named("nothing".to_owned());
    assert!(refused(constraints.tool_call(&format, &[weather()], &unknown)).contains("nothing"));
}

/// `$defs` of which each refers to the next, as a schema of so many objects.
fn referring(objects: usize) -> Value {
    let last = objects - 3;
    let named = (0..last).map(|index| (format!("d{index}"), json!({"$ref": format!("#/$defs/d{}", index + 1)})));
    let definitions: serde_json::Map<_, _> = named.chain([(format!("d{last}"), json!({"type": "null"}))]).collect();
    json!({"$defs": definitions, "$ref": "#/$defs/d0"})
}

/// Rules of which each stands for the next.
fn following(rules: usize) -> String {
    let each = (0..rules).map(|index| format!("r{index}: r{}\n", index + 1));
    format!("start: r0\n{}r{rules}: \"x\"\n", each.collect::<String>())
}

#[test]
fn forms_that_take_too_much_are_refused_and_long_ones_are_not() {
    let model = &models()[0];
    let constraints = &model.constraints;
    let refused = |result: Result<Box<dyn Constraint>, _>| -> String {
        let fault: bantam_runtime::constraints::ConstraintError = result.err().expect("it is too much");
        fault.to_string()
    };
    // Chains of references and rules as long as they may be: reading them takes more than the stack of a thread.
    assert_eq!(answer(model, constraints.json_schema(&referring(10_000)).unwrap(), 1).0.trim(), "null");
    assert_eq!(answer(model, constraints.grammar(&following(1_000)).unwrap(), 1).0, "x");
    assert!(refused(constraints.json_schema(&referring(10_001))).contains("10001 objects"));
    assert!(refused(constraints.grammar(&following(5_000))).contains("bytes, more than"));
    let format = ChatFormat::plain();
    let tools = ["a", "b"].map(|name| Tool {
        name: name.to_owned(),
        description: None,
        parameters: json!({
            "$defs": referring(6_000)["$defs"],
            "type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}},
        }),
    });
    assert!(refused(constraints.tool_call(&format, &tools, &ToolChoice::Required)).contains("\"b\""));
    let one = ToolChoice::Named("b".to_owned());
    assert_eq!(constraints.tool_call(&format, &tools, &one).err(), None);
    // Expressions that are short, and stand for long ones.
    assert!(refused(constraints.regex(&"a?".repeat(20_000))).contains("40000 bytes, more than"));
    let doubled: String = (0..16).map(|index| format!("A{}: A{index} A{index}\n", index + 1)).collect();
    let told = refused(constraints.grammar(&format!("start: A16\nA0: \"a\"?\n{doubled}")));
    assert!(told.contains("too big"), "{told}");
    // What is long and little work.
    let words: Vec<String> = (0..3_000).map(|index| format!("word {index}?")).collect();
    let (text, is_whole) = answer(model, constraints.choices(&words).unwrap(), 1);
    assert!(is_whole && words.contains(&text), "{text}");
    let fields: serde_json::Map<_, _> =
        (0..1_500).map(|index| (format!("f{index}"), json!({"const": index}))).collect();
    let schema = json!({"type": "object", "properties": fields, "additionalProperties": false});
    let (text, is_whole) = answer(model, constraints.json_schema(&schema).unwrap(), 1);
    assert!(!is_whole || serde_json::from_str::<Value>(&text).unwrap().is_object(), "{text}");
}

#[test]
fn a_form_that_becomes_too_much_is_a_fault_and_no_whole_answer() {
    let model = &models()[0];
    let mut constraint = model.constraints.regex(&format!("a{}", "a{0,9}".repeat(2_000))).unwrap();
    let token = model.tokenizer.id("a").unwrap();
    for _ in 0..10 {
        if constraint.fault().is_none() && constraint.mask().allows(token) {
            constraint.accept(token);
        }
    }
    assert!(constraint.fault().is_some_and(|fault| fault.contains("too many")) && !constraint.is_done());
}

#[test]
fn what_nothing_meets_is_refused_where_a_space_may_stand_before_it() {
    for model in models() {
        let told = model.constraints.grammar("start: A\nA: /a/ & /b/\n").err().map(|fault| fault.to_string());
        assert!(told.as_deref().is_some_and(|told| told.contains("meets it")), "{}: {told:?}", model.name);
        if model.name != "wordpiece" {
            assert!(model.constraints.regex("[ ]").is_ok() && model.constraints.regex("a?").is_ok(), "{}", model.name);
        }
    }
}

#[test]
fn a_model_without_end_stops_where_nothing_may_follow() {
    let tokenizer = trained(Kind::Bpe);
    let constraints = Constraints::new(&tokenizer, &[], tokenizer.vocabulary_size()).unwrap();
    let mut constraint = constraints.regex("ab").unwrap();
    for letter in ["a", "b"] {
        assert!(!constraint.is_done());
        let token = tokenizer.id(letter).unwrap();
        assert!(constraint.mask().allows(token));
        constraint.accept(token);
    }
    assert!(constraint.is_done());
    let mut other = constraints.regex("ab").unwrap();
    other.accept(tokenizer.id("b").unwrap());
    assert!(other.fault().is_some() && !other.is_done(), "what was not allowed makes no whole answer");
}

#[test]
fn one_is_shared_by_many_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Constraints>();
    is_shared::<ChatFormat>();
}

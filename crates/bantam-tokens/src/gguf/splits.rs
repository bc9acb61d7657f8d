//! How byte-level tokenizers split a text into words, by the names that `tokenizer.ggml.pre` has for them.
//!
//! Each pattern splits what the one before it left; matches and what lies between them are words. The patterns are
//! those of the models' own `tokenizer.json`, and for `default` what llama.cpp takes.

/// How a text is split.
pub(super) struct Splits {
    /// One after the other; `None` for GPT-2's alone.
    pub(super) patterns: Option<Vec<String>>,
    /// Whether a word that is a token is taken whole, whatever the pairs.
    pub(super) ignores_merges: bool,
    /// Whether texts get a begin where the file does not say it.
    pub(super) adds_begin: bool,
}

impl Splits {
    /// The patterns, one after the other.
    pub(super) fn patterns(&self) -> Vec<&str> {
        self.patterns.as_ref().map_or_else(|| vec![GPT_2], |patterns| patterns.iter().map(String::as_str).collect())
    }
}

/// Radford et al. 2019.
pub(super) const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const DIGIT: &str = r"\p{N}";
const LINE_BREAK: &str = r"[\r\n]";
const CHINESE_OR_KOREAN: &str = r"[\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+";
const CHINESE_OR_JAPANESE: &str = r"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+";
/// Letters with a case, but for those of scripts and blocks that DeepSeek's list leaves out.
const DEEPSEEK_WORD: &str = r"\s?[\p{Lu}\p{Ll}\p{Lt}&&[^\x{0560}-\x{0588}\x{10C6}-\x{10FF}\x{1C80}-\x{1C8F}\x{2D00}-\x{2D2F}\x{A78F}-\x{A7FF}\x{AB30}-\x{AB6F}\x{10570}-\x{105BF}\x{10D40}-\x{10D8F}\x{16E40}-\x{16EFF}\x{1D400}-\x{1DFFF}]]+";
const DEEPSEEK_SIGNS: &str = r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+";
const DEEPSEEK_3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

/// The pattern of Llama 3 and Qwen 2, which differ in how many digits make a word.
fn llama_3(digits: &str) -> String {
    format!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
}

/// Mistral's later pattern: a word begins anew where a capital follows a small letter.
fn tekken() -> String {
    let (upper, lower) = (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]");
    let before = r"[^\r\n\p{L}\p{N}]?";
    let rest = r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    format!("{before}{upper}*{lower}+|{before}{upper}+{lower}*|{rest}")
}

/// How texts are split under the name `pre`; `None` where that is not known.
pub(super) fn splits_of(pre: &str) -> Option<Splits> {
    let plain = |patterns: &[&str]| Splits {
        patterns: Some(patterns.iter().map(|&pattern| pattern.to_owned()).collect()),
        ignores_merges: false,
        adds_begin: false,
    };
    Some(match pre {
        "default" => plain(&[r"[\p{P}\$\+<=>\^~\|]+", GPT_2, r"\p{N}+", "[0-9][0-9][0-9]"]),
        "gpt-2" | "phi-2" | "jina-es" | "jina-de" | "jina-v1-en" | "jina-v2-es" | "jina-v2-de" | "jina-v2-code"
        | "gigachat" | "roberta-bpe" | "mpt" | "olmo" | "jais" => {
            Splits { patterns: None, ignores_merges: false, adds_begin: false }
        }
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" | "minerva-7b" => {
            plain(&[DIGIT, GPT_2])
        }
        "falcon" => plain(&[r"[\p{P}\$\+<=>\^~\|`]+", GPT_2, "[0-9][0-9][0-9]"]),
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" => {
            Splits { ignores_merges: true, adds_begin: true, ..plain(&[&llama_3(r"\p{N}{1,3}")]) }
        }
        "dbrx" | "smaug-bpe" | "chatglm-bpe" => plain(&[&llama_3(r"\p{N}{1,3}")]),
        "qwen2" | "stablelm2" | "megrez" | "deepseek-r1-qwen" => plain(&[&llama_3(DIGIT)]),
        "tekken" => Splits { ignores_merges: true, adds_begin: true, ..plain(&[&tekken()]) },
        "deepseek-llm" => plain(&[LINE_BREAK, DEEPSEEK_WORD, DEEPSEEK_SIGNS, r"\s+$", CHINESE_OR_KOREAN, r"\p{N}+"]),
        "deepseek-coder" => plain(&[LINE_BREAK, r"\s?\p{L}+", r"\s?\p{P}+", CHINESE_OR_KOREAN, DIGIT]),
        "deepseek-v3" => plain(&[r"\p{N}{1,3}", CHINESE_OR_JAPANESE, DEEPSEEK_3]),
        _ => return None,
    })
}

//! Grammars in the notation of llama.cpp (GBNF), written anew in Lark's, which the engine reads.
//!
//! GBNF speaks of characters, and may leave open where one part of a text ends and the next begins. The engine reads in lexemes, of which each
//! takes as much as it can. So each character becomes a lexeme of its own, which leaves all of that to the engine's rules.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::json;

use super::MOST_NESTED;

/// What every text is made by.
const ROOT: &str = "root";
/// The highest count of a repetition, which is llama.cpp's own.
const MOST_REPEATED: usize = 2_000;
/// No character at all, in Lark.
const EMPTY: &str = "\"\"";

/// Whether a grammar is in this notation: its first rule has `::=` behind its name.
pub(super) fn is_gbnf(grammar: &str) -> bool {
    let mut reader = Reader::new(grammar);
    reader.skip(true);
    reader.name().is_some() && {
        reader.skip(false);
        reader.take("::=")
    }
}

/// The same grammar in Lark's notation.
///
/// # Errors
/// What is wrong, and in which line and column.
pub(super) fn to_lark(grammar: &str) -> Result<String, String> {
    let mut reader = Reader::new(grammar);
    reader.skip(true);
    while !reader.is_at_end() {
        reader.rule()?;
        reader.skip(true);
    }
    let unknown = reader.rules.values().filter(|rule| !rule.is_made).min_by_key(|rule| rule.place);
    if let Some(rule) = unknown {
        let name = rule.name;
        return Err(reader.told(rule.place, &format!("there is no rule `{name}`")));
    }
    match reader.rules.get(ROOT) {
        Some(root) => Ok(format!("start: {}\n{}", root.lark(), reader.out)),
        None => Err(format!("there is no rule `{ROOT}`, which every text is made by")),
    }
}

/// A rule that was named.
struct Rule<'a> {
    name: &'a str,
    number: usize,
    /// Where it was named first.
    place: usize,
    is_made: bool,
}

impl Rule<'_> {
    /// Its name in Lark, which has no dashes.
    fn lark(&self) -> String {
        format!("r{}", self.number)
    }
}

struct Reader<'a> {
    text: &'a str,
    /// Bytes read.
    place: usize,
    rules: BTreeMap<&'a str, Rule<'a>>,
    /// Groups that became rules of their own.
    groups: usize,
    /// The rules so far.
    out: String,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, place: 0, rules: BTreeMap::new(), groups: 0, out: String::new() }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.place..]
    }

    fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.place += next.len_utf8();
        Some(next)
    }

    /// Reads `text` if it comes next.
    fn take(&mut self, text: &str) -> bool {
        let comes = self.rest().starts_with(text);
        self.place += if comes { text.len() } else { 0 };
        comes
    }

    /// Passes over spaces and comments, and over the ends of lines if they count as spaces.
    fn skip(&mut self, over_lines: bool) {
        while let Some(next) = self.peek() {
            match next {
                ' ' | '\t' => self.place += 1,
                '\r' | '\n' if over_lines => self.place += 1,
                '#' => self.place += self.rest().find(['\r', '\n']).unwrap_or(self.rest().len()),
                _ => break,
            }
        }
    }

    /// An error at some place.
    fn told(&self, place: usize, what: &str) -> String {
        let before = &self.text[..place];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&character| character != '\n').count() + 1;
        format!("line {line}, column {column}: {what}")
    }

    /// An error here.
    fn expected(&self, what: &str) -> String {
        let found = self.peek().map_or("the end".to_owned(), |next| format!("{next:?}"));
        self.told(self.place, &format!("expected {what}, found {found}"))
    }

    fn name(&mut self) -> Option<&'a str> {
        let is_part = |next: char| next.is_ascii_alphanumeric() || matches!(next, '-' | '_');
        let rest = self.rest();
        let length = rest.find(|next| !is_part(next)).unwrap_or(rest.len());
        self.place += length;
        (length > 0).then(|| &rest[..length])
    }

    /// The rule of that name, which was read just now.
    fn named(&mut self, name: &'a str) -> &mut Rule<'a> {
        let (number, place) = (self.rules.len(), self.place - name.len());
        self.rules.entry(name).or_insert(Rule { name, number, place, is_made: false })
    }

    fn rule(&mut self) -> Result<(), String> {
        let start = self.place;
        let Some(name) = self.name() else { return Err(self.expected("the name of a rule")) };
        let rule = self.named(name);
        if rule.is_made {
            return Err(self.told(start, &format!("there are two rules `{name}`")));
        }
        rule.is_made = true;
        let lark = rule.lark();
        self.skip(false);
        if !self.take("::=") {
            return Err(self.expected(&format!("`::=` after `{name}`")));
        }
        self.skip(true);
        let alternatives = self.alternatives(0)?;
        let read = &self.text[..self.place];
        let ends_line = read[read.trim_end().len()..].contains(['\r', '\n']);
        if !self.is_at_end() && !ends_line {
            return Err(self.expected("`|` or the end of the line"));
        }
        self.make(&lark, &alternatives);
        Ok(())
    }

    fn make(&mut self, name: &str, alternatives: &str) {
        writeln!(self.out, "{name}: {alternatives}").expect("a string takes all that is written to it");
    }

    /// What stands in a rule of its own, so that it is one thing for who repeats it.
    fn group(&mut self, alternatives: &str) -> String {
        let name = format!("g{}", self.groups);
        self.groups += 1;
        self.make(&name, alternatives);
        name
    }

    /// All alternatives of a rule, or of a group, which may go over several lines.
    fn alternatives(&mut self, depth: usize) -> Result<String, String> {
        if depth > MOST_NESTED {
            return Err(self.told(self.place, &format!("brackets are nested deeper than {MOST_NESTED}")));
        }
        let mut found = vec![self.sequence(depth)?];
        loop {
            // Behind the end of a rule's line comes the next rule, or one more alternative.
            self.skip(true);
            if !self.take("|") {
                return Ok(found.join(" | "));
            }
            self.skip(true);
            found.push(self.sequence(depth)?);
        }
    }

    fn sequence(&mut self, depth: usize) -> Result<String, String> {
        let mut parts = Vec::new();
        while let Some(next) = self.peek() {
            let start = self.place;
            let part = match next {
                '"' => self.literal()?,
                '[' => vec![self.class()?],
                '.' => {
                    self.place += 1;
                    vec![r"/(?s:.)/".to_owned()]
                }
                '(' => {
                    self.place += 1;
                    self.skip(true);
                    let alternatives = self.alternatives(depth + 1)?;
                    if !self.take(")") {
                        return Err(self.expected("`)`"));
                    }
                    vec![self.group(&alternatives)]
                }
                '<' => vec![self.token()?],
                '!' => return Err(self.told(start, "tokens that must not come are not supported; leave them out")),
                '*' | '+' | '?' | '{' => return Err(self.told(start, &format!("`{next}` has nothing to repeat"))),
                _ => match self.name() {
                    Some(name) => vec![self.named(name).lark()],
                    None => break,
                },
            };
            parts.push(self.repeated(&part)?);
            self.skip(depth > 0);
        }
        parts.retain(|part| part != EMPTY);
        Ok(if parts.is_empty() { EMPTY.to_owned() } else { parts.join(" ") })
    }

    /// Parts one after another, and how often all of them come.
    fn repeated(&mut self, parts: &[String]) -> Result<String, String> {
        let mut whole = if parts.is_empty() { EMPTY.to_owned() } else { parts.join(" ") };
        let mut is_one = parts.len() == 1;
        while let Some(times) = self.times()? {
            if !is_one {
                whole = self.group(&whole);
            }
            whole = if times == "{0}" || whole == EMPTY { EMPTY.to_owned() } else { format!("{whole}{times}") };
            is_one = false;
        }
        Ok(whole)
    }

    /// How often what was read comes, in Lark; `None` where nothing is said.
    fn times(&mut self) -> Result<Option<String>, String> {
        let start = self.place;
        self.skip(false);
        match self.peek() {
            Some(next @ ('*' | '+' | '?')) => {
                self.place += 1;
                Ok(Some(next.to_string()))
            }
            Some('{') => {
                self.place += 1;
                self.skip(false);
                let least = self.count()?;
                self.skip(false);
                let mut most = Some(least);
                if self.take(",") {
                    self.skip(false);
                    most = if self.peek() == Some('}') { None } else { Some(self.count()?) };
                    self.skip(false);
                }
                if !self.take("}") {
                    return Err(self.expected("`}`"));
                }
                match most {
                    Some(most) if most < least => {
                        Err(self.told(start, &format!("at least {least} and at most {most} times")))
                    }
                    Some(0) => Ok(Some("{0}".to_owned())),
                    Some(most) => Ok(Some(format!("{{{least},{most}}}"))),
                    None => Ok(Some(format!("{{{least},}}"))),
                }
            }
            _ => {
                self.place = start;
                Ok(None)
            }
        }
    }

    fn count(&mut self) -> Result<usize, String> {
        let rest = self.rest();
        let digits = &rest[..rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(rest.len())];
        if digits.is_empty() {
            return Err(self.expected("a number"));
        }
        let count = digits.parse().ok().filter(|&count| count <= MOST_REPEATED);
        let count =
            count.ok_or_else(|| self.told(self.place, &format!("{digits} times, more than {MOST_REPEATED}")))?;
        self.place += digits.len();
        Ok(count)
    }

    /// The characters of a literal.
    fn literal(&mut self) -> Result<Vec<String>, String> {
        let start = self.place;
        self.place += 1;
        let mut characters = Vec::new();
        while !self.take("\"") {
            let character = self.character().transpose()?;
            let character = character.ok_or_else(|| self.told(start, "the literal has no end"))?;
            characters.push(json!(character.to_string()).to_string());
        }
        Ok(characters)
    }

    /// One of some characters, or none of them.
    fn class(&mut self) -> Result<String, String> {
        let start = self.place;
        self.place += 1;
        let not = if self.take("^") { "^" } else { "" };
        let mut ranges = String::new();
        while !self.take("]") {
            let endless = || "the list of characters has no end";
            let place = self.place;
            let first = self.character().transpose()?.ok_or_else(|| self.told(start, endless()))?;
            let is_range = self.rest().starts_with('-') && !self.rest().starts_with("-]");
            let last = if is_range {
                self.place += 1;
                self.character().transpose()?.ok_or_else(|| self.told(start, endless()))?
            } else {
                first
            };
            if last < first {
                return Err(self.told(place, &format!("the range ends with {last:?}, before {first:?}")));
            }
            write!(ranges, "\\x{{{:x}}}-\\x{{{:x}}}", first as u32, last as u32)
                .expect("a string takes all that is written to it");
        }
        if ranges.is_empty() {
            return Err(self.told(start, "the list of characters is empty"));
        }
        Ok(format!("/[{not}{ranges}]/"))
    }

    /// A character of a literal or a list, perhaps escaped; `None` at the end.
    fn character(&mut self) -> Option<Result<char, String>> {
        let place = self.place;
        match self.next()? {
            '\\' => Some(self.escaped(place)),
            character => Some(Ok(character)),
        }
    }

    fn escaped(&mut self, place: usize) -> Result<char, String> {
        let digits = match self.next() {
            Some('t') => return Ok('\t'),
            Some('r') => return Ok('\r'),
            Some('n') => return Ok('\n'),
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some(character) if character.is_ascii_punctuation() => return Ok(character),
            _ => {
                let remedy = r#"write \n, \r, \t, \x.., \u...., \U........, or a backslash before punctuation"#;
                return Err(self.told(place, &format!("what is escaped here? {remedy}")));
            }
        };
        let number = self.rest().get(..digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let character = number.and_then(|text| u32::from_str_radix(text, 16).ok()).and_then(char::from_u32);
        self.place += if character.is_some() { digits } else { 0 };
        character.ok_or_else(|| self.told(place, &format!("{digits} hexadecimal digits of a character have to follow")))
    }

    /// A token of its own, such as `<think>` or `<[1000]>`, which Lark has in the same notation.
    fn token(&mut self) -> Result<String, String> {
        let start = self.place;
        let length = self.rest().find(['>', '\n']).filter(|&end| self.rest().as_bytes()[end] == b'>');
        let length = length.ok_or_else(|| self.told(start, "the token has no `>` at its end"))? + 1;
        self.place += length;
        Ok(self.text[start..self.place].to_owned())
    }
}

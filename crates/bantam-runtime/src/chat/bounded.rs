//! Templates that cannot take more memory than they are given. Before each instruction that makes a text or a list stands one that adds up what
//! it will make ([`size`](super::size)), and ends the template where that is too much: a text that doubles in a loop is as long as a disk after
//! forty rounds, so a bound on steps is none on memory.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::machinery::{
    CodeGenerator, Instruction, Instructions, Token, Vm, WhitespaceConfig, make_string_output, parse, tokenize,
};
use minijinja::value::{Object, Rest};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};

use super::size::{made, stored};

/// Bytes of a template; those in use have a quarter of that at most.
const MOST_SOURCE: usize = 60_000;
/// Words and signs between two braces, and each `elif`: the parser calls itself for them, and has a stack that ends.
const MOST_TOKENS: usize = 1000;
const MOST_ELIFS: usize = 200;
const WHITESPACE: WhitespaceConfig =
    WhitespaceConfig { keep_trailing_newline: false, lstrip_blocks: true, trim_blocks: true };

// What the guards call; no template can spell these names.
const METER: &str = "the meter";
const GUARD: &str = "the guard";
const CHARGE: &str = "the charge";
/// Gives what it gets. Where it stands, nothing is multiplied before the guards are there.
const ITSELF: &str = "itself";

/// Bytes that a rendering may still make.
#[derive(Debug)]
struct Meter(AtomicUsize);

impl Object for Meter {}

/// A template, ready to be rendered.
pub(super) struct Program<'source> {
    root: Instructions<'source>,
    blocks: BTreeMap<&'source str, Instructions<'source>>,
}

/// Has `engine` run [`Program`]s.
pub(super) fn prepare(engine: &mut Environment) {
    engine.add_function(GUARD, guard);
    engine.add_function(CHARGE, charge);
    engine.add_filter(ITSELF, |value: Value| value);
    engine.remove_global("debug");
    engine.set_formatter(|output, state, value| {
        let mut metered = Metered { output, state, refused: None };
        write!(metered, "{value}").map_err(|error| metered.refused.unwrap_or_else(|| error.into()))
    });
}

/// The source as [`Program::of`] wants it.
pub(super) fn prepared(source: &str) -> Result<String, Error> {
    let refused = |what: String| Err(Error::new(ErrorKind::SyntaxError, what));
    if source.len() > MOST_SOURCE {
        return refused(format!("it has {} bytes, and {MOST_SOURCE} are allowed", source.len()));
    }
    let (mut text, mut copied) = (String::new(), 0);
    let (mut tokens, mut elifs, mut opens_call) = (0, 0, false);
    for token in tokenize(source, false, Default::default(), WHITESPACE) {
        let (token, span) = token?;
        tokens = if matches!(token, Token::VariableStart | Token::BlockStart) { 0 } else { tokens + 1 };
        if tokens > MOST_TOKENS {
            return refused(format!("line {} has more than {MOST_TOKENS} words and signs", span.start_line));
        }
        elifs += usize::from(tokens == 1 && matches!(token, Token::Ident("elif")));
        if elifs > MOST_ELIFS {
            return refused(format!("it has more than {MOST_ELIFS} times `elif`"));
        }
        if matches!(token, Token::Mul) && !opens_call {
            let place = span.start_offset as usize;
            text += &source[copied..place];
            text += "|";
            text += ITSELF;
            text += " ";
            copied = place;
        }
        opens_call = matches!(token, Token::ParenOpen | Token::Comma);
    }
    Ok(text + &source[copied..])
}

impl<'source> Program<'source> {
    /// A program of a source that was [`prepared`].
    pub(super) fn of(source: &'source str, name: &'source str) -> Result<Self, Error> {
        let mut generator = CodeGenerator::new(name, source);
        generator.compile_stmt(&parse(source, name, Default::default(), WHITESPACE)?);
        let (root, blocks) = generator.finish();
        let blocks = blocks.iter().map(|(&name, block)| Ok((name, guarded(block)?)));
        Ok(Self { root: guarded(&root)?, blocks: blocks.collect::<Result<_, Error>>()? })
    }

    /// What it writes. All that it makes on the way has `most` bytes at most.
    pub(super) fn render(
        &self,
        engine: &Environment<'source>,
        mut values: BTreeMap<&str, Value>,
        most: usize,
    ) -> Result<String, Error> {
        values.insert(METER, Value::from_object(Meter(AtomicUsize::new(most))));
        let mut text = String::new();
        let mut output = make_string_output(&mut text);
        Vm::new(engine).eval(&self.root, Value::from(values), &self.blocks, &mut output, AutoEscape::None)?;
        Ok(text)
    }
}

/// The same instructions with their guards.
fn guarded<'source>(plain: &Instructions<'source>) -> Result<Instructions<'source>, Error> {
    let old = |index: usize| plain.get(index as u32).cloned();
    let mut all = Vec::new();
    let mut places = Vec::new();
    for (index, instruction) in (0..plain.len()).map_while(|index| Some((index, old(index)?))) {
        places.push(all.len() as u32);
        all.extend(before(&instruction)?.into_iter().map(|guard| (index as u32, guard)));
        all.push((index as u32, instruction));
    }
    places.push(all.len() as u32);
    let mut guarded = Instructions::new(plain.name(), plain.source());
    for (index, mut instruction) in all {
        if let Instruction::Iterate(target)
        | Instruction::Jump(target)
        | Instruction::JumpIfFalse(target)
        | Instruction::JumpIfFalseOrPop(target)
        | Instruction::JumpIfTrueOrPop(target)
        | Instruction::BuildMacro(_, target, _) = &mut instruction
        {
            *target = places.get(*target as usize).copied().unwrap_or(u32::MAX);
        }
        match (plain.get_span(index), plain.get_line(index)) {
            (Some(span), _) => guarded.add_with_span(instruction, span),
            (None, Some(line)) => guarded.add_with_line(instruction, line as u16),
            (None, None) => guarded.add(instruction),
        };
    }
    Ok(guarded)
}

/// What has to be done before an instruction.
fn before<'source>(instruction: &Instruction<'source>) -> Result<Vec<Instruction<'source>>, Error> {
    let (operation, operands) = match *instruction {
        Instruction::EmitRaw(text) => return Ok(charged(text.len())),
        Instruction::BuildMap(count) | Instruction::BuildKwargs(count) => return Ok(charged(128 * count)),
        Instruction::BuildList(Some(count)) => return Ok(charged(64 + 32 * count)),
        Instruction::StringConcat => ("~", 2),
        Instruction::Add => ("+", 2),
        Instruction::Mul => ("*", 2),
        // These make nothing, and take as long as what they look at.
        Instruction::In
        | Instruction::Eq
        | Instruction::Ne
        | Instruction::Gt
        | Instruction::Gte
        | Instruction::Lt
        | Instruction::Lte
        | Instruction::CompareAndPreserve(_) => ("in", 2),
        Instruction::Slice => ("[:]", 4),
        Instruction::StoreLocal(_) => ("=", 1),
        Instruction::SetAttr(_) => (".=", 2),
        Instruction::ApplyFilter(name, Some(count), _)
        | Instruction::PerformTest(name, Some(count), _)
        | Instruction::CallMethod(name, Some(count))
        | Instruction::CallFunction(name, Some(count)) => (name, count),
        Instruction::CallObject(Some(count)) => ("call", count),
        Instruction::UnpackLists(_)
        | Instruction::ApplyFilter(..)
        | Instruction::PerformTest(..)
        | Instruction::CallMethod(..)
        | Instruction::CallFunction(..)
        | Instruction::CallObject(_) => {
            return Err(Error::new(ErrorKind::SyntaxError, "arguments that are unpacked with * are not supported"));
        }
        // Among them the list of a loop with a condition, which takes a step for each item.
        _ => return Ok(Vec::new()),
    };
    Ok(vec![
        Instruction::LoadConst(operation.into()),
        Instruction::CallFunction(GUARD, Some(operands + 1)),
        Instruction::UnpackList(operands.into()),
    ])
}

fn charged<'source>(bytes: usize) -> Vec<Instruction<'source>> {
    vec![Instruction::LoadConst(bytes.into()), Instruction::CallFunction(CHARGE, Some(1)), Instruction::DiscardTop]
}

/// Adds what the operation named last makes of the others, and gives them back, the last one first.
fn guard(state: &State, Rest(mut operands): Rest<Value>) -> Result<Value, Error> {
    let operation = operands.pop().unwrap_or_default();
    let left = left(state)?;
    let bytes = match operation.as_str().unwrap_or_default() {
        "=" => stored(&operands[0], true, left),
        ".=" => stored(&operands[0], false, left),
        operation => Ok(made(operation, &operands, left)),
    };
    charge(state, bytes?)?;
    operands.reverse();
    Ok(operands.into())
}

/// Bytes that the rendering may still make.
pub(super) fn left(state: &State) -> Result<usize, Error> {
    Ok(meter(state)?.0.load(Ordering::Relaxed))
}

/// Takes note that it makes so many.
pub(super) fn charge(state: &State, bytes: usize) -> Result<(), Error> {
    let left = &meter(state)?.0;
    let charged = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
    charged.map(drop).map_err(|_| too_long())
}

/// What is told where there is no room left.
pub(super) fn too_long() -> Error {
    Error::new(ErrorKind::InvalidOperation, "it makes too long a text for this conversation")
}

fn meter(state: &State) -> Result<Arc<Meter>, Error> {
    let meter = state.lookup(METER).and_then(|meter| meter.downcast_object());
    meter.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "it is rendered without a bound"))
}

/// An output that is charged for what is written.
struct Metered<'a, 'b, 'c, 'd> {
    output: &'a mut Output<'b>,
    state: &'a State<'c, 'd>,
    refused: Option<Error>,
}

impl Write for Metered<'_, '_, '_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Err(refused) = charge(self.state, text.len()) {
            self.refused = Some(refused);
            return Err(fmt::Error);
        }
        self.output.write_str(text)
    }
}

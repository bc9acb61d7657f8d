//! What a line that begins with a slash asks for.

use std::path::PathBuf;

/// A command of the conversation.
#[derive(Debug, PartialEq)]
pub(super) enum Slash {
    Help,
    Clear,
    System(String),
    Save(PathBuf),
    Load(PathBuf),
    Retry,
    Undo,
    Forget,
    Tokens,
    Temperature(f32),
    TopK(usize),
    TopP(f32),
    MinP(f32),
    Seed(u64),
    Quit,
}

/// What each command does, for people.
pub(super) const HELP: &str = "  /system TEXT       tell the model how to answer; without a text, tell it nothing
  /retry             make the last answer again
  /undo              take the last message and its answer back
  /forget            drop the oldest message and its answer
  /clear             begin anew
  /tokens            how long the conversation is
  /temperature X     below 1 prefers likely tokens, 0 always takes the likeliest
  /top-k COUNT       choose among so many likeliest tokens; 0 for all
  /top-p X           choose among the likeliest tokens that together have this probability
  /min-p X           leave out tokens less likely than this share of the likeliest
  /seed NUMBER       the same seed gives the same answer
  /save FILE         write the conversation to a file
  /load FILE         go on with a conversation that was saved
  /quit              end; so does Ctrl-D
  Ctrl-C stops an answer. A line that begins with two slashes is a message that begins with one.";

/// The command in `line`, which begins with a slash, or what is wrong with it.
pub(super) fn read(line: &str) -> Result<Slash, String> {
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let file = |make: fn(PathBuf) -> Slash| match rest {
        "" => Err(format!("{name} needs the name of a file")),
        path => Ok(make(PathBuf::from(path))),
    };
    let within = |most: f32, make: fn(f32) -> Slash| match rest.parse() {
        Ok(number) if (0.0..=most).contains(&number) => Ok(make(number)),
        _ => Err(format!("{name} needs a number from 0 to {most}")),
    };
    match name {
        "/help" | "/?" => Ok(Slash::Help),
        "/clear" => Ok(Slash::Clear),
        "/system" => Ok(Slash::System(rest.to_owned())),
        "/save" => file(Slash::Save),
        "/load" => file(Slash::Load),
        "/retry" => Ok(Slash::Retry),
        "/undo" => Ok(Slash::Undo),
        "/forget" => Ok(Slash::Forget),
        "/tokens" => Ok(Slash::Tokens),
        "/temperature" => within(100.0, Slash::Temperature),
        "/top-k" => rest.parse().map(Slash::TopK).map_err(|_| "/top-k needs a whole number from 0".to_owned()),
        "/top-p" => within(1.0, Slash::TopP),
        "/min-p" => within(1.0, Slash::MinP),
        "/seed" => rest.parse().map(Slash::Seed).map_err(|_| "/seed needs a whole number from 0".to_owned()),
        "/quit" | "/exit" => Ok(Slash::Quit),
        _ => Err(format!("there is no command {name}; /help lists them")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_help_lists_is_one_and_others_are_told() {
        for line in HELP.lines().filter_map(|line| line.split_whitespace().next()) {
            if let Some(name) = line.strip_prefix('/') {
                assert!(read(&format!("/{name} 1")).is_ok(), "{name}");
            }
        }
        assert_eq!(read("/temperature 0.5"), Ok(Slash::Temperature(0.5)));
        assert_eq!(read("/top-k 0"), Ok(Slash::TopK(0)));
        assert_eq!(read("/seed 7"), Ok(Slash::Seed(7)));
        assert_eq!(read("/save a b.json"), Ok(Slash::Save(PathBuf::from("a b.json"))));
        for (line, part) in [
            ("/save", "name of a file"),
            ("/temperature x", "from 0 to 100"),
            ("/retri", "/help lists"),
            ("/top-p 2", "from 0 to 1"),
            ("/top-k -1", "from 0"),
        ] {
            assert!(read(line).unwrap_err().contains(part), "{line}");
        }
    }
}

//! Reading passwords: from a person, unseen, or from standard input.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, Read, Write as _};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

use super::exit::{Failure, Status};

/// Most bytes of a line that is read as a password: a file given by mistake must not be read whole.
const LINE_BYTES: usize = 1024;

/// A password, wiped from memory after use.
pub(super) type Secret = Zeroizing<String>;

/// Where passwords come from.
#[derive(Debug)]
pub(super) enum Passwords {
    /// Lines of standard input, one a password, without their ends.
    Lines(std::collections::VecDeque<Secret>),
    /// A person at the terminal of this process.
    Person,
}

impl Passwords {
    /// From standard input if asked to, else from a person.
    pub(super) fn choose(from_stdin: bool) -> Result<Self, Failure> {
        if !from_stdin {
            return Ok(Self::Person);
        }
        let stdin = io::stdin().lock();
        // Two passwords and a setup code are the most that any command takes.
        lines(stdin, 3).map(|lines| Self::Lines(lines.into()))
    }

    /// How many lines are left; `None` with a person.
    pub(super) fn left(&self) -> Option<usize> {
        match self {
            Self::Lines(lines) => Some(lines.len()),
            Self::Person => None,
        }
    }

    /// The next password. `what` says which: `old password of admin`.
    pub(super) fn next(&mut self, what: &str) -> Result<Secret, Failure> {
        match self {
            Self::Lines(lines) => lines.pop_front().ok_or_else(|| {
                Failure::new(
                    Status::Usage,
                    format!("standard input ended before the {what}; give each password a line"),
                )
            }),
            Self::Person => ask(&format!("{}: ", capitalised(what))),
        }
    }

    /// A new password, which a person types twice.
    pub(super) fn next_new(&mut self, what: &str) -> Result<Secret, Failure> {
        let password = self.next(what)?;
        if matches!(self, Self::Person) && *ask("The same again: ")? != *password {
            return Err(Failure::new(
                Status::Usage,
                "the two passwords differ; nothing was changed",
            ));
        }
        Ok(password)
    }
}

/// The first lines of a stream, at most so many.
pub(super) fn lines(stream: impl Read, most: usize) -> Result<Vec<Secret>, Failure> {
    let mut stream = io::BufReader::new(stream);
    let mut lines = Vec::new();
    while lines.len() < most {
        let mut line = Zeroizing::new(Vec::new());
        let read = stream
            .by_ref()
            .take(LINE_BYTES as u64 + 1)
            .read_until(b'\n', &mut line)
            .map_err(|error| {
                Failure::new(
                    Status::Usage,
                    format!("the password cannot be read from standard input: {error}"),
                )
            })?;
        if read == 0 {
            break;
        }
        if line.len() > LINE_BYTES {
            return Err(Failure::new(
                Status::Usage,
                "the first lines of standard input are too long to be passwords",
            ));
        }
        while line
            .last()
            .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
        {
            line.pop();
        }
        let text = std::str::from_utf8(&line).map_err(|_| {
            Failure::new(Status::Usage, "a password on standard input is not UTF-8")
        })?;
        lines.push(Zeroizing::new(text.to_owned()));
    }
    Ok(lines)
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// Asks the person at the terminal, which shows nothing of the answer.
fn ask(question: &str) -> Result<Secret, Failure> {
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(|_| {
            Failure::new(
                Status::Usage,
                "there is no terminal to ask for a password; use --password-stdin, or set \
                 VAQUITA_USER and VAQUITA_PASSWORD",
            )
        })?;
    let unusable = |error: &dyn std::fmt::Display| {
        Failure::new(
            Status::Unavailable,
            format!("the terminal cannot be made to hide the password: {error}"),
        )
    };
    terminal
        .write_all(question.as_bytes())
        .map_err(|error| unusable(&error))?;
    let hidden = Hidden::new(&terminal).map_err(|error| unusable(&error))?;
    let typed = typed_line(&mut (&terminal));
    drop(hidden);
    terminal
        .write_all(b"\n")
        .map_err(|error| unusable(&error))?;
    match typed {
        Ok(Some(password)) => Ok(password),
        Ok(None) => Err(Failure::told(Status::Interrupted)),
        Err(error) => Err(unusable(&error)),
    }
}

/// A terminal that shows nothing and hands over each key, until dropped.
///
/// Keys that raise signals are off meanwhile: Ctrl-C would end the process and leave the terminal
/// mute.
struct Hidden<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut hidden = before.clone();
        hidden
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &hidden)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// What is typed up to Return, with the keys that correct it; `None` after Ctrl-C, or Ctrl-D on an
/// empty line.
fn typed_line(keys: &mut impl Read) -> io::Result<Option<Secret>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let mut key = [0];
    loop {
        if keys.read(&mut key)? == 0 {
            return Ok(None);
        }
        match key[0] {
            b'\r' | b'\n' => break,
            0x03 => return Ok(None),
            0x04 if bytes.is_empty() => return Ok(None),
            // Backspace takes a whole character.
            0x08 | 0x7f => while bytes.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            0x15 => bytes.clear(),
            byte if bytes.len() < LINE_BYTES => bytes.push(byte),
            _ => {}
        }
    }
    String::from_utf8(std::mem::take(&mut *bytes))
        .map(|text| Some(Zeroizing::new(text)))
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "what was typed is not UTF-8"))
}

#[cfg(test)]
mod tests;

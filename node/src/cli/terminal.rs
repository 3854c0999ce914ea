//! The two streams that a command writes to, and whether a person looks at them.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// All is well.
    Green,
    /// On its way, or to be watched.
    Yellow,
    /// Broken.
    Red,
    /// Of lesser interest.
    Dim,
    /// A heading.
    Bold,
}

/// Standard output for what was asked for, standard error for everything else.
pub struct Terminal {
    /// For results.
    pub out: Box<dyn Write>,
    /// For errors, progress and questions.
    pub err: Box<dyn Write>,
    /// Whether results may be coloured.
    pub out_colours: bool,
    /// Whether errors may be coloured.
    pub err_colours: bool,
    /// Whether a person looks at the results.
    pub out_is_terminal: bool,
    /// Whether a person looks at the errors: progress is shown there.
    pub err_is_terminal: bool,
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("out_colours", &self.out_colours)
            .field("err_colours", &self.err_colours)
            .finish_non_exhaustive()
    }
}

impl Terminal {
    /// The process's own streams. Colours only where a person looks, and not if `NO_COLOR` is set
    /// to anything (<https://no-color.org>) or the terminal says that it is a dumb one.
    #[must_use]
    pub fn of_process() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colours = !set("NO_COLOR") && !dumb;
        let out_is_terminal = io::stdout().is_terminal();
        let err_is_terminal = io::stderr().is_terminal();
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            out_colours: colours && out_is_terminal,
            err_colours: colours && err_is_terminal,
            out_is_terminal,
            err_is_terminal: err_is_terminal && !dumb,
        }
    }

    /// `text` in a colour, where results may be coloured.
    #[must_use]
    pub fn paint(&self, colour: Colour, text: &str) -> String {
        paint(self.out_colours, colour, text)
    }

    /// Writes a line of the result.
    ///
    /// # Errors
    /// If the stream cannot be written.
    pub fn say(&mut self, line: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.out, "{}", line.as_ref())?;
        self.out.flush()
    }

    /// Writes a line that is no result: progress, a notice.
    ///
    /// # Errors
    /// If the stream cannot be written.
    pub fn note(&mut self, line: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.err, "{}", line.as_ref())?;
        self.err.flush()
    }

    /// Writes why the command failed. There is nowhere to report a failure to do so.
    pub fn complain(&mut self, message: &str) {
        if message.is_empty() {
            return;
        }
        let head = paint(self.err_colours, Colour::Red, "error:");
        let _ = writeln!(self.err, "{head} {message}");
    }

    /// Writes what a person should look at although the command goes on.
    pub fn warn(&mut self, message: &str) {
        let head = paint(self.err_colours, Colour::Yellow, "warning:");
        let _ = writeln!(self.err, "{head} {message}");
    }
}

fn paint(colours: bool, colour: Colour, text: &str) -> String {
    if !colours || text.is_empty() {
        return text.to_owned();
    }
    let code = match colour {
        Colour::Green => "32",
        Colour::Yellow => "33",
        Colour::Red => "31",
        Colour::Dim => "2",
        Colour::Bold => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Text from somewhere else, made safe to show: a log line or a reason sent by a peer must not
/// move the cursor, change colours or rename the window.
#[must_use]
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' => ' ',
            control if control.is_control() => char::REPLACEMENT_CHARACTER,
            other => other,
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod testing {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::Terminal;

    /// A stream whose content can be looked at.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A terminal without colours, its result stream and its error stream.
    pub(crate) fn captured() -> (Terminal, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        let terminal = Terminal {
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            out_colours: false,
            err_colours: false,
            out_is_terminal: false,
            err_is_terminal: false,
        };
        (terminal, out, err)
    }
}

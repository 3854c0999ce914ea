//! Problems of configuration files, as plain data.

use std::fmt;

use serde::Serialize;

use crate::codes::Code;
use crate::span::{Place, Span};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The cluster must not be started with these files.
    Error,
    /// The files can be used, but probably do not say what their author meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// Text that may take the place of a range of bytes and so cures the problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replacement {
    /// The bytes of the file to replace.
    pub range: Span,
    /// What to write there.
    pub text: String,
}

/// Another place that has to do with a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// The bytes of that file.
    pub span: Span,
    /// What is to be seen there.
    pub message: String,
}

/// One problem: what happened, where, what it means and what to write instead.
///
/// `Display` gives the form `file:line:column: error[code]: message`, the help on a second line
/// and each related place on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The stable name of the rule; [`crate::codes::TABLE`] explains each.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// The name that the file was parsed under, or `command line`.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The offending bytes of the file.
    pub span: Span,
    /// The whole line, without its end; bytes that are not UTF-8 are shown as `U+FFFD`.
    pub text: String,
    /// What is wrong and what follows from it.
    pub message: String,
    /// What to do or to write instead.
    pub help: String,
    /// An edit that cures the problem, where there is only one sensible.
    pub fix: Option<Replacement>,
    /// Other places that belong to the problem.
    pub related: Vec<Label>,
}

impl Diagnostic {
    pub(crate) fn with_fix(mut self, range: Span, text: impl Into<String>) -> Diagnostic {
        self.fix = Some(Replacement {
            range,
            text: text.into(),
        });
        self
    }

    pub(crate) fn with_label(mut self, label: Label) -> Diagnostic {
        self.related.push(label);
        self
    }

    /// Where the problem is.
    pub fn place(&self) -> Place {
        Place {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
        }
    }

    /// Whether the problem forbids the use of the files.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Turns the warning into an error if its rule is one of those that `--strict` enforces.
    pub(crate) fn enforce(&mut self) {
        if Code::named(self.code).is_some_and(|code| code.strict) {
            self.severity = Severity::Error;
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Diagnostic {
            file,
            line,
            column,
            severity,
            code,
            message,
            help,
            ..
        } = self;
        write!(
            f,
            "{file}:{line}:{column}: {severity}[{code}]: {message}\n  help: {help}"
        )?;
        for label in &self.related {
            write!(f, "\n  note: {}: {}", label.place, label.message)?;
        }
        Ok(())
    }
}

/// All problems of a set of files, in the order of the files, then by line and column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The problems.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// What `vaquita check` exits with: 0 without errors, 1 with at least one.
    ///
    /// A file that cannot be read at all never comes here; the caller exits with 2 for it.
    pub fn exit_status(&self) -> u8 {
        u8::from(self.errors() > 0)
    }

    /// The number of errors.
    pub fn errors(&self) -> usize {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.is_error())
            .count()
    }

    /// The number of warnings.
    pub fn warnings(&self) -> usize {
        self.diagnostics.len() - self.errors()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            writeln!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

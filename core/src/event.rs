//! What a machine tells the operator: one value an occurrence, one sentence each.

use core::fmt;

/// How much an event should disturb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For whoever is looking for something.
    Debug,
    /// The course of things.
    Info,
    /// Somebody should look at it.
    Warning,
    /// Something does not work.
    Error,
}

/// Something that happened, for the log, the event list and the tests.
///
/// `name` is stable and dotted (`node.offline`), so that programs and tests can count events
/// without reading the sentence; the sentence is for people and says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// How much it should disturb.
    pub severity: Severity,
    /// What kind of thing happened.
    pub name: &'static str,
    /// What happened, where, what it means and what to do, in one or two sentences.
    pub message: String,
}

impl Event {
    /// For whoever is looking for something.
    #[must_use]
    pub fn debug(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Debug,
            name,
            message: message.into(),
        }
    }

    /// The course of things.
    #[must_use]
    pub fn info(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Info,
            name,
            message: message.into(),
        }
    }

    /// Somebody should look at it.
    #[must_use]
    pub fn warning(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            name,
            message: message.into(),
        }
    }

    /// Something does not work.
    #[must_use]
    pub fn error(name: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            name,
            message: message.into(),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

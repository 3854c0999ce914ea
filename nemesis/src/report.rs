//! What the nemesis says while it goes on, and what it has found.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was to hold.
    pub rule: Rule,
    /// What happened instead: the file, the answers around it, the place.
    pub story: String,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Some order of events explains what clients were told of each file.
    Linearizable,
    /// What is read is what somebody wrote, as a whole; nobody is refused what he may do.
    RightAnswers,
    /// Everything can be read back in the end, through every data node.
    ReadBack,
    /// The API tells of one cluster: epochs and indexes grow, a node is there once.
    Consistent,
    /// Replicas are where the configuration wants them.
    Placed,
    /// All is well again when all was put right.
    Healed,
    /// Servers end when they are told to, and not by themselves.
    Running,
    /// What the log says is on the disks, is.
    OnDisk,
    /// Nothing else is, once its time is over.
    NothingBeside,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.story)
    }
}

/// The log of a run.
#[derive(Debug)]
pub(crate) struct Log {
    begun: Instant,
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    file: Option<File>,
    violations: Vec<Violation>,
}

impl Log {
    /// A log that is printed, and written to a file as well if there is to be one.
    pub(crate) fn new(report: Option<&Path>) -> Result<Self, String> {
        let open = |path: &Path| {
            File::create(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        Ok(Self {
            begun: Instant::now(),
            lines: Mutex::new(Lines {
                file: report.map(open).transpose()?,
                violations: Vec::new(),
            }),
        })
    }

    /// From when its times are counted.
    pub(crate) const fn begun(&self) -> Instant {
        self.begun
    }

    /// Says what happens, and when.
    pub(crate) fn say(&self, what: impl fmt::Display) {
        let at = self.begun.elapsed().as_secs_f64();
        self.print(format_args!("{at:9.3} s  {what}"));
    }

    /// Says something without a time.
    pub(crate) fn print(&self, what: impl fmt::Display) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        // Where the terminal is gone, everything is to be put right all the same.
        let _ = writeln!(std::io::stdout(), "{what}");
        if let Some(file) = &mut lines.file {
            // What is printed is enough where the file cannot be written.
            let _ = writeln!(file, "{what}");
        }
    }

    /// Says what must not be, and keeps it.
    pub(crate) fn violated(&self, rule: Rule, story: impl Into<String>) {
        let violation = Violation {
            rule,
            story: story.into(),
        };
        self.say(format_args!("VIOLATED {violation}"));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.violations.push(violation);
    }

    /// What was found so far.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.violations.clone()
    }
}

//! What `vaquita explain ALIAS` shows.

use std::fmt;

use serde::Serialize;

use super::{Resolved, Setting};
use crate::mode::Mode;
use crate::site::Site;

/// Every setting of a process with the line that gave it and the lines it beat.
///
/// `Display` gives a line for each key that is set, `key = value  (place)`, and below it a line
/// for each value it beat.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// What the process is.
    pub mode: Mode,
    /// Its site.
    pub site: Option<Site>,
    /// The settings in the order of the table of keys.
    pub settings: Vec<Setting>,
}

impl Resolved {
    /// The settings with their reasons, to be shown or serialised.
    pub fn explain(&self) -> Explanation {
        Explanation {
            mode: self.mode,
            site: self.site.clone(),
            settings: self.settings().cloned().collect(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |setting: &&Setting| setting.is_set() || !setting.beaten.is_empty();
        for setting in self.settings.iter().filter(set) {
            let Setting {
                key,
                raw,
                origin,
                precedence,
                beaten,
                ..
            } = setting;
            writeln!(f, "{} = {raw}  ({origin}, {precedence})", key.name)?;
            for candidate in beaten {
                writeln!(
                    f,
                    "    not {}  ({}, {})",
                    candidate.raw, candidate.origin, candidate.precedence
                )?;
            }
        }
        Ok(())
    }
}

//! What stands behind the question mark of an address.

use vaquita_core::dfs::path::DfsPath;

use super::problem::Problem;
use crate::percent;

/// The parameters of a request, each given once and none that the route does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Reads `a=1&b=2`. Values are decoded once; `+` stands for a blank, as in a form.
    pub(super) fn parse(raw: Option<&str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(&'static str, String)> = Vec::new();
        let raw = raw.unwrap_or_default();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(name) = known.iter().find(|it| **it == name) else {
                let name: String = name.chars().take(40).collect();
                let known = known.join("`, `");
                return Err(Problem::invalid(if known.is_empty() {
                    format!("there is no parameter `{name}` here; this route takes none")
                } else {
                    format!("there is no parameter `{name}` here; there are `{known}`")
                }));
            };
            let value = percent::decoded(&value.replace('+', " "))
                .map_err(|why| Problem::invalid(format!("`{name}` cannot be read: {why}")))?;
            if pairs.iter().any(|(given, _)| given == name) {
                return Err(Problem::invalid(format!("`{name}` was given twice")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter, where it was given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(given, _)| *given == name)?;
        Some(value)
    }

    /// A path, where one was given.
    pub(super) fn path(&self, name: &str) -> Result<Option<DfsPath>, Problem> {
        self.get(name)
            .map(|text| DfsPath::parse(text).map_err(|error| Problem::invalid(error.to_string())))
            .transpose()
    }

    /// `true` or `false`; `false` if nothing was given.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid(format!(
                "`{name}` takes `true` or `false`"
            ))),
        }
    }

    /// A number from 1 to `most`; `most` if nothing was given.
    pub(super) fn count(&self, name: &str, most: u32) -> Result<u32, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(most);
        };
        text.parse()
            .ok()
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| Problem::invalid(format!("`{name}` goes from 1 to {most}")))
    }
}

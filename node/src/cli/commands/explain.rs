//! `vaquita explain`: which line gives a process each of its values, and what a key means.

use std::path::PathBuf;

use clap::Args;
use vaquita_config::keys::{self, Key, Status as KeyStatus};
use vaquita_config::{
    ClusterFiles, Explanation, Origin, Resolved, Setting, resolve_agent, resolve_controller,
    resolve_node,
};

use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::terminal::{Colour, Terminal, harmless};
use crate::cli::{config_files, diagnostics, json};

/// Show each value of a node with the line that gave it, or what a key means
#[derive(Args, Clone, Debug)]
#[command(override_usage = "vaquita explain [OPTIONS] <ALIAS>\n       \
                            vaquita explain [OPTIONS] --key <KEY>")]
#[command(after_long_help = "\
Examples:
  vaquita explain P1-NODE1                        every value of the data node P1-NODE1
  vaquita explain P1-NODE1 --key workerNum        one of them
  vaquita explain master --config /etc/vaquita    the controller, by its alias
  vaquita explain --key dfsReplicationFactor      what the key means

Precedence: command line, then the exact alias, then patterns (more literal characters first), then
lines for all nodes, then what the controller hands on, then the default. Of equals the later line.")]
pub(in crate::cli) struct Explain {
    /// A data node, an agent or the controller
    #[arg(value_name = "ALIAS", required_unless_present = "key")]
    alias: Option<String>,
    /// Tell about this key only
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Where the configuration files are
    #[arg(long, value_name = "DIR", default_value = ".")]
    config: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        let key = self.key.as_deref().map(find_key).transpose()?;
        let Some(alias) = &self.alias else {
            return match key {
                Some(key) if self.json => json::object(terminal, key),
                Some(key) => Ok(terminal.say(about_key(terminal, key))?),
                None => Err(Failure::new(
                    Status::Usage,
                    "name an alias, or a key by --key",
                )),
            };
        };
        let found = config_files::read(std::slice::from_ref(&self.config))?;
        let resolved = resolve(alias, &found.files)?;
        for diagnostic in &resolved.diagnostics {
            let colours = terminal.err_colours;
            let text = diagnostics::render(diagnostic, &found.files, colours);
            terminal.note(text)?;
        }
        let mut explanation = resolved.explain();
        if let Some(key) = key {
            let name = key.canonical().name;
            explanation
                .settings
                .retain(|setting| setting.key.name == name);
            if explanation.settings.is_empty() {
                return Err(Failure::new(
                    Status::No,
                    format!("a {} has no key `{name}`; {}", resolved.mode, whose(key)),
                ));
            }
        }
        if self.json {
            json::object(terminal, &explanation)
        } else {
            let text = about_node(terminal, alias, &explanation);
            Ok(terminal.say(text.trim_end())?)
        }
    }
}

fn find_key(name: &str) -> Result<&'static Key, Failure> {
    keys::find_ignoring_case(name).ok_or_else(|| {
        let help = match keys::nearest(name) {
            Some(near) => format!("; did you mean `{}`?", near.name),
            None => String::new(),
        };
        Failure::new(Status::No, format!("there is no key `{name}`{help}"))
    })
}

/// The settings of the process of that alias.
fn resolve(alias: &str, files: &ClusterFiles) -> Result<Resolved, Failure> {
    let is_it = |resolved: &Resolved| resolved.site.as_ref().is_some_and(|it| it.alias == alias);
    let controller = resolve_controller(files, &[], None);
    if is_it(&controller) {
        return Ok(controller);
    }
    let mut agents = files.agents.iter();
    if let Some(agent) = agents.find_map(|file| {
        let resolved = resolve_agent(Some(file), &[], None);
        is_it(&resolved).then_some(resolved)
    }) {
        return Ok(agent);
    }
    let members = files.nodes.iter().flat_map(|nodes| &nodes.value.members);
    if let Some(agent) = members
        .clone()
        .find(|it| it.site.alias == alias && !it.mode.reads_cluster_cfg())
    {
        return Err(Failure::new(
            Status::Unreadable,
            format!(
                "`{alias}` is an {} on {}, and its agent.cfg is not here; run this command there",
                agent.mode, agent.site.host
            ),
        ));
    }
    resolve_node(alias, files, &[], None).map_err(|unknown| {
        let known: Vec<&str> = members.map(|member| member.site.alias.as_str()).collect();
        let help = if unknown.suggestion.is_some() || known.is_empty() {
            String::new()
        } else {
            format!("; it has {}", known.join(", "))
        };
        Failure::new(Status::No, format!("{unknown}{help}"))
    })
}

fn about_node(terminal: &Terminal, alias: &str, explanation: &Explanation) -> String {
    let site = explanation.site.as_ref().map(ToString::to_string);
    let mut text = format!(
        "{} {}\n",
        explanation.mode,
        site.unwrap_or_else(|| alias.to_owned())
    );
    let width = explanation
        .settings
        .iter()
        .map(|setting| setting.key.name.len())
        .max()
        .unwrap_or(0);
    for setting in &explanation.settings {
        let Setting {
            key,
            raw,
            origin,
            precedence,
            beaten,
            ..
        } = setting;
        let by_default = *origin == Origin::Default;
        let reason = if by_default {
            "default".to_owned()
        } else {
            format!("{origin}, {precedence}")
        };
        let line = format!("{:width$} = {}", key.name, harmless(raw));
        let line = match by_default {
            true => terminal.paint(Colour::Dim, &line),
            false => line,
        };
        let reason = terminal.paint(Colour::Dim, &format!("({reason})"));
        text.push_str(&format!("{line}  {reason}\n"));
        for candidate in beaten {
            let beaten = format!(
                "{:width$}   instead of {}  ({}, {})",
                "",
                harmless(&candidate.raw),
                candidate.origin,
                candidate.precedence
            );
            text.push_str(&terminal.paint(Colour::Dim, &beaten));
            text.push('\n');
        }
    }
    text
}

fn about_key(terminal: &Terminal, key: &Key) -> String {
    let mut text = format!(
        "{}: {}\n",
        terminal.paint(Colour::Bold, key.name),
        key.meaning
    );
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("  {name:8} {value}\n"));
        }
    };
    line("value", key.kind.description());
    line("default", key.default.description().to_owned());
    line(
        "range",
        key.range.map_or(String::new(), |it| it.to_string()),
    );
    line("files", whose(key));
    line("change", key.change.description().to_owned());
    let status = match key.status {
        KeyStatus::Active => String::new(),
        KeyStatus::NoEffect { why } => format!("accepted, and changes nothing: {why}"),
        KeyStatus::Retired { why } => format!("no longer read: {why}"),
        KeyStatus::Renamed { to } => format!("read as `{to}`"),
    };
    line("status", status);
    text.truncate(text.trim_end().len());
    text
}

/// Where a key may stand.
fn whose(key: &Key) -> String {
    if key.command_line_only() {
        return "the command line only".to_owned();
    }
    let names: Vec<&str> = key.files.iter().map(|file| file.file_name()).collect();
    format!("{}, and the command line", names.join(", "))
}

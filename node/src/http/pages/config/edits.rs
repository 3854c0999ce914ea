//! The edits that a form stands for.

use vaquita_web::pages::AddedView;

use super::super::Form;
use crate::config_desk::Edit;
use crate::http::problem::Problem;

/// Data nodes that one form adds.
const ADDED_MAX: u32 = 64;

/// The edits that a form stands for.
pub(super) fn edits(form: &Form) -> Result<Vec<Edit>, Problem> {
    let line = match form.get("line") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::invalid("no such line"))?),
    };
    match form.need("do")? {
        "set" => {
            let key = form.need("key")?.trim().to_owned();
            let value = form.get("value").unwrap_or_default().trim().to_owned();
            Ok(vec![match (value.is_empty(), line) {
                (false, line) => Edit::Set { key, value, line },
                (true, Some(line)) => Edit::RemoveLine { line },
                (true, None) => Edit::Unset { key },
            }])
        }
        "remove-line" => match line {
            Some(line) => Ok(vec![Edit::RemoveLine { line }]),
            None => Err(Problem::invalid("say which line")),
        },
        "remove-member" => {
            let alias = form.need("node")?.to_owned();
            Ok(vec![Edit::RemoveMember { alias }])
        }
        "add-members" => added(form),
        _ => Err(form.no_such_order()),
    }
}

fn added(form: &Form) -> Result<Vec<Edit>, Problem> {
    let number = |name: &'static str, most: u32| {
        let number = form.need(name)?.trim().parse::<u32>().ok();
        number
            .filter(|number| *number <= most)
            .ok_or_else(|| Problem::invalid(format!("`{name}` is a number up to {most}")))
    };
    let host = form.need("host")?.trim();
    let (count, first) = (number("count", ADDED_MAX)?, number("number", 1_000_000)?);
    let port = number("port", 65_535)?;
    let row = |site: String, mode: &str| Edit::AddMember {
        site,
        mode: mode.to_owned(),
    };
    let mut edits = Vec::new();
    if let Some(agent) = form.get("agent") {
        edits.push(row(format!("{host}:{}", agent.trim()), "agent"));
    }
    if count > 0 {
        let prefix = form.need("prefix")?.trim();
        for nth in 0..count {
            let site = format!("{host}:{}:{prefix}{}", port + nth, first + nth);
            edits.push(row(site, "datanode"));
        }
    }
    Ok(edits)
}

/// What was typed of members to be added, to be shown again.
pub(super) fn typed(form: &Form) -> AddedView {
    let field = |name| form.get(name).unwrap_or_default().to_owned();
    AddedView {
        host: field("host"),
        agent: field("agent"),
        count: field("count"),
        prefix: field("prefix"),
        number: field("number"),
        port: field("port"),
    }
}

//! What a campaign came to, for people.

use std::fmt::Write as _;

use vaquita_core::planted::Planted;

use super::many::Campaign;
use super::marks::{ELSEWHERE, KNOWN, never_reached};
use crate::seeds::commit;

/// A report: what was played and seen, and what failed, with the commands that show it again.
///
/// # Panics
/// Never: a string takes any text.
#[must_use]
pub fn report(campaign: &Campaign, planted: Planted) -> String {
    let mut text = String::new();
    let planted: String = planted
        .names()
        .map(|bug| format!(" --plant {bug}"))
        .collect();
    write_report(&mut text, campaign, &planted).expect("a string takes any text");
    text
}

fn write_report(text: &mut String, campaign: &Campaign, planted: &str) -> std::fmt::Result {
    let simulated = campaign.simulated.as_secs();
    let took = campaign.took.as_secs_f64();
    writeln!(text, "commit            {}", commit())?;
    writeln!(text, "runs              {}", campaign.runs)?;
    writeln!(text, "events            {}", campaign.steps)?;
    writeln!(
        text,
        "simulated         {} d {:02} h {:02} min",
        simulated / 86_400,
        simulated / 3600 % 24,
        simulated / 60 % 60
    )?;
    writeln!(text, "took              {took:.1} s")?;
    if took > 0.0 {
        let rate = campaign.simulated.as_secs_f64() / took;
        writeln!(text, "simulated s / s   {rate:.0}")?;
    }
    let failed: u64 = campaign.failures.values().map(|it| it.runs).sum();
    writeln!(text, "failed            {failed}")?;

    writeln!(text, "\nstates reached, by the number of runs\n")?;
    for (runs, states) in &campaign.states {
        writeln!(text, "{runs:>10}  {states}")?;
    }

    writeln!(text, "\nsteps of plans\n")?;
    for (kind, count) in &campaign.faults {
        writeln!(text, "{count:>10}  {kind}")?;
    }

    writeln!(text, "\nmarks reached\n")?;
    for (mark, count) in &campaign.marks {
        writeln!(text, "{count:>10}  {mark}")?;
    }

    let missing = never_reached(&campaign.marks);
    writeln!(
        text,
        "\nmarks never reached: {} of {}",
        missing.len(),
        KNOWN.len() - ELSEWHERE.len()
    )?;
    for mark in missing {
        writeln!(text, "            {mark}")?;
    }
    writeln!(text, "\nput to the test elsewhere\n")?;
    for (mark, place) in ELSEWHERE {
        writeln!(text, "            {mark}: {place}")?;
    }

    for (kind, failing) in &campaign.failures {
        writeln!(text, "\nFAILED in {} runs: {kind}", failing.runs)?;
        writeln!(text, "  seed {}: {}", failing.seed, failing.failure)?;
        for command in ["replay", "shrink"] {
            let seed = failing.seed;
            writeln!(text, "  cargo run -p simtests -- {command} {seed}{planted}")?;
        }
        if !failing.others.is_empty() {
            let others: Vec<String> = failing.others.iter().map(u64::to_string).collect();
            writeln!(text, "  so do seeds {}", others.join(", "))?;
        }
    }
    Ok(())
}

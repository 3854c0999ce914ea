//! `vaquita-model`: searches the small protocols exhaustively.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use vaquita_core::planted::Planted;
use vaquita_model::bounds::{Bound, Protocol, budget, cluster};
use vaquita_model::search::search;

/// Searches every order of events of a small protocol, within bounds, with the machines of the core.
#[derive(Debug, Parser)]
#[command(name = "vaquita-model")]
struct Arguments {
    /// Which protocol; all of them if none is named.
    protocol: Vec<Protocol>,
    /// How much may go wrong.
    #[arg(long, value_enum, default_value_t = Bound::Small)]
    bound: Bound,
    /// Ends of the controller, instead of what the bound has.
    #[arg(long)]
    controller_crashes: Option<u8>,
    /// Ends of data nodes.
    #[arg(long)]
    node_crashes: Option<u8>,
    /// Connections that break.
    #[arg(long)]
    breaks: Option<u8>,
    /// Datagrams that arrive twice.
    #[arg(long)]
    copies: Option<u8>,
    /// Links that carry nothing for a while.
    #[arg(long)]
    cuts: Option<u8>,
    /// Whether time moves on whatever is on its way.
    #[arg(long)]
    asynchronous: bool,
    /// Moments to which time moves on.
    #[arg(long)]
    ticks: Option<u8>,
    /// Attempts of the client.
    #[arg(long)]
    tries: Option<u8>,
    /// A bug to be left in, by its name in `planted.rs`; more than one if given again.
    #[arg(long)]
    planted: Vec<String>,
    /// Whether each state is asked whether all nodes become registered again from there, if nothing more
    /// goes wrong.
    #[arg(long)]
    recovery: bool,
    /// Seconds after which a search is given up.
    #[arg(long)]
    seconds: Option<u64>,
    /// What operators were told, and how often.
    #[arg(long)]
    marks: bool,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program tells")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut planted = Planted::default();
    for name in &arguments.planted {
        planted = match planted.with(name) {
            Ok(planted) => planted,
            Err(unknown) => {
                eprintln!("{unknown}; the names are in core/src/planted.rs");
                return ExitCode::from(2);
            }
        };
    }
    let all = [Protocol::Registration, Protocol::Write, Protocol::Repair];
    let protocols = match arguments.protocol.as_slice() {
        [] => &all[..],
        some => some,
    };
    let mut right = true;
    for &protocol in protocols {
        let mut budget = budget(protocol, arguments.bound);
        for (asked, have) in [
            (arguments.controller_crashes, &mut budget.controller_crashes),
            (arguments.node_crashes, &mut budget.node_crashes),
            (arguments.breaks, &mut budget.breaks),
            (arguments.copies, &mut budget.copies),
            (arguments.cuts, &mut budget.cuts),
            (arguments.ticks, &mut budget.ticks),
            (arguments.tries, &mut budget.tries),
        ] {
            *have = asked.unwrap_or(*have);
        }
        println!("{protocol:?}, {budget:?}");
        let mut cluster = match cluster(protocol, budget, planted) {
            Ok(cluster) => cluster,
            Err(what) => {
                println!("  the first state is not reached: {what}");
                right = false;
                continue;
            }
        };
        cluster.recovery = arguments.recovery;
        cluster.setup.asynchronous = arguments.asynchronous;
        let outcome = search(cluster, arguments.seconds.map(Duration::from_secs));
        println!(
            "  {} steps, {} states, depth {}, {}, {:.1} s",
            outcome.steps,
            outcome.states,
            outcome.depth,
            if outcome.exhausted {
                "all there are"
            } else {
                "not all there are"
            },
            outcome.took.as_secs_f64()
        );
        if arguments.marks {
            for (name, count) in &outcome.marks {
                println!("  {count:9} {name}");
            }
        }
        if let Some(violation) = &outcome.violation {
            println!("{violation}");
            right = false;
        }
    }
    if right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

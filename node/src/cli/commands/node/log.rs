//! `vaquita node log`: the end of a node's log file.

use std::time::Duration;

use clap::Args;

use crate::cli::client::{Api, ServerOption, block_on};
use crate::cli::command_line::whole_number;
use crate::cli::exit::Outcome;
use crate::cli::terminal::Terminal;

/// Most bytes of one answer of the API.
const PIECE: u64 = 256 * 1024;
/// How often `--follow` looks for more.
const PERIOD: Duration = Duration::from_millis(500);

#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita node log P1-NODE1
  vaquita node log P1-NODE1 --lines 500 --follow
  vaquita node log P1-NODE1 --gen 1       the file before the last rotation")]
pub(super) struct Log {
    #[command(flatten)]
    server: ServerOption,
    /// The node
    #[arg(value_name = "ALIAS")]
    alias: String,
    /// How many lines of the end
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = whole_number::<usize>)]
    lines: usize,
    /// 0 the present file, 1 the one before the last rotation, and so on
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole_number::<u32>)]
    r#gen: u32,
    /// Go on printing what is added, until Ctrl-C
    #[arg(long, conflicts_with = "gen")]
    follow: bool,
}

impl Log {
    pub(super) fn run(self, terminal: &mut Terminal) -> Outcome {
        let mut api = Api::choose(&self.server)?;
        block_on(async {
            let tail = format!("gen={}&tail={PIECE}", self.r#gen);
            let piece = api.log(&self.alias, &tail).await?;
            let mut next = piece.offset + piece.bytes.len() as u64;
            terminal
                .out
                .write_all(last_lines(&piece.bytes, self.lines))?;
            terminal.out.flush()?;
            if !self.follow {
                return Ok(());
            }
            loop {
                tokio::time::sleep(PERIOD).await;
                let more = format!("offset={next}&len={PIECE}");
                let piece = api.log(&self.alias, &more).await?;
                if piece.file_len < next {
                    // The file was rotated: what is there now is new from its start.
                    next = 0;
                    continue;
                }
                next = piece.offset + piece.bytes.len() as u64;
                terminal.out.write_all(&piece.bytes)?;
                terminal.out.flush()?;
            }
        })
    }
}

/// The last `count` lines; one that was cut off at the front is a line too.
fn last_lines(bytes: &[u8], count: usize) -> &[u8] {
    if count == 0 {
        return &[];
    }
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let ends = body
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n');
    match ends.map(|(index, _)| index).nth(count - 1) {
        Some(index) => &bytes[index + 1..],
        None => bytes,
    }
}

#[cfg(test)]
mod tests;

//! Telling a datagram that is new from one that was seen before.

/// What a [`ReplayWindow`] says of a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not seen before; it counts as seen from now on.
    Fresh,
    /// Seen before: the network doubled the datagram, or somebody recorded it.
    Duplicate,
    /// So far behind the newest that it is not known whether it was seen. It counts as seen.
    TooOld,
}

/// Which sequence numbers of one sender, under one epoch, have been seen: the highest and the 127
/// below it.
///
/// The anti-replay window of IPsec (RFC 4303, appendix A2), twice as wide as needed for the
/// reordering of one minute of heartbeats. It is lost in a restart: a recorded datagram then looks
/// fresh, and the receiver must recognise it by an epoch from before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayWindow {
    /// The highest number seen.
    highest: u64,
    /// Bit `i` is set if `highest - i` was seen. Bit 0 is clear only before the first number.
    seen: u128,
}

impl ReplayWindow {
    /// How many numbers below the highest are told apart, the highest included.
    pub const WIDTH: u64 = 128;

    /// Judges `seq`, and takes it for seen.
    ///
    /// Call it only with numbers that are authenticated: a forged high number would make all true
    /// ones too old.
    pub fn accept(&mut self, seq: u64) -> Verdict {
        if self.seen == 0 {
            self.highest = seq;
            self.seen = 1;
            return Verdict::Fresh;
        }
        if let Some(ahead) = seq.checked_sub(self.highest).filter(|&ahead| ahead > 0) {
            let shifted = u32::try_from(ahead)
                .ok()
                .and_then(|by| self.seen.checked_shl(by));
            self.seen = shifted.unwrap_or(0) | 1;
            self.highest = seq;
            return Verdict::Fresh;
        }
        let behind = self.highest.saturating_sub(seq);
        let bit = u32::try_from(behind)
            .ok()
            .and_then(|by| 1_u128.checked_shl(by));
        match bit {
            None => Verdict::TooOld,
            Some(bit) if self.seen & bit != 0 => Verdict::Duplicate,
            Some(bit) => {
                self.seen |= bit;
                Verdict::Fresh
            }
        }
    }
}

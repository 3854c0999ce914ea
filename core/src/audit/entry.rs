//! One entry, and the record of the log that has it.

use core::fmt;
use std::collections::BTreeSet;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

use crate::access::TokenId;
use crate::ids::LogIndex;
use crate::state::Record;
use crate::wire::codec::{self, Malformed};
use crate::wire::text::printable_within;

/// The most characters of an object or a detail that are kept.
pub const OBJECT_MAX: usize = 300;
/// What " and 4294967295 more" takes.
const MORE_ROOM: usize = 20;

/// What somebody proved to be who they are by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Means {
    /// They sit at the console of the process.
    #[n(0)]
    Console,
    /// A login.
    #[n(1)]
    Session(#[n(0)] TokenId),
    /// A token that was made for a program.
    #[n(2)]
    Token(#[n(0)] TokenId),
    /// Nothing: a login that failed, for example.
    #[n(3)]
    Nothing,
    /// They sent the process a signal.
    #[n(4)]
    Signal,
    /// They are the process itself.
    #[n(5)]
    Process,
}

/// The hash of an entry, a SHA-256; or of none, before the first.
#[derive(Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Link(#[cbor(with = "minicbor::bytes")] pub(super) [u8; 32]);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What somebody did, or was refused.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AuditEntry {
    /// When, by the clock of the process that was asked, in milliseconds since 1970; 0 if nobody noted it.
    #[n(0)]
    pub unix_ms: u64,
    /// Who: a user, `console`, `SIGHUP`, `controller`, or empty for somebody who is nobody here.
    #[n(1)]
    pub actor: String,
    /// How that is known.
    #[n(2)]
    pub means: Means,
    /// The address that it came from; `None` for what began in the process itself.
    #[n(3)]
    pub address: Option<String>,
    /// What was done, such as `node.start`.
    #[n(4)]
    pub action: String,
    /// What it was done to.
    #[n(5)]
    pub object: String,
    /// What else is to be known. Never a password or a token.
    #[n(6)]
    pub detail: String,
    /// Why it was refused; empty if it was done, or ordered.
    #[n(7)]
    pub refused: String,
    /// How often: more than once where entries are counted together.
    #[n(8)]
    pub count: u32,
    /// Whether it was written before anything was done: what came of it is not known here. If it was
    /// refused afterwards, another entry says so.
    #[cbor(n(9), default)]
    pub ordered: bool,
}

impl AuditEntry {
    /// A text as an entry has it: without what could move a cursor, and of [`OBJECT_MAX`] characters at
    /// most, which are counted as they are written.
    #[must_use]
    pub fn text(text: &str) -> String {
        printable_within(text, OBJECT_MAX)
    }

    /// Names as an entry has them: each once, as many as go into `room` characters, and how many more there
    /// are.
    #[must_use]
    pub fn names<'a>(names: impl IntoIterator<Item = &'a str>, room: usize) -> String {
        let mut seen = BTreeSet::new();
        let mut text = String::new();
        let (mut used, mut more) = (0, 0_usize);
        for name in names {
            if !seen.insert(name) {
                continue;
            }
            let shown = printable_within(name, room / 2);
            let takes = shown.chars().count() + 2;
            // What came after one that is left out is left out too: it counts, and room for that is kept.
            if more > 0 || used + takes + MORE_ROOM > room {
                more += 1;
                continue;
            }
            if used > 0 {
                text.push_str(", ");
            }
            text.push_str(&shown);
            used += takes;
        }
        if more > 0 {
            text = format!("{text} and {more} more");
        }
        text
    }

    /// The entry's place in the chain: a hash of the one before, of where it stands and of all that it
    /// says. Fields are written out one by one, so that a version that knows more of them gets the same.
    pub(super) fn hash(&self, before: &[u8; 32], sequence: u64, index: LogIndex) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"vaquita audit 1\0");
        hash.update(before);
        hash.update(sequence.to_be_bytes());
        hash.update(index.0.to_be_bytes());
        hash.update(self.unix_ms.to_be_bytes());
        hash.update(self.count.to_be_bytes());
        hash.update(codec::encode(&self.means));
        let address = self.address.as_deref();
        for text in [
            &self.actor,
            address.unwrap_or_default(),
            &self.action,
            &self.object,
            &self.detail,
            &self.refused,
        ] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.update([u8::from(address.is_some())]);
        // Entries of before there was this are hashed as they were.
        if self.ordered {
            hash.update([1]);
        }
        hash.finalize().into()
    }
}

/// An entry with the change that it tells of: one record, so that there is never one without the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Audited {
    /// Who did what.
    pub entry: AuditEntry,
    /// The change, or the first of several; `None` for what changes nothing in the log. Never itself one
    /// with an entry.
    pub change: Option<Record>,
    /// The hash of the entry before this one, when this one was written. `None` in logs of before it was
    /// noted.
    pub before: Option<Link>,
}

/// How that lies in the log.
#[derive(Encode, Decode)]
struct Stored {
    #[n(0)]
    entry: AuditEntry,
    /// Kind and bytes of the change, as a record of its own has them.
    #[n(1)]
    kind: Option<u16>,
    #[n(2)]
    change: Option<ByteVec>,
    #[cbor(n(3), default)]
    before: Option<Link>,
}

impl Audited {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let change = self.change.as_ref().map(Record::encode);
        let (kind, change) = change.unzip();
        codec::encode(&Stored {
            entry: self.entry.clone(),
            kind,
            change: change.map(ByteVec::from),
            before: self.before,
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Stored {
            entry,
            kind,
            change,
            before,
        } = codec::decode("Audited", bytes)?;
        let change = match (kind, change) {
            (None, None) => None,
            (Some(kind), Some(change)) => match Record::decode(kind, &change)? {
                Record::Audited(_) => {
                    return Err(Malformed::new("Audited", 0, &"an entry in an entry"));
                }
                change => Some(change),
            },
            _ => return Err(Malformed::new("Audited", 0, &"half a change")),
        };
        Ok(Self {
            entry,
            change,
            before,
        })
    }
}

//! Which protocol a connection speaks, told by its first bytes.
//!
//! One port serves everything. What arrives first decides:
//!
//! ```text
//! 16 …            TLS: a handshake record
//! 'V' 'Q' 'T' '1' the node protocol: the magic of its first frame
//! 'V' 'Q' 'D' '1' bytes of chunks: a session follows, with raw bytes between its frames
//! 'A' 'P' 'I'     reserved for a client protocol that does not exist yet
//! anything else   HTTP
//! ```

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Node,
    Data,
    Http,
    Tls,
    Api,
}

/// Why it could not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Not enough bytes came in time.
    Silent,
    /// The other side left.
    Left,
}

/// The first bytes of every frame of the node protocol.
const NODE_MAGIC: &[u8] = b"VQT1";
/// The first bytes of every data connection.
pub(super) const DATA_MAGIC: &[u8] = vaquita_core::dfs::transfer::MAGIC;
/// The first bytes of the line that a client of the reserved protocol sends.
const API_WORD: &[u8] = b"API";
/// The type byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// How many bytes are read before the protocol is known: more than any of the words above, little
/// enough that waiting connections cost nothing.
const FIRST_READ: usize = 512;

/// What `first` begins, or `None` if more bytes are needed to tell.
pub(super) fn classify(first: &[u8]) -> Option<Protocol> {
    let begins = |word: &[u8]| first.starts_with(word);
    let may_begin = |word: &[u8]| word.starts_with(first);
    match first {
        [] => None,
        [TLS_HANDSHAKE, ..] => Some(Protocol::Tls),
        _ if begins(NODE_MAGIC) => Some(Protocol::Node),
        _ if begins(DATA_MAGIC) => Some(Protocol::Data),
        _ if begins(API_WORD) => Some(Protocol::Api),
        _ if may_begin(NODE_MAGIC) || may_begin(DATA_MAGIC) || may_begin(API_WORD) => None,
        _ => Some(Protocol::Http),
    }
}

/// Reads from a new connection until its protocol is known. Returns the bytes read, too.
pub(super) async fn sniff<S: AsyncRead + Unpin>(
    stream: &mut S,
    patience: Duration,
) -> Result<(Protocol, Bytes), Unknown> {
    let mut first = BytesMut::with_capacity(FIRST_READ);
    let reading = async {
        loop {
            match stream.read_buf(&mut first).await {
                Ok(0) | Err(_) => return Err(Unknown::Left),
                Ok(_) => {}
            }
            if let Some(protocol) = classify(&first) {
                return Ok(protocol);
            }
        }
    };
    match timeout(patience, reading).await {
        Ok(Ok(protocol)) => Ok((protocol, first.freeze())),
        Ok(Err(unknown)) => Err(unknown),
        Err(_) => Err(Unknown::Silent),
    }
}

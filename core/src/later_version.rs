//! What a version to come may write, for tests of how this version reads it.
//!
//! A newer process in an older cluster is what every rolling upgrade makes. It says what this
//! version knows and more: further fields, and messages of further kinds. Neither may keep a
//! process of this version from understanding the rest.

use minicbor::encode::Write;
use minicbor::{Decoder, Encoder};

use crate::message::{Envelope, Message};

/// A kind of message that this version does not know.
pub(crate) const UNKNOWN_KIND: u16 = 0x7ff0;

/// The body of a message of [`UNKNOWN_KIND`].
pub(crate) const UNKNOWN_BODY: &[u8] = b"what a version to come has to say";

/// The number of the field that is added: far behind those there are.
const FIELD: u64 = 31;

/// The body of a frame that carries `message`, with a field that this version does not know in the
/// message, in its envelope, and in the letter that holds both.
///
/// # Panics
/// If a message is not a letter of two arrays, which is a bug of this module.
pub(crate) fn encode(message: Message, envelope: Envelope) -> Vec<u8> {
    let letter = message.encode(envelope);
    longer_letter(&letter).expect("a message is a letter of an envelope and a message")
}

/// A message with its envelope, with a field more in both and beside them; `None` for anything else.
pub(crate) fn longer_letter(letter: &[u8]) -> Option<Vec<u8>> {
    let mut parts = Decoder::new(letter);
    let count = parts.array().ok()??;
    let begin = parts.position();
    parts.skip().ok()?;
    let middle = parts.position();
    let envelope = longer(letter.get(begin..middle)?)?;
    let message = longer(letter.get(middle..)?)?;
    Some(array_with_field(count, &[envelope, message].concat()))
}

/// An array with one element more; `None` for anything else.
pub(crate) fn longer(array: &[u8]) -> Option<Vec<u8>> {
    let mut parts = Decoder::new(array);
    let count = parts.array().ok()??;
    Some(array_with_field(count, array.get(parts.position()..)?))
}

/// An array of `count` encoded elements and of [`FIELD`], with nothing in between.
fn array_with_field(count: u64, elements: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    let written = (|| {
        encoder.array(FIELD + 1)?;
        encoder
            .writer_mut()
            .write_all(elements)
            .map_err(minicbor::encode::Error::write)?;
        for _ in count..FIELD {
            encoder.null()?;
        }
        encoder.str("a field of a version to come").map(|_| ())
    })();
    written.expect("memory takes any bytes");
    encoder.into_writer()
}

#[cfg(test)]
mod tests {
    use super::{UNKNOWN_BODY, UNKNOWN_KIND, encode};
    use crate::ids::NodeEpoch;
    use crate::message::{Envelope, Fenced, Message};

    #[test]
    fn this_version_reads_what_a_later_one_says_and_skips_what_it_adds() {
        let envelope = Envelope {
            node_epoch: NodeEpoch(7),
            ..Envelope::default()
        };
        let message = Message::Fenced(Fenced {
            reason: "too late".to_owned(),
        });
        let body = encode(message.clone(), envelope.clone());
        assert!(body.len() > message.clone().encode(envelope.clone()).len() + 3 * 28);
        let read = Message::decode(message.kind(), &body);
        assert_eq!(read, Ok(Some((envelope, message))));
        assert_eq!(Message::decode(UNKNOWN_KIND, UNKNOWN_BODY), Ok(None));
    }
}

//! A body for fuzzers: bodies of frames that nobody wrote.

use minicbor::{Decode, Encode};

use super::Message;
use crate::dfs::ask::{Answer, Ask};
use crate::dfs::transfer::{TransferReply, TransferRequest};
use crate::later_version::{self, UNKNOWN_KIND};
use crate::wire::codec;
use crate::wire::handshake::{Goodbye, Hello, Proof};

/// The first byte says what the rest is read as: a message of each kind, what is said on a data
/// connection, what is said while a session begins.
///
/// # Panics
/// If what was read is not what is read again from what is written of it, if a part of that passes
/// for the whole, or if what a later version would add keeps it from being understood.
pub fn fuzz_message(data: &[u8]) {
    let Some((what, body)) = data.split_first() else {
        return;
    };
    let what = usize::from(*what);
    if let Some((kind, name)) = Message::KINDS.get(what) {
        return read_message(*kind, name, body);
    }
    match what - Message::KINDS.len() {
        0 => there_and_back::<TransferRequest>("TransferRequest", body),
        1 => there_and_back::<TransferReply>("TransferReply", body),
        2 => there_and_back::<Hello>("Hello", body),
        3 => there_and_back::<Proof>("Proof", body),
        4 => there_and_back::<Goodbye>("Goodbye", body),
        5 => there_and_back::<Ask>("Ask", body),
        6 => there_and_back::<Answer>("Answer", body),
        _ => assert_eq!(
            Message::decode(UNKNOWN_KIND, body),
            Ok(None),
            "what is not known is skipped"
        ),
    }
}

fn read_message(kind: u16, name: &str, body: &[u8]) {
    let Ok(read) = Message::decode(kind, body) else {
        return;
    };
    let (envelope, message) = read.expect("the kind is known");
    assert_eq!((message.kind(), message.name()), (kind, name));
    let written = message.clone().encode(envelope.clone());
    let again = Message::decode(kind, &written);
    assert_eq!(again, Ok(Some((envelope.clone(), message.clone()))));
    assert_no_part_passes(&written, |part| Message::decode(kind, part).is_ok());
    if let Some(later) = later_version::longer_letter(&written) {
        let read = Message::decode(kind, &later);
        assert_eq!(
            read,
            Ok(Some((envelope, message))),
            "a field more is skipped"
        );
    }
}

fn there_and_back<T>(what: &str, body: &[u8])
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    let Ok(read) = codec::decode::<T>(what, body) else {
        return;
    };
    let written = codec::encode(&read);
    let again = codec::decode::<T>(what, &written).map(|read| codec::encode(&read));
    assert_eq!(
        again.as_ref(),
        Ok(&written),
        "{what} reads as it was written"
    );
    assert_no_part_passes(&written, |part| codec::decode::<T>(what, part).is_ok());
}

/// Panics if a beginning of `written` can be read too, or it with something behind it.
fn assert_no_part_passes(written: &[u8], passes: impl Fn(&[u8]) -> bool) {
    // Every cut of what is short, a sample of what is long.
    let step = written.len() / 64 + 1;
    for end in (0..written.len()).step_by(step) {
        assert!(!passes(&written[..end]), "the first {end} bytes pass");
    }
    assert!(
        !passes(&[written, &[0xf6]].concat()),
        "something behind it passes"
    );
}

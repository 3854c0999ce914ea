//! Reading what is on a volume when it is opened.

use std::io;

use vaquita_core::store::scan::LabelFound;

use crate::env::ReadFiles;

/// Looks at a volume's files. Called where it may block, once for each time the volume is opened.
///
/// It reads no label yet, nor any chunk: the reader of the core's formats plugs in here, as
/// `vaquita_core::store::scan` over this [`ReadFiles`].
pub(super) fn look(files: &dyn ReadFiles) -> io::Result<LabelFound> {
    let listing = files.list()?;
    let mut others: Vec<String> = listing.files.keys().map(ToString::to_string).collect();
    others.extend(listing.foreign);
    others.sort();
    Ok(LabelFound::None { others })
}

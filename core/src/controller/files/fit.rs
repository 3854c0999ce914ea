//! Answers that fit into a message.
//!
//! A page is cut where the next item would make it too long, and the rest is asked for again. What
//! cannot be cut and does not fit is not sent, and a refusal in its place.

use minicbor::Encode;
use minicbor::encode::Write;

use crate::controller::Controller;
use crate::dfs::ask::WrittenChunk;

/// What a message has beside the items of a page, or the chunks of a commit: paths, names, ids.
const BESIDE: usize = 16 * 1024;

impl Controller {
    /// Bytes that the items of a page may take.
    pub(super) fn page_bytes_max(&self) -> usize {
        self.limits.frame_body_max.saturating_sub(BESIDE)
    }

    /// Cuts a page to what fits into a message. Returns whether it had to. One item stays, however
    /// long: each alone is much shorter than a message.
    pub(super) fn cut_page<T: Encode<()>>(&self, items: &mut Vec<T>) -> bool {
        let mut left = self.page_bytes_max();
        let fit = items
            .iter()
            .take_while(|item| match left.checked_sub(encoded_len(*item)) {
                Some(rest) => {
                    left = rest;
                    true
                }
                None => false,
            })
            .count();
        let cut = fit < items.len();
        items.truncate(fit.max(1));
        cut
    }

    /// The most chunks that a file can have, so that its commit fits into a message.
    pub(super) fn file_chunks_max(&self) -> usize {
        let each = WrittenChunk::encoded_len_max(self.files.config.factor);
        self.limits
            .file_chunks_max
            .min(self.page_bytes_max() / each)
    }
}

/// Bytes that a value takes in a message.
pub(crate) fn encoded_len<T: Encode<()>>(value: &T) -> usize {
    /// Counts what is written to it.
    struct Count(usize);

    impl Write for Count {
        type Error = core::convert::Infallible;

        fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
            self.0 += bytes.len();
            Ok(())
        }
    }

    let mut count = Count(0);
    // Nothing that travels refuses to be encoded.
    let _ = minicbor::encode(value, &mut count);
    count.0
}

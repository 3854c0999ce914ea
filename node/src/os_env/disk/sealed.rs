//! Files that change no more, mapped into memory.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// The bytes of a sealed file. They are read from the disk when they are looked at.
#[derive(Debug)]
pub struct Sealed {
    /// `None` for an empty file, which cannot be mapped.
    map: Option<Mmap>,
}

impl Sealed {
    /// Maps the whole of `file`.
    pub(super) fn map(file: &File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: the bytes behind a map must not change while it lives, and the file must not get
        // shorter. A sealed file is one to which its machine writes nothing any more; a machine may
        // remove it, which leaves the mapped bytes as they are. The lock on the directory keeps
        // other processes of this program out. What is left is somebody else who writes into a
        // file of a running process's home, which no program can be proof against.
        #[expect(
            unsafe_code,
            reason = "mapping a file cannot be made safe; the argument stands above"
        )]
        let map = unsafe { Mmap::map(file) }?;
        Ok(Self { map: Some(map) })
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

//! What a default may depend on.

use serde::Serialize;

/// Facts about the host that a process runs on. The caller finds them out; nothing here does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HostFacts {
    /// Processor cores that the process may use.
    pub cores: u32,
    /// Physical memory in bytes.
    pub memory_bytes: u64,
}

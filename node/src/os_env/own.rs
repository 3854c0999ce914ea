//! What this process and its host are.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sha2::{Digest, Sha256};
use vaquita_core::ids::HostId;
use vaquita_core::process::ProcessIdentity;

use super::{OsEnv, proc};

impl OsEnv {
    /// This process, as its agent will look for it.
    ///
    /// # Errors
    /// If `/proc` is not mounted.
    pub fn own_identity(&self) -> io::Result<ProcessIdentity> {
        let pid = std::process::id();
        let stat = proc::stat(pid)?
            .ok_or_else(|| io::Error::other("/proc does not know this very process"))?;
        let program = &self.host.program;
        Ok(ProcessIdentity {
            pid,
            start_ticks: stat.start_ticks,
            boot_id: program.boot_id.clone(),
            executable: program.id,
        })
    }
}

/// What tells this machine from others: a digest of its label if it has one, else of its machine id,
/// else of its address. The id itself stays here.
#[must_use]
pub fn host_id(label: Option<&str>, address: &str) -> HostId {
    let machine = || {
        fs::read_to_string("/etc/machine-id")
            .ok()
            .map(|id| id.trim().to_owned())
    };
    let name = match label {
        Some(label) => format!("label {label}"),
        None => match machine().filter(|id| !id.is_empty()) {
            Some(id) => format!("machine {id}"),
            None => format!("address {address}"),
        },
    };
    let digest = Sha256::digest(format!("vaquita/host/{name}"));
    let half: [u8; 16] = digest[..16]
        .try_into()
        .expect("a SHA-256 digest has 32 bytes");
    HostId::new(half)
}

/// How many files, sockets among them, this process may have open at a time, having raised that to the most it
/// is allowed to.
///
/// Shells set it to 1,024 for the sake of programs that wait with `select`, which this one does not.
#[must_use]
pub fn raise_open_files() -> usize {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: now.maximum,
        ..now
    };
    // Without a maximum the kernel has one of its own, which is not asked for.
    let raised = setrlimit(Resource::Nofile, raised).is_ok() && raised.current.is_some();
    let most = if raised { now.maximum } else { now.current };
    most.map_or(usize::MAX, |most| {
        usize::try_from(most).unwrap_or(usize::MAX)
    })
}

/// Cores that this process may use.
#[must_use]
pub fn cores() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores).unwrap_or(u32::MAX)
}

/// Physical memory in bytes, if the kernel tells.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

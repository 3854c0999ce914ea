//! What the machine lets a nemesis have: networks, disks and clocks of its own.

pub mod alone;
mod disk;
mod guard;
mod hub;
mod mounts;
mod place;
mod signals;
mod tools;
mod tun;

use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) use disk::{Backing, Disk};
pub use guard::Guard;
pub(crate) use hub::{Hub, Weather};
pub(crate) use place::{Place, wire_up};
pub use signals::on_signals;

use crate::fault::Kind;

/// What there is, and why something is not.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    /// Whether each host can have a network of its own.
    pub(crate) networks: Result<(), String>,
    /// What disks are made of.
    pub(crate) disks: Result<Backing, String>,
    /// Why they are not made of ext4, where they are made of memory.
    no_ext4: Option<String>,
    /// A library that shows processes another time.
    pub(crate) clock: Result<PathBuf, String>,
}

/// Where Debian and its relatives have libfaketime.
const FAKETIME: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
];

impl Ground {
    /// Looks what there is; tries out so many disks in a directory.
    pub(crate) fn look(room: &Path, disks: usize) -> Self {
        let alone = alone::is_alone().then_some(()).ok_or_else(|| {
            "this process has no namespaces of its own: run it as root, or where the kernel gives them to \
             anybody, and without --loopback"
                .to_owned()
        });
        if alone.is_ok() {
            // Where nothing else can be had it is at least a network of one machine.
            let _ = tools::run("ip", &["link", "set", "lo", "up"]);
        }
        let found = FAKETIME.iter().map(PathBuf::from).find(|it| it.is_file());
        let disks = alone.clone().and_then(|()| disk::try_out(room, disks));
        let no_ext4 = disks.clone().ok().and_then(|(_, why)| why);
        Self {
            networks: alone.and_then(|()| tun::try_out()),
            disks: disks.map(|(backing, _)| backing),
            no_ext4,
            clock: found.ok_or_else(|| {
                "libfaketime is not installed: install it (package libfaketime)".to_owned()
            }),
        }
    }

    /// Why a kind of fault cannot be had here.
    pub(crate) fn lacks(&self, kind: Kind) -> Option<String> {
        let of_ext4 = || match &self.disks {
            Ok(Backing::Ext4) => None,
            Ok(Backing::Memory) => Some(format!(
                "file systems are kept in memory here, which can be filled and unmounted, not more; ext4 is not \
                 to be had: {}",
                self.no_ext4.as_deref().unwrap_or("it was not tried")
            )),
            Err(why) => Some(why.clone()),
        };
        match kind {
            Kind::Kill | Kind::Terminate | Kind::Stop | Kind::Operate => None,
            Kind::Cut | Kind::Delay | Kind::Lose => self.networks.clone().err(),
            Kind::Fill | Kind::Unmount => self.disks.clone().err(),
            Kind::ReadOnly | Kind::Slow | Kind::Hang => of_ext4(),
            Kind::Clock => self.clock.clone().err(),
        }
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.networks {
            Ok(()) => f.write_str("a network for each host")?,
            Err(_) => f.write_str("loopback addresses")?,
        }
        match &self.disks {
            Ok(Backing::Ext4) => f.write_str(", a disk with ext4 for each data node"),
            Ok(Backing::Memory) => f.write_str(", a file system in memory for each data node"),
            Err(_) => f.write_str(", directories as volumes"),
        }
    }
}

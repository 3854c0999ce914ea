//! Interfaces whose packets come out of a descriptor.

use std::fs::OpenOptions;
use std::os::fd::{AsFd as _, OwnedFd};

/// What the kernel is told of an interface: its name and how it is to be (`struct ifreq`).
#[repr(C)]
struct Interface {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

const _: () = assert!(
    size_of::<Interface>() == 40,
    "the kernel copies as much, both ways"
);

/// An interface whose packets come out of a descriptor, without anything in front of them.
const IFF_TUN: i16 = 0x0001;
const IFF_NO_PI: i16 = 0x1000;
/// Makes a descriptor an interface: `_IOW('T', 202, int)`, though it takes a `struct ifreq` and writes it as well.
const TUNSETIFF: rustix::ioctl::Opcode = rustix::ioctl::opcode::write::<i32>(b'T', 202);

/// Makes an interface in the network that the caller is in.
pub(super) fn tun(name: &str) -> Result<OwnedFd, String> {
    let path = "/dev/net/tun";
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| format!("{path}: {error}"))?;
    let mut interface = Interface {
        name: [0; 16],
        flags: IFF_TUN | IFF_NO_PI,
        rest: [0; 22],
    };
    interface.name[..name.len().min(15)].copy_from_slice(&name.as_bytes()[..name.len().min(15)]);
    #[expect(
        unsafe_code,
        reason = "TUNSETIFF reads and writes the 40 bytes of an ifreq, which `Interface` has, and which may be any"
    )]
    let made = unsafe {
        let updater = rustix::ioctl::Updater::<TUNSETIFF, Interface>::new(&mut interface);
        rustix::ioctl::ioctl(file.as_fd(), updater)
    };
    made.map_err(|errno| format!("{path}: no interface: {errno}"))?;
    Ok(file.into())
}

/// Whether interfaces can be had.
pub(super) fn try_out() -> Result<(), String> {
    super::Place::apart("10.254.254.1").map(drop)
}

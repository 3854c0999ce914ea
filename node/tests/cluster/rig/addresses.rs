//! Addresses that no other test has.

use std::net::{Ipv4Addr, TcpListener};

/// The 256 addresses of a test: 127.A.B.0 to 127.A.B.255, reserved until it is dropped.
///
/// The whole of 127.0.0.0/8 is this machine's, so that each test may have every port on addresses
/// of its own, and the port numbers of a real cluster.
pub(crate) struct Addresses {
    subnet: [u8; 3],
    _reserved: TcpListener,
}

/// The socket that reserves a subnet: no cluster of the tests uses it.
const RESERVED: (u8, u16) = (254, 8999);

impl Addresses {
    /// Takes a subnet that no other test of this user holds, in this process or another.
    pub(crate) fn take() -> Self {
        // Tests of one run begin their search at one place; who comes later finds it taken.
        let begin = std::process::id() as usize;
        let subnets = (0..100 * 256).map(|step| {
            let number = (begin + step) % (100 * 256);
            let [_, low] = u16::try_from(number).unwrap().to_be_bytes();
            [127, 128 + u8::try_from(number / 256).unwrap(), low]
        });
        for subnet @ [a, b, c] in subnets {
            let (host, port) = RESERVED;
            #[expect(
                clippy::disallowed_methods,
                reason = "whoever binds it first has the subnet"
            )]
            let reserved = TcpListener::bind((Ipv4Addr::new(a, b, c, host), port));
            if let Ok(reserved) = reserved {
                return Self {
                    subnet,
                    _reserved: reserved,
                };
            }
        }
        panic!("no subnet of 127.128.0.0 to 127.227.255.255 is free");
    }

    /// `127.A.B`, as `vaquita local --subnet` takes it.
    pub(crate) fn subnet(&self) -> String {
        let [a, b, c] = self.subnet;
        format!("{a}.{b}.{c}")
    }
}

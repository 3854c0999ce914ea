//! The networks from which a token may be used.

use core::fmt;
use core::net::IpAddr;

use ipnet::IpNet;
use minicbor::{Decode, Decoder, Encode, Encoder};
use thiserror::Error;

/// A network in CIDR form, such as `10.1.0.0/16`; a lone address is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(IpNet);

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{shown}` is no network: write an address and how many of its bits count, such as \
     `10.1.0.0/16`, or a lone address"
)]
pub struct NetworkError {
    shown: String,
}

impl Network {
    /// The longest text that can be one, in bytes: an IPv6 address with an embedded IPv4 one and its
    /// prefix.
    const TEXT_MAX: usize = 49;

    /// Reads a network. Bits behind the prefix are cleared; an IPv4 network that is written as an IPv6
    /// one is taken for what it is, as the addresses of connections are.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let error = || NetworkError {
            shown: text
                .chars()
                .take(60)
                .collect::<String>()
                .escape_debug()
                .to_string(),
        };
        if text.len() > Self::TEXT_MAX {
            return Err(error());
        }
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_) => text.parse::<IpNet>().map_err(|_| error())?,
        };
        Ok(Self(canonical(network).trunc()))
    }

    /// Whether an address is one of the network.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

fn canonical(network: IpNet) -> IpNet {
    match (
        network.addr().to_canonical(),
        network.prefix_len().checked_sub(96),
    ) {
        (address @ IpAddr::V4(_), Some(prefix)) if matches!(network, IpNet::V6(_)) => {
            IpNet::new(address, prefix).unwrap_or(network)
        }
        _ => network,
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<C> Encode<C> for Network {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.str(&self.to_string())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Network {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = decoder.position();
        let text = decoder.str()?;
        Self::parse(text).map_err(|error| minicbor::decode::Error::message(error).at(at))
    }
}

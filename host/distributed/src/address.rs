//! At which of its addresses a machine is reached by the other processes of a run.

use std::env;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};

use kiwi_core::place::Place;

use crate::ffi::ReachedAt;

/// What chooses a network interface where the machine has several, as for PyTorch.
const INTERFACE: &str = "GLOO_SOCKET_IFNAME";
/// An address that is nobody's (RFC 5737): which of ours leads there is that of the way out of the machine. Nothing is sent.
const OUTSIDE: &str = "192.0.2.1:9";

/// The interface that `GLOO_SOCKET_IFNAME` names; else the address from which the place where all meet is reached, whatever the
/// machine's name resolves to.
pub(crate) fn reached_at(place: &Place) -> Result<ReachedAt, String> {
    if let Ok(name) = env::var(INTERFACE)
        && !name.is_empty()
    {
        let known = interfaces();
        return if known.is_empty() || known.contains(&name) {
            Ok(ReachedAt::Interface(name))
        } else {
            Err(format!(
                "{INTERFACE} is `{name}`, which is none of this machine's interfaces: {}",
                known.join(", ")
            ))
        };
    }
    let meeting = (place.host.as_str(), place.port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut ways = meeting.filter_map(towards);
    let Some(address) = ways.next() else {
        return Err(format!("no network leads to {}", place.host));
    };
    let one_machine = place.local_ranks == Some(place.ranks);
    if address.is_loopback() && !one_machine && !is_loopback(&place.host) {
        // The own name of the machine where all meet often stands for its loopback, at which no other machine reaches it.
        let outside = OUTSIDE.parse().ok().and_then(towards);
        return Ok(ReachedAt::Address(outside.unwrap_or(address)));
    }
    Ok(ReachedAt::Address(address))
}

/// The network interfaces of this machine, as far as it tells.
fn interfaces() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The own address that packets to `there` would come from.
fn towards(there: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if there.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(there).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

//! What a scenario does to the network and the hosts.

use super::builder::physical;
use super::host::directory;
use super::program::volume;
use super::shared::lock;
use super::{Cluster, UdpFaults};

impl Cluster {
    /// The simulated hosts of a physical one; a name that is a simulated host stands for itself.
    fn expand(&self, names: &[&str]) -> Vec<String> {
        let all = self.layout.all();
        let meant =
            |host: &&String| names.contains(&host.as_str()) || names.contains(&physical(host));
        let found: Vec<String> = all.iter().filter(meant).cloned().collect();
        assert!(!found.is_empty(), "no simulated host is meant by {names:?}");
        found
    }

    /// The simulated hosts that are not meant by these names.
    #[must_use]
    pub fn all_but(&self, names: &[&str]) -> Vec<String> {
        let inside = self.expand(names);
        let mut all = self.layout.all();
        all.retain(|host| !inside.contains(host));
        all
    }

    /// Does something for each pair of hosts, one from either side, and keeps the list of cuts.
    fn for_pairs(
        &mut self,
        from: &[&str],
        to: &[&str],
        both_ways: bool,
        cut: bool,
        act: impl Fn(&turmoil::Sim<'static>, &str, &str),
    ) {
        for one in self.expand(from) {
            for other in self.expand(to) {
                if one == other {
                    continue;
                }
                act(&self.sim, &one, &other);
                let mut state = self.shared.state();
                let mut ways = vec![(one.clone(), other.clone())];
                if both_ways {
                    ways.push((other, one.clone()));
                }
                for way in ways {
                    if cut {
                        state.cuts.insert(way);
                    } else {
                        state.cuts.remove(&way);
                    }
                }
            }
        }
    }

    /// Nothing passes between two sets of hosts, in either direction.
    pub fn partition(&mut self, one: &[&str], other: &[&str]) {
        self.note(format!("partition {one:?} from {other:?}"));
        self.for_pairs(one, other, true, true, |sim, a, b| sim.partition(a, b));
    }

    /// Cuts hosts off from all others.
    pub fn isolate(&mut self, names: &[&str]) {
        let rest = self.all_but(names);
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        self.partition(names, &rest);
    }

    /// Everything passes again between two sets of hosts.
    pub fn heal(&mut self, one: &[&str], other: &[&str]) {
        self.note(format!("heal {one:?} and {other:?}"));
        self.for_pairs(one, other, true, false, |sim, a, b| sim.repair(a, b));
    }

    /// Ends an isolation.
    pub fn rejoin(&mut self, names: &[&str]) {
        let rest = self.all_but(names);
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        self.heal(names, &rest);
    }

    /// Nothing passes in one direction; the other stays open.
    pub fn cut(&mut self, from: &[&str], to: &[&str]) {
        self.note(format!("cut from {from:?} to {to:?}"));
        self.for_pairs(from, to, false, true, |sim, a, b| {
            sim.partition_oneway(a, b)
        });
    }

    /// Ends a one-way cut.
    pub fn uncut(&mut self, from: &[&str], to: &[&str]) {
        self.note(format!("end of the cut from {from:?} to {to:?}"));
        self.for_pairs(from, to, false, false, |sim, a, b| sim.repair_oneway(a, b));
    }

    /// Whatever is sent between two sets of hosts is kept back until [`Cluster::release`].
    pub fn hold(&mut self, one: &[&str], other: &[&str]) {
        self.note(format!("hold between {one:?} and {other:?}"));
        for one in self.expand(one) {
            for other in self.expand(other) {
                self.sim.hold(one.as_str(), other.as_str());
            }
        }
    }

    /// What was held is delivered, all at once.
    pub fn release(&mut self, one: &[&str], other: &[&str]) {
        self.note(format!("release between {one:?} and {other:?}"));
        for one in self.expand(one) {
            for other in self.expand(other) {
                self.sim.release(one.as_str(), other.as_str());
            }
        }
    }

    /// What all datagrams suffer from now on.
    pub fn udp(&mut self, faults: UdpFaults) {
        self.note(format!("{faults:?}"));
        self.shared.state().faults = faults;
    }

    /// A stranger takes a port of a host, or lets go of it.
    pub fn hold_port(&mut self, host: &str, port: u16, stranger: Option<&str>) {
        self.note(format!("port {port} of {host}: {stranger:?}"));
        let key = (host.to_owned(), port);
        let held = &mut self.shared.state().held;
        match stranger {
            Some(stranger) => held.insert(key, stranger.to_owned()),
            None => held.remove(&key),
        };
    }

    /// `SIGSTOP`: the process stands still, its timers come late, and what others send waits in its
    /// sockets until they are full.
    ///
    /// # Panics
    /// If there is no such host.
    pub fn pause(&mut self, host: &str) {
        self.note(format!("SIGSTOP to {host}"));
        let mut state = self.shared.state();
        let entry = state.hosts.get_mut(host).expect("a host of the simulation");
        entry.paused = true;
    }

    /// `SIGCONT`.
    ///
    /// # Panics
    /// If there is no such host.
    pub fn resume(&mut self, host: &str) {
        self.note(format!("SIGCONT to {host}"));
        let parked = {
            let mut state = self.shared.state();
            let entry = state.hosts.get_mut(host).expect("a host of the simulation");
            entry.paused = false;
            core::mem::take(&mut entry.parked)
        };
        for waker in parked {
            waker.wake();
        }
    }

    /// The power goes: nobody says goodbye, and disks keep only what was synced.
    pub fn power_cut(&mut self, names: &[&str]) {
        self.note(format!("power cut of {names:?}"));
        // turmoil closes connections in good order when a host crashes; the partition, which has to
        // come first, swallows that.
        self.isolate(names);
        self.partition(names, names);
        for host in self.expand(names) {
            self.sim.crash(host.as_str());
            let home = self.shared.home(&host);
            for directory in [directory(&home), volume(&home)] {
                lock(&self.shared.store(&directory)).power_cut();
            }
            let mut state = self.shared.state();
            if let Some(entry) = state.hosts.get_mut(&host) {
                entry.process = None;
            }
        }
    }

    /// The power is back. Nothing is started: that is the init system's business, see
    /// [`Cluster::start`].
    pub fn power_on(&mut self, names: &[&str]) {
        self.note(format!("power on of {names:?}"));
        self.rejoin(names);
        self.heal(names, names);
        for host in self.expand(names) {
            self.sim.bounce(host);
        }
    }
}

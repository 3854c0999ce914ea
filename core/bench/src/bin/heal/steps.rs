//! What is taken from the cluster, or done to it, one after the other.

use std::fs::{self, File};
use std::io::Write as _;

use rustix::process::Signal;
use vaquita_bench::http::Client;
use vaquita_bench::stop::Stop;

use super::disk::{chunk_files, flip_a_bit, force_read_only, run, text};
use super::watch::repair;
use super::{Duration, HOST_AWAY, LATE, NODES, Trial};

impl Trial {
    pub(crate) fn kill_for_good(
        &mut self,
        controller: &mut Client,
        stop: &Stop,
    ) -> Result<(), String> {
        let members = self.cluster.access.members(controller)?;
        let node = members.iter().find(|it| it.alias == NODES[0]);
        let pid = node.and_then(|it| it.pid).ok_or("it has no process")?;
        let server = self.cluster.servers().open(pid)?.ok_or("it does not run")?;
        server.signal(Signal::KILL)?;
        // Its agent would start it again.
        self.cluster.vaquita(&["node", "stop", NODES[0]])?;
        self.until_member(controller, stop, NODES[0], |it| {
            it.state == "stopped" || it.state == "lost" || it.state == "offline"
        })
    }

    pub(crate) fn bring_back(&mut self, _: &mut Client, _: &Stop) -> Result<(), String> {
        self.start_node(NODES[0])
    }

    pub(crate) fn fill(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let ballast = self.disk(NODES[1]).place.join("ballast");
        let failed = |error: std::io::Error| format!("{}: {error}", ballast.display());
        let mut file = File::create(&ballast).map_err(failed)?;
        let block = vec![0; 1 << 20];
        while file.write_all(&block).is_ok() {}
        drop(file);
        self.until_volume(controller, stop, NODES[1], |state| state == "full")?;
        stop.sleep(self.between);
        fs::remove_file(&ballast).map_err(failed)?;
        self.until_volume(controller, stop, NODES[1], |state| state != "full")
    }

    pub(crate) fn take_mount(
        &mut self,
        controller: &mut Client,
        stop: &Stop,
    ) -> Result<(), String> {
        let node = NODES[2];
        self.stop_node(node)?;
        self.disk(node).unmount()?;
        self.start_node(node)?;
        self.until_volume(controller, stop, node, |state| state == "missing")?;
        stop.sleep(self.between);
        self.disk(node).mount()?;
        self.cluster.vaquita(&["volume", "rescan", node])?;
        self.until_volume(controller, stop, node, |state| state == "good")
    }

    pub(crate) fn read_only(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let node = NODES[3];
        // As a kernel does by itself when a disk fails under a file system.
        force_read_only(&self.disk(node).place)?;
        self.until_volume(controller, stop, node, |state| state != "good")?;
        stop.sleep(self.between);
        self.stop_node(node)?;
        // A file system that stopped for an error is checked before it is written again.
        self.disk(node).unmount()?;
        // Its status says that something was mended, which is what it is for.
        let _ = run("fsck.ext4", &["-p", text(&self.disk(node).image)?]);
        self.disk(node).mount()?;
        self.disk(node).remount("rw")?;
        self.start_node(node)?;
        self.until_volume(controller, stop, node, |state| state == "good")
    }

    pub(crate) fn flip(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let before = repair(controller)?["copied"].as_u64().unwrap_or_default();
        let mut flipped = 0;
        for path in chunk_files(&self.disk(NODES[4]).place)?.iter().take(8) {
            flip_a_bit(path)?;
            flipped += 1;
        }
        if flipped == 0 {
            return Err("there is no chunk to be damaged".to_owned());
        }
        // Found by reading what nobody reads, within a scrub or so.
        self.until(stop, "found by scrub", || {
            let copied = repair(controller).ok()?["copied"].as_u64()?;
            (copied > before).then_some(())
        })?;
        stop.sleep(Duration::from_secs(20));
        Ok(())
    }

    pub(crate) fn wipe(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let node = NODES[1];
        self.stop_node(node)?;
        self.disk(node).unmount()?;
        self.disk(node).format()?;
        self.disk(node).mount()?;
        self.start_node(node)?;
        self.until_volume(controller, stop, node, |state| state == "missing")?;
        let place = text(&self.disk(node).place)?.to_owned();
        self.cluster.vaquita(&["volume", "forget", node, &place])?;
        self.until_volume(controller, stop, node, |state| state == "good")
    }

    pub(crate) fn exchange(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let (one, other) = (NODES[2], NODES[3]);
        for node in [one, other] {
            self.stop_node(node)?;
            self.disk(node).unmount()?;
        }
        self.disk(one).mount_at(&self.disk(other).place)?;
        self.disk(other).mount_at(&self.disk(one).place)?;
        for node in [one, other] {
            self.start_node(node)?;
            self.until_volume(controller, stop, node, |state| state == "foreign")?;
        }
        stop.sleep(self.between);
        for node in [one, other] {
            let place = text(&self.disk(node).place)?.to_owned();
            self.cluster.vaquita(&["volume", "adopt", node, &place])?;
            self.until_volume(controller, stop, node, |state| state == "good")?;
        }
        Ok(())
    }

    pub(crate) fn lose_host(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        let members = self.cluster.access.members(controller)?;
        let pid = |alias: &str| {
            let found = members.iter().find(|it| it.alias == alias);
            found
                .and_then(|it| it.pid)
                .ok_or_else(|| format!("{alias} has no process"))
        };
        let servers = self.cluster.servers();
        let (agent, node) = (pid("P6-agent")?, pid(NODES[4])?);
        // The agent first: it would start the node again.
        self.revived
            .push(servers.kill_with(agent, node, HOST_AWAY)?);
        self.until_member(controller, stop, NODES[4], |it| it.state == "online")
    }

    pub(crate) fn join(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        self.start_node(LATE)?;
        self.until_volume(controller, stop, LATE, |state| state == "good")?;
        // Balance begins by itself and ends by itself.
        stop.sleep(self.between * 2);
        Ok(())
    }

    pub(crate) fn drain(&mut self, controller: &mut Client, stop: &Stop) -> Result<(), String> {
        self.cluster.vaquita(&["node", "drain", NODES[0]])?;
        // It is called drained ten minutes after the controller's start at the earliest, since writes
        // from before may end there: what it keeps has to be elsewhere now.
        self.until(stop, "emptied", || {
            let now = repair(controller).ok()?;
            let idle = now["copies"].as_array()?.is_empty() && now["surveying"] == false;
            (now["leaving"] == 0 && idle).then_some(())
        })?;
        self.cluster.vaquita(&["node", "serve", NODES[0]]).map(drop)
    }

    pub(crate) fn raise_level(
        &mut self,
        controller: &mut Client,
        stop: &Stop,
    ) -> Result<(), String> {
        self.reconfigure("dfsReplicaReliabilityLevel=1", controller, stop)
    }

    pub(crate) fn raise_factor(
        &mut self,
        controller: &mut Client,
        stop: &Stop,
    ) -> Result<(), String> {
        self.reconfigure("dfsReplicationFactor=3", controller, stop)
    }

    /// Adds a line to the controller's configuration and starts it anew.
    fn reconfigure(
        &mut self,
        line: &str,
        controller: &mut Client,
        stop: &Stop,
    ) -> Result<(), String> {
        self.cluster
            .configure("controller.cfg", &[line.to_owned()])?;
        let servers = self.cluster.servers();
        let controller_pid = servers.of_mode("controller")?;
        let revived = servers.kill_and_revive(controller_pid)?;
        // It may have been one that was started anew itself.
        self.revived.retain(|it| it.pid() != controller_pid);
        self.revived.push(revived);
        for node in NODES {
            self.until_member(controller, stop, node, |it| it.state == "online")?;
        }
        Ok(())
    }
}

//! Carries out a schedule: each fault begins at its time, and is put right at its end.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::time::sleep;

use crate::api::Api;
use crate::cluster::Cluster;
use crate::fault::{Deed, Kind, Port, Strike, Who};
use crate::ground::Weather;
use crate::report::{Log, Rule};
use crate::schedule::hinder;
use crate::stop::Stop;

/// Time between two looks for servers that have ended by themselves.
const PERIOD: Duration = Duration::from_millis(50);
/// How long an order is repeated until it is taken; the controller may be what is struck.
const ORDER: Duration = Duration::from_secs(1);
/// How long a data node may take to end that was ordered to.
const END: Duration = Duration::from_secs(10);

/// Who does harm, and puts it right.
#[derive(Debug)]
pub(crate) struct Director<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) api: Api,
    pub(crate) log: &'a Log,
    /// How many faults of each kind there were.
    pub(crate) struck: BTreeMap<Kind, u64>,
    /// How many could not be done.
    pub(crate) missed: u64,
}

impl Director<'_> {
    /// Carries out all of it, and waits until the time is over and everything put right.
    pub(crate) async fn carry_out(&mut self, strikes: &[Strike], time: Duration, stop: &Stop) {
        let begun = Instant::now();
        let mut left = strikes.iter();
        let mut next = left.next();
        // With the moment at which each is over: an operator's work may have held up the next one.
        let mut under_way: Vec<(Duration, &Strike)> = Vec::new();
        loop {
            let now = begun.elapsed();
            let over = under_way.extract_if(.., |(ends, _)| *ends <= now || stop.is_wanted());
            for (_, strike) in over.collect::<Vec<_>>() {
                self.end(strike).await;
            }
            if stop.is_wanted() || (now >= time && under_way.is_empty()) {
                return;
            }
            if let Some(strike) = next.filter(|strike| strike.at <= now) {
                next = left.next();
                // It is not as planned if putting something right has taken its time.
                let in_the_way = under_way
                    .iter()
                    .find(|(_, it)| hinder(&it.deed, &strike.deed));
                if let Some((_, other)) = in_the_way {
                    let what = format!("{}: not while there is: {}", strike.deed, other.deed);
                    self.log.say(what);
                    self.missed += 1;
                } else if self.begin(strike).await {
                    under_way.push((begun.elapsed() + strike.lasts, strike));
                }
                continue;
            }
            self.look_for_ends();
            let ends = under_way.iter().map(|(ends, _)| *ends);
            let wake = ends.chain(next.map(|it| it.at)).min().unwrap_or(time);
            sleep(wake.saturating_sub(begun.elapsed()).min(PERIOD)).await;
        }
    }

    /// Servers that have ended though nobody ended them.
    pub(crate) fn look_for_ends(&mut self) {
        for it in self.cluster.unexpected() {
            let story = format!("the server of {} ended by itself, {}", it.host, it.how);
            self.log.violated(Rule::Running, story);
        }
    }

    /// Whether it was done.
    async fn begin(&mut self, strike: &Strike) -> bool {
        let secs = strike.lasts.as_secs_f64();
        self.log
            .say(format_args!("{}, for {secs:.1} s", strike.deed));
        match self.strike(&strike.deed).await {
            Ok(()) => {
                *self.struck.entry(strike.deed.kind()).or_default() += 1;
                true
            }
            Err(why) => {
                self.log.say(format_args!("  that cannot be done: {why}"));
                self.missed += 1;
                false
            }
        }
    }

    async fn end(&mut self, strike: &Strike) {
        self.log.say(format_args!("  over: {}", strike.deed));
        if let Err(why) = self.put_right(&strike.deed).await {
            let story = format!("{} cannot be put right: {why}", strike.deed);
            self.log.violated(Rule::Running, story);
        }
    }

    async fn strike(&mut self, deed: &Deed) -> Result<(), String> {
        match deed {
            Deed::Kill(who) => self.cluster.signal(*who, Signal::KILL),
            Deed::Terminate(who) => self.cluster.signal(*who, Signal::TERM),
            Deed::Stop(who) => self.cluster.signal(*who, Signal::STOP),
            Deed::Cut(..) | Deed::Isolate(_) | Deed::Split(_) => {
                self.cut(deed, true);
                Ok(())
            }
            Deed::Delay(delay) => {
                let delay = *delay;
                self.cluster.set_weather(Weather { delay, lost: 0 });
                Ok(())
            }
            Deed::Lose(lost) => {
                let (delay, lost) = (Duration::ZERO, *lost);
                self.cluster.set_weather(Weather { delay, lost });
                Ok(())
            }
            Deed::Fill(host) => self.cluster.disks[*host].fill(),
            Deed::Unmount(host) => self.cluster.disks[*host].unbind(),
            Deed::ReadOnly(host) => self.cluster.disks[*host].break_it(),
            Deed::Slow(host) => self.cluster.disks[*host].slow_down(),
            Deed::Hang(host) => self.cluster.disks[*host].freeze(true),
            Deed::Clock(of, by) => self.cluster.set_clock(*of, *by),
            Deed::StopNode(host) => self.order("nodes/stop", *host).await,
            Deed::Drain(host) => self.order("nodes/drain", *host).await,
        }
    }

    async fn put_right(&mut self, deed: &Deed) -> Result<(), String> {
        match deed {
            Deed::Kill(who) | Deed::Terminate(who) => self.cluster.revive(*who),
            Deed::Stop(who) => self.cluster.signal(*who, Signal::CONT),
            Deed::Cut(..) | Deed::Isolate(_) | Deed::Split(_) => {
                self.cut(deed, false);
                Ok(())
            }
            Deed::Delay(_) | Deed::Lose(_) => {
                self.cluster.set_weather(Weather::default());
                Ok(())
            }
            Deed::Fill(host) => self.cluster.disks[*host].make_room(),
            Deed::Unmount(host) => self.cluster.disks[*host].bind(),
            Deed::ReadOnly(host) => self.mend(*host).await,
            Deed::Slow(host) => self.cluster.disks[*host].speed_up(),
            Deed::Hang(host) => self.cluster.disks[*host].freeze(false),
            Deed::Clock(of, _) => self.cluster.set_clock(*of, 0),
            // What is not taken now is ordered again when all is put right.
            Deed::StopNode(host) => {
                let _ = self.order("nodes/start", *host).await;
                Ok(())
            }
            Deed::Drain(host) => {
                let _ = self.order("nodes/serve", *host).await;
                Ok(())
            }
        }
    }

    async fn order(&mut self, what: &str, host: usize) -> Result<(), String> {
        let alias = self.cluster.deployment.node(host);
        self.api.order(what, &[alias], ORDER).await
    }

    fn cut(&self, deed: &Deed, is_cut: bool) {
        let side: Vec<Port> = match deed {
            Deed::Cut(from, to) => return self.cluster.cut(*from, *to, is_cut),
            Deed::Isolate(host) => vec![Port::Host(*host)],
            Deed::Split(hosts) => hosts.iter().copied().map(Port::Host).collect(),
            _ => return,
        };
        let others = self.cluster.ports();
        for one in &side {
            for other in others.iter().filter(|it| !side.contains(it)) {
                self.cluster.cut(*one, *other, is_cut);
                self.cluster.cut(*other, *one, is_cut);
            }
        }
    }

    /// Has a disk checked that became read-only, while its node is down: by an order if there is somebody to
    /// order it, and by force if not.
    async fn mend(&mut self, host: usize) -> Result<(), String> {
        let ordered = self.order("nodes/stop", host).await.is_ok();
        let begun = Instant::now();
        while ordered && self.cluster.node_runs(host) && begun.elapsed() < END {
            sleep(PERIOD).await;
        }
        if self.cluster.node_runs(host) {
            self.log
                .say("  its node is not there to be stopped, and is killed with its agent");
            self.cluster.signal(Who::Host(host), Signal::KILL)?;
            while self.cluster.node_runs(host) && begun.elapsed() < END * 2 {
                thread::sleep(PERIOD);
            }
        }
        let mended = self.cluster.disks[host].mend();
        let revived = self.cluster.revive(Who::Host(host));
        // What is not taken now is ordered again when all is put right.
        let _ = self.order("nodes/start", host).await;
        mended.and(revived)
    }
}

//! Clients that put, get, remove and rename files without a rest, through all data nodes, and note what they are
//! told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::Method;
use tokio::time::sleep;
use vaquita_core::dfs::digest::Digest;
use vaquita_core::prng::{Prng, mix};
use vaquita_history::{Act, Expected, History, Moment, Seen};

use super::content::content;
use super::http::{Ask, Server};
use super::told::{Tallies, Told, told};

/// Where the files are.
const DIRECTORY: &str = "nemesis";
/// Files that everybody writes.
const HOT: u64 = 6;
/// Pairs of files that exchange names.
const PAIRS: u64 = 3;
/// Files of each client's own, written again and again.
const OWN: u64 = 150;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(6);
/// Tries of one act under one name.
const TRIES: u32 = 3;

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Load {
    seed: u64,
    /// `ADDRESS:PORT` of each data node.
    entries: Vec<String>,
    begun: Instant,
    ends: AtomicBool,
    history: Mutex<History>,
    tallies: Mutex<Tallies>,
    /// Answers that none may be.
    wrong: Mutex<Vec<String>>,
    /// Files that were ever spoken of.
    known: Mutex<BTreeSet<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The path of a file as HTTP has it.
fn target(path: &str) -> String {
    format!("/dfs/{DIRECTORY}/{path}")
}

/// The directory, and the path of a file below the root.
pub(crate) mod paths {
    /// The directory of all files.
    pub(crate) const DIRECTORY: &str = super::DIRECTORY;

    /// A file as the controller's log names it.
    pub(crate) fn absolute(file: &str) -> String {
        format!("/{DIRECTORY}/{file}")
    }
}

impl Load {
    /// A load through these entries, whose times are counted from `begun`.
    pub(crate) fn new(seed: u64, entries: Vec<String>, begun: Instant) -> Self {
        Self {
            seed,
            entries,
            begun,
            ends: AtomicBool::new(false),
            history: Mutex::default(),
            tallies: Mutex::default(),
            wrong: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// The time of the history, and of the log.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Has the clients end after what they are about.
    pub(crate) fn end(&self) {
        self.ends.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.ends.load(Ordering::SeqCst)
    }

    /// What clients were told so far.
    pub(crate) fn history(&self) -> History {
        lock(&self.history).clone()
    }

    /// How often what was told.
    pub(crate) fn tallies(&self) -> Tallies {
        lock(&self.tallies).clone()
    }

    /// Answers that none may be, with their times.
    pub(crate) fn wrong(&self) -> Vec<String> {
        lock(&self.wrong).clone()
    }

    /// Files that were ever spoken of.
    pub(crate) fn known(&self) -> Vec<String> {
        lock(&self.known).iter().cloned().collect()
    }

    fn note(&self, act: &Act, began: Moment, told: &Told) {
        lock(&self.tallies).count(act, told);
        // Also those of which nothing is said to have been done: it has to be true.
        lock(&self.known).extend(act.paths().into_iter().map(str::to_owned));
        match told {
            Told::Seen(seen) => self.remember(act, began, *seen),
            Told::NotDone => {}
            Told::Wrong(what) => {
                let at = self.elapsed().as_secs_f64();
                lock(&self.wrong).push(format!("{at:.3} s: {act}: {what}"));
            }
        }
    }

    fn remember(&self, act: &Act, began: Moment, seen: Seen) {
        let now = Moment::after(self.elapsed());
        lock(&self.history).note(act.clone(), began, now, seen);
    }

    /// Reads a file through one data node, until there is an answer or the time is over.
    ///
    /// # Errors
    /// What the last answer was instead.
    pub(crate) async fn read_back(
        &self,
        server: &mut Server,
        path: &str,
        within: Duration,
    ) -> Result<(), String> {
        let act = Act::Get {
            path: path.to_owned(),
        };
        let last = Instant::now() + within;
        loop {
            let began = Moment::after(self.elapsed());
            let answer = server.ask(&Ask::get(target(path)), PATIENCE).await;
            let told = told(&act, &answer);
            if !matches!(told, Told::Seen(Seen::Unknown) | Told::NotDone) {
                self.note(&act, began, &told);
                return Ok(());
            }
            if Instant::now() > last {
                return Err(match answer {
                    Ok(reply) => {
                        let said = String::from_utf8_lossy(&reply.body).into_owned();
                        format!("{} {said}", reply.told())
                    }
                    Err(lost) => lost.why,
                });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// One client with a connection to each data node.
struct Client<'a> {
    load: &'a Load,
    number: u64,
    prng: Prng,
    servers: Vec<Server>,
    /// The content that was seen last, by file.
    seen: BTreeMap<String, u64>,
    made: u64,
}

/// Works as one client until the load ends.
pub(crate) async fn work(load: &Load, number: u64) {
    let mut client = Client {
        load,
        number,
        prng: Prng::new(mix(load.seed ^ mix(number + 1))),
        servers: load.entries.iter().map(Server::at).collect(),
        seen: BTreeMap::new(),
        made: 0,
    };
    while !load.is_over() {
        let act = client.choose();
        client.carry_out(act).await;
        let rest = Duration::from_millis(client.prng.below(30));
        sleep(rest).await;
    }
}

impl Client<'_> {
    /// A content that nobody else writes.
    fn fresh(&mut self) -> u64 {
        self.made += 1;
        (self.number + 1) << 32 | self.made
    }

    fn choose(&mut self) -> Act {
        match self.prng.below(10) {
            0..5 => {
                let path = format!("hot{}", self.prng.below(HOT));
                self.about(path)
            }
            5..7 => {
                let pair = self.prng.below(PAIRS);
                let sides = [format!("pair{pair}a"), format!("pair{pair}b")];
                let [from, to] = match self.prng.below(2) {
                    0 => sides,
                    _ => {
                        let [a, b] = sides;
                        [b, a]
                    }
                };
                match self.prng.below(4) {
                    0 => Act::Rename {
                        from,
                        to,
                        replace: self.prng.below(2) == 0,
                    },
                    _ => self.about(from),
                }
            }
            _ => {
                let path = format!("own{}-{}", self.number, self.prng.below(OWN));
                match self.prng.below(2) {
                    0 => Act::Get { path },
                    _ => Act::Put {
                        path,
                        number: self.fresh(),
                        expect: Expected::Anything,
                    },
                }
            }
        }
    }

    /// Something about one file.
    fn about(&mut self, path: String) -> Act {
        let expect = match self.prng.below(20) {
            0..7 => return Act::Get { path },
            7..9 => return Act::Remove { path },
            9..11 => Expected::Nothing,
            11 => Expected::Something,
            12..15 => match self.seen.get(&path) {
                Some(number) => Expected::Number(*number),
                None => Expected::Anything,
            },
            _ => Expected::Anything,
        };
        Act::Put {
            path,
            number: self.fresh(),
            expect,
        }
    }

    async fn carry_out(&mut self, act: Act) {
        let load = self.load;
        let ask = self.ask(&act);
        let is_get = matches!(act, Act::Get { .. });
        let began = Moment::after(load.elapsed());
        let mut may_be_done = false;
        let mut outcome = Told::NotDone;
        for attempt in 0..TRIES {
            let entry = self.prng.below(self.servers.len() as u64);
            let entry = usize::try_from(entry).unwrap_or_default();
            let answer = self.servers[entry].ask(&ask, PATIENCE).await;
            lock(&load.tallies).trouble(&answer);
            outcome = told(&act, &answer);
            match outcome {
                Told::Seen(Seen::Unknown) => may_be_done = true,
                Told::NotDone => {}
                _ => break,
            }
            // Some clients ask again, under the same name; some do not.
            if is_get || load.is_over() || self.prng.below(3) == 0 {
                break;
            }
            sleep(Duration::from_millis(100 << attempt)).await;
        }
        // What an earlier try may have done is not known to be refused, or not done.
        let is_settled = matches!(
            outcome,
            Told::Seen(Seen::Done | Seen::Value(_)) | Told::Wrong(_)
        );
        if may_be_done && !is_settled {
            outcome = Told::Seen(Seen::Unknown);
        }
        if may_be_done && matches!(outcome, Told::Wrong(_)) {
            // What the last answer says is told; what an earlier try may have done is to be reckoned with.
            load.remember(&act, began, Seen::Unknown);
        }
        if let (Act::Put { path, number, .. }, Told::Seen(Seen::Done)) = (&act, &outcome) {
            self.seen.insert(path.clone(), *number);
        }
        if let (Act::Get { path }, Told::Seen(Seen::Value(Some(number)))) = (&act, &outcome) {
            self.seen.insert(path.clone(), *number);
        }
        load.note(&act, began, &outcome);
    }

    /// The request for an act; whoever sends it again sends it under the same name.
    fn ask(&mut self, act: &Act) -> Ask {
        let mut name = String::new();
        for _ in 0..2 {
            let _ = write!(name, "{:016x}", self.prng.next_u64());
        }
        match act {
            Act::Get { path } => Ask::get(target(path)),
            Act::Put {
                path,
                number,
                expect,
            } => {
                let ask = Ask {
                    method: Method::PUT,
                    body: content(*number),
                    ..Ask::get(target(path))
                };
                let ask = ask.with("idempotency-key", name);
                match expect {
                    Expected::Anything => ask,
                    Expected::Nothing => ask.with("if-none-match", "*"),
                    Expected::Something => ask.with("if-match", "*"),
                    Expected::Number(number) => {
                        let digest = Digest::of(&content(*number));
                        ask.with("if-match", format!("\"{digest}\""))
                    }
                }
            }
            Act::Remove { path } => Ask {
                method: Method::DELETE,
                ..Ask::get(target(path))
            }
            .with("idempotency-key", name),
            Act::Rename { from, to, replace } => {
                let order = serde_json::json!({
                    "from": paths::absolute(from), "to": paths::absolute(to), "replace": replace,
                });
                Ask::post("/api/v1/dfs/rename", &order).with("idempotency-key", name)
            }
        }
    }
}

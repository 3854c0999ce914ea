//! What a scenario can see: what operators see.

use std::time::Duration;

use vaquita_core::admin::{
    Caller, NodeRow, NodeState, OrderRow, Refusal, Reply, Request, Response, Selection,
    StatusReport, Verb,
};
use vaquita_core::ids::Role;
use vaquita_core::io::ExitReason;

use super::{CONTROLLER, Cluster, Entry};

/// Longer than a process takes to answer or to say that it cannot.
const ANSWER: Duration = Duration::from_secs(40);

impl Cluster {
    /// Asks a process from its console, and lets time pass until it answers. `None` if no process
    /// runs there, or it ends before it answers.
    pub fn try_ask(&mut self, host: &str, verb: Verb) -> Option<Reply> {
        self.asked += 1;
        let number = self.asked;
        let pid = self.shared.pid(host)?;
        {
            let state = self.shared.state();
            let process = state.hosts.get(host)?.process.as_ref()?;
            let request = Request {
                caller: Caller::CONSOLE,
                verb,
            };
            process.desk.as_ref()?.send((number, request)).ok()?;
        }
        let deadline = self.elapsed() + ANSWER;
        loop {
            self.step();
            if let Some(reply) = self.shared.state().replies.remove(&number) {
                return Some(reply);
            }
            if self.shared.pid(host) != Some(pid) {
                return None;
            }
            assert!(self.elapsed() < deadline, "{host} does not answer");
        }
    }

    /// Asks a process that has to answer.
    ///
    /// # Panics
    /// If it does not run, or refuses.
    pub fn ask(&mut self, host: &str, verb: Verb) -> Response {
        match self.try_ask(host, verb) {
            Some(Ok(response)) => response,
            Some(Err(refusal)) => panic!("{host} refuses: {refusal}"),
            None => panic!("{host} does not run"),
        }
    }

    /// The members, as lists show them; the controller itself is none.
    ///
    /// # Panics
    /// If the controller does not answer.
    pub fn rows(&mut self) -> Vec<NodeRow> {
        match self.ask(CONTROLLER, Verb::ListNodes) {
            Response::Nodes(rows) => {
                let members = |row: &NodeRow| row.mode != Role::Controller;
                rows.into_iter().filter(members).collect()
            }
            other => panic!("the list of nodes is {other:?}"),
        }
    }

    /// A member, as lists show it.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn row(&mut self, alias: &str) -> NodeRow {
        let rows = self.rows();
        let row = rows.into_iter().find(|row| row.alias.as_str() == alias);
        row.unwrap_or_else(|| panic!("no member is called {alias}"))
    }

    /// The state of a member.
    pub fn state(&mut self, alias: &str) -> NodeState {
        self.row(alias).state
    }

    /// What a process says about itself.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn status(&mut self, host: &str) -> StatusReport {
        match self.ask(host, Verb::Status) {
            Response::Status(report) => *report,
            other => panic!("the status is {other:?}"),
        }
    }

    /// Orders data nodes to run.
    ///
    /// # Panics
    /// If the controller refuses.
    pub fn order_start(&mut self, aliases: &[impl AsRef<str>]) -> Vec<OrderRow> {
        self.order(Verb::StartNodes(selection(aliases)))
    }

    /// Orders data nodes to end.
    ///
    /// # Panics
    /// If the controller refuses.
    pub fn order_stop(&mut self, aliases: &[impl AsRef<str>]) -> Vec<OrderRow> {
        self.order(Verb::StopNodes(selection(aliases)))
    }

    fn order(&mut self, verb: Verb) -> Vec<OrderRow> {
        self.note(format!("order {verb:?}"));
        match self.ask(CONTROLLER, verb) {
            Response::Ordered(rows) => rows,
            other => panic!("the order was answered with {other:?}"),
        }
    }

    /// Why the controller does not do what it is asked.
    ///
    /// # Panics
    /// If it does it.
    pub fn refusal(&mut self, verb: Verb) -> Refusal {
        match self.try_ask(CONTROLLER, verb) {
            Some(Err(refusal)) => refusal,
            other => panic!("this should have been refused: {other:?}"),
        }
    }

    /// Starts the controller, the agents and all data nodes, and waits until all serve.
    pub fn bring_up(&mut self) {
        self.start(CONTROLLER);
        self.start_agents();
        self.until_serving(CONTROLLER, Duration::from_secs(5));
        self.order(Verb::StartNodes(Selection::All));
        self.until_all_online(Duration::from_secs(20));
    }

    /// Waits until a process can do its work, by its own account.
    pub fn until_serving(&mut self, host: &str, within: Duration) {
        self.until(&format!("{host} serves"), within, |cluster| {
            let reply = cluster.try_ask(host, Verb::Status);
            matches!(reply, Some(Ok(Response::Status(report))) if report.ready)
        });
    }

    /// Whether each member is online.
    pub fn all_online(&mut self) -> bool {
        self.rows().iter().all(|row| row.state == NodeState::Online)
    }

    /// Waits until each member is online.
    pub fn until_all_online(&mut self, within: Duration) {
        self.until("every member is online", within, Self::all_online);
    }

    /// Waits until a member is in that state.
    pub fn until_state(&mut self, alias: &str, state: NodeState, within: Duration) {
        let what = format!("{alias} is {}", state.as_str());
        self.until(&what, within, |cluster| cluster.state(alias) == state);
    }

    /// Everything that happened so far.
    #[must_use]
    pub fn diary(&self) -> Vec<Entry> {
        self.shared.state().diary.entries().to_vec()
    }

    /// How much has happened so far; for [`Cluster::events_since`].
    #[must_use]
    pub fn mark(&self) -> usize {
        self.shared.state().diary.entries().len()
    }

    /// The events of that name that a host told.
    #[must_use]
    pub fn events(&self, host: &str, name: &str) -> Vec<Entry> {
        self.events_since(0, host, name)
    }

    /// The events of that name that a host told since a [mark](Cluster::mark).
    #[must_use]
    pub fn events_since(&self, mark: usize, host: &str, name: &str) -> Vec<Entry> {
        let state = self.shared.state();
        let entries = state.diary.entries().iter().skip(mark);
        entries
            .filter(|entry| entry.host == host && entry.name == name)
            .cloned()
            .collect()
    }

    /// The process id of the process of a host.
    #[must_use]
    pub fn pid(&self, host: &str) -> Option<u32> {
        self.shared.pid(host)
    }

    /// How the processes of a host have ended by themselves, oldest first.
    #[must_use]
    pub fn exits(&self, host: &str) -> Vec<ExitReason> {
        let state = self.shared.state();
        state
            .hosts
            .get(host)
            .map_or_else(Vec::new, |host| host.exits.clone())
    }

    /// The configuration file that a data node was last launched with.
    #[must_use]
    pub fn node_cfg(&self, host: &str) -> String {
        let state = self.shared.state();
        state
            .hosts
            .get(host)
            .map_or_else(String::new, |host| host.node_cfg.clone())
    }

    /// One number for everything that happened.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.shared.state().diary.hash()
    }
}

fn selection(aliases: &[impl AsRef<str>]) -> Selection {
    let names = aliases.iter().map(|alias| alias.as_ref().to_owned());
    Selection::Aliases(names.collect())
}

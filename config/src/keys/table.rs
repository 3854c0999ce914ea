//! The rows of the table.
//!
//! A row reads: name, files, type, default, what a change takes, meaning; then what is special
//! about it. Rows stand in the order of the reference page.

use super::Derivation::{
    ConnectionsPerSite, Cores, CoresLessOne, ReplicationFactor, Storage, ThreeQuartersOfMemory,
    TwiceTheDataNodes, WriteReplicas,
};
use super::KeyDefault::{Derived, Unset, Value};
use super::KeyType::{Flag, Float, Hosts, Integer, Path, Paths, Site, Sites, Text};
use super::{Change, Files, Key, KeyDefault, KeyType, Range, SizeUnit, Status, TimeUnit};

const C: Files = Files::CONTROLLER;
const A: Files = Files::AGENT;
const N: Files = Files::CLUSTER;
const S: Files = Files::SINGLE;
const OWN: Files = Files::NODE;
const ALL: Files = Files::ALL;
const COMMAND_LINE: Files = Files::NONE;
/// Processes that have a site of their own in their own file.
const PROCESSES: Files = C.and(A).and(S).and(OWN);
/// Processes that keep chunks.
const STORES: Files = N.and(S);

const NOTHING: Change = Change::Nothing;
const PROCESS: Change = Change::ProcessRestart;
const NODE: Change = Change::NodeRestart;
const CONTROLLER: Change = Change::ControllerRestart;
const CLUSTER: Change = Change::ClusterRestart;

const KB: KeyType = KeyType::Size { unit: SizeUnit::Kb };
const MB: KeyType = KeyType::Size { unit: SizeUnit::Mb };
const GB: KeyType = KeyType::Size { unit: SizeUnit::Gb };
const MILLISECONDS: KeyType = KeyType::Duration {
    unit: TimeUnit::Milliseconds,
};
const TEN_MILLISECONDS: KeyType = KeyType::Duration {
    unit: TimeUnit::TenMilliseconds,
};
const SECONDS: KeyType = KeyType::Duration {
    unit: TimeUnit::Seconds,
};
const MINUTES: KeyType = KeyType::Duration {
    unit: TimeUnit::Minutes,
};
const DAYS: KeyType = KeyType::Duration {
    unit: TimeUnit::Days,
};
const MODE: KeyType = KeyType::Word {
    words: &["controller", "agent", "datanode", "computenode", "single"],
};
const LOG_LEVEL: KeyType = KeyType::Word {
    words: &["DEBUG", "INFO", "WARNING", "ERROR"],
};
const RESTART_LEVEL: KeyType = KeyType::Word {
    words: &["CRASH", "OFFLINE"],
};
const PARTITION_POLICY: KeyType = KeyType::Word {
    words: &["skip", "add", "fail"],
};
const REPLICATION_MODE: KeyType = KeyType::Word {
    words: &["master", "slave"],
};

const NO_SCRIPTS: &str = "this system stores files and runs no scripts";
const NO_TABLES: &str = "this system stores files, not tables";
const NO_STREAMS: &str = "this system has no streaming tables";
const NO_QUERIES: &str = "this system runs no queries";
const NO_RAFT: &str = "this system has one controller, whose log is mirrored to data nodes";
const NO_CLUSTER_REPLICATION: &str = "this system does not replicate between clusters";
const NO_LICENCE_TERMS: &str = "there is nothing of the kind in this system";

const fn key(
    name: &'static str,
    files: Files,
    kind: KeyType,
    default: KeyDefault,
    change: Change,
    meaning: &'static str,
) -> Key {
    Key {
        name,
        files,
        kind,
        default,
        range: None,
        change,
        status: Status::Active,
        web_editable: files.0 != Files::NONE.0,
        passed_on: false,
        per_node: false,
        meaning,
    }
}

/// A key of DolphinDB that changes nothing here.
const fn inert(
    name: &'static str,
    files: Files,
    kind: KeyType,
    why: &'static str,
    meaning: &'static str,
) -> Key {
    let mut key = key(name, files, kind, Unset("no effect"), NOTHING, meaning);
    key.status = Status::NoEffect { why };
    key
}

const fn renamed(name: &'static str, files: Files, kind: KeyType, to: &'static str) -> Key {
    let mut key = key(
        name,
        files,
        kind,
        Unset("see the new name"),
        NOTHING,
        "An earlier name.",
    );
    key.status = Status::Renamed { to };
    key
}

const fn retired(name: &'static str, files: Files, why: &'static str) -> Key {
    let mut key = key(
        name,
        files,
        Text,
        Unset("not read"),
        NOTHING,
        "No longer in use.",
    );
    key.status = Status::Retired { why };
    key
}

impl Key {
    const fn between(mut self, min: f64, max: f64) -> Key {
        self.range = Some(Range {
            min,
            max,
            clamps: false,
        });
        self
    }

    const fn at_least(self, min: f64) -> Key {
        self.between(min, f64::INFINITY)
    }

    const fn clamped(mut self, min: f64, max: f64) -> Key {
        self.range = Some(Range {
            min,
            max,
            clamps: true,
        });
        self
    }

    const fn protected(mut self) -> Key {
        self.web_editable = false;
        self
    }

    /// The controller's value reaches a data node through its `node.cfg`.
    const fn passed_on(mut self) -> Key {
        self.passed_on = true;
        self.files = self.files.and(OWN);
        self
    }

    const fn per_node(mut self) -> Key {
        self.per_node = true;
        self
    }
}

/// Every key, in the order of the reference page.
#[rustfmt::skip]
pub static TABLE: &[Key] = &[
    // The process.
    key("mode", PROCESSES, MODE, Value("single"), PROCESS,
        "What the process is; usually given on the command line.").protected(),
    key("localSite", PROCESSES, Site, Value("localhost:8848:local8848"), CLUSTER,
        "The address, port and alias of the process itself; it listens there.").protected(),
    key("controllerSite", A.and(OWN), Site, Unset("mandatory in `agent.cfg`"), CLUSTER,
        "Where the controller is: the `localSite` of `controller.cfg`, alias included.").protected(),
    key("sites", A.and(OWN), Sites, Unset("the members in `cluster.nodes`"), CLUSTER,
        "Sites known from the start; for an agent its own and the controllers'.").protected(),
    key("agentSite", OWN, Site, Unset("none: started by hand"), NODE,
        "The agent that started the data node.").protected(),
    key("agentHome", OWN, Path, Unset("none: started by hand"), NODE,
        "The home of the agent that started the data node.").protected(),
    key("hostLabel", A.and(OWN).and(S), Text, Unset("the machine's identity, else its address"), PROCESS,
        "Names the physical host, so that replicas are kept apart correctly where several addresses are one machine.").protected(),
    key("clusterName", C, Text, Unset("none"), CONTROLLER,
        "A name for the cluster, shown in the browser and in the log."),
    key("alias", COMMAND_LINE, Text, Unset("the alias in `localSite`"), PROCESS,
        "The alias of the data node that is to be started."),
    key("home", COMMAND_LINE, Path, Unset("the directory of the executable"), PROCESS,
        "The directory under which the process keeps its data and metadata."),
    key("config", COMMAND_LINE, Path, Value("dolphindb.cfg"), PROCESS,
        "The configuration file of the process."),
    key("clusterConfig", COMMAND_LINE, Path, Value("cluster.cfg"), CONTROLLER,
        "The file with the settings of the data nodes."),
    key("nodesFile", COMMAND_LINE, Path, Value("cluster.nodes"), CONTROLLER,
        "The file with the members of the cluster."),
    key("console", COMMAND_LINE, Flag, Value("1"), PROCESS,
        "Whether the process reads commands from its standard input."),

    // The network.
    key("publicName", C.and(N).and(S), Hosts, Unset("the host of the site"), PROCESS,
        "The names or addresses by which browsers outside reach the process; a domain name if HTTPS is on.").protected(),
    key("lanCluster", ALL, Flag, Value("1"), CLUSTER,
        "Whether heartbeats go by UDP (1) or over TCP (0); the controller's value rules."),
    key("dfsChunkNodeHeartBeatTimeout", C, SECONDS, Value("8"), CONTROLLER,
        "How long a node may be silent before it counts as offline.").between(1.0, 3_600.0),
    key("maxConnections", ALL, Integer, Value("512"), PROCESS,
        "How many connections are accepted at once; the next one is refused.").between(1.0, 1_000_000.0),
    key("maxConnectionPerSite", ALL, Integer, Derived(ConnectionsPerSite), PROCESS,
        "How many connections are opened to one other site.").clamped(16.0, 1_000_000.0),
    key("tcpNoDelay", ALL, Flag, Value("1"), PROCESS,
        "Whether small packets are sent at once."),
    key("tcpUserTimeout", ALL, MILLISECONDS, Value("300000"), PROCESS,
        "How long sent data may stay unacknowledged before the connection is given up."),
    key("enableHTTPS", ALL, Flag, Value("0"), CLUSTER,
        "Whether browsers and HTTP clients are served over TLS, and not in the clear; for data nodes the controller's value rules.").passed_on().protected(),
    key("enableRpcSSL", C.and(A).and(N), Flag, Value("0"), CLUSTER,
        "Whether the processes of the cluster talk to one another over TLS, all or none; for data nodes the controller's value rules.").passed_on().protected(),
    key("tlsCert", ALL, Path, Unset("one is made, in `<home>/keys`"), PROCESS,
        "The file with the certificate chain for HTTPS, of this host first; what changes in it is taken up by itself.").protected(),
    key("tlsKey", ALL, Path, Unset("the file of `tlsCert`"), PROCESS,
        "The file with the private key of that certificate, readable by the cluster's user alone.").protected(),
    inert("tlsClientCa", ALL, Path, "processes know one another by the cluster secret", "Authorities for certificates of processes.").protected(),
    key("trustedProxies", C.and(N).and(S), Text, Unset("none"), PROCESS,
        "The addresses of proxies whose forwarding headers are believed.").protected(),
    key("allowedHosts", C.and(N).and(S), Text, Unset("the site and `publicName`"), PROCESS,
        "The host names under which a browser may address the process.").protected(),
    key("webRoot", ALL, Path, Unset("the pages inside the executable"), PROCESS,
        "A directory that replaces the built-in web pages.").protected(),
    key("webLoginRequired", C.and(N).and(S), Flag, Value("0"), PROCESS,
        "Whether a browser sees anything before it has logged in.").passed_on(),
    key("webWorkerNum", ALL, Integer, Value("1"), PROCESS,
        "How many HTTP requests are worked on at once.").between(1.0, 1_024.0),
    inert("enableRDMA", ALL, Flag, "the transport is TCP and UDP", "RDMA between nodes."),

    // Workers and memory.
    key("workerNum", ALL, Integer, Derived(Cores), PROCESS,
        "How many requests are worked on at once.").between(1.0, 4_096.0),
    key("localExecutors", ALL, Integer, Derived(CoresLessOne), PROCESS,
        "How many threads read files of the home and logs; those of a volume are `diskIOConcurrencyLevel`.").between(0.0, 4_096.0),
    key("urgentWorkerNum", ALL, Integer, Value("1"), PROCESS,
        "How many workers are kept for logins, cancellations and control messages.").between(1.0, 1_024.0),
    key("maxMemSize", ALL, GB, Value("0"), PROCESS,
        "How much memory buffers may take; 0 is no limit, and the host's memory is one in any case.").between(0.0, 1_048_576.0),
    key("warningMemSize", ALL, GB, Derived(ThreeQuartersOfMemory), PROCESS,
        "The use of memory above which caches are emptied.").between(0.0, 1_048_576.0),
    key("maxFileHandles", N.and(S), Integer, Value("1024"), NODE,
        "How many files a node may have open.").between(64.0, 16_777_216.0),
    key("perfMonitoring", C.and(S), Flag, Value("1"), PROCESS,
        "Whether request times are measured.").passed_on(),
    inert("remoteExecutors", ALL, Integer, "remote calls need no threads of their own", "Threads for remote calls."),
    inert("maxBatchJobWorker", ALL, Integer, NO_SCRIPTS, "Workers for batch jobs."),
    inert("maxDynamicWorker", ALL, Integer, NO_SCRIPTS, "Additional workers under load."),
    inert("maxCachedBatchJobNum", ALL, Integer, NO_SCRIPTS, "The length of the batch queue."),
    inert("batchJobDir", ALL, Path, NO_SCRIPTS, "The directory of batch jobs."),
    inert("jobLogFile", ALL, Path, NO_SCRIPTS, "The log of finished jobs.").per_node(),
    inert("defaultJobParallelism", ALL, Integer, NO_SCRIPTS, "The parallelism of a job.").between(1.0, 64.0),
    inert("reservedMemSize", ALL, GB, "buffers for commit and rollback are allocated at the start", "Memory held back."),
    inert("emergencyMemSize", ALL, GB, "buffers for commit and rollback are allocated at the start", "Memory held back."),
    inert("maxBlockSizeForReservedMemory", ALL, KB, "buffers for commit and rollback are allocated at the start", "The largest block of the memory held back."),
    inert("regularArrayMemoryLimit", ALL, MB, NO_TABLES, "Memory of one array."),
    inert("memLimitOfQueryResult", ALL, GB, NO_QUERIES, "Memory of one result."),

    // Replication and recovery.
    key("dfsReplicationFactor", C.and(S), Integer, Derived(ReplicationFactor), NOTHING,
        "How many replicas each chunk has.").between(1.0, 16.0),
    key("dfsReplicaReliabilityLevel", C, Integer, Value("0"), NOTHING,
        "Whether replicas of a chunk may share a host: 0 yes, 1 never, 2 only while there is no other host.").between(0.0, 2.0),
    key("dfsMinWriteReplicas", C, Integer, Derived(WriteReplicas), NOTHING,
        "How many replicas must be written before a write is acknowledged.").between(1.0, 16.0),
    key("dfsRecoveryWaitTime", C, MILLISECONDS, Value("300000"), NOTHING,
        "How long a node may be away before its replicas are rebuilt elsewhere; 0 is never by itself.").at_least(0.0),
    key("dfsRecoveryConcurrency", C, Integer, Derived(TwiceTheDataNodes), NOTHING,
        "How many repairs the controller runs at once.").between(1.0, 65_536.0),
    key("dfsRebalanceConcurrency", C, Integer, Derived(TwiceTheDataNodes), NOTHING,
        "How many moves for balance the controller runs at once.").between(1.0, 65_536.0),
    key("recoveryWorkers", STORES, Integer, Value("1"), NODE,
        "How many workers of a node copy chunks for repair.").between(1.0, 1_024.0),
    key("datanodeRestartInterval", C, SECONDS, Unset("a crashed node is restarted at once, then ever later"), NOTHING,
        "How long a data node may be silent before it is started again; 0 is never.").at_least(0.0),
    key("datanodeRestartLevel", C, RESTART_LEVEL, Value("CRASH"), NOTHING,
        "Which silent nodes are started again: those that were not stopped on purpose, or all."),
    key("dataSync", C.and(S), Flag, Value("1"), CLUSTER,
        "Whether chunk bytes are forced to disk before a write is acknowledged.").passed_on(),
    key("metaMirrors", C, Integer, Value("2"), CONTROLLER,
        "How many data nodes keep a copy of the controller's metadata log, from which a lost home is rebuilt; 0 is none.").between(0.0, 16.0),
    key("dfsMetaDir", C, Path, Unset("`<home>/dfsMeta`"), CONTROLLER,
        "The directory of the controller's metadata.").protected(),
    key("enableDFS", C.and(N).and(S), Flag, Value("1"), CLUSTER,
        "Whether the file system is on."),
    inert("dfsMetaLogFilename", C, Text, "the metadata log names its own files", "A file name of the metadata log."),
    inert("dfsSyncRecoveryChunkRowSize", C.and(N), Integer, NO_TABLES, "When recovery turns synchronous."),
    inert("enableDfsRecoverRedo", N, Flag, "a replica under repair is discarded and copied again after a crash", "A redo log for recovery."),
    inert("recoverLogDir", N, Path, "a replica under repair is discarded and copied again after a crash", "The directory of that log.").per_node(),
    inert("dfsHAMode", C, Text, NO_RAFT, "High availability of the controller."),
    inert("raftElectionTick", C, TEN_MILLISECONDS, NO_RAFT, "The election time-out."),
    inert("enableLocalDatabase", C, Flag, NO_TABLES, "Databases outside the file system."),

    // Storage.
    key("volumes", STORES, Paths, Derived(Storage), NODE,
        "The directories in which a node keeps its chunks, each best on a disk of its own.").per_node(),
    key("allowVolumeCreation", STORES, Flag, Value("1"), NODE,
        "Whether a volume's directory is created when it is missing."),
    key("volumeUsageThreshold", STORES, Float, Value("0.97"), NODE,
        "The share of a volume above which it takes no new chunks; more than 0.95 counts as 0.95.").between(0.01, 1.0),
    key("scrubPeriod", STORES, SECONDS, Value("604800"), NODE,
        "How long a data node takes to read and verify every chunk once, and the labels of its volumes, so that damage is found before it is needed; 0 is never.").at_least(0.0),
    key("diskIOConcurrencyLevel", STORES, Integer, Value("1"), NODE,
        "How many workers read and write each volume; 0 leaves it to the request workers.").between(0.0, 1_024.0),
    key("allowedRoots", A.and(S).and(OWN), Paths, Unset("any but system directories"), NODE,
        "The directories under which volumes may lie on this host.").protected(),
    key("oldChunkVersionRetentionTime", C.and(N).and(S), MINUTES, Value("10"), CONTROLLER,
        "How long replaced chunks stay readable by version.").clamped(0.0, 240.0),
    inert("chunkMetaDir", STORES, Path, "each volume carries the metadata of its own chunks", "The directory of chunk metadata.").per_node(),
    inert("useHardLink", STORES, Flag, "chunks are immutable and never copied for a change", "Hard links for old versions."),
    inert("redoLogDir", STORES, Path, NO_TABLES, "The directory of the redo log.").per_node(),
    inert("TSDBRedoLogDir", STORES, Path, NO_TABLES, "The directory of a redo log.").per_node(),
    inert("PKEYRedoLogDir", STORES, Path, NO_TABLES, "The directory of a redo log.").per_node(),
    inert("redoLogPurgeInterval", STORES, SECONDS, NO_TABLES, "When the redo log is cut."),
    inert("redoLogPurgeLimit", STORES, GB, NO_TABLES, "When the redo log is cut."),
    inert("OLAPCacheEngineSize", STORES, GB, NO_TABLES, "A cache for writes."),
    inert("TSDBCacheEngineSize", STORES, GB, NO_TABLES, "A cache for writes."),
    inert("PKEYCacheEngineSize", STORES, GB, NO_TABLES, "A cache for writes."),
    inert("TSDBLevelFileIndexCacheSize", STORES, GB, NO_TABLES, "A cache for reads."),
    inert("enableChunkGranularityConfig", C.and(N).and(S), Flag, NO_TABLES, "The unit of a chunk."),
    inert("newValuePartitionPolicy", STORES, PARTITION_POLICY, NO_TABLES, "Rows outside of all partitions."),
    inert("coldVolumes", STORES, Text, "there are no tiers of volumes", "Volumes for cold data."),
    inert("computeNodeMemCacheSize", N, GB, "there are no compute nodes", "A cache of compute nodes."),

    // Security.
    key("clusterSecretFile", C.and(A).and(S).and(OWN), Path, Unset("`cluster.secret` beside the file of `-config`"), PROCESS,
        "The file with the secret by which the processes of the cluster know one another.").protected(),
    key("strictDefaults", C.and(N).and(S), Flag, Value("0"), PROCESS,
        "Whether the process refuses to run with the default password, or logins without TLS, beyond loopback.").protected(),
    key("allowPlainHttp", C.and(N).and(S), Flag, Value("0"), PROCESS,
        "Whether logins over plain HTTP beyond loopback are accepted without a banner.").protected(),
    key("insecureCluster", C.and(A).and(OWN), Flag, Value("0"), PROCESS,
        "Whether processes without a cluster secret may talk beyond loopback.").protected(),
    key("user", A, Text, Unset("the agent's own"), PROCESS,
        "The system user under which an agent with privileges starts data nodes.").protected(),
    key("allowRoot", A.and(C).and(S), Flag, Value("0"), PROCESS,
        "Whether the process may run as root without a warning.").protected(),
    key("enhancedSecurityVerification", C.and(S), Flag, Value("0"), CONTROLLER,
        "Whether passwords must be complex and repeated failures lock the login.").protected(),
    key("failedLoginAttempts", C.and(S), Integer, Value("5"), CONTROLLER,
        "After how many failures a user is locked for one client address.").between(1.0, 1_000.0).protected(),
    key("failedLoginLockTime", C.and(S), MINUTES, Value("10"), CONTROLLER,
        "How long such a lock lasts.").between(1.0, 525_600.0).protected(),
    key("passwordMinLength", C.and(S), Integer, Value("8"), CONTROLLER,
        "The fewest characters of a new password.").between(1.0, 128.0).protected(),
    key("passwordMaxLength", C.and(S), Integer, Value("128"), CONTROLLER,
        "The most characters of a new password.").between(8.0, 1_024.0).protected(),
    inert("passwordMinUpperCase", C.and(S), Integer, "length counts, not the kinds of characters", "Capital letters of a password."),
    inert("passwordMinLowerCase", C.and(S), Integer, "length counts, not the kinds of characters", "Small letters of a password."),
    inert("passwordMinDigital", C.and(S), Integer, "length counts, not the kinds of characters", "Digits of a password."),
    inert("passwordMinSpecial", C.and(S), Integer, "length counts, not the kinds of characters", "Other characters of a password."),
    inert("passwordEffectTime", C.and(S), DAYS, "passwords do not expire", "The life of a password."),
    inert("passwordNotifyTime", C.and(S), DAYS, "passwords do not expire", "When a password's end is announced."),
    inert("enableClientAuth", C.and(S), Flag, "every request but a few needs a login anyway", "What guests may call."),
    inert("enableConfigAccessControl", C.and(S), Flag, "settings are for administrators anyway", "Who may read settings."),
    inert("strictSecurityPolicy", C.and(N).and(S), Flag, "sessions always expire", "The end of sessions."),
    inert("strictPermissionMode", C.and(N).and(S), Flag, NO_SCRIPTS, "Who may call functions on files."),
    inert("enableShellFunction", C.and(N).and(S), Flag, NO_SCRIPTS, "Commands of the shell."),
    inert("thirdPartyAuthenticator", C.and(S), Text, "users are kept by the controller", "A login elsewhere."),
    inert("oauth", C.and(N).and(S), Flag, "users are kept by the controller", "A login elsewhere."),
    inert("keyPath", OWN, Path, "processes know one another by the cluster secret", "The directory of key files."),

    // The log.
    key("logFile", COMMAND_LINE, Path, Value("dolphindb.log"), PROCESS,
        "The file that the process logs to; the logs of data nodes lie beside their agent's."),
    key("stdoutLog", COMMAND_LINE, Integer, Value("0"), PROCESS,
        "Where the log goes: 0 the file, 1 standard output, 2 both.").between(0.0, 2.0),
    key("logLevel", ALL, LOG_LEVEL, Value("INFO"), PROCESS,
        "The least severe lines that are logged."),
    key("maxLogSize", ALL, MB, Value("1024"), PROCESS,
        "The size at which the log file is set aside and a new one begun.").clamped(100.0, 1_048_576.0),
    key("logRetentionTime", ALL, DAYS, Value("30"), PROCESS,
        "How long log files that were set aside are kept; 0 is for ever.").between(0.0, 36_500.0),
    inert("enableAuditLog", C.and(N).and(S), Flag, "the audit is part of the controller's log and always on",
        "Whether what administrators do is recorded.").protected(),
    inert("auditLogRetentionTime", C.and(N).and(S), DAYS, "the audit keeps its newest 10,000 entries, however old",
        "How long those records are kept.").protected(),
    inert("enableDFSQueryLog", C.and(N).and(S), Flag, NO_QUERIES, "A log of all queries."),
    inert("jobLogRetentionTime", ALL, DAYS, NO_SCRIPTS, "The life of the job log."),
    inert("queryLogRetentionTime", ALL, DAYS, NO_QUERIES, "The life of the query log."),

    // What existing files carry for other parts of DolphinDB.
    inert("persistenceDir", STORES, Path, NO_STREAMS, "The directory of stored streams.").per_node(),
    inert("persistenceWorkerNum", STORES, Integer, NO_STREAMS, "Workers that store streams."),
    inert("persistenceOffsetDir", STORES, Path, NO_STREAMS, "The directory of stream positions.").per_node(),
    inert("streamingHALogDir", STORES, Path, NO_STREAMS, "The directory of replicated streams.").per_node(),
    inert("streamingHAMode", C.and(N), Text, NO_STREAMS, "Replicated streams."),
    inert("streamingRaftGroups", C.and(N), Text, NO_STREAMS, "Replicated streams."),
    inert("subPort", STORES, Integer, NO_STREAMS, "The port of stream subscribers.").per_node(),
    inert("subThrottle", STORES, MILLISECONDS, NO_STREAMS, "How often streams are delivered.").clamped(1.0, f64::INFINITY),
    inert("subExecutors", STORES, Integer, NO_STREAMS, "Workers for streams."),
    inert("maxPubConnections", STORES, Integer, NO_STREAMS, "Stream connections."),
    inert("maxSubConnections", STORES, Integer, NO_STREAMS, "Stream connections."),
    inert("maxSubQueueDepth", STORES, Integer, NO_STREAMS, "The length of a stream's queue."),
    inert("maxMsgNumPerBlock", STORES, Integer, NO_STREAMS, "Messages in a stream's block."),
    inert("maxPersistenceQueueDepth", STORES, Integer, NO_STREAMS, "The length of a stream's queue."),
    inert("clusterReplicationMode", N, REPLICATION_MODE, NO_CLUSTER_REPLICATION, "A second cluster."),
    inert("clusterReplicationSlaveNum", C, Integer, NO_CLUSTER_REPLICATION, "A second cluster."),
    inert("clusterReplicationMasterCtl", C, Text, NO_CLUSTER_REPLICATION, "A second cluster."),
    inert("clusterReplicationQueue", C, Integer, NO_CLUSTER_REPLICATION, "A second cluster."),
    inert("clusterReplicationWorkerNum", N, Integer, NO_CLUSTER_REPLICATION, "A second cluster."),
    inert("clusterReplicationExecutionUsername", C, Text, NO_CLUSTER_REPLICATION, "A second cluster."),
    inert("clusterReplicationWorkDir", N, Path, NO_CLUSTER_REPLICATION, "A second cluster.").per_node(),
    inert("init", ALL, Path, NO_SCRIPTS, "A script run at the start."),
    inert("script", ALL, Path, NO_SCRIPTS, "A script run at the start."),
    inert("startup", ALL, Path, NO_SCRIPTS, "A script run at the start."),
    inert("postStart", ALL, Path, NO_SCRIPTS, "A script run after the start."),
    inert("run", COMMAND_LINE, Path, NO_SCRIPTS, "A script run on a server."),
    inert("preloadModules", ALL, Text, NO_SCRIPTS, "Modules loaded at the start."),
    inert("moduleDir", ALL, Path, NO_SCRIPTS, "The directory of modules."),
    inert("pluginDir", ALL, Path, NO_SCRIPTS, "The directory of plugins."),
    inert("tzdb", ALL, Path, "times are shown in the browser's zone", "The directory of time zones."),
    inert("licenseServerSite", ALL, Text, NO_LICENCE_TERMS, "A licence server."),

    // Earlier names, and keys that went.
    renamed("chunkCacheEngineMemSize", STORES, GB, "OLAPCacheEngineSize"),
    renamed("streamingHADir", STORES, Path, "streamingHALogDir"),
    renamed("strictSecurityVerification", C.and(S), Flag, "enhancedSecurityVerification"),
    renamed("recoveryWorkerNum", STORES, Integer, "recoveryWorkers"),
    renamed("persistOffsetDir", STORES, Path, "persistenceOffsetDir"),
    retired("secondaryWorkerNum", ALL, "work is no longer divided into levels; `workerNum` sets the number of workers"),
    retired("backupDir", ALL, "a backup names its own place"),
];

#[cfg(test)]
mod tests {
    use super::TABLE;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_even_but_for_case() {
        let names: BTreeSet<String> = TABLE
            .iter()
            .map(|key| key.name.to_ascii_lowercase())
            .collect();
        assert_eq!(names.len(), TABLE.len());
    }
}

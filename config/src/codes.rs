//! The rules: one row for each code that a diagnostic can carry.
//!
//! A code is a name of words, stable from release to release, so that a script may select by it
//! and a person may look it up. Whether a code is an error or a warning can be read here too.

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::diagnostic::Severity;

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Code {
    /// The stable name, as diagnostics carry it.
    pub name: &'static str,
    /// Error or warning, when nothing else is asked for.
    pub severity: Severity,
    /// Whether `--strict` makes an error of the warning.
    pub strict: bool,
    /// What the rule is about, in one sentence.
    pub meaning: &'static str,
}

impl Code {
    /// The rule of that name.
    pub fn named(name: &str) -> Option<&'static Code> {
        TABLE.iter().find(|code| code.name == name)
    }
}

macro_rules! codes {
    ($($constant:ident = $name:literal, $severity:ident $($strict:ident)?, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $constant: Code = Code {
                name: $name,
                severity: Severity::$severity,
                strict: codes!(@strict $($strict)?),
                meaning: $meaning,
            };
        )*

        /// All rules, grouped as they are documented.
        pub static TABLE: &[Code] = &[$($constant),*];
    };
    (@strict strict) => { true };
    (@strict) => { false };
}

codes! {
    // The file as text.
    INVALID_UTF8 = "invalid-utf8", Error,
        "A line holds bytes that are not UTF-8; it is not read.";
    UTF16 = "utf-16", Error,
        "The file is stored as UTF-16; nothing of it is read.";
    FILE_TOO_LARGE = "file-too-large", Error,
        "The file is larger than any configuration file; nothing of it is read.";
    TOO_MANY_LINES = "too-many-lines", Error,
        "The file has more lines than are read.";
    LINE_TOO_LONG = "line-too-long", Error,
        "A line is longer than any line of configuration; it is not read.";
    VALUE_TOO_LONG = "value-too-long", Error,
        "A value is longer than is accepted.";
    CONTROL_CHARACTER = "control-character", Error,
        "A line holds NUL, another control character, or a character that cannot be seen.";
    FULLWIDTH_CHARACTER = "fullwidth-character", Error,
        "A full-width or typographic character stands where an ASCII one belongs.";
    BLANK_FIRST_LINE = "blank-first-line", Warning,
        "The file begins with a blank line, which is read here but refused by DolphinDB.";
    NOT_CONFIGURATION = "not-configuration", Warning strict,
        "A line is neither an entry, nor a comment, nor blank; it has no effect.";
    TOO_MANY_PROBLEMS = "too-many-problems", Warning,
        "The file has more problems than are listed.";

    // Keys.
    UNKNOWN_KEY = "unknown-key", Warning strict,
        "There is no such key; the line has no effect.";
    MISPLACED_KEY = "misplaced-key", Warning strict,
        "The key exists but is not read from this file; the line has no effect.";
    COMMAND_LINE_KEY = "command-line-key", Warning strict,
        "The key is read from the command line only; the line has no effect.";
    RETIRED_KEY = "retired-key", Warning strict,
        "The key is no longer in use; the line has no effect.";
    RENAMED_KEY = "renamed-key", Warning strict,
        "The key has a new name; the line is read as if it had it.";
    KEY_CASE = "key-case", Warning,
        "The key is written with other capital letters than it has; the line is read.";
    NO_EFFECT = "no-effect", Warning,
        "The key is accepted, but changes nothing in this system.";
    QUALIFIER_NOT_ALLOWED = "qualifier-not-allowed", Warning strict,
        "A key has a qualifier in a file, or for a key, that takes none; the line has no effect.";
    MALFORMED_QUALIFIER = "malformed-qualifier", Warning strict,
        "The text before the first dot of a key can be neither an alias nor a pattern; the line has no effect.";
    DUPLICATE_KEY = "duplicate-key", Warning,
        "A key is set twice for the same nodes; the later line rules.";
    MISSING_KEY = "missing-key", Error,
        "A key that the process cannot do without is not set.";

    // Values.
    EMPTY_VALUE = "empty-value", Warning,
        "A key has no value; its default applies.";
    INVALID_VALUE = "invalid-value", Error,
        "The value is not of the type of the key.";
    OUT_OF_RANGE = "out-of-range", Error,
        "The value lies outside the range of the key.";
    CLAMPED_VALUE = "clamped-value", Warning,
        "The value lies outside the range of the key and is replaced by the nearest limit.";
    MEMORY_CAPPED = "memory-capped", Warning,
        "More memory is configured than the host has; the host's memory is the limit.";
    VALUE_CASE = "value-case", Warning,
        "A word is written with other capital letters than it has; it is read.";
    QUOTED_VALUE = "quoted-value", Warning,
        "A value stands in quotation marks, which the format does not have; it is read without them.";
    EMPTY_ELEMENT = "empty-element", Warning,
        "A list has an empty element, which is left out.";
    REPEATED_ELEMENT = "repeated-element", Warning,
        "A list names the same thing twice; it counts once.";
    INVALID_SITE = "invalid-site", Error,
        "A site is not of the form `host:port:alias`.";
    INVALID_ALIAS = "invalid-alias", Error,
        "An alias has a character, a length or a form that an alias must not have.";
    MODE_MISMATCH = "mode-mismatch", Warning,
        "A mode is given that does not belong to the file.";
    RELATIVE_VOLUME = "relative-volume", Error,
        "A volume or another path that must be absolute is relative.";
    WINDOWS_PATH = "windows-path", Error,
        "A path has the form of a Windows path.";
    COLON_SEPARATED_VOLUMES = "colon-separated-volumes", Error,
        "Paths are separated by colons, which would make one strange directory of them.";
    UNSAFE_PATH = "unsafe-path", Error,
        "A path has a `.` or `..` component, is the root directory, or is too long.";
    SYSTEM_DIRECTORY = "system-directory", Warning,
        "A volume lies in a directory of the operating system.";
    MACRO_WITH_ALIAS = "macro-with-alias", Warning,
        "`<ALIAS>` stands in a line for one alias, which DolphinDB does not expand.";
    MACRO_CASE = "macro-case", Warning,
        "The macro `<ALIAS>` is not written in capital letters; it is expanded.";
    UNKNOWN_MACRO = "unknown-macro", Warning,
        "A value holds a word in angle brackets that is not the macro `<ALIAS>`; it is kept as it is.";

    // Rows of cluster.nodes.
    EMPTY_NODES_FILE = "empty-nodes-file", Error,
        "`cluster.nodes` names no member.";
    MISSING_HEADER = "missing-header", Warning,
        "`cluster.nodes` does not begin with its header; the first row is read as a row.";
    REPEATED_HEADER = "repeated-header", Warning,
        "The header of `cluster.nodes` stands in it again; the line has no effect.";
    UNKNOWN_COLUMN = "unknown-column", Warning,
        "The header of `cluster.nodes` names a column that does not exist; it is skipped.";
    MALFORMED_ROW = "malformed-row", Error,
        "A row of `cluster.nodes` is not `host:port:alias,mode`.";
    COMMA_FOR_COLON = "comma-for-colon", Error,
        "A row of `cluster.nodes` separates the parts of a site by a comma.";
    COLON_FOR_COMMA = "colon-for-comma", Error,
        "A row of `cluster.nodes` separates the site from the mode by a colon.";
    MISSING_MODE = "missing-mode", Error,
        "A row of `cluster.nodes` does not say what the member is.";
    UNKNOWN_MODE = "unknown-mode", Error,
        "A row of `cluster.nodes` has a mode that does not exist.";
    EXTRA_COLUMN = "extra-column", Warning,
        "A row of `cluster.nodes` has more columns than the header; they are skipped.";
    ROW_WITHOUT_EFFECT = "row-without-effect", Warning,
        "A row of `cluster.nodes` is read, but this system starts no such member.";
    GROUP_MISPLACED = "group-misplaced", Warning,
        "A compute group or a zone is given for a member that can have none.";
    ZONE_INCOMPLETE = "zone-incomplete", Warning,
        "Some data nodes have a zone and others have none.";
    UNKNOWN_ZONE = "unknown-zone", Warning,
        "`controller.cfg` names a zone that no data node is in.";

    // Several files together.
    DUPLICATE_ALIAS = "duplicate-alias", Error,
        "Two members have the same alias.";
    DUPLICATE_SITE = "duplicate-site", Error,
        "Two members have the same host and port.";
    ALIAS_CASE = "alias-case", Warning,
        "Two aliases differ in nothing but capital letters.";
    MISSING_AGENT = "missing-agent", Error,
        "A node's host has no agent that could start it.";
    SEVERAL_AGENTS = "several-agents", Warning,
        "A host has more than one agent.";
    UNSPECIFIED_HOST = "unspecified-host", Error,
        "A member's site names no host that others could reach.";
    LOOPBACK_SITE = "loopback-site", Warning,
        "Some sites are loopback addresses, which the other hosts cannot reach.";
    CONTROLLER_SITE_DIFFERS = "controller-site-differs", Error,
        "An agent looks for the controller at another address than it has.";
    CONTROLLER_HOST_DIFFERS = "controller-host-differs", Warning,
        "An agent names the controller's host otherwise than the controller does.";
    SITE_ALIAS_DIFFERS = "site-alias-differs", Warning,
        "Two files give the same site different aliases.";
    AGENT_SITE_DIFFERS = "agent-site-differs", Error,
        "An agent's own file and `cluster.nodes` give its alias different sites.";
    UNLISTED_AGENT = "unlisted-agent", Warning,
        "An agent is not in `cluster.nodes`, so the controller does not know it.";
    LAN_CLUSTER_DIFFERS = "lan-cluster-differs", Warning,
        "`lanCluster` is not the same everywhere; the controller's value rules.";
    SHARED_VOLUME = "shared-volume", Error,
        "Two nodes of one host have the same volume.";
    NESTED_VOLUME = "nested-volume", Warning,
        "A volume lies inside another volume of the same host.";
    SHARED_DIRECTORY = "shared-directory", Warning,
        "Two nodes of one host have the same directory or file for something each needs for itself.";
    FACTOR_ABOVE_NODES = "factor-above-nodes", Warning,
        "There are fewer data nodes than replicas asked for.";
    TOO_FEW_HOSTS = "too-few-hosts", Warning,
        "Replicas must not share a host, and there are fewer hosts than replicas.";
    WRITE_REPLICAS_ABOVE_FACTOR = "write-replicas-above-factor", Error,
        "A write is to wait for more replicas than there will be; the controller does not start.";
    PATTERN_MATCHES_NOTHING = "pattern-matches-nothing", Warning,
        "A pattern of `cluster.cfg` matches no data node.";
    UNKNOWN_ALIAS = "unknown-alias", Warning,
        "A line of `cluster.cfg` is for an alias that is no data node.";
}

//! What a client may send and how long it may take, by name, with the reason.

use std::time::Duration;

/// The bounds that the HTTP interface keeps to, whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Longest path with its query, in bytes; a longer one is answered 414.
    pub target_bytes: usize,
    /// The same for routes about files, whose names may be long and of which each byte may take
    /// three.
    pub file_target_bytes: usize,
    /// Longest request line and headers together, in bytes; more is answered 431.
    pub head_bytes: usize,
    /// Most headers of a request; more is answered 431.
    pub headers: usize,
    /// Longest body, in bytes; a longer one is answered 413 without being read.
    pub body_bytes: usize,
    /// The same where a configuration file may come as a whole: one text in JSON or in a form, which can
    /// double its length, with what is said beside it. It bounds the body and not the file; the desk
    /// bounds that, and each request is about one file.
    pub config_body_bytes: usize,
    /// Longest body of a form that changes a configuration file, where a line's end takes six bytes and
    /// each of a Chinese letter three.
    pub config_form_bytes: usize,
    /// How long a client may take from the end of one answer, or from its connection, to the end
    /// of the next request's headers. It bounds an idle connection too: an idle client loses
    /// nothing but a handshake.
    pub head_timeout: Duration,
    /// How long a body may take as a whole.
    pub body_timeout: Duration,
    /// How long a client may send a body more slowly than [`HttpLimits::body_bytes_per_second`].
    pub body_grace: Duration,
    /// The least speed of a body, once the grace is over.
    pub body_bytes_per_second: u64,
    /// How long a client may send no byte of a file that it writes. A file may take as long as it
    /// takes, so that there is no other bound.
    pub file_stall: Duration,
    /// Most rows in one page of a list.
    pub page_rows: u32,
    /// How long a client may take no byte of an answer.
    pub write_stall: Duration,
    /// How long an answer may take to come about, from the end of the headers on.
    pub request_timeout: Duration,
    /// Requests that may wait for one of the web workers; one more is answered 503 at once.
    pub requests_waiting: usize,
    /// How long a request may wait for one of the web workers.
    pub worker_wait: Duration,
    /// Requests of one connection; the last is answered with `Connection: close`, so that no
    /// client keeps its place for ever.
    pub requests_per_connection: u32,
    /// Most bytes of a log file in one answer.
    pub log_piece_bytes: u32,
    /// Longest life of a token that a client may ask for.
    pub token_life_max: Duration,
    /// Life of a token if the client asks for nothing else.
    pub token_life: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        const KIB: usize = 1024;
        Self {
            target_bytes: 4 * KIB,
            file_target_bytes: 13 * KIB,
            head_bytes: 16 * KIB,
            headers: 64,
            body_bytes: 1024 * KIB,
            config_body_bytes: 2560 * KIB,
            config_form_bytes: 5120 * KIB,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            body_grace: Duration::from_secs(5),
            body_bytes_per_second: KIB as u64,
            file_stall: Duration::from_secs(30),
            page_rows: 1000,
            write_stall: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            requests_waiting: 64,
            worker_wait: Duration::from_secs(10),
            requests_per_connection: 1000,
            log_piece_bytes: 256 * KIB as u32,
            token_life_max: Duration::from_secs(365 * 24 * 3600),
            token_life: Duration::from_secs(12 * 3600),
        }
    }
}

//! One command a file.

pub(super) mod audit;
pub(super) mod check;
pub(super) mod chunk;
pub(super) mod completions;
pub(super) mod config;
pub(super) mod dfs;
pub(super) mod explain;
pub(super) mod login;
pub(super) mod logout;
pub(super) mod meta;
pub(super) mod node;
pub(super) mod repair;
pub(super) mod secret;
pub(super) mod status;
pub(super) mod token;
pub(super) mod user;
pub(super) mod volume;

/// Local time to the second, as lists show it.
fn local_time(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    match at {
        Some(at) => {
            let zone = jiff::tz::TimeZone::system();
            zone.to_datetime(at)
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        }
        None => "?".to_owned(),
    }
}

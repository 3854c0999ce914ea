//! By which a request that comes again is recognised.

use axum::http::HeaderMap;
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::OpId;

use super::problem::Problem;

/// The header that names an operation.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Longest key, in bytes.
const KEY_BYTES: usize = 255;

/// The operation that the client has named, if it has.
///
/// 32 hexadecimal digits are an operation id as it stands. Any other text is hashed together with
/// what is to be done to what, so that two clients that both count from 1 do not take each other's
/// operations for their own.
pub(super) fn named(headers: &HeaderMap, what: &str) -> Result<Option<OpId>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).into_iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    let key = key.to_str().unwrap_or_default().trim();
    if key.is_empty() || key.len() > KEY_BYTES || keys.next().is_some() {
        return Err(Problem::invalid(format!(
            "`Idempotency-Key` is given once and holds 1 to {KEY_BYTES} printable ASCII characters"
        )));
    }
    let hashed = || OpId(Digest::of(format!("{what}\n{key}").as_bytes()).0);
    Ok(Some(OpId::parse(key).unwrap_or_else(hashed)))
}

//! The API's calls about the file system: names, chunks, volumes.

use hyper::Method;
use serde_json::{Value, json};
use vaquita_core::dfs::path::DfsPath;

use super::api::{Api, ApiError};
use super::views::{EntryView, HistoryPageView, UsageView};
use crate::percent::segment;

/// Most rows of a page, as the server has it.
const PAGE: u32 = 1000;

impl Api {
    /// What is at a path; `None` if nothing is.
    pub(in crate::cli) async fn stat(
        &mut self,
        path: &DfsPath,
    ) -> Result<Option<EntryView>, ApiError> {
        let target = format!("/api/v1/dfs/stat?path={}", encoded(path));
        match self.json(Method::GET, &target, None).await {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same as the server sent it.
    pub(in crate::cli) async fn raw_stat(&mut self, path: &DfsPath) -> Result<Value, ApiError> {
        let target = format!("/api/v1/dfs/stat?path={}", encoded(path));
        self.json(Method::GET, &target, None).await
    }

    /// Everything in a directory, as the server sent it, in the order of the names.
    pub(in crate::cli) async fn list(&mut self, path: &DfsPath) -> Result<Vec<Value>, ApiError> {
        let target = format!("/api/v1/dfs/list?limit={PAGE}&path={}", encoded(path));
        let name = |row: &Value| {
            let path = row.get("path")?.as_str()?;
            let (_, name) = path.rsplit_once('/')?;
            Some(name.to_owned())
        };
        self.pages(&target, "entries", name).await
    }

    /// How much is at and below a path.
    pub(in crate::cli) async fn usage(&mut self, path: &DfsPath) -> Result<UsageView, ApiError> {
        let target = format!("/api/v1/dfs/usage?path={}", encoded(path));
        self.json(Method::GET, &target, None).await
    }

    pub(in crate::cli) async fn make_directory(
        &mut self,
        path: &DfsPath,
        parents: bool,
        key: &str,
    ) -> Result<EntryView, ApiError> {
        let body = json!({ "path": path, "parents": parents });
        self.order_once("/api/v1/dfs/mkdir", body, key).await
    }

    pub(in crate::cli) async fn remove(
        &mut self,
        path: &DfsPath,
        recursive: bool,
        key: &str,
    ) -> Result<UsageView, ApiError> {
        let body = json!({ "path": path, "recursive": recursive });
        self.order_once("/api/v1/dfs/remove", body, key).await
    }

    pub(in crate::cli) async fn rename(
        &mut self,
        from: &DfsPath,
        to: &DfsPath,
        replace: bool,
        key: &str,
    ) -> Result<EntryView, ApiError> {
        let body = json!({ "from": from, "to": to, "replace": replace });
        self.order_once("/api/v1/dfs/rename", body, key).await
    }

    /// Chunks, as the server sent them, in the order of their ids.
    pub(in crate::cli) async fn chunks(
        &mut self,
        unwell: bool,
        below: Option<&DfsPath>,
    ) -> Result<Vec<Value>, ApiError> {
        let mut target = format!("/api/v1/chunks?limit={PAGE}&unwell={unwell}");
        if let Some(below) = below {
            target.push_str(&format!("&below={}", encoded(below)));
        }
        let id = |row: &Value| Some(row.get("chunk")?.as_str()?.to_owned());
        self.pages(&target, "rows", id).await
    }

    /// Contents that no file has, as the server sent them.
    pub(in crate::cli) async fn unknown_chunks(&mut self) -> Result<Vec<Value>, ApiError> {
        let target = format!("/api/v1/repair/unknown?limit={PAGE}");
        let id = |row: &Value| Some(row.get("chunk")?.as_str()?.to_owned());
        self.pages(&target, "rows", id).await
    }

    /// The last `count` things that were done about replicas, the newest first, and how many older ones
    /// the controller has forgotten.
    pub(in crate::cli) async fn repair_history(
        &mut self,
        chunk: Option<&str>,
        count: u32,
    ) -> Result<HistoryPageView, ApiError> {
        let mut all = HistoryPageView::default();
        let mut before = String::new();
        let mut left = count;
        loop {
            let limit = PAGE.min(left);
            let mut target = format!("/api/v1/repair/history?limit={limit}{before}");
            if let Some(chunk) = chunk {
                target.push_str(&format!("&chunk={}", segment(chunk)));
            }
            let page: HistoryPageView = self.json(Method::GET, &target, None).await?;
            all.forgotten = page.forgotten;
            all.more = page.more;
            let last = page.rows.last().map(|row| row.number);
            left = left.saturating_sub(u32::try_from(page.rows.len()).unwrap_or(u32::MAX));
            all.rows.extend(page.rows);
            match last {
                Some(last) if page.more && left > 0 => {
                    before = format!("&before={last}");
                }
                _ => return Ok(all),
            }
        }
    }

    /// One chunk, as the server sent it.
    pub(in crate::cli) async fn chunk(&mut self, chunk: &str) -> Result<Value, ApiError> {
        let target = format!("/api/v1/chunks/{}", segment(chunk));
        self.json(Method::GET, &target, None).await
    }

    /// All pages of a list. The next page comes after what the page says it goes up to, or else after
    /// `last` of its last row.
    async fn pages(
        &mut self,
        target: &str,
        rows: &str,
        last: impl Fn(&Value) -> Option<String>,
    ) -> Result<Vec<Value>, ApiError> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let mut page: Value = self
                .json(Method::GET, &format!("{target}{after}"), None)
                .await?;
            let Some(Value::Array(rows)) = page.get_mut(rows).map(Value::take) else {
                return Err(self.nonsense("a page without rows"));
            };
            let more = page.get("more").and_then(Value::as_bool).unwrap_or(false);
            let upto = page.get("upto").and_then(Value::as_str).map(str::to_owned);
            let next = upto.or_else(|| rows.last().and_then(&last));
            all.extend(rows);
            if !more {
                return Ok(all);
            }
            let Some(next) = next.map(|next| format!("&after={}", segment(&next))) else {
                return Err(self.nonsense("a page that does not say how far it goes"));
            };
            if next == after {
                return Err(self.nonsense("a page that goes no further, and more to come"));
            }
            after = next;
        }
    }
}

/// A path as the value of a parameter.
fn encoded(path: &DfsPath) -> String {
    segment(&path.to_string())
}

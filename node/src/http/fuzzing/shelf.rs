//! One file behind the interface of a data node.

use std::ops::Range;

use axum::http::header::CONTENT_RANGE;
use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use vaquita_core::admin::{Caller, Refusal};
use vaquita_core::dfs::ask::{Committed, Entry, EntryKind};
use vaquita_core::dfs::digest::Digest;
use vaquita_core::dfs::ids::{FileVersion, InodeId};
use vaquita_core::dfs::path::DfsPath;

use crate::http::files::{FileBytes, Files, OpenFile, Put, PutError, Upload};

/// What is in the file.
const CONTENT: &[u8] = b"0123456789";

/// A data node that has `dfs://data/a.csv`, and takes every other file without keeping it.
#[derive(Clone, Copy)]
pub(super) struct Shelf;

pub(super) struct Opened(Entry);

pub(super) struct Rest(Bytes);

fn entry(path: DfsPath) -> Entry {
    Entry {
        path,
        kind: EntryKind::File,
        inode: InodeId(7),
        version: FileVersion(9),
        len: CONTENT.len() as u64,
        modified_unix_ms: 1_700_000_000_000,
        count: 1,
        digest: Some(Digest([7; 16])),
        replicas: Some(2),
    }
}

impl Files for Shelf {
    type File = Opened;

    async fn open(&self, _: Caller, path: DfsPath) -> Result<Opened, Refusal> {
        if path.as_str() == "/data/a.csv" {
            return Ok(Opened(entry(path)));
        }
        let what = format!("there is no {path}");
        Err(Refusal::NotFound { what })
    }

    async fn put(&self, put: Put, mut body: Upload) -> Result<Committed, PutError> {
        while let Some(piece) = body.next().await {
            piece?;
        }
        Ok(Committed {
            entry: entry(put.path),
            degraded_chunks: 0,
            created: true,
        })
    }
}

impl OpenFile for Opened {
    type Bytes = Rest;

    fn entry(&self) -> &Entry {
        &self.0
    }

    fn chunk_bytes(&self) -> u64 {
        64
    }

    fn remark(&self) -> Option<&str> {
        None
    }

    fn read(self, range: Range<u64>) -> Rest {
        let at = |end: u64| usize::try_from(end).expect("an offset in memory");
        Rest(Bytes::from_static(CONTENT).slice(at(range.start)..at(range.end)))
    }
}

impl FileBytes for Rest {
    async fn next(&mut self) -> Option<Result<Bytes, Refusal>> {
        let piece = self.0.split_to(self.0.len().min(3));
        (!piece.is_empty()).then_some(Ok(piece))
    }
}

/// Panics if what was sent of the file is not what was said to be sent.
pub(super) fn check(method: &Method, status: StatusCode, headers: &HeaderMap, body: &Bytes) {
    if status != StatusCode::PARTIAL_CONTENT {
        return;
    }
    let said = headers.get(CONTENT_RANGE).and_then(|it| it.to_str().ok());
    let said = said.expect("a part says which it is");
    let bounds = said
        .strip_prefix("bytes ")
        .and_then(|it| it.strip_suffix(&format!("/{}", CONTENT.len())))
        .and_then(|it| it.split_once('-'));
    let (first, last) = bounds.unwrap_or_else(|| panic!("{said:?} is no range of the file"));
    let parse = |it: &str| it.parse::<usize>().expect("a number");
    let part = &CONTENT[parse(first)..=parse(last)];
    let expected = if method == Method::HEAD { &[] } else { part };
    assert_eq!(body, expected, "{said}");
}

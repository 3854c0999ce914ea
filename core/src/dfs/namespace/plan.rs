//! What has to be logged for a client to get what it wants, or why it cannot.

use super::Namespace;
use super::inode::Inode;
use super::query::Missing;
use super::record::DfsRecord;
use crate::admin::Refusal;
use crate::dfs::ask::{Expect, Usage};
use crate::dfs::ids::{FileVersion, InodeId, OpId};
use crate::dfs::path::DfsPath;
use crate::ids::LogIndex;

/// Where a file is to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutPlan {
    /// The directory.
    pub parent: InodeId,
    /// The name in it.
    pub name: String,
    /// The file that is there now, which would be replaced, and its content.
    pub existing: Option<(InodeId, FileVersion)>,
}

impl Namespace {
    /// The records that make a directory, outermost first. `next` is the index that the first of
    /// them will have; they must be appended one behind the other, since each is known by its index
    /// to those that are in it. None if `parents` is set and the directory is there.
    ///
    /// # Errors
    /// If something has the name, or the directory that it would be in is not there and `parents` is
    /// not set.
    pub fn plan_make_dir(
        &self,
        next: LogIndex,
        op: OpId,
        path: &DfsPath,
        parents: bool,
        unix_ms: u64,
    ) -> Result<Vec<DfsRecord>, Refusal> {
        if !parents {
            if path.is_root() {
                return Err(conflict(format!("{path} is there already, always")));
            }
            let (parent, name) = self.parent_of(path)?;
            if let Some(there) = self.child(parent, &name) {
                let what = self.kind_word(there);
                let reason = format!("{path} is there already: it is {what}");
                return Err(conflict(reason));
            }
            return Ok(vec![DfsRecord::DirMade {
                op,
                parent,
                name,
                unix_ms,
            }]);
        }
        let mut records = Vec::new();
        let mut at = InodeId::ROOT;
        let mut walked = DfsPath::root();
        let mut index = next;
        let mut names = (1_u32..).zip(path.names()).peekable();
        while let Some((depth, name)) = names.next() {
            walked = walked.join(name).map_err(|error| Refusal::Invalid {
                reason: error.to_string(),
            })?;
            match self.child(at, name) {
                Some(there) if self.is_directory(there) => at = there,
                Some(_) => {
                    let reason = format!(
                        "{walked} is a file, so that {path} cannot be made: choose another path, or \
                         remove the file"
                    );
                    return Err(conflict(reason));
                }
                None => {
                    // The operation is the last one alone. A crash may leave some of them, and who then
                    // asks for it again has it gone on with, not taken for done.
                    records.push(DfsRecord::DirMade {
                        op: match names.peek() {
                            None => op,
                            Some(_) => op.part(depth),
                        },
                        parent: at,
                        name: name.to_owned(),
                        unix_ms,
                    });
                    at = InodeId::made_at(index);
                    index = index.next();
                }
            }
        }
        Ok(records)
    }

    /// The record that removes what is at a path, and how much that is.
    ///
    /// # Errors
    /// If there is nothing, it is the root, a directory that is not empty without `recursive`, or a
    /// file of another content than is expected.
    pub fn plan_remove(
        &self,
        op: OpId,
        path: &DfsPath,
        recursive: bool,
        expect: Expect,
    ) -> Result<(DfsRecord, Usage), Refusal> {
        let Some((_, name)) = path.split_last() else {
            let reason = "the root directory stays; remove what is in it, name by name".to_owned();
            return Err(conflict(reason));
        };
        let id = self.resolve(path)?;
        let Some(inode) = self.inodes.get(&id) else {
            return Err(nothing_at(path));
        };
        match inode.directory() {
            Some(_) if matches!(expect, Expect::Version(_)) => {
                let reason = format!("{path} is a directory, which has no content to expect");
                return Err(Refusal::Precondition { reason });
            }
            Some(directory) if !recursive && !directory.children.is_empty() => {
                let count = directory.children.len();
                let entries = if count == 1 { "entry" } else { "entries" };
                return Err(conflict(format!(
                    "{path} is a directory with {count} {entries}: remove it recursively \
                     (`vaquita dfs rm -r {path}`), or what is in it first"
                )));
            }
            _ => check_expected(path, Some(inode), expect)?,
        }
        let removed = DfsRecord::Removed {
            op,
            parent: inode.parent,
            name: name.to_owned(),
        };
        Ok((removed, self.usage_of(id)))
    }

    /// The record that renames what is at `from` to `to`; `None` if that is its path already.
    ///
    /// # Errors
    /// If there is nothing at `from`, or nothing can be at `to`, or something is there that does not
    /// give way: a directory never does, a file does for a file if `replace` is set.
    pub fn plan_rename(
        &self,
        op: OpId,
        from: &DfsPath,
        to: &DfsPath,
        replace: bool,
    ) -> Result<Option<DfsRecord>, Refusal> {
        let Some((_, from_name)) = from.split_last() else {
            return Err(conflict("the root directory cannot be renamed".to_owned()));
        };
        let id = self.resolve(from)?;
        if to.is_root() {
            return Err(conflict(format!(
                "{to} is the root directory: name the place in it that {from} is to have"
            )));
        }
        if from == to {
            return Ok(None);
        }
        let is_directory = self.is_directory(id);
        if is_directory && from.contains(to) {
            return Err(conflict(format!(
                "{to} is in {from} itself: a directory cannot be moved into itself"
            )));
        }
        let (to_parent, to_name) = self.parent_of(to)?;
        match self.child(to_parent, &to_name) {
            Some(there) if self.is_directory(there) => {
                return Err(conflict(format!(
                    "{to} is a directory, which is never replaced: name the new path in full, as in \
                     {to}/{from_name}, or remove the directory first"
                )));
            }
            Some(_) if is_directory => {
                return Err(conflict(format!(
                    "{to} is a file and {from} a directory: remove the file first"
                )));
            }
            Some(_) if !replace => {
                return Err(conflict(format!(
                    "{to} is there already: ask to replace it, or choose another name"
                )));
            }
            _ => {}
        }
        if !self.fits_below(id, to_parent, &to_name) {
            return Err(Refusal::Invalid {
                reason: format!(
                    "{from} cannot be renamed to {to}: a path in it would have more than {} names \
                     or {} bytes",
                    DfsPath::MAX_DEPTH,
                    DfsPath::MAX_LEN
                ),
            });
        }
        let Some(inode) = self.inodes.get(&id) else {
            return Err(nothing_at(from));
        };
        Ok(Some(DfsRecord::Renamed {
            op,
            from_parent: inode.parent,
            from_name: from_name.to_owned(),
            to_parent,
            to_name,
        }))
    }

    /// Where a file is to be put for it to be at `path`. Asked at the beginning of a write, so that
    /// what cannot be committed fails early, and again at its commit.
    ///
    /// # Errors
    /// If the directory is not there, the path is a directory's, or another content is there than is
    /// expected.
    pub fn plan_put(&self, path: &DfsPath, expect: Expect) -> Result<PutPlan, Refusal> {
        if path.is_root() {
            let reason = format!("{path} is the root directory: name the file in it");
            return Err(conflict(reason));
        }
        let (parent, name) = self.parent_of(path)?;
        let there = self.child(parent, &name);
        let inode = there.and_then(|id| self.inodes.get(&id));
        if inode.is_some_and(|inode| inode.directory().is_some()) {
            return Err(conflict(format!(
                "{path} is a directory: name the file in it, as in {path}/NAME"
            )));
        }
        check_expected(path, inode, expect)?;
        Ok(PutPlan {
            parent,
            name,
            existing: there.zip(inode).map(|(id, inode)| (id, inode.version)),
        })
    }

    /// The directory that a path is in, which must be there, and the name in it.
    fn parent_of(&self, path: &DfsPath) -> Result<(InodeId, String), Refusal> {
        let Some((parent, name)) = path.split_last() else {
            return Err(conflict(format!("{path} is the root directory")));
        };
        let id = match self.resolve(&parent) {
            Ok(id) => id,
            Err(missing @ Missing::UnderFile(_)) => return Err(missing.into()),
            Err(missing @ Missing::Absent { .. }) => {
                return Err(Refusal::NotFound {
                    what: format!(
                        "{missing}, so that {path} cannot be made; `vaquita dfs mkdir -p {parent}` \
                         makes the directory"
                    ),
                });
            }
        };
        if !self.is_directory(id) {
            return Err(Missing::UnderFile(parent).into());
        }
        Ok((id, name.to_owned()))
    }

    fn kind_word(&self, id: InodeId) -> &'static str {
        if self.is_directory(id) {
            "a directory"
        } else {
            "a file"
        }
    }
}

/// Whether what is at `path` is what somebody expects there.
fn check_expected(path: &DfsPath, there: Option<&Inode>, expect: Expect) -> Result<(), Refusal> {
    let reason = match (expect, there) {
        (Expect::Anything, _) | (Expect::Nothing, None) | (Expect::Something, Some(_)) => {
            return Ok(());
        }
        (Expect::Version(version), Some(inode)) if inode.version == version => return Ok(()),
        (Expect::Nothing, Some(inode)) => format!(
            "{path} is there already, as version {}: it was to be new",
            inode.version
        ),
        (Expect::Something, None) => format!("{path} does not exist: it was to be replaced"),
        (Expect::Version(version), None) => {
            format!("{path} does not exist: version {version} of it was expected")
        }
        (Expect::Version(version), Some(inode)) => format!(
            "{path} is at version {}, and version {version} was expected: read it again and decide \
             anew",
            inode.version
        ),
    };
    Err(Refusal::Precondition { reason })
}

const fn conflict(reason: String) -> Refusal {
    Refusal::Conflict { reason }
}

fn nothing_at(path: &DfsPath) -> Refusal {
    Missing::Absent {
        at: path.clone(),
        like: None,
    }
    .into()
}

//! A directory, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files below a directory and what is in them, to be compared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Tree {
    pub(crate) fn of(directory: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut left = vec![directory.to_path_buf()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    left.push(path);
                } else {
                    let bytes = fs::read(&path).unwrap();
                    files.insert(path, bytes);
                }
            }
        }
        Self { files }
    }

    /// Without the files of a name: what a test does not speak about.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.files
            .retain(|path, _| path.file_name().is_none_or(|it| it != name));
        self
    }

    /// The files, one by one.
    pub(crate) fn into_files(self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.files
    }

    /// Says which files differ, rather than showing the bytes of all.
    #[track_caller]
    pub(crate) fn assert_same(&self, other: &Self) {
        let names = |tree: &Self| tree.files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(other));
        for (path, bytes) in &self.files {
            assert!(other.files[path] == *bytes, "{} changed", path.display());
        }
    }
}

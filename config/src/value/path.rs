//! Paths and lists of paths, as far as text can judge them.

use std::ops::Range;

use super::reader::Reader;
use crate::character::is_blank;
use crate::codes;
use crate::keys::KeyType;
use crate::limits;
use crate::scan::Finding;

impl Reader<'_> {
    pub(super) fn paths(&mut self, raw: &str) -> Option<Vec<String>> {
        let mut paths: Vec<String> = Vec::new();
        for element in self.elements(raw, ',') {
            let text = &raw[element.clone()];
            let Some(path) = self.absolute_path(text, element.clone()) else {
                continue;
            };
            if paths.iter().any(|known| same_path(known, &path)) {
                self.find(Finding::new(
                    codes::REPEATED_ELEMENT,
                    element,
                    format!(
                        "`{text}` stands in `{}` twice and counts once",
                        self.key.name
                    ),
                    "delete one of them",
                ));
                continue;
            }
            paths.push(path);
        }
        Some(paths)
    }

    fn absolute_path(&mut self, text: &str, range: Range<usize>) -> Option<String> {
        let name = self.key.name;
        if is_windows_path(text) {
            self.find(Finding::new(
                codes::WINDOWS_PATH,
                range,
                format!("`{text}` has the form of a Windows path; nodes run on Linux"),
                "write a path that begins with `/`",
            ));
            return None;
        }
        if !text.starts_with('/') {
            self.find(Finding::new(
                codes::RELATIVE_VOLUME,
                range,
                format!("`{text}` in `{name}` is a relative path; it must be absolute"),
                format!(
                    "write the whole path from `/` on, as in `/data/{}`",
                    text.trim_start_matches("./")
                ),
            ));
            return None;
        }
        let pieces: Vec<&str> = text
            .split(':')
            .map(|piece| piece.trim_matches(is_blank))
            .collect();
        if pieces.len() > 1 && pieces.iter().all(|piece| piece.starts_with('/')) {
            self.find(
                Finding::new(
                    codes::COLON_SEPARATED_VOLUMES,
                    range.clone(),
                    format!("`{text}` in `{name}` would be one directory with colons in its name"),
                    "separate paths by commas",
                )
                .with_fix(range, pieces.join(",")),
            );
            return None;
        }
        self.path(text, range.start)
    }

    pub(super) fn path(&mut self, text: &str, start: usize) -> Option<String> {
        let range = start..start + text.len();
        let name = self.key.name;
        let list = self.key.kind == KeyType::Paths;
        if text.len() > limits::PATH_BYTES {
            self.find(Finding::new(
                codes::UNSAFE_PATH,
                range,
                format!("a path in `{name}` has {} bytes", text.len()),
                format!("keep a path below {} bytes", limits::PATH_BYTES),
            ));
            return None;
        }
        if !list {
            return Some(text.to_owned());
        }
        if text
            .split('/')
            .any(|component| matches!(component, "." | ".."))
        {
            self.find(Finding::new(
                codes::UNSAFE_PATH,
                range,
                format!("`{text}` in `{name}` has a `.` or `..` component"),
                "write the path that is meant, without detours",
            ));
            return None;
        }
        if text.bytes().all(|byte| byte == b'/') {
            self.find(Finding::new(
                codes::UNSAFE_PATH,
                range,
                format!("`{name}` names the root directory"),
                "write a directory that holds nothing else, as in `/data/<ALIAS>`",
            ));
            return None;
        }
        if name == "volumes"
            && let Some(system) = system_directory(text)
        {
            self.find(Finding::new(
                codes::SYSTEM_DIRECTORY,
                range,
                format!("the volume `{text}` lies in `{system}`, which belongs to the operating system"),
                "write a directory on a data disk; an agent takes this one only if its `allowedRoots` names it",
            ));
        }
        Some(text.to_owned())
    }
}

/// Whether the text begins with a drive letter or a share: `C:\data`, `d:/data`, `\\host\share`.
fn is_windows_path(text: &str) -> bool {
    match text.as_bytes() {
        [b'\\', ..] => true,
        [drive, b':', b'\\' | b'/', ..] => drive.is_ascii_alphabetic(),
        _ => false,
    }
}

fn system_directory(path: &str) -> Option<&'static str> {
    const SYSTEM: [&str; 13] = [
        "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin",
        "/sys", "/usr", "/root",
    ];
    SYSTEM
        .into_iter()
        .find(|system| is_inside(path, system) || same_path(path, system))
}

/// The components of an absolute path: doubled and trailing slashes do not count.
fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty())
}

/// Whether two absolute paths name the same directory, as far as text can show.
pub(crate) fn same_path(one: &str, other: &str) -> bool {
    components(one).eq(components(other))
}

/// Whether `inner` lies below `outer`, as far as text can show.
pub(crate) fn is_inside(inner: &str, outer: &str) -> bool {
    let mut inner = components(inner);
    components(outer).all(|component| inner.next() == Some(component)) && inner.next().is_some()
}

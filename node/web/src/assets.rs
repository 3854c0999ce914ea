//! Style sheet, scripts and icon: part of the program, so that no page needs another server.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// A file that pages refer to.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal: $media:literal,)*) => {
        &[$(Asset {
            name: $name,
            media_type: $media,
            bytes: include_bytes!(concat!("../assets/", $name)),
        },)*]
    };
}

/// All there are.
pub static ASSETS: &[Asset] = assets! {
    "app.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "confirm.js": "text/javascript; charset=utf-8",
    "draft.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "morph.js": "text/javascript; charset=utf-8",
    "select.js": "text/javascript; charset=utf-8",
    "tail.js": "text/javascript; charset=utf-8",
    "upload.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
};

/// Digest of all of them: it stands in their addresses, so that browsers may keep them for ever and never
/// mix those of two versions. One for all, since the scripts name each other.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in ASSETS {
        hash.update(asset.name);
        hash.update(asset.bytes);
    }
    let digest = hash.finalize();
    digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
});

/// The digest in the addresses.
#[must_use]
pub fn version() -> &'static str {
    &VERSION
}

/// Where pages find a file.
#[must_use]
pub fn href(name: &str) -> String {
    format!("/static/{}/{name}", version())
}

/// The file of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_import_only_what_is_there_and_never_write_html() {
        for asset in ASSETS.iter().filter(|it| it.name.ends_with(".js")) {
            let text = str::from_utf8(asset.bytes).unwrap();
            for import in text.lines().filter_map(|line| line.split_once("from \"./")) {
                let name = import.1.split('"').next().unwrap();
                assert!(find(name).is_some(), "{}: {name}", asset.name);
            }
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!text.contains(forbidden), "{}: {forbidden}", asset.name);
            }
        }
    }

    #[test]
    fn all_of_them_together_are_small() {
        let bytes: usize = ASSETS.iter().map(|asset| asset.bytes.len()).sum();
        assert!(bytes < 60_000, "{bytes} bytes");
    }
}

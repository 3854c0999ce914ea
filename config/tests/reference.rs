//! The reference page of the book is what the key table says.
//!
//! `VAQUITA_UPDATE_EXPECTED=1 cargo test -p vaquita-config --test reference` writes it anew. Read
//! the difference before you commit it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::fs;
use std::path::Path;

use vaquita_config::keys;

#[test]
fn the_page_of_keys_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/keys.md");
    let expected = keys::reference_markdown();
    if env::var_os("VAQUITA_UPDATE_EXPECTED").is_some() {
        fs::write(&page, &expected).unwrap();
    }
    let found = fs::read_to_string(&page).unwrap_or_default();
    assert!(
        found == expected,
        "{} differs from the key table; VAQUITA_UPDATE_EXPECTED=1 writes it anew",
        page.display()
    );
}

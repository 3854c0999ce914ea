//! Commands that a person is told to type.

use std::path::Path;

/// A path as one word of a shell's command line: as it is where that will do, else in quotes.
pub(crate) fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_where_a_shell_would_read_it_otherwise() {
        for (path, expected) in [
            ("/srv/a-b_c/1.2", "/srv/a-b_c/1.2"),
            ("/srv/my cluster", "'/srv/my cluster'"),
            ("/srv/机房", "'/srv/机房'"),
            ("/srv/$HOME", "'/srv/$HOME'"),
            ("/srv/ann's", r"'/srv/ann'\''s'"),
        ] {
            assert_eq!(word(Path::new(path)), expected);
        }
    }
}

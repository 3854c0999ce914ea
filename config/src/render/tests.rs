use super::{RenderError, render_node_cfg};

fn render(key: &str, value: &str) -> Result<String, RenderError> {
    render_node_cfg(&[(key.to_owned(), value.to_owned())])
}

#[test]
fn a_setting_is_a_line() {
    let text = render("volumes", "/a b/数据,/c").unwrap();
    assert!(text.ends_with("\nvolumes=/a b/数据,/c\n"), "{text}");
    assert!(text.starts_with("# "));
}

#[test]
fn nothing_is_smuggled_into_the_file() {
    for (key, value) in [
        ("workerNum", "4\nlocalSite=evil:1:master"),
        ("workerNum", "4\n# harmless"),
        ("workerNum", "4\r"),
        ("hostLabel", "rack # 1"),
        ("hostLabel", " rack"),
        ("hostLabel", "a\0b"),
        ("workerNum=4\nlocalSite", "evil:1:master"),
        ("P1.workerNum", "4"),
        ("noSuchKey", "4"),
        ("home", "/data"),
    ] {
        let refused = render(key, value);
        assert_eq!(
            refused,
            Err(RenderError::NotRepresentable {
                key: key.to_owned()
            }),
            "{value:?}"
        );
    }
}

//! The configuration in the browser.

use std::fs;

use super::super::config::Controller;
use super::super::harness::{ADMIN, Answered, request};
use super::{FORM, cookie, location};
use crate::http::session::csrf;

/// Sends a form of the page of a file; `etag` stands for the text that the reader has before them.
async fn submit(
    controller: &Controller,
    file: &str,
    etag: &str,
    fields: &[(&str, &str)],
) -> Answered {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("csrf", &csrf(ADMIN));
    form.append_pair("etag", etag);
    form.extend_pairs(fields);
    request("POST", format!("/config/{file}"))
        .header("Cookie", &cookie(ADMIN))
        .header("Content-Type", FORM)
        .raw(&form.finish())
        .to(&controller.server)
        .await
}

/// The tag that the forms of a page carry.
fn etag_of(page: &Answered) -> String {
    let (_, rest) = page.body.split_once("name=\"etag\" value=\"").unwrap();
    let (tag, _) = rest.split_once('"').unwrap();
    tag.replace("&#34;", "\"")
}

/// The text in the editor.
fn text_of(page: &Answered) -> String {
    let (_, rest) = page.body.split_once("<textarea ").unwrap();
    let (_, rest) = rest.split_once(">\n").unwrap();
    rest.split_once("</textarea>").unwrap().0.to_owned()
}

#[tokio::test]
async fn a_text_is_looked_at_then_saved_and_then_undone() {
    let controller = Controller::new();
    let etag = controller.etag("cluster.cfg").await;
    let typed = ("text", "workerNum=8\r\n");
    let page = submit(
        &controller,
        "cluster.cfg",
        &etag,
        &[("do", "preview"), typed],
    )
    .await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains("+workerNum=8") && page.body.contains("-workerNum=4"));
    assert_eq!(text_of(&page), "workerNum=8\n");
    assert_eq!(controller.text("cluster.cfg"), "workerNum=4\n");

    let fields = [("do", "save"), typed, ("comment", "more")];
    let saved = submit(&controller, "cluster.cfg", &etag_of(&page), &fields).await;
    assert_eq!(
        (saved.status, location(&saved)),
        (303, "/config/cluster.cfg")
    );
    // With the ends of lines that the file has.
    assert_eq!(controller.text("cluster.cfg"), "workerNum=8\n");

    let etag = controller.etag("cluster.cfg").await;
    let fields = [("do", "undo"), ("version", "1")];
    let undone = submit(&controller, "cluster.cfg", &etag, &fields).await;
    assert_eq!(undone.status, 303, "{undone:?}");
    assert_eq!(controller.text("cluster.cfg"), "workerNum=4\n");
    let none = [("do", "undo"), ("version", "x")];
    let refused = submit(&controller, "cluster.cfg", &etag, &none).await;
    assert_eq!(refused.status, 422, "not the newest one instead");
}

#[tokio::test]
async fn who_saves_after_somebody_else_is_shown_the_difference_to_that_first() {
    let controller = Controller::new();
    let etag = controller.etag("cluster.cfg").await;
    fs::write(
        controller.path("cluster.cfg"),
        "workerNum=4\nmaxMemSize=1\n",
    )
    .unwrap();
    let fields = [("do", "save"), ("text", "workerNum=8\n")];
    let page = submit(&controller, "cluster.cfg", &etag, &fields).await;
    assert_eq!(page.status, 412);
    assert!(page.body.contains("-maxMemSize=1"), "{}", page.body);
    assert_eq!(text_of(&page), "workerNum=8\n", "what was typed is there");
    assert_eq!(
        controller.text("cluster.cfg"),
        "workerNum=4\nmaxMemSize=1\n"
    );
    // A third one is faster again: the difference that was shown is not the one to that text.
    fs::write(controller.path("cluster.cfg"), "workerNum=5\n").unwrap();
    let again = submit(&controller, "cluster.cfg", &etag_of(&page), &fields).await;
    assert_eq!(again.status, 412);
    assert!(again.body.contains("-workerNum=5"));
    let now = submit(&controller, "cluster.cfg", &etag_of(&again), &fields).await;
    assert_eq!(now.status, 303, "{now:?}");
    assert_eq!(controller.text("cluster.cfg"), "workerNum=8\n");
}

#[tokio::test]
async fn an_error_is_told_at_its_line_and_nothing_is_written() {
    let controller = Controller::new();
    let etag = controller.etag("cluster.cfg").await;
    for what in ["preview", "save"] {
        let fields = [("do", what), ("text", "# first\nworkerNum=many\n")];
        let page = submit(&controller, "cluster.cfg", &etag, &fields).await;
        assert_eq!(page.status, if what == "save" { 422 } else { 200 });
        assert!(page.body.contains("cluster.cfg:2:11"), "{}", page.body);
        assert_eq!(text_of(&page), "# first\nworkerNum=many\n");
    }
    assert_eq!(controller.text("cluster.cfg"), "workerNum=4\n");
}

#[tokio::test]
async fn a_second_edit_goes_on_with_the_text_of_the_first() {
    let controller = Controller::new();
    let etag = controller.etag("cluster.cfg").await;
    let first = [
        ("do", "set"),
        ("key", "workerNum"),
        ("value", "8"),
        ("line", "1"),
    ];
    let page = submit(&controller, "cluster.cfg", &etag, &first).await;
    assert_eq!(text_of(&page), "workerNum=8\n");
    // The forms beside the text show what it says, not what is in the file.
    assert!(page.body.contains("name=\"value\" value=\"8\""));
    let draft = text_of(&page);
    let second = [
        ("do", "set"),
        ("key", "P1-NODE1.maxMemSize"),
        ("value", "2"),
        ("text", draft.as_str()),
    ];
    let page = submit(&controller, "cluster.cfg", &etag_of(&page), &second).await;
    assert_eq!(text_of(&page), "workerNum=8\nP1-NODE1.maxMemSize=2\n");
    assert!(page.body.contains("-workerNum=4"), "both differ");
    assert_eq!(controller.text("cluster.cfg"), "workerNum=4\n");
}

#[tokio::test]
async fn fields_of_a_refused_change_are_still_there() {
    let controller = Controller::new();
    let etag = controller.etag("cluster.nodes").await;
    let fields = [
        ("do", "add-members"),
        ("host", "10.1.1.2"),
        ("agent", "8960:P2-agent"),
        ("count", "2"),
        ("prefix", "P2-NODE"),
        ("number", "1"),
        ("port", "99999"),
    ];
    let page = submit(&controller, "cluster.nodes", &etag, &fields).await;
    assert_eq!(page.status, 422);
    for (name, value) in &fields[1..] {
        let kept = page.body.contains(&format!("value=\"{value}\""));
        assert!(kept, "{name}: {}", page.body);
    }
    let etag = controller.etag("cluster.cfg").await;
    let fields = [("do", "set"), ("key", "no=such"), ("value", "7")];
    let page = submit(&controller, "cluster.cfg", &etag, &fields).await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("value=\"no=such\"") && page.body.contains("value=\"7\""));
}

#[tokio::test]
async fn members_are_added_in_bulk_and_what_a_file_says_is_shown_as_text() {
    let controller = Controller::new();
    let etag = controller.etag("cluster.nodes").await;
    let fields = [
        ("do", "add-members"),
        ("host", "10.1.1.2"),
        ("agent", "8960:P2-agent"),
        ("count", "2"),
        ("prefix", "P2-NODE"),
        ("number", "1"),
        ("port", "8961"),
    ];
    let page = submit(&controller, "cluster.nodes", &etag, &fields).await;
    assert_eq!(page.status, 200, "{page:?}");
    for row in [
        "+10.1.1.2:8960:P2-agent,agent",
        "+10.1.1.2:8961:P2-NODE1,datanode",
        "+10.1.1.2:8962:P2-NODE2,datanode",
    ] {
        assert!(page.body.contains(row), "{row}: {}", page.body);
    }
    let hostile = "<script>alert(1)</script>=</textarea><img src=x>\n";
    let etag = controller.etag("cluster.cfg").await;
    let fields = [("do", "preview"), ("text", hostile), ("comment", "\"><b>")];
    let page = submit(&controller, "cluster.cfg", &etag, &fields).await;
    assert!(page.body.contains("&#60;script&#62;"));
    for inert in ["<script>", "<img", "\"><b>"] {
        assert!(!page.body.contains(inert), "{inert}: {}", page.body);
    }
}

use super::FileKind;

#[test]
fn usual_names_tell_the_kind() {
    for (name, kind) in [
        ("controller.cfg", Some(FileKind::Controller)),
        ("/srv/P1/agent.cfg", Some(FileKind::Agent)),
        ("config\\agent.cfg", Some(FileKind::Agent)),
        ("agent-P1.cfg", Some(FileKind::Agent)),
        ("P1_agent.cfg", Some(FileKind::Agent)),
        ("Cluster.cfg", Some(FileKind::Cluster)),
        ("dolphindb.cfg", Some(FileKind::Single)),
        ("node.cfg", Some(FileKind::Node)),
        ("cluster.nodes", None),
        ("notes.txt", None),
        ("reagent.cfg", None),
    ] {
        assert_eq!(FileKind::of_file_name(name), kind, "{name}");
    }
}

#[test]
fn every_kind_is_recognised_by_its_own_name() {
    for kind in FileKind::ALL {
        assert_eq!(FileKind::of_file_name(kind.file_name()), Some(kind));
    }
}

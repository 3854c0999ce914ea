use super::{Spelling, expand, occurrences};

#[test]
fn the_macro_is_replaced_wherever_it_stands() {
    assert_eq!(
        expand("/VOL1/<ALIAS>,/VOL2/<ALIAS>/x", "P1"),
        "/VOL1/P1,/VOL2/P1/x"
    );
    assert_eq!(expand("/a/<alias>", "P1"), "/a/P1");
    assert_eq!(expand("<ALIAS", "P1"), "<ALIAS");
    assert_eq!(expand("<HOST>/<ALIAS>", "P1"), "<HOST>/P1");
    assert_eq!(expand("<<ALIAS>>", "P1"), "<P1>");
}

#[test]
fn an_alias_is_not_expanded_again() {
    assert_eq!(expand("<ALIAS><ALIAS>", "<ALIAS>"), "<ALIAS><ALIAS>");
}

#[test]
fn words_in_angle_brackets_are_told_apart() {
    let spellings: Vec<Spelling> = occurrences("<ALIAS><Alias><HOST><><a b>")
        .into_iter()
        .map(|it| it.spelling)
        .collect();
    assert_eq!(
        spellings,
        [Spelling::Exact, Spelling::OtherCase, Spelling::Foreign]
    );
}

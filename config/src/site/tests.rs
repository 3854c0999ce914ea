use super::Site;

fn reason(text: &str) -> String {
    text.parse::<Site>().expect_err(text).message
}

#[test]
fn a_site_is_host_port_and_alias() {
    let site: Site = " 10.1.1.7 : 8990 : master ".parse().unwrap();
    assert_eq!(
        (site.host.as_str(), site.port, site.alias.as_str()),
        ("10.1.1.7", 8990, "master")
    );
    assert_eq!(site.to_string(), "10.1.1.7:8990:master");
}

#[test]
fn an_ipv6_address_stands_in_brackets() {
    let site: Site = "[fd00::7]:8990:master".parse().unwrap();
    assert_eq!(site.host, "[fd00::7]");
    assert!("[::1]:1:a".parse::<Site>().unwrap().is_loopback());
    assert!(reason("fd00::7:8990:master").contains("parts between colons"));
    assert!(reason("[fd00::7:8990:master").contains("is not closed"));
    assert!(reason("[fd00]:8990:master").contains("not an IPv6 address"));
}

#[test]
fn each_part_is_checked() {
    assert_eq!(reason(""), "the site `` has no port and no alias");
    assert_eq!(reason("h:1"), "the site `h:1` has no alias");
    assert_eq!(reason("h:a"), "the site `h:a` has no port");
    assert_eq!(reason(":1:a"), "the site has no host");
    assert_eq!(reason("h:0:a"), "there is no port 0");
    assert_eq!(reason("h:65536:a"), "there is no port 65536");
    assert_eq!(
        reason("h:+1:a"),
        "`+1` stands where the port belongs and is not a number"
    );
    assert_eq!(reason("h:1:"), "the alias is empty");
    assert_eq!(
        reason("10.1.1.256:1:a"),
        "`10.1.1.256` is not an IPv4 address"
    );
    assert_eq!(reason("10.1.1.l:1:a"), "`10.1.1.l` is not an IPv4 address");
    assert_eq!(reason("a..b:1:a"), "`a..b` is not a host name");
    assert_eq!(reason("a b:1:a"), "the host `a b` holds a blank");
    assert_eq!(reason("h:1:a b"), "the alias holds a blank");
}

#[test]
fn hosts_are_the_same_in_capital_and_small_letters() {
    let (one, other): (Site, Site) = ("Ctl:1:a".parse().unwrap(), "ctl:1:b".parse().unwrap());
    assert!(one.same_address(&other));
}

//! `[listen]`: what strangers must not reach.

use super::{SMALL, check, check_warning, parse};

#[test]
fn a_listener_is_not_open_to_strangers() {
    let listen = |lines: &str| format!("{SMALL}[listen]\n{lines}");
    for text in [
        "resp = \"127.0.0.1:1\"\nadmin = \"localhost:2\"",
        "resp = \"[::1]:0\"\nadmin = \"[::1]:0\"",
        "resp = \"0.0.0.0:1\"\npassword = \"p\"\nplaintext = true",
        "admin = \"10.0.0.1:1\"\ntoken = \"t\"\nplaintext = true",
        "http = \"127.0.0.1:1\"",
        "http = \"127.0.0.1:1\"\ntoken = \"t\"\nhttp_reads = \"token\"",
        "http = \"10.0.0.1:1\"\ntoken = \"t\"\nplaintext = true\nhosts = [\"cache.internal\"]",
    ] {
        let config = parse(&listen(text)).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(config.listen.require_one().is_ok() && config.warnings.is_empty());
    }
    for (text, part) in [
        ("resp = \"0.0.0.0:1\"\nplaintext = true", "reach `resp`, and it has no `password`"),
        ("resp = \"0.0.0.0:1\"\npassword = \"p\"", "reach `resp`, and it would have no TLS"),
        ("resp = \"0.0.0.0:1\"\ntoken = \"t\"\nplaintext = true", "it has no `password`"),
        ("admin = \"0.0.0.0:1\"\nplaintext = true", "reach `admin`, and it has no `token`"),
        ("admin = \"db.example:1\"\ntoken = \"t\"", "reach `admin`, and it would have no TLS"),
        ("resp = \"h:1\"\nworkers = 0", "reach `resp`, and it has no `password`"),
        ("resp = \"127.0.0.1:1\"\npassword = \"\"", "`password` is empty"),
        ("resp = \"127.0.0.1:1\"\npassword = \"${EMPTY}\"", "`password` is empty"),
        ("resp = \"127.0.0.1:1\"\npassword = \"${LINE}\"", "a variable filled from a file"),
        ("admin = \"127.0.0.1:1\"\ntoken = \"a b\"", "a bearer token can't have"),
        ("resp = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:1\"", "`resp` and `admin` have one address"),
        ("resp = \":1\"", "`resp` is no address"),
        ("http = \"0.0.0.0:1\"\nplaintext = true", "reach `http`, and it has no `token`"),
        ("http = \"0.0.0.0:1\"\ntoken = \"t\"", "reach `http`, and it would have no TLS"),
        ("http = \"[::1]:1\"\nadmin = \"[::1]:1\"", "`http` and `admin` have one address"),
        ("resp = \"[::1]:1\"\nhttp = \"[::1]:1\"", "`resp` and `http` have one address"),
        ("http = \"[::1]:1\"\nhttp_reads = \"token\"", "asks for a token, and there is none"),
        ("http = \"[::1]:1\"\nhttp_reads = \"all\"", "must be `anyone` or `token`"),
        ("http = \"[::1]:1\"\nhosts = [\"http://a\"]", "`hosts` holds what is no host"),
    ] {
        check(&listen(text), part);
    }
    check_warning(
        &listen("resp = \"[::1]:1\"\ntoken = \"t\""),
        "neither `http` nor `admin` is opened",
    );
    check_warning(&listen("http = \"[::1]:1\"\npassword = \"p\""), "because `resp` isn't opened");
    check_warning(&listen("resp = \"[::1]:1\"\ntoken = \"t\""), "`token` protects nothing");
    let none = parse(SMALL).unwrap().listen.require_one().unwrap_err();
    assert_eq!(none.kind(), larder_core::ErrorKind::Config);
    assert!(none.to_string().contains("resp = \"127.0.0.1:7379\""));
}

//! Edges as users write them.

use std::time::Duration;

use super::{check, check_warning, parse};
use crate::config::value::size_text;
use crate::config::{EdgeConfig, Profile};

const EDGE: &str = "[edge.shop]\nlisten = \"127.0.0.1:8080\"\norigin = \"http://127.0.0.1:3000\"\n";

fn edge(lines: &str) -> EdgeConfig {
    let config = parse(&format!("{EDGE}{lines}"));
    config.unwrap_or_else(|problems| panic!("{problems}")).edges.remove(0)
}

/// What holds of an edge and its sections when nothing is said.
pub(super) fn defaults() -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let text = "store = \"bodies\"\n[[edge.shop.rules]]\npath = \"/a\"\nedge = \"1s\"\n\
                [edge.shop.webhook]\nurl = \"https://cdn.example/\"\n";
    let edge = edge(text);
    let show = |duration| humantime::format_duration(duration).to_string();
    let (bounds, store) = (edge.bounds, edge.store.unwrap());
    let (rule, webhook) = (&edge.rules[0], edge.webhook.unwrap());
    [
        ("edge", "profile", format!("{:?}", edge.profile).to_lowercase()),
        ("edge", "plaintext", edge.plaintext.to_string()),
        ("edge", "memory", size_text(edge.memory)),
        ("edge", "store_limit", size_text(store.bytes_max)),
        ("edge", "store_from", size_text(store.from)),
        ("edge", "stale_on_error", show(edge.stale_on_error)),
        ("edge", "connect_timeout", show(bounds.connect_timeout)),
        ("edge", "answer_timeout", show(bounds.answer_timeout)),
        ("edge", "body_timeout", show(bounds.body_timeout)),
        ("edge", "requests_max", bounds.requests_max.to_string()),
        ("edge", "clients_max", bounds.clients_max.to_string()),
        ("edge", "head_timeout", show(bounds.head_timeout)),
        ("edge", "idle_timeout", show(bounds.idle_timeout).replace("1m", "60s")),
        ("edge", "send_timeout", show(bounds.send_timeout)),
        ("edge", "header_bytes_max", size_text(bounds.header_bytes_max as u64)),
        ("edge", "forwarded", "x-forwarded".to_owned()),
        ("edge", "access_log", edge.access_log.to_string()),
        ("rules", "bypass", rule.bypass.to_string()),
        ("rules", "immutable", rule.immutable.to_string()),
        ("rules", "override", rule.overrides.to_string()),
        ("webhook", "timeout", show(webhook.timeout)),
        ("webhook", "attempts_max", webhook.attempts_max.to_string()),
        ("webhook", "queue_max", webhook.queue_max.to_string()),
    ]
    .into_iter()
}

#[test]
fn an_edge_alone_is_a_configuration() {
    let config = parse(EDGE).unwrap();
    assert!(config.warnings.is_empty());
    let edge = &config.edges[0];
    assert_eq!((edge.name.as_str(), edge.profile), ("shop", Profile::Safe));
    assert_eq!((edge.origin.host(), edge.origin.port()), ("127.0.0.1", 3000));
    assert_eq!((edge.object_max, edge.store.is_none()), (1 << 20, true));
    let report = config.report();
    assert!(report.contains("edge shop: 127.0.0.1:8080 (this machine only), in front of http"));
    assert!(report.contains("  64MiB for the edge shop\n"), "{report}");
    assert!(report.contains("PURGE is taken by nobody"), "{report}");
}

#[test]
fn a_rule_is_read_whole() {
    let edge = edge(
        "[[edge.shop.rules]]\npath = \"/a/**\"\nimmutable = true\nstatuses = [\"404 10s\"]\n\
         [[edge.shop.rules]]\npath = \"**\"\ntypes = [\"image/*\"]\nbrowser = \"1m\"\n",
    );
    let [first, second] = &edge.rules[..] else { panic!("two rules") };
    let year = Some(Duration::from_secs(365 * 24 * 60 * 60));
    assert_eq!((first.edge, first.browser), (year, year));
    let fresh_for = |status: u16| first.fresh_for(status.try_into().unwrap());
    assert_eq!(fresh_for(404), Some(Duration::from_secs(10)));
    assert_eq!((fresh_for(200), fresh_for(301), fresh_for(500)), (year, None, None));
    assert_eq!((second.edge, second.browser), (None, Some(Duration::from_secs(60))));
    assert!(second.fresh_for(http::StatusCode::OK).is_none());
}

#[test]
fn what_an_edge_cannot_be_is_said() {
    for (lines, part) in [
        ("memory = \"1MiB\"", "a body of 1MiB has no room in the memory of [edge.shop]"),
        ("header_bytes_max = \"2MiB\"", "must be at most 1MiB"),
        ("store = \"a\"\nstore_limit = \"1MiB\"", "`object_max` is more than all of"),
        ("origin_authority = \"a.pem\"", "the origin isn't reached by TLS"),
        ("origin_host = \"*.example.org\"", "`origin_host` must be one host"),
        ("trusted = [\"10.0.0.1/8\"]", "has bits behind those that count"),
        ("hosts = [\"a b\"]", "is no host"),
        ("tls = 1", "`tls` is a section, not a value"),
        ("tls = { certificate = \"a\" }", "[edge.shop.tls] has no `key`"),
        ("rules = [{ path = \"a\", edge = \"1s\" }]", "is no pattern of paths"),
        ("rules = [{ path = \"/a\" }]", "this rule says nothing"),
        ("rules = [{ path = \"/a\", bypass = true, edge = \"1s\" }]", "stores nothing"),
        ("rules = [{ path = \"/a\", override = true, bypass = true }]", "stores nothing"),
        ("rules = [{ path = \"/a\", override = true, browser = \"1s\" }]", "needs a lifetime"),
        (
            "rules = [{ path = \"/a\", types = [\"image/*\"], bypass = true }]",
            "says nothing of what is asked",
        ),
        (
            "rules = [{ path = \"/a\", query = [\"a\"], query_ignored = [\"b\"] }]",
            "says already which parameters count",
        ),
        ("[edge.shop.webhook]\nurl = \"cdn.example\"", "is no URL"),
        ("[listen]\nresp = \"127.0.0.1:8080\"", "two listeners have one address"),
        ("[listen]\nhttp = \"127.0.0.1:8080\"", "two listeners have one address"),
        (
            "[edge.other]\nlisten = \"127.0.0.1:8080\"\norigin = \"http://a\"",
            "two listeners have one address",
        ),
        ("[memory]\nlimit = \"32MiB\"", "64MiB are given as somebody's own"),
    ] {
        check(&format!("{EDGE}{lines}\n"), part);
    }
    for (origin, part) in [
        ("ftp://a", "must begin with http"),
        ("http://a/b", "has a path"),
        ("http://u@a", "holds a user"),
        ("127.0.0.1:3000", "is no URL"),
    ] {
        check(&EDGE.replace("http://127.0.0.1:3000", origin), part);
    }
    check_warning(&format!("{EDGE}store_from = \"1MiB\""), "there is no `store`");
}

#[test]
fn an_edge_that_others_reach_has_tls_or_says_that_it_has_none() {
    let open = EDGE.replace("127.0.0.1:8080", "0.0.0.0:8080");
    check(&open, "other machines can reach [edge.shop], and it has no TLS");
    let tls = "tls = { certificate = \"cert.pem\", key = \"key.pem\" }";
    for lines in ["plaintext = true", tls] {
        let config = parse(&format!("{open}{lines}")).unwrap();
        let told = if lines == tls { "other machines, with TLS" } else { "other machines, no TLS" };
        assert!(config.report().contains(told));
    }
}

#[test]
fn secrets_of_an_edge_are_never_shown() {
    let config = parse(&format!(
        "{EDGE}purge_token = \"${{CANARY}}\"\n[edge.shop.webhook]\n\
         url = \"https://cdn.example/${{CANARY}}?k=${{CANARY}}\"\ntoken = \"${{CANARY}}\"\n"
    ));
    let config = config.unwrap();
    let shown = format!("{}{:?}", config.report(), config.edges);
    assert!(!shown.contains(super::CANARY), "{shown}");
    assert!(shown.contains("https://cdn.example/…"), "{shown}");
}

#[test]
fn the_examples_have_nothing_against_them() {
    for (text, profile) in [
        (include_str!("../../../../../examples/edge.toml"), Profile::Safe),
        (include_str!("../../../../../examples/conformance.toml"), Profile::Conformance),
    ] {
        let config = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(config.warnings.is_empty() && config.edges[0].profile == profile);
    }
}

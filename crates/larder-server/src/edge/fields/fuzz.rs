//! Any head: it is refused, or the origin is told by it no more than what a response is stored
//! under.

use bolero::check;
use bolero::generator::produce;
use http::Request;

use super::*;
use crate::config::Config;

const NAMES: [&str; 18] = [
    "host",
    "connection",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    "x_forwarded_host",
    "accept_encoding",
    "forwarded",
    "via",
    "accept-encoding",
    "expect",
    "te",
    "transfer-encoding",
    "x-original-url",
    "x-http-method-override",
    "keep-alive",
    "cookie",
];
const PIECES: [&[u8]; 24] = [
    b"shop.example",
    b"SHOP.Example:80",
    b":",
    b"@",
    b",",
    b" ",
    b"443",
    b"[::1]",
    b"http",
    b"https",
    b"1.1 larder-shop",
    b"larder-shop",
    b"gzip",
    b"br",
    b";q=0",
    b"host",
    b"x-forwarded-for",
    b"close",
    b"10.0.0.1",
    b"\xff",
    b"\t",
    b"100-continue",
    b"\"",
    b"=",
];
const TARGETS: [&str; 8] = [
    "/",
    "/a/../b;c?d=%2f",
    "*",
    "http://Other.example:80/x",
    "https://user@other.example/",
    "other.example:443",
    "//x",
    "/?",
];

/// Lines of names and pieces; bytes that are no piece stand for themselves.
fn add_lines(headers: &mut HeaderMap, input: &[u8], is_wanted: impl Fn(&str) -> bool) {
    for line in input.chunks(6) {
        let name = NAMES[usize::from(line[0]) % NAMES.len()];
        let mut value = Vec::new();
        for &byte in &line[1..] {
            match PIECES.get(usize::from(byte)) {
                Some(piece) => value.extend_from_slice(piece),
                None => value.push(byte),
            }
        }
        if let Ok(value) = HeaderValue::from_bytes(&value)
            && is_wanted(name)
        {
            headers.append(name, value);
        }
    }
}

fn head(target: u8, version: Version, host: bool, input: &[u8]) -> request::Parts {
    let target = TARGETS[usize::from(target) % TARGETS.len()];
    let (mut head, ()) = Request::new(()).into_parts();
    head.uri = target.parse().expect("a target");
    head.version = version;
    if host {
        head.headers.insert(HOST, HeaderValue::from_static("Shop.example:80"));
    }
    add_lines(&mut head.headers, input, |name| !host || name != "host");
    head
}

/// Whether a field says whom a request is for, or who asked; it is ours alone.
fn is_ours(name: &str) -> bool {
    let name = HeaderName::try_from(name).expect("a name");
    let is_alias = name.as_str().contains('_');
    is_alias
        || UNKEYED.contains(&name.as_str())
        || name == FORWARDED
        || name.as_str().starts_with("x-forwarded")
}

fn config(lines: &str) -> EdgeConfig {
    let text = format!(
        "[edge.shop]\nlisten = \"127.0.0.1:8080\"\norigin = \"http://127.0.0.1:3000\"\n{lines}"
    );
    let config = Config::parse(&text, "larder.toml", &|_| None);
    config.unwrap_or_else(|problems| panic!("{problems}")).edges.remove(0)
}

#[test]
fn who_asked_is_the_last_one_that_is_no_proxy_of_ours() {
    let config = config("trusted = [\"10.0.0.0/8\"]");
    for (address, chain, expected) in [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7,10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.7, unknown, 10.0.0.2", "10.0.0.2"),
    ] {
        let mut headers = HeaderMap::new();
        if !chain.is_empty() {
            headers.insert(X_FORWARDED_FOR, text(chain));
        }
        let sender = Sender { address: address.parse().expect("one"), is_encrypted: false };
        let client = client(&headers, sender, &config);
        assert_eq!(client.to_string(), expected, "{address} {chain}");
    }
}

#[test]
fn what_is_passed_on_of_any_head_is_what_its_response_is_stored_under() {
    let configs = ["", "trusted = [\"10.0.0.0/8\"]", "forwarded = \"forwarded\""].map(config);
    let of_head = (produce::<u8>(), 0..3_u8, produce::<bool>());
    let bytes = |max| produce::<Vec<u8>>().with().len(0..=max);
    let generator = (of_head, bytes(90), bytes(30), produce::<[bool; 2]>());
    check!().with_iterations(10_000).with_generator(generator).for_each(
        |((target, version, host), lines, noise, [is_trusted, is_encrypted])| {
            let version =
                [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2][usize::from(*version)];
            let address = if *is_trusted { "10.0.0.1" } else { "192.0.2.1" };
            let address: IpAddr = address.parse().expect("an address");
            let sender = Sender { address, is_encrypted: *is_encrypted };
            for config in &configs {
                let mut prepared = head(*target, version, *host, lines);
                // What is ours is nobody else's to say.
                let mut noisy = head(*target, version, *host, lines);
                add_lines(&mut noisy.headers, noise, is_ours);
                let (outcome, other) =
                    (prepare(&mut prepared, sender, config), prepare(&mut noisy, sender, config));
                if config.trusted.is_empty() || !is_trusted {
                    assert_eq!(outcome, other);
                    if outcome.is_ok() {
                        assert_eq!(
                            (&prepared.uri, &prepared.headers),
                            (&noisy.uri, &noisy.headers)
                        );
                        let scheme = if *is_encrypted { "https" } else { "http" };
                        assert_eq!(prepared.uri.scheme_str(), Some(scheme));
                    }
                }
                for prepared in [(outcome, &prepared), (other, &noisy)] {
                    if let (Ok(()), prepared) = prepared {
                        is_told_as_stored(prepared, sender, config);
                    }
                }
            }
        },
    );
}

/// Checks the head that goes to the origin.
fn is_told_as_stored(prepared: &request::Parts, sender: Sender, config: &EdgeConfig) {
    let (uri, headers) = (&prepared.uri, &prepared.headers);
    let lines = |name: &HeaderName| -> Vec<&[u8]> {
        headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
    };
    let authority = uri.authority().expect("a host").as_str();
    assert!(!authority.contains('@') && !authority.bytes().any(|b| b.is_ascii_uppercase()));
    assert!(uri.path().starts_with('/'), "{uri}");
    assert_eq!(lines(&HOST), [authority.as_bytes()]);
    for gone in ["connection", "transfer-encoding", "keep-alive", "te", "expect"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert!(UNKEYED.is_sorted() && UNKEYED.iter().all(|name| !headers.contains_key(*name)));
    assert!(headers.keys().all(|name| !name.as_str().contains('_')));
    let family = headers.keys().filter(|name| name.as_str().starts_with("x-forwarded")).count();
    let address = sender.address.to_string();
    let scheme = uri.scheme_str().expect("a scheme");
    if config.forwarded == Forwarding::XForwarded {
        assert_eq!(family, 3, "{headers:?}");
        assert!(!headers.contains_key(FORWARDED));
        assert_eq!(lines(&X_FORWARDED_PROTO), [scheme.as_bytes()]);
        assert_eq!(lines(&X_FORWARDED_HOST), [authority.as_bytes()]);
        let chain = lines(&X_FORWARDED_FOR);
        assert!(chain.len() == 1 && chain[0].ends_with(address.as_bytes()), "{headers:?}");
    } else {
        let element = format!("for={address};host=\"{authority}\";proto={scheme}");
        assert_eq!((family, lines(&FORWARDED)), (0, vec![element.as_bytes()]));
    }
    let own = lines(&VIA).pop().is_some_and(|line| line.ends_with(b" larder-shop"));
    assert!(own && hops(headers, "shop") <= HOPS_MAX + 1, "{headers:?}");
    let encodings = lines(&ACCEPT_ENCODING);
    let usual = ["gzip", "br", "br, gzip", "zstd", "zstd, gzip", "zstd, br", "zstd, br, gzip"];
    assert!(encodings.len() <= 1);
    assert!(encodings.iter().all(|line| usual.iter().any(|usual| usual.as_bytes() == *line)));
}

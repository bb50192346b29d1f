//! The parameters of a URL, looked at before the driver sees them.
//!
//! The driver ignores a parameter that it doesn't know. It may be misspelt, and what was meant
//! (TLS, for instance) would not happen.

use larder_core::template::nearest;

/// What may stand there. The driver understands more, which a session of ours decides for itself.
const KNOWN: [&str; 9] = [
    "socket", "ssl-ca", "ssl-cert", "ssl-key", "ssl-mode", "sslca", "sslcert", "sslkey", "sslmode",
];

/// Refuses parameters that are not [`KNOWN`], with the rest of a sentence about the source. No
/// value is repeated, and only a name that looks like one.
pub(crate) fn check(url: &str) -> Result<(), String> {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let Some((_, query)) = url.split_once('?') else { return Ok(()) };
    if query.contains('@') {
        return Err("has a url with a ? before its @: in a password it is written %3F".to_owned());
    }
    let is_known = |parameter: &&str| {
        let name = parameter.split_once('=').map_or(*parameter, |(name, _)| name);
        name.is_empty() || KNOWN.contains(&name)
    };
    let unknown = query.split('&').find(|parameter| !is_known(parameter));
    match unknown.map(|parameter| parameter.split_once('=')) {
        None => Ok(()),
        Some(Some((name, _))) if looks_like_a_name(name) => Err(match nearest(name, KNOWN) {
            Some(meant) => format!("has a url with the parameter {name}: did you mean {meant}?"),
            None => format!(
                "has a url with the parameter {name}, which has no place there: write socket, \
                 ssl-mode, ssl-ca, ssl-cert or ssl-key"
            ),
        }),
        Some(_) => Err("has a url with a parameter that has no place there".to_owned()),
    }
}

fn looks_like_a_name(text: &str) -> bool {
    text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_has_a_place_there_passes() {
        for url in [
            "mysql://app:a=b&c@h/shop",
            "mysql://h/shop?",
            "mysql://h/shop?ssl-mode=VERIFY_IDENTITY&ssl-ca=/ca.pem#y?z=1",
            "mysql://h/shop?socket=%2Frun%2Fmysqld.sock",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_has_none_is_refused_without_its_value() {
        for (url, what) in [
            (
                "mysql://h/s?ssl-mod=pw",
                "has a url with the parameter ssl-mod: did you mean ssl-mode?",
            ),
            (
                "mysql://h/s?socket=x&charset=pw",
                "has a url with the parameter charset, which has no place there: write socket, \
                 ssl-mode, ssl-ca, ssl-cert or ssl-key",
            ),
            ("mysql://h/s?pw", "has a url with a parameter that has no place there"),
            (
                "mysql://u:p?w=x@h/s",
                "has a url with a ? before its @: in a password it is written %3F",
            ),
        ] {
            assert_eq!(check(url), Err(what.to_owned()), "{url}");
        }
    }
}

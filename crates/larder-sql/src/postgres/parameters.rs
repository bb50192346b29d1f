//! The parameters of a URL, looked at before the driver sees them.
//!
//! The driver ignores a parameter that it doesn't know and logs it with its value. The value may
//! be a password whose name is misspelt, and what was meant (TLS, for instance) would not happen.

use larder_core::template::nearest;

/// What the driver understands, beside `options[NAME]`.
const KNOWN: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
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
        let is_option = name.starts_with("options[") && name.ends_with(']');
        name.is_empty() || is_option || KNOWN.contains(&name)
    };
    let unknown = query.split('&').find(|parameter| !is_known(parameter));
    match unknown.map(|parameter| parameter.split_once('=')) {
        None => Ok(()),
        Some(Some((name, _))) if looks_like_a_name(name) => Err(match nearest(name, KNOWN) {
            Some(meant) => format!("has a url with the parameter {name}: did you mean {meant}?"),
            None => format!("has a url with the parameter {name}, which Postgres does not know"),
        }),
        Some(_) => Err("has a url with a parameter that Postgres does not know".to_owned()),
    }
}

fn looks_like_a_name(text: &str) -> bool {
    text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_lowercase() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_the_driver_knows_passes() {
        for url in [
            "postgres://app:a=b&c@h/shop",
            "postgres://h/shop?",
            "postgres://h/shop?sslmode=require&sslrootcert=/ca.pem&application_name=x#y?z=1",
            "postgres://h/shop?options[search_path]=a&options=-c%20x%3D1",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_it_does_not_know_is_refused_without_its_value() {
        for (url, what) in [
            (
                "postgres://h/s?pasword=pw",
                "has a url with the parameter pasword: did you mean password?",
            ),
            (
                "postgres://h/s?host=x&colour=pw",
                "has a url with the parameter colour, which Postgres does not know",
            ),
            ("postgres://h/s?pw", "has a url with a parameter that Postgres does not know"),
            (
                "postgres://h/s?p%61ssword=pw",
                "has a url with a parameter that Postgres does not know",
            ),
            (
                "postgres://u:p?w=x@h/s",
                "has a url with a ? before its @: in a password it is written %3F",
            ),
        ] {
            assert_eq!(check(url), Err(what.to_owned()), "{url}");
        }
    }
}

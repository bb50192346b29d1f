//! Values that must not be seen: a [`Secret`], and a [`SecretUrl`] that shows all but its
//! secrets.
//!
//! Neither `Debug` nor `Display` gives them away, so no log, report or error can do so by
//! accident; who needs the value says [`expose`](Secret::expose).

use std::fmt;

use super::text::HIDDEN;
use super::value::{Fault, OptionValue};

/// A password or token.
///
/// ```
/// use larder_server::config::Secret;
///
/// let secret = Secret::new("hunter2");
/// assert_eq!(format!("{secret} {secret:?}"), "*** ***");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself. Never put it where somebody can read it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// The address of a database, which may hold a password.
///
/// ```
/// use larder_server::config::SecretUrl;
///
/// let url = SecretUrl::new("postgres://app:hunter2@db/shop?sslmode=require&password=hunter2");
/// assert_eq!(url.to_string(), "postgres://app:***@db/shop?sslmode=require&password=***");
/// ```
#[derive(Clone)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// What may be shown of a query: the values of these parameters.
    const PUBLIC_PARAMETERS: [&str; 15] = [
        "application_name",
        "cache",
        "dbname",
        "host",
        "hostaddr",
        "immutable",
        "mode",
        "port",
        "ssl-mode",
        "sslmode",
        "sslrootcert",
        "statement-cache-capacity",
        "target_session_attrs",
        "user",
        "vfs",
    ];

    /// Hides the secrets of `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole URL, secrets included. Never put it where somebody can read it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What stands before the first `:`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }
}

impl fmt::Display for SecretUrl {
    /// The user's password is whatever stands between the first `:` and the **last** `@`: a
    /// password that should have been percent-encoded, and wasn't, must not spill.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once(':') else {
            return f.write_str(HIDDEN);
        };
        let body = rest.trim_start_matches('/');
        write!(f, "{scheme}:{}", &rest[..rest.len() - body.len()])?;
        let (user, place) = match body.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, body),
        };
        match user.map(|user| user.split_once(':').ok_or(user)) {
            Some(Ok((name, _))) => write!(f, "{name}:{HIDDEN}@")?,
            Some(Err(name)) => write!(f, "{name}@")?,
            None => {}
        }
        let Some((place, query)) = place.split_once('?') else {
            return f.write_str(place);
        };
        f.write_str(place)?;
        for (at, parameter) in query.split('&').enumerate() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            f.write_str(if at == 0 { "?" } else { "&" })?;
            if Self::PUBLIC_PARAMETERS.contains(&name) {
                write!(f, "{name}={value}")?;
            } else {
                write!(f, "{name}={HIDDEN}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A password for clients of the Redis protocol.
#[derive(Clone, Debug)]
pub(super) struct Password(pub(super) Secret);

impl OptionValue for Password {
    const WHAT: &'static str = "text";
    const SECRET: bool = true;

    fn from_text(text: &str) -> Result<Self, Fault> {
        not_empty(text)?;
        no_control(text)?;
        Ok(Self(Secret::new(text)))
    }
}

/// A token that a client sends as `Authorization: Bearer`.
#[derive(Clone, Debug)]
pub(super) struct Token(pub(super) Secret);

impl OptionValue for Token {
    const WHAT: &'static str = "text";
    const SECRET: bool = true;

    /// RFC 6750, section 2.1: what can't be sent can't be asked for.
    fn from_text(text: &str) -> Result<Self, Fault> {
        not_empty(text)?;
        no_control(text)?;
        let body = text.trim_end_matches('=');
        let sendable = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        if body.is_empty() || !body.chars().all(sendable) {
            return Err(Fault::new(
                "holds a character that a bearer token can't have",
                "use letters, digits and -._~+/ only, for example the output of \
                 `openssl rand -base64 32`",
            ));
        }
        Ok(Self(Secret::new(text)))
    }
}

/// Where a shared tier is. Whether one can be there its driver says.
#[derive(Clone, Debug)]
pub(super) struct SharedUrl(pub(super) SecretUrl);

impl OptionValue for SharedUrl {
    const WHAT: &'static str = "a URL";
    const SECRET: bool = true;

    fn from_text(text: &str) -> Result<Self, Fault> {
        not_empty(text)?;
        no_control(text)?;
        Ok(Self(SecretUrl::new(text)))
    }
}

impl OptionValue for SecretUrl {
    const WHAT: &'static str = "a URL";
    const SECRET: bool = true;

    fn from_text(text: &str) -> Result<Self, Fault> {
        const KNOWN: &str =
            "write postgres://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE or sqlite:FILE";
        not_empty(text)?;
        no_control(text)?;
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(Fault::new("is no URL: it has no scheme", KNOWN));
        };
        match scheme {
            "mysql" | "mariadb" if cfg!(not(feature = "mysql")) => {
                return Err(Fault::new(
                    "names a MySQL or MariaDB database, which was left out of this build",
                    "build larder with the feature `mysql`, or use PostgreSQL or SQLite",
                ));
            }
            "postgres" | "postgresql" | "mysql" | "mariadb" if rest.starts_with("//") => {}
            "postgres" | "postgresql" | "mysql" | "mariadb" => {
                return Err(Fault::new("is no URL: `//` must follow the scheme", KNOWN));
            }
            "sqlite" if !rest.trim_start_matches('/').is_empty() => {}
            "sqlite" => return Err(Fault::new("names no file", "write sqlite:FILE")),
            _ => return Err(Fault::new("names no database that larder can ask", KNOWN)),
        }
        Ok(Self::new(text))
    }
}

fn not_empty(text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new(
            "is empty",
            "give it a value, for instance from the environment: \"${NAME}\"",
        ));
    }
    Ok(())
}

fn no_control(text: &str) -> Result<(), Fault> {
    if text.chars().any(char::is_control) {
        return Err(Fault::new(
            "holds a control character",
            "look for a line break at its end: a variable filled from a file often has one",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::SecretUrl;

    #[test]
    fn a_url_shows_all_but_its_secrets() {
        for (url, shown) in [
            ("postgres://localhost/shop", "postgres://localhost/shop"),
            ("postgres://app@localhost/shop", "postgres://app@localhost/shop"),
            ("postgres://app:pw@localhost:5432/shop", "postgres://app:***@localhost:5432/shop"),
            ("postgres://app:p:w@h/shop", "postgres://app:***@h/shop"),
            ("postgres://app:p@w/x?y#z@h/shop", "postgres://app:***@h/shop"),
            ("postgres:app:pw@h/shop", "postgres:app:***@h/shop"),
            ("postgres:///shop?host=/run/pg&port=1", "postgres:///shop?host=/run/pg&port=1"),
            (
                "postgres://h/s?password=pw&p%61ssword=pw",
                "postgres://h/s?password=***&p%61ssword=***",
            ),
            ("postgres://h/s?options=-c%20x%3Dpw", "postgres://h/s?options=***"),
            (
                "mysql://app:pw@h:1/shop?ssl-mode=REQUIRED",
                "mysql://app:***@h:1/shop?ssl-mode=REQUIRED",
            ),
            ("sqlite:shop.db", "sqlite:shop.db"),
            ("sqlite:///var/lib/a@b/shop.db?mode=ro", "sqlite:///var/lib/a@b/shop.db?mode=ro"),
            ("no-colon-pw", "***"),
        ] {
            assert_eq!(SecretUrl::new(url).to_string(), shown);
            assert_eq!(format!("{:?}", SecretUrl::new(url)), shown);
        }
    }
}

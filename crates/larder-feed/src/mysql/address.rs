//! Where a MySQL or MariaDB is, for all of the connections to it.

use std::path::PathBuf;

use larder_core::{Result, percent_decode};
use mysql_async::{Opts, OptsBuilder, SslOpts};

use super::config;

/// An event that is longer ends the session; neither server has one beyond it, in bytes.
const EVENT_BYTES_MAX: usize = 1 << 30;
/// What sessions are told to wait for statements, in seconds. Larder's come every second.
const WAIT_SECONDS: usize = 28_800;

/// See the module's documentation.
pub(super) struct Address {
    options: Opts,
    shown: String,
}

impl Address {
    /// Reads a URL as sources have, with `ssl-mode`, `ssl-ca` and `socket` behind a question mark.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
        let address = match address.strip_prefix("mariadb://") {
            Some(rest) => format!("mysql://{rest}"),
            None => address.to_owned(),
        };
        let options = Opts::from_url(&address).map_err(|_| {
            config("a feed of MySQL or MariaDB needs a URL like mysql://USER@HOST/DATABASE")
        })?;
        let Some(database) = options.db_name() else {
            return Err(config("a feed of MySQL or MariaDB needs a database in its URL"));
        };
        let (host, port) = (options.ip_or_hostname(), options.tcp_port());
        let shown = format!("mysql://{host}:{port}/{database}");
        let mut builder = OptsBuilder::from_opts(options)
            .prefer_socket(false)
            .max_allowed_packet(Some(EVENT_BYTES_MAX))
            .wait_timeout(Some(WAIT_SECONDS));
        let (mut mode, mut authority) = (String::new(), None);
        for parameter in parameters.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = percent_decode(value).ok_or_else(|| config("the URL has a % too many"))?;
            match name {
                "ssl-mode" | "sslmode" => mode = value.to_ascii_uppercase().replace('-', "_"),
                "ssl-ca" => authority = Some(PathBuf::from(value)),
                "socket" => builder = builder.socket(Some(value)),
                // What else sources may say isn't about how to reach it.
                _ => {}
            }
        }
        let options = builder.ssl_opts(encryption(&mode, authority)?).into();
        Ok(Self { options, shown })
    }

    /// Without secrets.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn options(&self) -> Opts {
        self.options.clone()
    }

    /// The database that a table is in whose name doesn't say.
    pub(super) fn database(&self) -> &str {
        self.options.db_name().unwrap_or_default()
    }
}

/// How a connection is encrypted, by the modes that both servers' own clients have. One that
/// demands nothing gets nothing.
fn encryption(mode: &str, authority: Option<PathBuf>) -> Result<Option<SslOpts>> {
    let base = SslOpts::default();
    let options = match mode {
        "" | "DISABLED" | "PREFERRED" => return Ok(None),
        "REQUIRED" => return Ok(Some(base.with_danger_accept_invalid_certs(true))),
        "VERIFY_CA" => base.with_danger_skip_domain_validation(true),
        "VERIFY_IDENTITY" => base,
        other => return Err(config(format!("there is no ssl-mode {other}"))),
    };
    Ok(Some(match authority {
        Some(file) => options.with_root_certs(vec![file.into()]).with_disable_built_in_roots(true),
        None => options,
    }))
}

//! The servers that are compared, each in front of the same origin.

use larder_test::server::Server;
use larder_test::{Larder, Nginx, Origin, Varnish};

use super::cores::Cores;
use crate::resp::binary;

/// What larder runs with: its defaults.
const CONFIG: &str = r#"
[edge.bench]
listen = "{edge}"
origin = "ORIGIN"
"#;

/// larder and its peers.
pub(super) struct Servers {
    larder: Larder,
    nginx: Nginx,
    varnish: Varnish,
}

/// One of them.
#[derive(Clone, Copy)]
pub(super) struct Contender<'a> {
    pub(super) name: &'static str,
    pub(super) server: &'a Server,
    pub(super) port: u16,
}

impl Servers {
    pub(super) fn start(origin: &Origin, cores: &Cores) -> Result<Self, String> {
        let binary = binary()?;
        let config = CONFIG.replace("ORIGIN", &origin.url());
        cores.for_servers(|| {
            let nginx = Nginx::start(origin.address());
            let nginx = nginx.ok_or_else(|| missing("nginx", "nginx-light"))?;
            let varnish = Varnish::start(origin.address());
            let varnish = varnish.ok_or_else(|| missing("varnishd", "varnish"))?;
            let larder = Larder::start(&binary, &config);
            Ok(Self { larder, nginx, varnish })
        })?
    }

    /// All of them, larder first.
    pub(super) fn all(&self) -> [Contender<'_>; 3] {
        let Self { larder, nginx, varnish } = self;
        let port = larder.edge_port();
        [
            Contender { name: "larder", server: larder, port },
            Contender { name: "nginx", server: nginx, port: nginx.port() },
            Contender { name: "varnish", server: varnish, port: varnish.port() },
        ]
    }
}

/// What to say of a program that isn't there.
pub(super) fn missing(program: &str, package: &str) -> String {
    format!(
        "{program} is missing, and this area compares with it: install the package {package} (its \
         name on Debian and Ubuntu)"
    )
}

//! `[listen]` resolved: which listeners there are, and that none is open to strangers.

use std::time::Duration;

use larder_core::{Error, ErrorKind, Result};

use super::address::Address;
use super::document::Written;
use super::findings::{Findings, Reported};
use super::http::HttpReads;
use super::options::{About, listen as options};
use super::scope::Scope;
use super::secret::Secret;

/// Who may connect, where and how.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where clients of the Redis protocol connect.
    pub resp: Option<Address>,
    /// Where the caches are resources of HTTP.
    pub http: Option<Address>,
    /// Where metrics, health and purging are.
    pub admin: Option<Address>,
    /// What clients of `resp` must give. `None` only where `resp` is on loopback.
    pub password: Option<Secret>,
    /// What clients of `admin`, and who writes over `http`, must send. `None` only where both are
    /// on loopback.
    pub token: Option<Secret>,
    /// Who may read over `http` without the token.
    pub http_reads: HttpReads,
    /// By which names clients of `http` know it, beside those of this machine: in small letters,
    /// addresses in the one spelling that they have.
    pub hosts: Vec<String>,
    /// Whether listening off loopback without TLS was allowed.
    pub plaintext: bool,
    /// How many clients of `resp`, and how many connections of `http`, at once.
    pub clients_max: usize,
    /// How long a client of `http` may take to send the head of a request.
    pub head_timeout: Duration,
    /// How many threads serve connections; `None`: half of the cores, rounded up.
    pub workers: Option<usize>,
}

impl Listen {
    /// Checks that there is a listener at all: a file without one can be checked, not served.
    ///
    /// # Errors
    ///
    /// `Config` when no listener is named.
    pub fn require_one(&self) -> Result<()> {
        if self.resp.is_none() && self.http.is_none() && self.admin.is_none() {
            return Err(Error::new(
                ErrorKind::Config,
                "no listener is named, so nobody could connect: set `resp = \"127.0.0.1:7379\"` \
                 in [listen]",
            ));
        }
        Ok(())
    }

    pub(super) fn resolve(written: &Written, scope: &mut Scope<'_, '_>) -> Result<Self, Reported> {
        let resp = scope.get(written, &options::RESP);
        let http = scope.get(written, &options::HTTP);
        let admin = scope.get(written, &options::ADMIN);
        let password = scope.get(written, &options::PASSWORD);
        let token = scope.get(written, &options::TOKEN);
        let plaintext = scope.or_default(written, &options::PLAINTEXT);
        let clients_max = scope.or_default(written, &options::CLIENTS_MAX);
        let head_timeout = scope.or_default(written, &options::HEAD_TIMEOUT);
        let workers = scope.get(written, &options::WORKERS);
        let reads = scope.get(written, &options::HTTP_READS);
        let hosts = scope.list(written, &options::HOSTS);
        let doors = [
            Door {
                option: &options::RESP.about,
                address: resp.as_ref().ok().and_then(Option::as_ref),
                credential: &options::PASSWORD.about,
            },
            Door {
                option: &options::HTTP.about,
                address: http.as_ref().ok().and_then(Option::as_ref),
                credential: &options::TOKEN.about,
            },
            Door {
                option: &options::ADMIN.about,
                address: admin.as_ref().ok().and_then(Option::as_ref),
                credential: &options::TOKEN.about,
            },
        ];
        let tls_is_asked_for = matches!(plaintext, Ok(false));
        let mut checked = refuse_one_address(&doors, written, scope.findings);
        if let (Ok(Some(HttpReads::Token)), None) = (&reads, written.entry(&options::TOKEN.about)) {
            let at = written.place(&options::HTTP_READS.about);
            let what = "`http_reads = \"token\"` asks for a token, and there is none".to_owned();
            checked = checked.and(Err(scope.findings.error(&at, what, "set `token`, too")));
        }
        for door in &doors {
            checked = checked.and(door.refuse_strangers(written, scope.findings));
            if tls_is_asked_for {
                checked = checked.and(door.refuse_plaintext(written, scope.findings));
            }
        }
        warn_of_idle_credentials(&doors, written, scope.findings);
        checked?;
        let http: Option<Address> = http?;
        let is_local = http.as_ref().is_none_or(Address::is_loopback);
        let by_default = if is_local { HttpReads::Anyone } else { HttpReads::Token };
        let hosts = hosts?.into_iter().map(|(host, _)| host.0);
        Ok(Self {
            resp: resp?,
            http_reads: reads?.unwrap_or(by_default),
            hosts: http.iter().map(|http| http.host.to_ascii_lowercase()).chain(hosts).collect(),
            http,
            admin: admin?,
            password: password?.map(|password| password.0),
            token: token?.map(|token| token.0),
            plaintext: plaintext?,
            clients_max: clients_max?.0,
            head_timeout: head_timeout?.0,
            workers: workers?.map(|workers| workers.0),
        })
    }
}

/// A listener and what guards it.
struct Door<'l> {
    option: &'static About,
    /// `None` when it isn't opened, or couldn't be read.
    address: Option<&'l Address>,
    credential: &'static About,
}

impl Door<'_> {
    fn others_reach_it(&self) -> bool {
        self.address.is_some_and(|address| !address.is_loopback())
    }

    fn refuse_strangers(
        &self,
        written: &Written,
        findings: &mut Findings<'_>,
    ) -> Result<(), Reported> {
        if !self.others_reach_it() || written.entry(self.credential).is_some() {
            return Ok(());
        }
        let (name, credential) = (self.option.name, self.credential.name);
        Err(findings.error(
            &written.place(self.option),
            format!("other machines can reach `{name}`, and it has no `{credential}`"),
            format!(
                "set `{credential}`, best from the environment (\"${{NAME}}\"), or listen on \
                 127.0.0.1"
            ),
        ))
    }

    fn refuse_plaintext(
        &self,
        written: &Written,
        findings: &mut Findings<'_>,
    ) -> Result<(), Reported> {
        if !self.others_reach_it() {
            return Ok(());
        }
        Err(findings.error(
            &written.place(self.option),
            format!("other machines can reach `{}`, and it would have no TLS", self.option.name),
            "this version has none of its own: put something that ends TLS in front and listen \
             on 127.0.0.1, or set `plaintext = true` on a network that you trust",
        ))
    }
}

/// Warns of each credential that no open listener asks for.
fn warn_of_idle_credentials(doors: &[Door<'_>; 3], written: &Written, findings: &mut Findings<'_>) {
    for credential in [&options::PASSWORD.about, &options::TOKEN.about] {
        let guarded = doors.iter().filter(|door| door.credential.name == credential.name);
        let names: Vec<_> = guarded.clone().map(|door| format!("`{}`", door.option.name)).collect();
        let is_asked_for = guarded.clone().any(|door| written.entry(door.option).is_some());
        if is_asked_for || written.entry(credential).is_none() {
            continue;
        }
        let (name, names) = (credential.name, names.join(" nor "));
        let (nobody, names) = match names.contains("nor") {
            true => ("neither ", names),
            false => ("", names),
        };
        let not = if nobody.is_empty() { "n't" } else { "" };
        findings.warning(
            &written.place(credential),
            format!("`{name}` protects nothing, because {nobody}{names} is{not} opened"),
            format!("name an address for what it is to protect, or leave `{name}` out"),
        );
    }
}

fn refuse_one_address(
    doors: &[Door<'_>; 3],
    written: &Written,
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let mut checked = Ok(());
    for (at, first) in doors.iter().enumerate() {
        for second in &doors[at + 1..] {
            let (Some(one), Some(other)) = (first.address, second.address) else { continue };
            if one != other || one.port == 0 {
                continue;
            }
            let places = [second, first].map(|door| written.place(door.option));
            let what =
                format!("`{}` and `{}` have one address", first.option.name, second.option.name);
            let cure = "give each a port of its own";
            checked = checked.and(Err(findings.error(places.iter().flatten(), what, cure)));
        }
    }
    checked
}

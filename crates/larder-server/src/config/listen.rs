//! `[listen]` resolved: which listeners there are, and that none is open to strangers.

use larder_core::{Error, ErrorKind, Result};

use super::address::Address;
use super::document::Written;
use super::findings::{Findings, Reported};
use super::options::{About, listen as options};
use super::scope::Scope;
use super::secret::Secret;

/// Who may connect, where and how.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where clients of the Redis protocol connect.
    pub resp: Option<Address>,
    /// Where metrics, health and purging are.
    pub admin: Option<Address>,
    /// What clients of `resp` must give. `None` only where `resp` is on loopback.
    pub password: Option<Secret>,
    /// What clients of `admin` must send. `None` only where `admin` is on loopback.
    pub token: Option<Secret>,
    /// Whether listening off loopback without TLS was allowed.
    pub plaintext: bool,
    /// How many clients of `resp` at once.
    pub clients_max: usize,
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
        if self.resp.is_none() && self.admin.is_none() {
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
        let admin = scope.get(written, &options::ADMIN);
        let password = scope.get(written, &options::PASSWORD);
        let token = scope.get(written, &options::TOKEN);
        let plaintext = scope.or_default(written, &options::PLAINTEXT);
        let clients_max = scope.or_default(written, &options::CLIENTS_MAX);
        let workers = scope.get(written, &options::WORKERS);
        let doors = [
            Door {
                option: &options::RESP.about,
                address: resp.as_ref().ok().and_then(Option::as_ref),
                credential: &options::PASSWORD.about,
            },
            Door {
                option: &options::ADMIN.about,
                address: admin.as_ref().ok().and_then(Option::as_ref),
                credential: &options::TOKEN.about,
            },
        ];
        let tls_is_asked_for = matches!(plaintext, Ok(false));
        let mut checked = refuse_one_address(&doors, written, scope.findings);
        for door in &doors {
            checked = checked.and(door.refuse_strangers(written, scope.findings));
            if tls_is_asked_for {
                checked = checked.and(door.refuse_plaintext(written, scope.findings));
            }
            door.warn_of_idle_credential(written, scope.findings);
        }
        checked?;
        Ok(Self {
            resp: resp?,
            admin: admin?,
            password: password?.map(|password| password.0),
            token: token?.map(|token| token.0),
            plaintext: plaintext?,
            clients_max: clients_max?.0,
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

    fn warn_of_idle_credential(&self, written: &Written, findings: &mut Findings<'_>) {
        if written.entry(self.option).is_some() || written.entry(self.credential).is_none() {
            return;
        }
        let (name, credential) = (self.option.name, self.credential.name);
        findings.warning(
            &written.place(self.credential),
            format!("`{credential}` protects nothing, because `{name}` isn't opened"),
            format!("name an address for `{name}`, or leave `{credential}` out"),
        );
    }
}

fn refuse_one_address(
    doors: &[Door<'_>; 2],
    written: &Written,
    findings: &mut Findings<'_>,
) -> Result<(), Reported> {
    let [first, second] = doors;
    match (first.address, second.address) {
        (Some(one), Some(other)) if one == other && one.port != 0 => {
            let at = [second, first].map(|door| written.place(door.option));
            let what =
                format!("`{}` and `{}` have one address", first.option.name, second.option.name);
            Err(findings.error(at.iter().flatten(), what, "give each a port of its own"))
        }
        _ => Ok(()),
    }
}

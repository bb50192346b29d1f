//! The servers of a Redis, for who speaks to them in a way of its own: where they are, and bytes
//! to them. What is said over a connection, greeting included, is the caller's affair.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use larder_core::{BoxFuture, Result};

use crate::address::{Address, Kind, Login};
use crate::connection::Settings;
use crate::dial::{Wire, dial};
use crate::options::RedisOptions;
use crate::topology::{Sentinels, SlotRange, ask_for_map, read_redirection};

/// The servers of a Redis.
///
/// ```no_run
/// use larder_redis::{RedisOptions, Servers};
///
/// # async fn example() -> larder_core::Result<()> {
/// let servers = Servers::new(&RedisOptions::new("redis+cluster://localhost:7000"))?;
/// for range in servers.slots(&[]).await? {
///     println!("{} to {}: {}", range.first, range.last, range.at);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Servers(Arc<Inner>);

struct Inner {
    settings: Arc<Settings>,
    login: Login,
    database: i64,
    place: Place,
}

/// Where they are.
enum Place {
    One(Address),
    Sentinels(Sentinels),
    /// Some nodes of a cluster.
    Cluster(Vec<Address>),
}

impl Servers {
    /// Those at `options.url`. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// `Config` if no Redis can have such a URL, or an option is out of bounds.
    pub fn new(options: &RedisOptions) -> Result<Self> {
        let location = options.location()?;
        let settings = Settings::new(&location, options)?;
        let (login, database) = (location.login, location.database);
        let mut hosts = location.hosts;
        let place = match location.kind {
            Kind::Single => Place::One(hosts.swap_remove(0)),
            Kind::Sentinel(master) => {
                let greeting = Settings::greeting(&location.sentinel_login, 0);
                Place::Sentinels(Sentinels::new(hosts, master, greeting))
            }
            Kind::Cluster => Place::Cluster(hosts),
        };
        Ok(Self(Arc::new(Inner { settings, login, database, place })))
    }

    /// Whether keys live on several of them, by their slots.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        matches!(self.0.place, Place::Cluster(_))
    }

    /// Whether Sentinels say which server is the one to ask.
    #[must_use]
    pub fn has_sentinels(&self) -> bool {
        matches!(self.0.place, Place::Sentinels(_))
    }

    /// The user and the password to greet them with.
    #[must_use]
    pub fn login(&self) -> (Option<&str>, Option<&str>) {
        (self.0.login.user.as_deref(), self.0.login.password.as_deref())
    }

    /// The number of the database.
    #[must_use]
    pub fn database(&self) -> i64 {
        self.0.database
    }

    /// What `open` opens to the one server, or to the master that Sentinels name now. Each of them
    /// is asked until `open` succeeds; it should refuse a server that is no master. Of a cluster it
    /// is the first node that the URL names.
    ///
    /// # Errors
    ///
    /// `SharedDown` when no Sentinel answers in time, and what `open` says.
    pub async fn reach<'a, T>(
        &self,
        open: impl Fn(Address) -> BoxFuture<'a, Result<T>> + Send,
    ) -> Result<T> {
        match &self.0.place {
            Place::One(address) => open(address.clone()).await,
            Place::Sentinels(sentinels) => sentinels.reach(&self.0.settings, open).await,
            Place::Cluster(nodes) => open(nodes[0].clone()).await,
        }
    }

    /// Whether Sentinels know the master to be elsewhere than at `address` now.
    pub async fn has_moved(&self, address: &Address) -> bool {
        match &self.0.place {
            Place::Sentinels(sentinels) => sentinels.has_moved(address, &self.0.settings).await,
            Place::One(_) | Place::Cluster(_) => false,
        }
    }

    /// Which slots the nodes of a cluster have, as the first says that answers of those that the
    /// URL names, and of 16 of the others that are `known`.
    ///
    /// # Errors
    ///
    /// `SharedDown` when none answers within the connect timeout, or it is no cluster.
    pub async fn slots(&self, known: &[Address]) -> Result<Vec<SlotRange>> {
        let seeds = match &self.0.place {
            Place::Cluster(seeds) => &seeds[..],
            Place::One(_) | Place::Sentinels(_) => &[],
        };
        ask_for_map(seeds, known, &self.0.settings).await
    }

    /// Opens a connection: TCP, TLS over it, or a socket file. The caller sets the deadline.
    ///
    /// # Errors
    ///
    /// What the system or TLS says.
    pub async fn dial(&self, address: &Address) -> io::Result<Pin<Box<dyn Wire>>> {
        dial(address, self.0.settings.tls.as_ref()).await
    }

    /// Where an error `MOVED 3999 host:port` or `ASK …` sends the asker, from what stands behind
    /// its code; `asked` is who said so.
    #[must_use]
    pub fn redirection(details: &str, asked: &Address) -> Option<Address> {
        read_redirection(details, asked)
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers").field("name", &self.0.settings.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_which_kind_they_are_and_how_they_are_greeted() {
        let servers = |url: &str| Servers::new(&RedisOptions::new(url)).unwrap();
        let one = servers("redis://ann:s3cret@localhost/3");
        assert!(!one.is_cluster() && !one.has_sentinels());
        assert_eq!((one.login(), one.database()), ((Some("ann"), Some("s3cret")), 3));
        assert!(!format!("{one:?}").contains("s3cret"));
        assert!(servers("redis+cluster://a,b").is_cluster());
        assert!(servers("redis+sentinel://a,b/shop").has_sentinels());
        assert!(Servers::new(&RedisOptions::new("http://a")).is_err());
    }
}

//! One connection: greeted, logged in, and known to lead to a master of a certain run.
//!
//! Which run of the server it leads to is asked when it is opened: a server that starts again
//! closes its connections. A run also ends when the server was a replica in between, and took over
//! what another master had: then its number stays, and the one of its replication is another.
//! Whether that server is still a master, and the same, is asked again now and then, together with
//! a question that somebody has.
//!
//! It is shared: many questions are on their way at once. A question whose asker has gone is
//! still answered, to nobody. What is silent for too long is given up, by whoever notices.

use std::sync::Arc;
use std::time::Duration;

use larder_core::shared::Incarnation;
use larder_core::sync::{AtomicBool, Mutex, Ordering};
use larder_core::{Error, ErrorKind, Result};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, Pipeline, ProtocolVersion, RedisConnectionInfo, Value, cmd, pipe,
};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use crate::address::{Address, Location, Login};
use crate::dial::{Tls, dial};
use crate::errors::{self, Meaning};
use crate::options::RedisOptions;
use crate::reply;
use crate::script::Scripts;
use crate::tracking::Pushes;

/// How long a connection may answer without saying again that its server is a master, and the same.
const ROLE_HOLDS_FOR: Duration = Duration::from_secs(1);

/// How connections are opened.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What the tier is called in errors.
    pub(crate) name: String,
    /// What connections call themselves.
    pub(crate) client: String,
    pub(crate) info: RedisConnectionInfo,
    pub(crate) tls: Option<Tls>,
    pub(crate) connect_timeout: Duration,
    pub(crate) answer_timeout: Duration,
    pub(crate) scripts: Scripts,
    /// Who is told what servers say without having been asked.
    pub(crate) pushes: Option<Pushes>,
}

impl Settings {
    /// Those of a Redis at `location`.
    pub(crate) fn new(location: &Location, options: &RedisOptions) -> Result<Arc<Self>> {
        let fault = |what| Error::new(ErrorKind::Config, format!("the shared tier has {what}"));
        let tls = location.tls.then(|| Tls::new(options.certificates.as_ref()));
        Ok(Arc::new(Self {
            name: location.name(),
            client: options.namespace.clone(),
            info: Self::greeting(&location.login, location.database),
            tls: tls.transpose().map_err(fault)?,
            connect_timeout: options.connect_timeout,
            answer_timeout: options.answer_timeout,
            scripts: Scripts::new(),
            pushes: None,
        }))
    }

    /// What is said in greeting.
    pub(crate) fn greeting(login: &Login, database: i64) -> RedisConnectionInfo {
        let mut info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(database)
            .set_skip_set_lib_name();
        if let Some(user) = &login.user {
            info = info.set_username(user);
        }
        if let Some(password) = &login.password {
            info = info.set_password(password);
        }
        info
    }
}

/// An open connection. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Connection {
    settings: Arc<Settings>,
    address: Address,
    wire: MultiplexedConnection,
    driver: AbortHandle,
    incarnation: Incarnation,
    /// What its server's replication was called when it was opened.
    replication: u32,
    /// It leads to no master any more, or to another run. Relaxed: who sees it late asks once more
    /// in vain.
    lost: AtomicBool,
    pulse: Mutex<Pulse>,
}

/// When it last gave a sign of life.
#[derive(Debug)]
struct Pulse {
    /// Since when a question has had no answer, with none given since to any other.
    silent_since: Option<Instant>,
    /// When its server last said that it is a master, and the same.
    master_at: Instant,
}

impl Connection {
    /// Opens one to a master, within the connect timeout.
    pub(crate) async fn open(address: &Address, settings: &Arc<Settings>) -> Result<Self> {
        let limit = settings.connect_timeout;
        let opened = timeout(limit, Self::greet(address, &settings.info, settings));
        let (wire, driver) = opened.await.unwrap_or_else(|_| {
            Err(errors::down(&settings.name, &format!("accepts no connection within {limit:?}")))
        })?;
        let mut connection = Self {
            settings: settings.clone(),
            address: address.clone(),
            wire,
            driver,
            incarnation: Incarnation(0),
            replication: 0,
            lost: AtomicBool::new(false),
            pulse: Mutex::new(Pulse { silent_since: None, master_at: Instant::now() }),
        };
        let introduced = timeout(limit, connection.introduce()).await;
        let (run, replication) = introduced.unwrap_or_else(|_| {
            Err(errors::down(&settings.name, &format!("does not answer within {limit:?}")))
        })?;
        (connection.incarnation, connection.replication) =
            (Incarnation(run ^ replication), replication);
        Ok(connection)
    }

    /// A bare connection, of which nothing is known but that it was let in.
    pub(crate) async fn greet(
        address: &Address,
        info: &RedisConnectionInfo,
        settings: &Settings,
    ) -> Result<(MultiplexedConnection, AbortHandle)> {
        let unreachable = |error| errors::unreachable(&settings.name, error);
        let wire = dial(address, settings.tls.as_ref()).await;
        let wire = wire.map_err(|error| unreachable(error.into()))?;
        let mut config = AsyncConnectionConfig::new().set_response_timeout(None);
        if let Some(pushes) = &settings.pushes {
            config = config.set_push_sender(pushes.clone());
        }
        let opened = MultiplexedConnection::new_with_config(info, wire, config).await;
        let (wire, driver) = opened.map_err(unreachable)?;
        Ok((wire, tokio::spawn(driver).abort_handle()))
    }

    /// Says who we are, asks who the server is, and gives it the scripts. Returns what its run and
    /// its replication are called.
    async fn introduce(&self) -> Result<(u32, u32)> {
        let mut questions = pipe();
        questions.cmd("CLIENT").arg("SETNAME").arg(&self.settings.client);
        questions.cmd("INFO").arg("server");
        questions.add_command(ask_replication());
        for load in self.settings.scripts.load() {
            questions.add_command(load);
        }
        let mut answers = self.send(&questions).await?.into_iter().skip(1);
        let info = answers.next().unwrap_or_default();
        let replication = answers.next().unwrap_or_default();
        if let Value::ServerError(error) = &info {
            return Err(errors::answered(&self.settings.name, error));
        }
        let replication = self.replication_of_master(replication)?;
        // Whether it took the scripts shows when they are called.
        let run = name_in(&reply::text(info)?, "run_id:").ok_or_else(|| errors::odd("run_id"))?;
        // Where a server says nothing of its replication, it has none.
        Ok((run, replication.unwrap_or_default()))
    }

    /// The run of the server that it leads to.
    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Where it leads.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether asking on it makes sense.
    pub(crate) fn is_good(&self) -> bool {
        let silent_since = self.pulse.lock().silent_since;
        let silent = silent_since.is_some_and(|since| {
            since.elapsed() >= self.settings.answer_timeout.min(self.settings.connect_timeout)
        });
        !(silent || self.lost.load(Ordering::Relaxed) || self.driver.is_finished())
    }

    /// It is to be used no more.
    pub(crate) fn give_up(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Closes it; whatever waits for an answer fails.
    pub(crate) fn close(&self) {
        self.driver.abort();
    }

    /// Asks, and waits for all answers, which may be errors of the server, one for each question.
    ///
    /// # Cancel safety
    ///
    /// What was sent is done all the same. That no answer came is remembered.
    pub(crate) async fn ask(&self, questions: &mut Pipeline) -> Result<Vec<Value>> {
        let asks_master = self.pulse.lock().master_at.elapsed() >= ROLE_HOLDS_FOR;
        if asks_master {
            questions.add_command(ask_replication());
        }
        let mut answers = self.send(questions).await?;
        if asks_master {
            let replication = self.replication_of_master(answers.pop().unwrap_or_default())?;
            if replication.is_some_and(|replication| replication != self.replication) {
                self.give_up();
                return Err(errors::down(
                    &self.settings.name,
                    "replicates under another name: it may have lost what it was told",
                ));
            }
        }
        for answer in &answers {
            if let Value::ServerError(error) = answer
                && errors::meaning(error) == Meaning::Elsewhere
            {
                self.give_up();
            }
        }
        Ok(answers)
    }

    /// Asks what may take `longer` than an answer otherwise may.
    pub(crate) async fn send_patiently(
        &self,
        questions: &Pipeline,
        longer: Duration,
    ) -> Result<Vec<Value>> {
        let limit = self.settings.answer_timeout + longer;
        let (count, mut wire) = (questions.len(), self.wire.clone());
        let answers = match timeout(limit, wire.send_packed_commands(questions, 0, count)).await {
            Ok(Ok(answers)) if answers.len() == count => Ok(answers),
            Ok(Ok(_)) => Err(errors::odd("answer for each question")),
            Ok(Err(error)) => Err(errors::unreachable(&self.settings.name, error)),
            Err(_) => Err(errors::timeout(&self.settings.name, limit)),
        };
        if answers.is_err() {
            self.give_up();
        }
        answers
    }

    async fn send(&self, questions: &Pipeline) -> Result<Vec<Value>> {
        let waiting = Waiting { connection: self, since: Some(Instant::now()) };
        let answers = self.send_patiently(questions, Duration::ZERO).await?;
        waiting.answered();
        Ok(answers)
    }

    /// What the replication of a master is called, if it says so. What is none is given up.
    fn replication_of_master(&self, info: Value) -> Result<Option<u32>> {
        let replication = match info {
            // An access list may forbid the question. Writes show it then.
            Value::ServerError(_) => None,
            info => {
                let info = reply::text(info)?;
                if !info.lines().any(|line| line == "role:master") {
                    self.give_up();
                    return Err(self.replica());
                }
                name_in(&info, "master_replid:")
            }
        };
        self.pulse.lock().master_at = Instant::now();
        Ok(replication)
    }

    fn replica(&self) -> Error {
        errors::down(&self.settings.name, "is a replica: name its master")
    }
}

/// Asks whether the server is a master, and what its replication is called.
fn ask_replication() -> Cmd {
    let mut question = cmd("INFO");
    question.arg("replication");
    question
}

/// The first 32 bits of a random name in what INFO answered.
fn name_in(info: &str, field: &str) -> Option<u32> {
    let name = info.lines().find_map(|line| line.strip_prefix(field))?;
    u32::from_str_radix(name.get(..8)?, 16).ok()
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

/// A question that is on its way. Dropped without an answer, it is remembered.
struct Waiting<'a> {
    connection: &'a Connection,
    since: Option<Instant>,
}

impl Waiting<'_> {
    fn answered(mut self) {
        self.since = None;
        self.connection.pulse.lock().silent_since = None;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(since) = self.since {
            let mut pulse = self.connection.pulse.lock();
            pulse.silent_since = Some(pulse.silent_since.map_or(since, |other| other.min(since)));
        }
    }
}

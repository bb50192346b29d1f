//! Asking the servers: what the tier and its bus have in common.

use std::sync::Arc;

use bytes::Bytes;
use larder_core::Result;
use redis::Value;

use crate::connection::Settings;
use crate::errors;
use crate::names::Names;
use crate::options::RedisOptions;
use crate::random::Random;
use crate::request::{Outcome, Reply, Request};
use crate::script::{Call, Script};
use crate::topology::Topology;

/// What the tier and its bus have in common.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) settings: Arc<Settings>,
    pub(crate) topology: Topology,
    pub(crate) names: Names,
    pub(crate) random: Random,
}

impl Client {
    /// One for the Redis at `options.url`. Nothing is opened yet.
    pub(crate) fn new(options: &RedisOptions) -> Result<Self> {
        let location = options.location()?;
        let settings = Settings::new(&location, options)?;
        let topology = Topology::new(location, &settings);
        let (names, random) = (Names::new(&options.namespace), Random::default());
        Ok(Self { settings, topology, names, random })
    }

    /// Asks each thing where it lives.
    pub(crate) async fn all(&self, requests: &[Request]) -> Vec<Outcome> {
        self.topology.run(&self.settings, requests).await
    }

    /// Asks one thing.
    pub(crate) async fn one(&self, request: Request) -> Outcome {
        let outcomes = self.all(&[request]).await;
        outcomes.into_iter().next().unwrap_or_else(|| Err(errors::odd("answer")))
    }

    /// Calls a script and returns what it returned.
    pub(crate) async fn call(
        &self,
        script: Script,
        keys: Vec<Bytes>,
        args: Vec<Bytes>,
    ) -> Result<Value> {
        let outcome = self.one(Request::call(Call { script, keys, args })).await;
        self.value(outcome)
    }

    /// The only value of a reply, no error.
    pub(crate) fn value(&self, outcome: Outcome) -> Result<Value> {
        let [value] = self.values(outcome?.ok_or_else(|| errors::odd("answer"))?)?;
        Ok(value)
    }

    /// The values of a reply, none of them an error.
    pub(crate) fn values<const N: usize>(&self, reply: Reply) -> Result<[Value; N]> {
        for value in &reply.values {
            self.refuse_error(value)?;
        }
        reply.values.try_into().map_err(|_| errors::odd("answer to each command"))
    }

    pub(crate) fn refuse_error(&self, value: &Value) -> Result<()> {
        match value {
            Value::ServerError(error) => Err(errors::answered(&self.settings.name, error)),
            _ => Ok(()),
        }
    }
}

//! Answers of somebody else's HTTP API: kept as long as it says, asked for conditionally, and
//! served a little longer while it is down.
//!
//! The API here is a struct; with a real one, `ask` is a request with `If-None-Match`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder::engine::runtime::TokioSpawn;
use larder::{Cache, Engine, LoadContext, LoadError, Reason, Source};
use larder_test::ManualClock;

const S: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Api(Arc<Mutex<Remote>>);

struct Remote {
    etag: &'static str,
    body: &'static str,
    cache_control: &'static str,
    is_down: bool,
    bodies_sent: usize,
}

enum Response {
    Ok { etag: &'static str, body: &'static str, cache_control: &'static str },
    NotModified { cache_control: &'static str },
}

impl Api {
    fn with<R>(&self, work: impl FnOnce(&mut Remote) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&self, if_none_match: Option<&str>) -> Result<Response, std::io::Error> {
        self.with(|remote| {
            let &mut Remote { etag, body, cache_control, is_down, .. } = remote;
            if is_down {
                return Err(std::io::Error::other("connection refused"));
            }
            if if_none_match == Some(etag) {
                return Ok(Response::NotModified { cache_control });
            }
            remote.bodies_sent += 1;
            Ok(Response::Ok { etag, body, cache_control })
        })
    }
}

/// What `max-age` says, in a header such as `public, max-age=60`.
fn max_age(cache_control: &str) -> Option<Duration> {
    let mut directives = cache_control.split(',').map(str::trim);
    let seconds = directives.find_map(|directive| directive.strip_prefix("max-age="))?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

impl Source<String, String> for Api {
    async fn load(
        &self,
        _path: &String,
        context: &mut LoadContext,
    ) -> Result<Option<String>, LoadError> {
        let keep = |cache_control| match max_age(cache_control) {
            Some(lifetime) => context.fresh_for(lifetime),
            None => context.dont_store(),
        };
        match self.ask(context.stale_validator())? {
            Response::Ok { etag, body, cache_control } => {
                keep(cache_control).validator(etag);
                Ok(Some(body.to_owned()))
            }
            Response::NotModified { cache_control } => {
                keep(cache_control);
                context.not_modified()
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let clock = ManualClock::new();
    let engine = Engine::new(Arc::new(clock.clone()), Arc::new(TokioSpawn::current()?));
    let (etag, body, cache_control) = ("v1", "sunny", "public, max-age=60");
    let remote = Remote { etag, body, cache_control, is_down: false, bodies_sent: 0 };
    let api = Api(Arc::new(Mutex::new(remote)));
    let weather = Cache::builder("weather")
        .max_staleness(600 * S) // at most ten minutes, whatever the API says
        .stale_on_error(3600 * S)
        .source(api.clone())
        .engine(&engine)
        .build()?;
    let path = "/berlin".to_owned();

    assert_eq!(weather.get(&path).await?.as_deref(), Some("sunny"));
    clock.advance(61 * S); // max-age is over, but nothing has changed
    let answer = weather.ask(&path).await?;
    assert_eq!((answer.value.as_deref(), answer.age), (Some("sunny"), Duration::ZERO));
    assert_eq!((api.with(|remote| remote.bodies_sent), weather.stats().unchanged), (1, 1));

    api.with(|remote| remote.is_down = true);
    clock.advance(61 * S);
    let answer = weather.ask(&path).await?;
    assert_eq!((answer.value.as_deref(), answer.reason), (Some("sunny"), Reason::Failing));

    api.with(|remote| (remote.is_down, remote.etag, remote.body) = (false, "v2", "rain"));
    clock.advance(S); // the back-off after one failure
    assert_eq!(weather.get(&path).await?.as_deref(), Some("rain"));
    println!("{} bodies were sent for 4 answers", api.with(|remote| remote.bodies_sent));
    Ok(())
}

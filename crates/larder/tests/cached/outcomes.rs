//! What a function returns: values, absences, failures, and panics.

use std::fmt;
use std::io;
use std::panic::catch_unwind;
use std::thread::{self, ThreadId};

use larder::{Error, ErrorKind};

use super::support::Gate;

#[derive(Clone, Debug, PartialEq)]
enum ShopError {
    SoldOut(u64),
    Cache(ErrorKind),
}

impl From<Error> for ShopError {
    fn from(error: Error) -> Self {
        Self::Cache(error.kind())
    }
}

#[tokio::test]
async fn absence_is_remembered() {
    #[larder::cached(fresh_for = "1h", skip(gate))]
    async fn plain(_id: u64, gate: &Gate) -> Option<u64> {
        gate.pass_async().await;
        None
    }

    #[larder::cached(fresh_for = "1h", skip(gate))]
    fn fallible(_id: u64, gate: &Gate) -> Result<Option<u64>, ShopError> {
        gate.pass();
        Ok(None)
    }

    let gate = Gate::opened();
    assert_eq!((plain(1, &gate).await, plain(1, &gate).await), (None, None));
    assert_eq!(gate.runs(), 1);
    assert_eq!((fallible(1, &gate), fallible(1, &gate)), (Ok(None), Ok(None)));
    assert_eq!(gate.runs(), 2);
}

#[tokio::test]
async fn a_failure_is_not_remembered_and_comes_back_as_it_was() {
    #[larder::cached(fresh_for = "1h", skip(gate))]
    async fn price(id: u64, gate: &Gate) -> Result<u64, ShopError> {
        if gate.pass_async().await == 1 { Err(ShopError::SoldOut(id)) } else { Ok(7) }
    }

    let gate = Gate::default();
    let mut callers = [Box::pin(price(5, &gate)), Box::pin(price(5, &gate))];
    for caller in &mut callers {
        assert!(futures_util::future::poll_immediate(caller).await.is_none());
    }
    gate.open();
    for caller in callers {
        assert_eq!(caller.await, Err(ShopError::SoldOut(5)), "both get it");
    }
    assert_eq!(gate.runs(), 1);
    assert_eq!(price(5, &gate).await, Ok(7));
}

#[test]
fn an_error_that_cannot_be_cloned_stays_inside() {
    #[derive(Debug)]
    struct Report(Error);

    impl From<Error> for Report {
        fn from(error: Error) -> Self {
            Self(error)
        }
    }

    impl From<io::Error> for Report {
        fn from(error: io::Error) -> Self {
            Self(Error::new(ErrorKind::Internal, "not from the cache").caused_by(error))
        }
    }

    #[larder::cached(fresh_for = "1h")]
    fn read(name: &str) -> Result<u64, Report> {
        Err(io::Error::other(format!("no file {name}")))?
    }

    // It has no Display, so its Debug speaks for it.
    let Report(error) = read("a").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Loader);
    assert!(error.chain().contains("no file a"), "{}", error.chain());

    #[larder::cached(fresh_for = "1h")]
    fn open(name: &str) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("no file {name}").into())
    }

    let error = open("b").unwrap_err();
    let error = error.downcast_ref::<Error>().unwrap();
    assert_eq!(error.chain(), "the load failed: no file b");
    assert_eq!(error.key(), Some("b"));
}

#[test]
fn the_cause_of_an_error_can_be_asked_for_its_type() {
    #[derive(Debug)]
    struct Refused(u16);

    impl fmt::Display for Refused {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "refused with {}", self.0)
        }
    }

    impl std::error::Error for Refused {}

    impl From<Error> for Refused {
        fn from(error: Error) -> Self {
            Self(error.downcast_ref::<Self>().map_or(0, |inner| inner.0 + 1000))
        }
    }

    #[larder::cached(fresh_for = "1h")]
    fn ask(code: u16) -> Result<(), Refused> {
        Err(Refused(code))
    }

    assert_eq!(ask(403).unwrap_err().0, 1403);
}

#[test]
fn an_error_may_have_neither_words_nor_copies() {
    struct Bare(bool);

    impl From<Error> for Bare {
        fn from(error: Error) -> Self {
            Self(error.chain().contains("Bare"))
        }
    }

    #[larder::cached(fresh_for = "1h")]
    fn fail() -> Result<u8, Bare> {
        Err(Bare(false))
    }

    assert!(fail().is_err_and(|bare| bare.0), "named by its type");
}

#[test]
fn text_and_larders_own_errors_are_errors_too() {
    #[larder::cached(fresh_for = "1h")]
    fn text(fails: bool) -> Result<u8, String> {
        if fails { Err("no luck".to_owned()) } else { panic!("no luck at all") }
    }

    #[larder::cached(fresh_for = "1h")]
    fn own(id: u64) -> larder::Result<u8> {
        Err(Error::new(ErrorKind::SourceDown, format!("{id} is down")))
    }

    assert_eq!(text(true), Err("no luck".to_owned()));
    assert!(text(false).unwrap_err().contains("panicked: no luck at all"));
    let error = own(3).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::SourceDown, "3 is down".to_owned()));
}

#[tokio::test]
async fn the_caches_own_errors_reach_a_function_that_can_fail() {
    #[larder::cached(fresh_for = "1h", deadline = "1ms", skip(gate))]
    async fn slow(_id: u64, gate: &Gate) -> Result<u64, ShopError> {
        gate.pass_async().await;
        Ok(1)
    }

    let gate = Gate::default();
    assert_eq!(slow(1, &gate).await, Err(ShopError::Cache(ErrorKind::Timeout)));
    // The load goes on, and its result is kept.
    gate.open();
    while slow_cache().peek(&1).is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(slow(1, &gate).await, Ok(1));
    assert_eq!(gate.runs(), 1);
}

#[test]
fn a_function_that_cannot_fail_runs_its_body_when_the_cache_has_no_answer() {
    #[larder::cached(fresh_for = "1h", deadline = "1ms", skip(caller, gate))]
    fn slow(caller: ThreadId, gate: &Gate) -> ThreadId {
        // The load ends after the caller's own run.
        let here = thread::current().id();
        if here == caller {
            gate.open();
        }
        gate.pass();
        here
    }

    let (caller, gate) = (thread::current().id(), Gate::default());
    assert_eq!(slow(caller, &gate), caller);
}

#[test]
fn a_panic_in_a_function_that_cannot_fail_is_the_callers() {
    #[larder::cached(fresh_for = "1h")]
    fn divide(by: u64) -> u64 {
        100 / by
    }

    assert!(catch_unwind(|| divide(0)).is_err());
    assert_eq!(divide(5), 20, "and it does no harm");
}

#[test]
fn zero_staleness_runs_the_body_every_time() {
    #[larder::cached(max_staleness = "0s", skip(gate))]
    fn runs(gate: &Gate) -> usize {
        gate.pass()
    }

    let gate = Gate::opened();
    assert_eq!([runs(&gate), runs(&gate)], [1, 2]);
}

//! Functions that remember what they returned: async and not, with one line each.

use std::sync::atomic::{AtomicUsize, Ordering};

static ASKED: AtomicUsize = AtomicUsize::new(0);

/// The exchange rate, at most two seconds old.
#[larder::cached(max_staleness = "2s", stale_for = "1s")]
async fn rate(currency: &str) -> larder::Result<Option<f64>> {
    ASKED.fetch_add(1, Ordering::Relaxed); // ask a web service here
    Ok((currency == "EUR").then_some(1.08))
}

/// Something that takes long and never changes, for code that can't await.
#[larder::cached(fresh_for = "1day", entries_max = 100)]
fn primes_below(n: u64) -> usize {
    (2..n).filter(|&n| (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0)).count()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    for _ in 0..1_000 {
        assert_eq!(rate("EUR").await?, Some(1.08));
    }
    assert_eq!(ASKED.load(Ordering::Relaxed), 1);
    assert_eq!(rate("XXX").await?, None); // remembered too

    // Each function's cache can be reached: to invalidate, or to ask what it is worth.
    rate_cache().invalidate(&"EUR".to_owned()).await?;
    rate("EUR").await?;
    assert_eq!(ASKED.load(Ordering::Relaxed), 3);

    assert_eq!(primes_below(100), 25);
    assert_eq!(primes_below(100), 25);
    assert_eq!(primes_below_cache().stats().hits(), 1);
    println!("{}", rate_cache().verdict());
    Ok(())
}

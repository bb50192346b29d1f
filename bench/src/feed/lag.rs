//! How late a change is known, at a thousand changes a second.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::place::Place;
use super::writing::Shape;
use crate::memory::Latencies;

/// How many changes a second are made beside those that are looked at.
const CHANGES: u64 = 1_000;
/// The first rows are looked at, one after the other; nobody else changes or reads them meanwhile.
pub(super) const PROBED: u64 = 100;

/// Measures it for so long, prints it, and returns the median and the 99th percentile in
/// milliseconds.
pub(super) fn measure(
    runtime: &Runtime,
    place: &Place,
    lasts: Duration,
) -> Result<[f64; 2], String> {
    let mut lags = Latencies::new();
    let (mut count, mut worst) = (0_u64, Duration::ZERO);
    let load = std::thread::scope(|scope| {
        let load = scope.spawn(|| Shape::One.write_at(CHANGES, &place.postgres, lasts));
        let until = Instant::now() + lasts;
        let probed = runtime.block_on(async {
            let mut connection = place.connect().await?;
            for row in (1..=PROBED).cycle() {
                if Instant::now() > until {
                    break;
                }
                let lag = place.probe(&mut connection, row).await?;
                lags.add(u64::try_from(lag.as_nanos()).unwrap_or(u64::MAX));
                (count, worst) = (count + 1, worst.max(lag));
            }
            Ok::<_, String>(())
        });
        let load = load.join().map_err(|_| "the writers ended".to_owned())?;
        probed.and(load)
    })?;
    let lags @ [p50, p99] = [0.5, 0.99].map(|share| lags.percentile(share) / 1e6);
    println!(
        "        at {:.0} changes a second, {count} were looked at: known after {p50:.2} ms (p50), \
         {p99:.2} ms (p99), {worst:.2?} at most",
        load.changes_per_second()
    );
    Ok(lags)
}

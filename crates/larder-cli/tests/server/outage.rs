//! Redis is killed at full load, and comes back: the database is asked no more than the bulkhead
//! allows, what is held is served, errors are bounded and clear, and all is well again by itself.
//!
//! What is done and measured is [`larder_test::fleet::outage`]; how fast reads are meanwhile is
//! the bench's.

use std::time::Duration;

use larder_test::fleet::outage::{self, Plan};

use crate::support::binary;

/// How soon after Redis answers again it is used again.
const BACK_WITHIN: Duration = Duration::from_secs(1);
/// How long the machine may take to carry a reply, under this load and beside other tests.
const ON_THE_WAY: Duration = Duration::from_millis(500);

#[test]
fn redis_killed_at_full_load_costs_the_database_no_more_than_the_bulkhead_and_is_used_again() {
    let outage = outage::run(&Plan::new(binary()));
    println!("{outage}");
    // Every place was taken, so the bound was met.
    assert!(outage.queries_most.iter().all(|&most| most == Plan::LOADS_MAX), "{outage}");
    assert!(outage.answered.iter().all(|&answered| answered > 0), "{outage}");
    // Whoever reads is shed, or waits for too long; whoever announces is told that it is for later.
    // What is held is no error ever.
    for (refused, codes) in
        [(&outage.refused, &["SHED", "TIMEOUT"][..]), (&outage.unannounced, &["SHAREDDOWN"][..])]
    {
        assert!(refused.keys().all(|code| codes.contains(&code.as_str())), "{outage}");
        assert!(refused.values().all(|refusals| refusals.without_time == 0), "{outage}");
    }
    assert!(outage.refused.contains_key("SHED"), "the load wasn't full: {outage}");
    assert!(outage.unannounced.contains_key("SHAREDDOWN") && outage.announced > 0, "{outage}");
    assert_eq!(outage.odd, 0, "{outage}");
    assert!(outage.slowest <= Plan::DEADLINE + ON_THE_WAY, "{outage}");
    for round in &outage.rounds {
        assert_eq!(round.missed, 0, "{outage}");
        assert!(!round.away.is_empty(), "{outage}");
    }
    // Of three rounds two count: this process shares the machine with other tests, and one that
    // isn't let run for a moment is no larder that sleeps.
    for mut times in [outage.used_again(), outage.heard_again()] {
        times.sort_unstable();
        assert!(times[times.len() / 2] <= BACK_WITHIN, "{outage}");
    }
}

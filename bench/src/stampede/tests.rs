//! Herds small enough for a test, on a clock that passes when everybody waits: what is counted is
//! what was loaded. What needs an entry to grow old stands only in the bench itself: the peers
//! read the machine's clock.

use super::*;

/// How many readers come in a test.
const FEW: usize = 20;

/// A runtime whose time passes when everybody waits.
fn paused() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a thread needs nothing more")
}

fn round(contender: Contender, situation: Situation) -> Sample {
    let runtime = paused();
    let round = Round { runtime: &runtime, situation, readers: FEW };
    contender.run(round).expect("the situation can be brought about")
}

#[test]
fn who_coalesces_loads_once_and_the_floor_for_every_reader() {
    for situation in [Situation::Cold, Situation::Invalidated, Situation::Evicted] {
        for contender in Contender::ALL.into_iter().filter(|&one| situation.exists_for(one)) {
            let sample = round(contender, situation);
            let expected = if contender == Contender::CacheAside { FEW as u64 } else { 1 };
            assert_eq!(sample.loads, expected, "{contender:?} {situation:?}");
            assert_eq!(sample.without_value, 0.0, "{contender:?} {situation:?}");
            let is_latency = |micros| (19_000.0..22_000.0).contains(&micros);
            assert!(is_latency(sample.p50) && is_latency(sample.p99), "{contender:?}");
        }
    }
}

#[test]
fn every_situation_has_larder_in_it_and_a_name_of_its_own() {
    let mut names: Vec<_> = Situation::ALL.iter().map(|situation| situation.name()).collect();
    assert!(Situation::ALL.into_iter().all(|situation| situation.exists_for(Contender::Larder)));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Situation::ALL.len());
}

/// A cache whose load never ends.
struct Silent;

impl ReadThrough<u64, u64> for Silent {
    fn new(_: crate::through::Terms, _: Arc<Rows>) -> Self {
        Self
    }

    async fn get(&self, _: &u64) -> Option<u64> {
        std::future::pending().await
    }

    async fn invalidate(&self, _: &u64) {}

    async fn holds(&self, _: &u64) -> bool {
        false
    }
}

#[test]
fn a_reader_without_an_answer_counts_with_all_its_patience() {
    let mut herd = Herd::new();
    let patience = Duration::from_millis(64);
    paused().block_on(herd.come(&Arc::new(Silent), FEW, patience));
    assert_eq!((herd.readers, herd.unanswered, herd.failed), (FEW, FEW, 0));
    assert_eq!(herd.share_without_value(), 1.0);
    assert!(herd.latencies.percentile(0.5) >= 62e6);
}

#[test]
fn a_summary_has_medians_but_the_most_loads() {
    let sample =
        |loads, p50| (Contender::Moka, Sample { loads, p50, p99: 2.0 * p50, without_value: 0.5 });
    let other = Sample { loads: 99, p50: 99.0, p99: 99.0, without_value: 0.0 };
    let samples = vec![sample(1, 10.0), sample(7, 30.0), sample(2, 20.0)];
    let mut samples = Samples(samples);
    samples.0.push((Contender::Foyer, other));
    let summary = samples.summary(Contender::Moka);
    assert_eq!((summary.loads, summary.p50_us, summary.p99_us), (7, 20.0, 40.0));
    assert_eq!(summary.without_value, 0.5);
}

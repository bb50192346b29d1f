//! Many threads at once: nothing is counted twice or lost, and one probes at a time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use super::*;

const THREADS: u64 = 4;

fn on_threads(run: impl Fn(u64) + Sync) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let run = &run;
            scope.spawn(move || run(thread));
        }
    });
}

#[test]
fn every_success_counts_once() {
    let breaker = breaker();
    on_threads(|_| (0..3_000).for_each(|_| succeed(&breaker, 0)));
    // The first of which are 0.6 of all.
    let enough = THREADS * 3_000 * 3 / 2;
    (1..enough).for_each(|_| fail(&breaker, 0));
    assert_eq!(breaker.state(at(0)), Closed);
    fail(&breaker, 0);
    assert_eq!(breaker.state(at(0)), Open);
}

#[test]
fn it_opens_once_however_many_fail_at_the_same_time() {
    let breaker = breaker();
    on_threads(|_| {
        for _ in 0..10_000 {
            if let Ok(permission) = ask(&breaker, 0) {
                permission.failed(at(0));
            }
        }
    });
    assert_eq!((breaker.state(at(0)), breaker.opened()), (Open, 1));
}

#[test]
fn one_probes_at_a_time_while_time_goes_on() {
    let breaker = breaker();
    let (now, probing, probes) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
    let refused = AtomicU64::new(0);
    on_threads(|_| {
        for step in 0..20_000 {
            let millis = now.fetch_add(1, SeqCst);
            match ask(&breaker, millis) {
                Ok(permission) if permission.is_probe() => {
                    assert!(!probing.swap(true, SeqCst), "two probe at the same time");
                    let probe = probes.fetch_add(1, SeqCst);
                    thread::yield_now();
                    assert!(probing.swap(false, SeqCst));
                    match probe % 5 {
                        0 => permission.failed(at(millis)),
                        1 => drop(permission),
                        _ => permission.succeeded(at(millis)),
                    }
                }
                Ok(permission) if step % 4 == 0 => permission.succeeded(at(millis)),
                Ok(permission) => permission.failed(at(millis)),
                Err(_) => drop(refused.fetch_add(1, SeqCst)),
            }
        }
    });
    assert_eq!(breaker.probes(), probes.load(SeqCst));
    assert_eq!(breaker.refused(), refused.load(SeqCst));
    assert!(breaker.opened() > 10, "opened {} times", breaker.opened());
}

#[test]
fn who_is_late_never_counts_in_a_later_period() {
    // Errors of the first period, told by some threads while another one goes through many
    // periods, in each of which one more error would open it.
    let breaker = breaker();
    let late: Vec<_> = (0..THREADS * 500).map(|_| ask(&breaker, 0).unwrap()).collect();
    let late = Mutex::new(late);
    let mut now = 0;
    fail(&breaker, now);
    fail(&breaker, now);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(permission) = late.lock().pop() else { break };
                    permission.failed(at(0));
                }
            });
        }
        for _ in 0..500 {
            now += 100;
            succeed(&breaker, now);
            succeed(&breaker, now);
            fail(&breaker, now);
            assert_eq!(breaker.state(at(now)), Closed);
            fail(&breaker, now);
            assert_eq!(breaker.state(at(now)), Open);
        }
    });
    assert_eq!(breaker.opened(), 501);
}

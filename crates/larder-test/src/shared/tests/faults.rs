//! What happens to the server and to one process's connection.

use super::*;
use crate::shared::server::WAITING_MAX;

#[test]
fn what_is_evicted_is_a_miss_and_an_evicted_lease_is_void() {
    let (server, a, _) = server();
    let evicted = lease(&a);
    assert!(server.evict_lease(KEY) && !server.evict_lease(KEY));
    assert_eq!(fill(&a, &evicted, 1), SharedFill::Refused);
    let granted = lease(&a);
    assert_eq!(fill(&a, &granted, 2), SharedFill::Stored);
    assert!(server.evict(KEY) && !server.evict(KEY));
    assert_eq!(get(&a), None);
}

#[test]
fn a_restart_forgets_everything_and_is_another_run() {
    let (server, a, _) = server();
    let granted = lease(&a);
    assert_eq!(fill(&a, &granted, 1), SharedFill::Stored);
    let marked = done(a.mark(&[Mark::All], Invalidation::Drop, None)).unwrap();
    let SharedRead::Stale { lease: void, .. } = ask(&a, Some(1)) else { panic!("no lease") };
    let run = server.incarnation();
    server.restart_empty();
    assert_ne!(server.incarnation(), run);
    assert_eq!((get(&a), server.lease_held(KEY)), (None, false));
    assert_eq!(fill(&a, &void, 2), SharedFill::Refused);
    let marks = done(a.marks()).unwrap();
    assert!(marks.marks.is_empty() && marks.incarnation != marked.incarnation);
}

#[test]
fn after_a_rollback_what_was_dropped_is_back_under_another_incarnation_and_leases_are_void() {
    let (server, a, _) = server();
    let granted = lease(&a);
    assert_eq!(fill(&a, &granted, 1), SharedFill::Stored);
    let SharedRead::Stale { lease: void, .. } = ask(&a, Some(1)) else { panic!("no lease") };
    let marked = done(a.mark(&[Mark::Tag(1)], Invalidation::Drop, None)).unwrap();
    let run = server.incarnation();
    let snapshot = server.snapshot();
    drop_key(&a);
    done(a.mark(&[Mark::Tag(2)], Invalidation::Drop, None)).unwrap();
    server.restart_with(&snapshot);
    let back = get(&a).expect("it is back");
    assert!(back.envelope == fresh(1) && back.incarnation != run);
    // The lease is of the other run: void, and in nobody's way.
    assert!(!server.lease_held(KEY));
    assert_eq!(fill(&a, &void, 2), SharedFill::Refused);
    assert!(!done(a.extend(KEY, &void, SECOND)).unwrap());
    let marks = done(a.marks()).unwrap();
    assert_eq!(marks.incarnation, marked.incarnation);
    assert_eq!(marks.marks, [(Mark::Tag(1), Invalidation::Drop, marked.clock)]);
}

#[test]
fn while_the_server_is_down_everything_fails_and_nothing_takes_effect() {
    let (server, a, clock) = server();
    let granted = lease(&a);
    server.down();
    assert!(is_down(done(a.fill(KEY, &granted, fresh(1), SECOND * 10))));
    assert!(is_down(done(a.get_many(&[KEY])).remove(0)));
    assert!(is_down(done(a.lease_many(&[LeaseAsk { key: KEY, seen: None }], SECOND)).remove(0)));
    assert!(is_down(done(a.invalidate(&[KEY], Invalidation::Drop, None))));
    assert!(is_down(done(a.mark(&[Mark::All], Invalidation::Drop, None))));
    assert!(is_down(done(a.marks())) && is_down(done(a.probe())));
    assert!(is_down(done(a.extend(KEY, &granted, SECOND))));
    assert!(is_down(done(a.release(KEY, &granted))));
    assert!(is_down(done(a.publish(Bytes::new(), None))));
    assert!(is_down(done(a.subscribe()).map(|_| ())));
    clock.advance(SECOND / 2);
    server.up();
    assert_eq!((server.bus_len(), server.held(KEY)), (0, None));
    assert_eq!(fill(&a, &granted, 1), SharedFill::Stored);
    clock.advance(SECOND);
    assert_eq!(get(&a).unwrap().remaining, SECOND * 17 / 2);
}

#[test]
fn one_process_is_cut_off_without_the_others_and_its_messages_wait() {
    let (server, a, _) = server();
    let b = server.client();
    let (_, mut reader) = done(b.subscribe()).unwrap();
    b.down();
    assert!(is_down(done(b.probe())) && done(a.probe()).is_ok());
    let position = done(a.publish(Bytes::new(), None)).unwrap();
    assert_eq!(arrived(&mut reader), []);
    b.up();
    assert!(done(b.probe()).is_ok());
    let events = arrived(&mut reader);
    assert!(matches!(&events[..], [BusEvent::Message(read)] if read.position == position));
}

#[test]
fn what_was_sent_to_a_paused_server_takes_effect_later_in_order_even_if_nobody_waits() {
    let (server, a, clock) = server();
    let b = server.client();
    let granted = lease(&a);
    server.pause();
    assert!(poll(a.fill(KEY, &granted, fresh(1), SECOND * 10)).is_pending());
    let mut invalidation = b.invalidate(&[KEY], Invalidation::MarkStale, None);
    assert!(poll(invalidation.as_mut()).is_pending());
    // What was never polled was never sent.
    drop(b.invalidate(&[KEY], Invalidation::Drop, None));
    assert_eq!(server.held(KEY), None);
    clock.advance(SECOND / 2);
    server.resume();
    assert_eq!(done(invalidation).unwrap(), None);
    assert_eq!(server.held(KEY), Some(envelope(STATE_STALE, 1)));
}

#[test]
fn a_lease_that_ends_while_the_server_is_paused_is_void_when_it_resumes() {
    let (server, a, clock) = server();
    let granted = lease(&a);
    server.pause();
    let mut late = a.fill(KEY, &granted, fresh(1), SECOND * 10);
    assert!(poll(late.as_mut()).is_pending());
    clock.advance(SECOND);
    server.resume();
    assert_eq!(done(late).unwrap(), SharedFill::Refused);
}

#[test]
fn what_waits_for_a_paused_process_waits_alone_and_is_lost_when_it_is_cut_off() {
    let (server, a, _) = server();
    let b = server.client();
    let granted = lease(&a);
    a.pause();
    let mut waiting = a.fill(KEY, &granted, fresh(1), SECOND * 10);
    assert!(poll(waiting.as_mut()).is_pending());
    assert!(done(b.probe()).is_ok());
    server.pause();
    a.resume();
    assert!(poll(waiting.as_mut()).is_pending());
    a.down();
    server.resume();
    assert!(is_down(done(waiting)));
    assert_eq!(server.held(KEY), None);
}

#[test]
fn a_restart_loses_what_waits() {
    let (server, a, _) = server();
    server.pause();
    let mut waiting = a.probe();
    assert!(poll(waiting.as_mut()).is_pending());
    server.restart_empty();
    assert!(is_down(done(waiting)));
}

#[test]
fn what_waits_is_bounded() {
    let (server, a, _) = server();
    a.pause();
    for _ in 0..WAITING_MAX {
        assert!(poll(a.probe()).is_pending());
    }
    assert!(is_down(done(a.probe())));
    a.resume();
    assert!(done(a.probe()).is_ok());
    drop(server);
}

#[test]
fn a_lost_reply_is_a_failure_of_what_took_effect() {
    let (server, a, _) = server();
    let b = server.client();
    a.lose_reply_of_next_call(Call::Invalidate, 1);
    let granted = lease(&a);
    assert_eq!(fill(&a, &granted, 1), SharedFill::Stored);
    assert!(is_down(done(a.invalidate(&[KEY], Invalidation::Drop, None))));
    assert_eq!(server.held(KEY), None);
    drop_key(&a);

    a.lose_reply_of_next(2);
    drop_key(&b);
    assert!(is_down(done(a.lease_many(&[LeaseAsk { key: KEY, seen: None }], SECOND)).remove(0)));
    assert!(server.lease_held(KEY));
    assert!(is_down(done(a.publish(Bytes::new(), None))));
    assert_eq!(server.bus_len(), 1);
    assert!(done(a.probe()).is_ok());
}

#[test]
fn while_replies_are_held_what_is_asked_takes_effect_and_nobody_is_told() {
    let (server, a, _) = server();
    let granted = lease(&a);
    a.hold_replies();
    let mut filling = a.fill(KEY, &granted, fresh(1), SECOND);
    assert!(poll(&mut filling).is_pending());
    assert!(server.held(KEY).is_some());
    a.release_replies();
    assert_eq!(done(filling).unwrap(), SharedFill::Stored);
}

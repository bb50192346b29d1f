//! What may happen next. Which of it may happen in a state, the rules say.

use super::bounds::{Bounds, Changes, Omit, Second};
use super::owner::{ELSEWHERE, Who};
use super::state::{At, Version};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    /// A process commits the next version.
    Commit(usize),
    /// The next step of the announcement of a version.
    Announce(Version),
    /// The announcement of a version gives up waiting for the shared tier, and returns an error.
    GiveUp(Version),
    /// What gave up is forgotten.
    Forget(Version),

    // Reads: a process, or a flight.
    Start(usize),
    /// Reads the shared tier, and finds what it may take.
    Hit(At),
    /// Captures what it should have captured before.
    CaptureLate(At),
    /// Reads the shared tier, doesn't find it, and is given the lease.
    Lease(At),
    /// Asks the source without a lease: somebody else has it, or the tier can't be asked.
    GoWithout(At),
    Load(At),
    FillShared(At),
    /// Fills memory and answers everybody.
    Finish(At),
    Join(At),
    /// The first step of a hit in memory.
    Look(usize),
    /// The second.
    EndLook(usize),

    // The bus, for a process.
    Subscribe(usize),
    SendToken(usize),
    Deliver(usize),
    /// Delivers what will be delivered again.
    DeliverTwice(usize),
    Lose(usize),
    NoticeGap(usize),

    // The feed, its owner, and the one before.
    /// The last commit becomes visible.
    Appear,
    Follow(Who),
    SeeToken(Who, usize),
    AnswerToken(Who, usize),
    AnswerOthers(Who),
    CrashOwner,
    /// The slot is lost, and made again.
    LoseSlot,
    /// Who asks for the log's end reaches another server from now on.
    CutOff,
    /// A process follows instead of the one that did.
    TakeOver(usize),
    /// A process builds the cache.
    Build(usize),
    /// The owner does.
    Cover,

    // What happens to the shared tier and to processes.
    Evict,
    EndLease,
    Crash(usize),
    /// The shared tier starts again with an old entry, and perhaps with an old lease.
    Restart(Option<Version>, Option<At>),
}

/// Everything that may happen within these bounds.
pub(crate) fn all(bounds: &Bounds) -> Vec<Action> {
    use Action as A;
    let mut all = vec![A::Tick];
    let reads = |process| process == 0 || bounds.second != Second::Fills;
    let has_bus = bounds.changes != Changes::Unknown;
    let owners = &[Who::Follows, Who::Old][..1 + usize::from(bounds.feed.pauses)];
    let announces = matches!(bounds.changes, Changes::Announced | Changes::AnnouncedTooLate);
    for process in 0..2 {
        if bounds.writers[process] {
            all.push(A::Commit(process));
        }
        if process == 1 && bounds.second == Second::Nothing {
            continue;
        }
        all.push(A::Start(process));
        for flight in 0..bounds.flights {
            let at = At(process, flight);
            all.extend([A::Lease(at), A::Load(at), A::FillShared(at)]);
            if reads(process) {
                all.extend([A::Hit(at), A::GoWithout(at), A::Finish(at)]);
                all.extend(bounds.joiners.then_some(A::Join(at)));
                let late = matches!(bounds.omit, Omit::HorizonBeforeRead | Omit::FenceBeforeRead);
                all.extend(late.then_some(A::CaptureLate(at)));
            }
        }
        if !reads(process) {
            continue;
        }
        if bounds.split_hits {
            all.extend([A::Look(process), A::EndLook(process)]);
        }
        if has_bus {
            let late = bounds.omit == Omit::SubscribeBeforeRead;
            all.extend(late.then_some(A::Subscribe(process)));
            all.push(A::Deliver(process));
            let sends = process == 0 || bounds.second == Second::Reads;
            all.extend(sends.then_some(A::SendToken(process)));
            all.extend(bounds.repeats.then_some(A::DeliverTwice(process)));
        }
        all.extend(bounds.losses.then_some(A::Lose(process)));
        if bounds.losses || bounds.restarts > 0 {
            all.push(A::NoticeGap(process));
        }
        all.extend((bounds.crashes > 0).then_some(A::Crash(process)));
        if bounds.changes == Changes::Feed {
            let tokens = |&who: &Who| [A::SeeToken(who, process), A::AnswerToken(who, process)];
            all.extend(owners.iter().flat_map(tokens));
        }
    }
    for version in (1..=bounds.versions).filter(|_| announces) {
        all.push(A::Announce(version));
        if bounds.errors {
            all.push(A::GiveUp(version));
            all.extend((bounds.omit == Omit::RepeatBeforeTrust).then_some(A::Forget(version)));
        }
    }
    if bounds.changes == Changes::Feed {
        all.extend(owners.iter().map(|&who| A::Follow(who)));
        all.extend(bounds.owner_crashes.then_some(A::CrashOwner));
        let feed = &bounds.feed;
        all.extend(feed.lags.then_some(A::Appear));
        all.extend((feed.slots > 0).then_some(A::LoseSlot));
        all.extend(feed.is_replaced.then_some(A::CutOff));
        if feed.hand_overs > 0 {
            all.extend([A::TakeOver(0), A::TakeOver(ELSEWHERE)]);
            all.extend(owners.iter().map(|&who| A::AnswerOthers(who)));
        }
        if feed.covers_late {
            all.extend([A::Build(0), A::Cover]);
        }
    }
    all.extend(bounds.evictions.then_some(A::Evict));
    if bounds.omit != Omit::LeaseEnds {
        all.push(A::EndLease);
    }
    if bounds.restarts > 0 {
        let entries = || (0..=bounds.versions).map(Some).chain([None]);
        all.extend(entries().map(|entry| A::Restart(entry, None)));
        let flights = (0..2).flat_map(|p| (0..bounds.flights).map(move |f| At(p, f)));
        all.extend(flights.flat_map(|at| entries().map(move |e| A::Restart(e, Some(at)))));
    }
    all
}

//! Marks: that they are ordered, kept and told apart, or refused.

use larder_core::ErrorKind;
use larder_core::shared::{Invalidation, Mark, MarkClock, Marked, Marks, SharedTier};

use super::subject::{Subject, answered};

pub(super) async fn marks_are_ordered_and_read_back(subject: &Subject) {
    if !keeps_marks(subject).await {
        return;
    }
    let cache = subject.name("cache");
    let (one, two) = (Mark::Cache(cache.clone()), Mark::Prefix { cache, prefix: "user:".into() });
    let mut last = answered(subject.b.marks().await).clock;
    for (tier, mark) in [(&subject.a, &one), (&subject.b, &two), (&subject.a, &one)] {
        let marked = set(&**tier, std::slice::from_ref(mark), Invalidation::Drop).await;
        assert!(marked.clock > last, "{:?} after {last:?}", marked.clock);
        last = marked.clock;
        for tier in [&subject.a, &subject.b] {
            let marks = answered(tier.marks().await);
            assert_eq!((marks.clock, marks.incarnation), (last, marked.incarnation));
            assert_eq!(found(&marks, mark), (Invalidation::Drop, last));
        }
    }
    let marks = answered(subject.b.marks().await);
    assert!(found(&marks, &two).1 < found(&marks, &one).1);
}

pub(super) async fn marks_of_each_kind_and_strike_are_told_apart(subject: &Subject) {
    if !keeps_marks(subject).await {
        return;
    }
    let name = |name| subject.name(name);
    let prefix = |cache, prefix: &str| Mark::Prefix { cache, prefix: prefix.into() };
    let marks = [
        Mark::Tag(0),
        Mark::Tag(0x0a0d),
        Mark::Tag(u16::MAX),
        Mark::Cache(name("a")),
        Mark::Cache(name("a:b")),
        Mark::Cache(name("é {}%\r\n")),
        prefix(name("a"), ""),
        prefix(name("a"), "b:c"),
        prefix(name("a"), "b"),
        prefix(name("a:b"), "c"),
        prefix(name("a"), "é {}%\r\n\0"),
        Mark::All,
    ];
    let mut set_at = Vec::new();
    for (at, mark) in marks.iter().enumerate() {
        let strike = [Invalidation::Drop, Invalidation::MarkStale][at % 2];
        let marked = set(&*subject.a, std::slice::from_ref(mark), strike).await;
        set_at.push((strike, marked.clock));
    }
    let kept = answered(subject.b.marks().await);
    for (mark, set_at) in marks.iter().zip(&set_at) {
        assert_eq!(found(&kept, mark), *set_at, "{mark:?}");
    }
    // The latest strike counts.
    let again = set(&*subject.a, &marks, Invalidation::MarkStale).await;
    let kept = answered(subject.b.marks().await);
    for mark in &marks {
        assert_eq!(found(&kept, mark), (Invalidation::MarkStale, again.clock), "{mark:?}");
    }
}

pub(super) async fn marks_set_together_have_one_moment(subject: &Subject) {
    if !keeps_marks(subject).await {
        return;
    }
    let marks: Vec<_> = (0..100).map(Mark::Tag).collect();
    let marked = set(&*subject.a, &marks, Invalidation::Drop).await;
    let kept = answered(subject.b.marks().await);
    for mark in &marks {
        assert_eq!(found(&kept, mark), (Invalidation::Drop, marked.clock), "{mark:?}");
    }
}

/// Whether the tier keeps marks; if not, that it refuses them.
async fn keeps_marks(subject: &Subject) -> bool {
    let keeps = subject.a.abilities().marks;
    if !keeps {
        let refused = subject.a.mark(&[Mark::All], Invalidation::Drop, None).await;
        let kind = refused.expect_err("it keeps no marks").kind();
        assert_eq!(kind, ErrorKind::Refused);
        assert!(answered(subject.a.marks().await).marks.is_empty());
    }
    keeps
}

async fn set(tier: &dyn SharedTier, marks: &[Mark], strike: Invalidation) -> Marked {
    let marked = answered(tier.mark(marks, strike, None).await);
    assert_eq!(marked.position, None, "what isn't announced has no position");
    marked
}

/// How and when a mark was set last. It may stand there once for each strike.
fn found(marks: &Marks, wanted: &Mark) -> (Invalidation, MarkClock) {
    let found: Vec<_> = marks.marks.iter().filter(|(mark, ..)| mark == wanted).collect();
    let last = found.iter().max_by_key(|(.., clock)| *clock);
    let Some((_, strike, clock)) = last else { panic!("{wanted:?} was set and isn't there") };
    let same = found.iter().filter(|(_, other, _)| other == strike).count();
    assert_eq!(same, 1, "{wanted:?} is there twice");
    (*strike, *clock)
}

//! Invalidations, as the process pays for them that says so.

use crate::page::Row;
use crate::site::{Process, Wire};
use crate::{cost, hundred};

/// Of single keys. A tier without a bus gives no position.
pub(crate) async fn of_keys(measured: &Process, wire: &Wire) -> Vec<Row> {
    let (ours, has_bus) = (&measured.cache, measured.has_bus());
    let one = cost("`invalidate`, one key", wire, async |time| {
        assert_eq!(ours.invalidate(&(2000 + time)).await.unwrap().position.is_some(), has_bus);
    });
    let one = one.await;
    let stale = cost("`mark_stale`, one key", wire, async |time| {
        assert_eq!(ours.mark_stale(&(3000 + time)).await.unwrap().position.is_some(), has_bus);
    });
    let stale = stale.await;
    let many = cost("`invalidate_many`, 100 keys", wire, async |time| {
        let done = ours.invalidate_many(&hundred(time)).await.unwrap();
        assert_eq!(done.position.is_some(), has_bus);
    });
    vec![one, stale, many.await]
}

/// Of whatever a mark strikes.
pub(crate) async fn of_marks(measured: &Process, wire: &Wire) -> Vec<Row> {
    let ours = &measured.cache;
    let tag =
        cost("`invalidate_tags`, one tag, however many entries it strikes", wire, async |_| {
            assert!(ours.invalidate_tags(&["tenant:7"]).await.unwrap().position.is_some());
        });
    let tag = tag.await;
    let all = cost("`invalidate_all`, however many entries there are", wire, async |_| {
        assert!(ours.invalidate_all().await.unwrap().position.is_some());
    });
    vec![tag, all.await]
}

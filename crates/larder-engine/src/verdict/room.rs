//! Bytes held, times how long they were held.
//!
//! It knows neither entries nor a clock: changes come in with their moment.

use larder_core::Moment;
use larder_core::sync::Mutex;

/// How much room one cache takes over time: the integral of the bytes that it holds.
///
/// Bytes that come at *t* and are still there at *now* have been held for *now − t*. So it is
/// enough to keep the sum of all changes and the sum of each change times its moment; the
/// integral is the first times *now*, less the second. That is exact, a change costs two
/// additions under a lock that is never held for longer, and threads whose moments overtake each
/// other on the way to the lock change nothing.
///
/// ```
/// use larder_core::Moment;
/// use larder_engine::verdict::Room;
/// use std::time::Duration;
///
/// let (room, start) = (Room::default(), Moment::from_nanos(5));
/// room.changed(1_000, start);
/// room.changed(-400, start + Duration::from_secs(2));
/// assert_eq!(room.bytes(), 600);
/// assert_eq!(room.byte_seconds(start + Duration::from_secs(3)), 2.0 * 1_000.0 + 600.0);
/// ```
#[derive(Debug, Default)]
pub struct Room(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    /// The sum of all changes: the bytes held.
    bytes: i128,
    /// The sum of each change times its moment in nanoseconds.
    byte_nanos: i128,
}

impl Room {
    /// So many bytes came, or went if negative.
    pub fn changed(&self, bytes: i64, now: Moment) {
        self.0.lock().change(bytes.into(), now);
    }

    /// So many bytes are held from now on: for whoever can look at the sum and not at each
    /// change. What happened since the last look is taken to have happened now.
    pub fn holds(&self, bytes: u64, now: Moment) {
        let mut sums = self.0.lock();
        let change = i128::from(bytes) - sums.bytes;
        sums.change(change, now);
    }

    /// The bytes held after all changes so far. A removal that was told before its fill counts
    /// below zero for that long; it is never reported so.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.0.lock().bytes.max(0)).unwrap_or(u64::MAX)
    }

    /// Bytes times seconds from the first change until `now`, which should not lie before the
    /// last.
    #[must_use]
    pub fn byte_seconds(&self, now: Moment) -> f64 {
        let sums = self.0.lock();
        let until_now = sums.bytes.wrapping_mul(now.as_nanos().into());
        until_now.wrapping_sub(sums.byte_nanos).max(0) as f64 / 1e9
    }
}

impl Sums {
    // Wrapping is right as long as the integral itself fits, which it does: 2^63 bytes for the
    // 2^64 nanoseconds that moments reach.
    fn change(&mut self, bytes: i128, now: Moment) {
        self.bytes = self.bytes.wrapping_add(bytes);
        let moment = i128::from(now.as_nanos());
        self.byte_nanos = self.byte_nanos.wrapping_add(bytes.wrapping_mul(moment));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(123) + Duration::from_secs(seconds)
    }

    #[test]
    fn the_integral_is_exact_while_bytes_come_and_go() {
        let room = Room::default();
        assert_eq!((room.bytes(), room.byte_seconds(at(9))), (0, 0.0));
        for (second, change, held, before) in [
            (10, 100, 100, 0.0),
            (12, 50, 150, 200.0),
            (15, -100, 50, 650.0),
            (25, -50, 0, 1_150.0),
            (25, 7, 7, 1_150.0),
            (26, -7, 0, 1_157.0),
        ] {
            room.changed(change, at(second));
            assert_eq!((room.bytes(), room.byte_seconds(at(second))), (held, before), "{second} s");
        }
        assert_eq!(room.byte_seconds(at(1_000_000)), 1_157.0);
    }

    #[test]
    fn a_fraction_of_a_second_counts_as_such() {
        let room = Room::default();
        room.changed(3, at(10));
        assert_eq!(room.byte_seconds(at(10) + Duration::from_millis(500)), 1.5);
    }

    #[test]
    fn changes_that_overtake_each_other_give_the_same_integral() {
        let changes = [(100, 10), (50, 12), (-100, 15), (-20, 18)];
        let (room, other) = (Room::default(), Room::default());
        for (change, second) in changes {
            room.changed(change, at(second));
        }
        for (change, second) in changes.into_iter().rev() {
            other.changed(change, at(second));
        }
        assert_eq!(room.byte_seconds(at(20)), other.byte_seconds(at(20)));
        assert_eq!(room.byte_seconds(at(20)), 200.0 + 450.0 + 150.0 + 60.0);
    }

    #[test]
    fn a_removal_told_before_its_fill_is_never_below_zero() {
        let room = Room::default();
        room.changed(-10, at(2));
        assert_eq!((room.bytes(), room.byte_seconds(at(3))), (0, 0.0));
        room.changed(10, at(1));
        assert_eq!((room.bytes(), room.byte_seconds(at(3))), (0, 10.0));
    }

    #[test]
    fn looks_at_the_sum_count_from_look_to_look() {
        let room = Room::default();
        for (second, bytes) in [(10, 100), (12, 40), (14, 40), (20, 0)] {
            room.holds(bytes, at(second));
            assert_eq!(room.bytes(), bytes);
        }
        assert_eq!(room.byte_seconds(at(99)), 200.0 + 320.0);
    }

    #[test]
    fn a_century_of_large_memory_is_no_overflow() {
        let room = Room::default();
        let (start, century) = (Moment::from_nanos(1 << 62), Duration::from_secs(3_155_760_000));
        for _ in 0..1_000 {
            room.changed(1 << 50, start);
            room.changed(-(1 << 50), start);
        }
        room.changed(1 << 50, start);
        let expected = (1_u64 << 50) as f64 * century.as_secs_f64();
        assert_eq!(room.byte_seconds(start + century), expected);
    }

    #[test]
    fn threads_that_change_at_once_lose_nothing() {
        let room = Room::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for second in 0..1_000 {
                        room.changed(5, at(second));
                        room.changed(-3, at(second + 1));
                    }
                });
            }
        });
        // Each round leaves 2 bytes behind, and 3 more for a second.
        let left: u64 = (0..1_000).map(|second| 2 * (1_000 - second)).sum();
        assert_eq!(
            (room.bytes(), room.byte_seconds(at(1_000))),
            (8_000, (4 * (left + 3_000)) as f64)
        );
    }
}

//! Which server has a key: rendezvous hashing.
//!
//! Each server draws a number from its name and the key, and the highest wins. Every process
//! finds the same server by itself, and a server that is added or taken away moves only the keys
//! that it gets or had. (D. Thaler and C. Ravishankar, "Using Name-Based Mappings to Increase Hit
//! Rates", IEEE/ACM Transactions on Networking 6(1), 1998.)
//!
//! A server that is down has its keys all the same: with a neighbour in its place, invalidations
//! that the neighbour saw would be missed by what the server still holds when it is back.

use rapidhash::v3::rapidhash_v3;

/// The servers, by the hashes of their names.
#[derive(Debug)]
pub(crate) struct Routes(Vec<u64>);

impl Routes {
    /// Routes to at least one server.
    pub(crate) fn new<'a>(servers: impl Iterator<Item = &'a str>) -> Self {
        Self(servers.map(|server| rapidhash_v3(server.as_bytes())).collect())
    }

    /// Which of the servers has the key whose name has this hash.
    pub(crate) fn of(&self, hash: u64) -> usize {
        let draw = |server: u64| {
            let mut both = [0; 16];
            both[..8].copy_from_slice(&server.to_be_bytes());
            both[8..].copy_from_slice(&hash.to_be_bytes());
            rapidhash_v3(&both)
        };
        let draws = self.0.iter().enumerate().map(|(at, &server)| (draw(server), at));
        draws.max().map_or(0, |(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVERS: [&str; 3] = ["a:11211", "b:11211", "c:11211"];

    fn hash(key: u32) -> u64 {
        rapidhash_v3(&key.to_be_bytes())
    }

    #[test]
    fn keys_are_spread_evenly() {
        let routes = Routes::new(SERVERS.into_iter());
        let mut counts = [0; 3];
        (0..30_000).for_each(|key| counts[routes.of(hash(key))] += 1);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    /// Other processes, and later versions, must ask the same servers.
    #[test]
    fn routes_stay_as_they_are() {
        let routes = Routes::new(SERVERS.into_iter());
        let first: Vec<_> = (0..12).map(|key| routes.of(hash(key))).collect();
        assert_eq!(first, [2, 1, 1, 0, 0, 1, 1, 0, 2, 1, 0, 1]);
    }

    #[test]
    fn a_server_that_leaves_moves_only_its_own_keys_and_the_order_does_not_matter() {
        let three = Routes::new(SERVERS.into_iter());
        let two = Routes::new(["c:11211", "a:11211"].into_iter());
        for key in 0..3_000 {
            match SERVERS[three.of(hash(key))] {
                "a:11211" => assert_eq!(two.of(hash(key)), 1),
                "c:11211" => assert_eq!(two.of(hash(key)), 0),
                _ => {}
            }
        }
    }
}

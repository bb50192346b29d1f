//! Tests that look inside: of the bytes, of the verdicts, and of journals on a simulated disk.

// Under the checker of interleavings locks exist in its own tests only.
#![cfg_attr(shuttle, allow(dead_code))]

pub(crate) mod bench;
#[cfg(not(shuttle))]
mod faults;
#[cfg(not(shuttle))]
mod fuzz;
#[cfg(not(shuttle))]
mod golden;
#[cfg(not(shuttle))]
mod judge;
#[cfg(not(shuttle))]
mod limits;
#[cfg(not(shuttle))]
mod losses;
#[cfg(not(shuttle))]
mod model;
#[cfg(not(shuttle))]
mod modes;
#[cfg(not(shuttle))]
mod omitted;
#[cfg(not(shuttle))]
mod reading;
pub(crate) mod simulated;
#[cfg(not(shuttle))]
mod view;

#[test]
fn the_checksum_is_castagnolis() {
    // The check value of the catalogue, and the test vectors of RFC 3720, B.4.
    assert_eq!(crate::format::checksum(b"123456789"), 0xe306_9283);
    assert_eq!(crate::format::checksum(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crate::format::checksum(&[0xff; 32]), 0x62a8_ab43);
}

//! Integers of any length from zero on, with the few operations that reading and writing a
//! floating point number takes. They are as long as the texts that clients send, a few kilobytes.

use std::cmp::Ordering;

/// An integer: digits of 32 bits, the lowest first, and no zeros at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Natural(Vec<u32>);

impl From<u64> for Natural {
    fn from(number: u64) -> Self {
        let mut natural = Self(vec![number as u32, (number >> 32) as u32]);
        natural.trim();
        natural
    }
}

impl Natural {
    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bits it has.
    pub(super) fn bits(&self) -> usize {
        self.0
            .last()
            .map_or(0, |last| self.0.len() * u32::BITS as usize - last.leading_zeros() as usize)
    }

    pub(super) fn multiply_and_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for digit in &mut self.0 {
            carry += u64::from(*digit) * u64::from(factor);
            *digit = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    /// Multiplies it by two, so many times.
    pub(super) fn shift(&mut self, bits: usize) {
        if self.is_zero() {
            return;
        }
        let (digits, bits) = (bits / 32, bits % 32);
        self.multiply_and_add(1 << bits, 0);
        self.0.splice(0..0, std::iter::repeat_n(0, digits));
    }

    /// Takes one from it that isn't larger.
    pub(super) fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (at, digit) in self.0.iter_mut().enumerate() {
            let taken = other.0.get(at).copied().unwrap_or(0);
            let (difference, first) = digit.overflowing_sub(taken);
            let (difference, second) = difference.overflowing_sub(u32::from(borrow));
            *digit = difference;
            borrow = first || second;
        }
        debug_assert!(!borrow, "what is taken is larger");
        self.trim();
    }

    /// Its decimal digits.
    pub(super) fn decimal(mut self) -> String {
        const NINE_DIGITS: u64 = 1_000_000_000;
        let mut groups = Vec::new();
        while !self.is_zero() {
            let mut rest = 0;
            for digit in self.0.iter_mut().rev() {
                let part = rest << 32 | u64::from(*digit);
                *digit = (part / NINE_DIGITS) as u32;
                rest = part % NINE_DIGITS;
            }
            self.trim();
            groups.push(rest);
        }
        let first = groups.pop().unwrap_or(0).to_string();
        groups.into_iter().rev().fold(first, |text, group| format!("{text}{group:09}"))
    }

    fn trim(&mut self) {
        let length = self.0.iter().rposition(|&digit| digit != 0).map_or(0, |last| last + 1);
        self.0.truncate(length);
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_digits = || self.0.iter().rev().cmp(other.0.iter().rev());
        self.0.len().cmp(&other.0.len()).then_with(by_digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_of_two_has_its_digits() {
        let mut number = Natural::from(1);
        number.shift(100);
        assert_eq!(number.bits(), 101);
        let mut less = number.clone();
        less.subtract(&Natural::from(1));
        assert!(less < number && Natural::from(0) < less);
        assert_eq!(number.decimal(), "1267650600228229401496703205376");
        assert_eq!(less.decimal(), "1267650600228229401496703205375");
        assert_eq!(Natural::from(0).decimal(), "0");
    }
}

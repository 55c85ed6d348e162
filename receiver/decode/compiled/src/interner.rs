//! Byte strings numbered in the order in which they were first seen.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};

/// A hash that is quick for short strings; its seed is drawn anew for each interner, as clients choose the strings.
struct Seed(u64, u64);

impl Seed {
    fn draw() -> Self {
        let draw = || {
            let mut hasher = RandomState::new().build_hasher();
            0u8.hash(&mut hasher);
            hasher.finish() | 1
        };
        Seed(draw(), draw())
    }

    #[inline]
    fn hash(&self, bytes: &[u8]) -> u64 {
        let mut state = self.0 ^ (bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0u8; 8];
            word.copy_from_slice(chunk);
            state = fold(state ^ u64::from_le_bytes(word), self.1);
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut word = [0u8; 8];
            word[..rest.len()].copy_from_slice(rest);
            state = fold(state ^ u64::from_le_bytes(word), self.1);
        }
        fold(state, self.0 ^ 0xd6e8_feb8_6659_fd93)
    }
}

#[inline]
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ (product >> 64) as u64
}

pub struct Interner {
    seed: Seed,
    slots: Vec<u32>,
    hashes: Vec<u64>,
    ends: Vec<usize>,
    data: Vec<u8>,
}

const FREE: u32 = u32::MAX;

impl Default for Interner {
    fn default() -> Self {
        Interner {
            seed: Seed::draw(),
            slots: vec![FREE; 64],
            hashes: Vec::new(),
            ends: Vec::new(),
            data: Vec::new(),
        }
    }
}

impl Interner {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn get(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.data[start..self.ends[number]]
    }

    /// The strings one behind the other, and where each ends.
    pub fn into_parts(self) -> (Vec<usize>, Vec<u8>) {
        (self.ends, self.data)
    }

    /// The number of a string, and whether it is new.
    #[inline]
    pub fn number(&mut self, bytes: &[u8]) -> (usize, bool) {
        let hash = self.seed.hash(bytes);
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let number = self.slots[slot];
            if number == FREE {
                break;
            }
            if self.hashes[number as usize] == hash && self.get(number as usize) == bytes {
                return (number as usize, false);
            }
            slot = (slot + 1) & mask;
        }
        let number = self.ends.len();
        self.slots[slot] = number as u32;
        self.hashes.push(hash);
        self.data.extend_from_slice(bytes);
        self.ends.push(self.data.len());
        if 2 * self.hashes.len() > self.slots.len() {
            self.grow();
        }
        (number, true)
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 4 - 1;
        self.slots = vec![FREE; mask + 1];
        for (number, &hash) in self.hashes.iter().enumerate() {
            let mut slot = hash as usize & mask;
            while self.slots[slot] != FREE {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = number as u32;
        }
    }
}

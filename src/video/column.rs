//! Long columns of whole numbers in little memory: a million packets' sizes, places and times in a few megabytes.
//!
//! Numbers lie in blocks of [`BLOCK`]. A block keeps the straight line that fits its numbers and, for each, how far it
//! lies above that line, in as many bytes as the farthest needs: none at a constant rate. Any number is read in
//! constant time.

/// Numbers of one block: enough that its head weighs nothing, few enough that one outlier spoils few.
const BLOCK: usize = 1024;
/// Fraction bits of a line's slope.
const FINE: u32 = 20;

/// Whole numbers, appended at the end and read at any place.
#[derive(Clone, Default)]
pub(super) struct Column {
    sealed: Vec<Block>,
    /// The last numbers, until they fill a block.
    open: Vec<i64>,
}

#[derive(Clone)]
struct Block {
    start: i64,
    /// Rise from one number to the next, in 1 / 2^FINE.
    slope: i64,
    /// Bytes of each number's distance from the line: 0 to 8.
    width: u8,
    above: Box<[u8]>,
}

impl Column {
    pub fn len(&self) -> usize {
        self.sealed.len() * BLOCK + self.open.len()
    }

    pub fn push(&mut self, number: i64) {
        self.open.push(number);
        if self.open.len() == BLOCK {
            self.sealed.push(Block::of(&self.open));
            self.open.clear();
        }
    }

    pub fn get(&self, n: usize) -> Option<i64> {
        match self.sealed.get(n / BLOCK) {
            Some(block) => Some(block.get(n % BLOCK)),
            None => self.open.get(n - self.sealed.len() * BLOCK).copied(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = i64> {
        let sealed = self.sealed.iter().flat_map(|b| (0..BLOCK).map(|i| b.get(i)));
        sealed.chain(self.open.iter().copied())
    }

    /// Of numbers of which the first ones fulfil `first` and the others do not: how many do.
    pub fn partition_point(&self, first: impl Fn(i64) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle) {
                Some(number) if first(number) => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    /// Gives back what was reserved for growing.
    pub fn finish(&mut self) {
        self.sealed.shrink_to_fit();
        self.open.shrink_to_fit();
    }
}

impl FromIterator<i64> for Column {
    fn from_iter<T: IntoIterator<Item = i64>>(numbers: T) -> Self {
        let mut column = Self::default();
        numbers.into_iter().for_each(|n| column.push(n));
        column.finish();
        column
    }
}

impl Block {
    fn of(numbers: &[i64]) -> Self {
        let first = numbers.first().copied().unwrap_or(0);
        let rise = numbers.last().map_or(0, |l| i128::from(*l) - i128::from(first));
        let count = i128::try_from(numbers.len().max(2) - 1).unwrap_or(1);
        // Two lines are tried: through the first and last number (times, places), and a level one (sizes).
        let through = i64::try_from((rise << FINE) / count).unwrap_or(0);
        let (a, b) = (Self::along(numbers, through), Self::along(numbers, 0));
        if a.width < b.width { a } else { b }
    }

    fn along(numbers: &[i64], slope: i64) -> Self {
        // Everything wraps around, here and in `get`, so that any numbers come back as they were.
        let off = |i: usize, number: i64| number.wrapping_sub(rise(slope, i));
        let offs = || numbers.iter().enumerate().map(|(i, n)| off(i, *n));
        let start = offs().min().unwrap_or(0);
        #[allow(clippy::cast_sign_loss)] // the bits are what counts
        let above = |o: i64| o.wrapping_sub(start) as u64;
        let most = offs().map(above).max().unwrap_or(0);
        let width = (u64::BITS - most.leading_zeros()).div_ceil(8) as usize;
        let mut bytes = Vec::with_capacity(width * numbers.len());
        for o in offs() {
            bytes.extend_from_slice(&above(o).to_le_bytes()[..width]);
        }
        Self { start, slope, width: u8::try_from(width).unwrap_or(8), above: bytes.into() }
    }

    fn get(&self, i: usize) -> i64 {
        let width = usize::from(self.width);
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(&self.above[i * width..(i + 1) * width]);
        self.start.wrapping_add(rise(self.slope, i)).wrapping_add(i64::from_le_bytes(bytes))
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // i is below BLOCK; the rest wraps around
fn rise(slope: i64, i: usize) -> i64 {
    ((i128::from(slope) * i as i128) >> FINE) as i64
}

/// Yes or no for each of many, a bit each.
#[derive(Clone, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    pub fn push(&mut self, yes: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        self.len += 1;
        self.set(self.len - 1, yes);
    }

    pub fn get(&self, n: usize) -> bool {
        self.words.get(n / 64).is_some_and(|w| w >> (n % 64) & 1 == 1)
    }

    /// Sets one that is there; others are ignored.
    pub fn set(&mut self, n: usize, yes: bool) {
        if let Some(word) = self.words.get_mut(n / 64).filter(|_| n < self.len) {
            *word = *word & !(1 << (n % 64)) | u64::from(yes) << (n % 64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(column: &Column) -> usize {
        column.sealed.iter().map(|b| b.above.len()).sum()
    }

    #[test]
    fn what_is_regular_takes_no_room() {
        let even: Column = (0..10_240).map(|n| 1_000_000 + n * 512).collect();
        assert_eq!((even.len(), bytes(&even)), (10_240, 0));
        // 29.97 frames per second in milliseconds.
        let rounded: Column = (0..10_240).map(|n| n * 1001 / 30).collect();
        assert!(bytes(&rounded) <= 10_240, "{}", bytes(&rounded));
        assert_eq!(rounded.partition_point(|t| t < 5005), 150);
        let same: Column = (0..5000).map(|_| i64::MIN).collect();
        assert_eq!((bytes(&same), same.get(4999), same.get(5000)), (0, Some(i64::MIN), None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn numbers_come_back(
            numbers in prop_oneof![
                prop::collection::vec(any::<i64>(), 0..3000),
                prop::collection::vec(prop_oneof![Just(i64::MIN), Just(i64::MAX), 0..9_i64], 1000..2200),
                prop::collection::vec(0..70_000_i64, 1000..2200),
            ],
        ) {
            let column: Column = numbers.iter().copied().collect();
            prop_assert_eq!(column.len(), numbers.len());
            prop_assert!(column.iter().eq(numbers.iter().copied()));
            for (n, number) in numbers.iter().enumerate() {
                prop_assert_eq!(column.get(n), Some(*number));
            }
            prop_assert_eq!(column.get(numbers.len()), None);
            let mut bits = Bits::default();
            numbers.iter().for_each(|n| bits.push(n % 3 == 0));
            bits.set(numbers.len(), true);
            bits.push(false);
            for (n, number) in numbers.iter().enumerate() {
                prop_assert_eq!(bits.get(n), number % 3 == 0);
            }
            prop_assert!(!bits.get(numbers.len()));
        }
    }
}

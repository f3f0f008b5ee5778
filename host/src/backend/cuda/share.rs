//! What of a batch one of several machines takes.

use std::ops::Range;

/// The images of a batch that one machine takes: those in a row that are its turn. All machines
/// together take each image once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The machine's number, counted from 0.
    pub rank: usize,
    /// Machines that share the batch.
    pub ranks: usize,
    /// Its first image.
    pub start: usize,
    /// Its images.
    pub count: usize,
    /// Images of the batch.
    pub total: usize,
}

impl Share {
    /// All images, for a machine that works alone.
    pub fn whole(count: usize) -> Self {
        Self {
            rank: 0,
            ranks: 1,
            start: 0,
            count,
            total: count,
        }
    }

    /// Those of the machine `rank` of `ranks`, no more than one fewer or more than another's. Where
    /// there are fewer images than machines each takes all of them, and they need not talk.
    pub fn of(total: usize, rank: usize, ranks: usize) -> Self {
        if total < ranks {
            return Self::whole(total);
        }
        let start = |rank| rank * total / ranks;
        Self {
            rank,
            ranks,
            start: start(rank),
            count: start(rank + 1) - start(rank),
            total,
        }
    }

    /// The most that a machine of `ranks`, one or more, takes of so many images or fewer.
    pub fn most(total: usize, ranks: usize) -> Self {
        // The last one has the longest share; of a batch with too few images each has all.
        let last = Self::of(total, ranks - 1, ranks);
        let few = Self::whole(total.min(ranks - 1));
        if few.count > last.count { few } else { last }
    }

    /// Whether there is nothing to ask of other machines.
    pub fn is_whole(&self) -> bool {
        self.ranks == 1
    }

    /// Its images.
    pub fn images(&self) -> Range<usize> {
        self.values(1)
    }

    /// Its values in an array that has so many of each image.
    pub fn values(&self, each: usize) -> Range<usize> {
        self.start * each..(self.start + self.count) * each
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_take_every_image_once() {
        for ranks in 1..6 {
            for total in 0..40 {
                let shares: Vec<_> = (0..ranks)
                    .map(|rank| Share::of(total, rank, ranks))
                    .collect();
                let most = Share::most(total, ranks);
                if total < ranks {
                    assert_eq!(shares, vec![Share::whole(total); ranks]);
                    assert_eq!(most.count, total);
                    continue;
                }
                let images: Vec<_> = shares.iter().flat_map(Share::images).collect();
                assert!(images.into_iter().eq(0..total));
                for share in shares {
                    assert!([total / ranks, total.div_ceil(ranks)].contains(&share.count));
                    assert_eq!((share.ranks, share.total), (ranks, total));
                    assert_eq!(share.is_whole(), ranks == 1);
                }
                assert_eq!(most.count, total.div_ceil(ranks).max(ranks - 1));
            }
        }
    }
}

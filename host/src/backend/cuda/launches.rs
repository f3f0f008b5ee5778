//! Launches that have not started yet.

use bytemuck::{cast_slice, cast_slice_mut};

use super::machine::{Argument, Launch};

/// Launches in their order, with a copy of their arguments.
#[derive(Debug, Default)]
pub struct Launches {
    launches: Vec<Launch>,
    /// How many places and words the launches up to each one take.
    ends: Vec<End>,
    places: Vec<Place>,
    /// The arguments, each from a word of its own on.
    words: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct End {
    places: usize,
    words: usize,
}

/// An argument's first word, and its bytes.
#[derive(Clone, Copy, Debug)]
struct Place {
    word: usize,
    len: usize,
}

impl Launches {
    /// Adds a launch.
    pub fn push(&mut self, launch: &Launch, arguments: &[Argument]) {
        self.launches.push(*launch);
        for argument in arguments {
            let bytes = argument.bytes();
            let (word, len) = (self.words.len(), bytes.len());
            self.words.resize(word + len.div_ceil(size_of::<u64>()), 0);
            cast_slice_mut(&mut self.words[word..])[..len].copy_from_slice(bytes);
            self.places.push(Place { word, len });
        }
        self.ends.push(End {
            places: self.places.len(),
            words: self.words.len(),
        });
    }

    /// Forgets them, but keeps the memory for others.
    pub(super) fn clear(&mut self) {
        self.launches.clear();
        self.ends.clear();
        self.places.clear();
        self.words.clear();
    }

    /// The launches.
    pub fn all(&self) -> &[Launch] {
        &self.launches
    }

    /// The arguments of the launch at `index`.
    pub fn arguments(&self, index: usize) -> Vec<Argument<'_>> {
        let [start, end] = self.range(index);
        let argument = |place: &Place| {
            let bytes = cast_slice(&self.words[place.word..]);
            Argument::there(&bytes[..place.len])
        };
        let places = &self.places[start.places..end.places];
        places.iter().map(argument).collect()
    }

    /// The launches whose arguments are not those that they have in `last`, of equal launches.
    pub(super) fn changed(&self, last: &Self) -> impl Iterator<Item = usize> {
        let all = 0..self.launches.len();
        all.filter(|&index| self.words(index) != last.words(index))
    }

    fn words(&self, index: usize) -> &[u64] {
        let [start, end] = self.range(index);
        &self.words[start.words..end.words]
    }

    fn range(&self, index: usize) -> [End; 2] {
        let before = index.checked_sub(1).map(|before| self.ends[before]);
        [before.unwrap_or_default(), self.ends[index]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAUNCH: Launch = Launch {
        kernel: "any",
        grid: [1; 3],
        block: [1; 3],
    };

    fn of(all: &[&[Argument]]) -> Launches {
        let mut launches = Launches::default();
        for arguments in all {
            launches.push(&LAUNCH, arguments);
        }
        launches
    }

    #[test]
    fn arguments_are_kept_to_the_byte() {
        let table: Vec<i32> = (0..7).collect();
        let all: [&[Argument]; 3] = [
            &[1.5f32.into(), Argument::words(&table), Argument::NONE],
            &[],
            &[Argument::value([1i32, 2, 3]), 2.5f64.into(), true.into()],
        ];
        let launches = of(&all);
        for (index, arguments) in all.iter().enumerate() {
            let kept = launches.arguments(index);
            assert_eq!(kept.len(), arguments.len());
            for (kept, argument) in kept.iter().zip(*arguments) {
                assert_eq!(kept.bytes(), argument.bytes());
            }
        }
        assert_eq!(launches.arguments(2)[0].bytes().len(), 12);
    }

    #[test]
    fn launches_with_other_arguments_are_found() {
        let [one, two] = [1, 2].map(Argument::from);
        let first = of(&[&[one, two], &[], &[one]]);
        let mut again = of(&[&[two, one], &[one, two]]);
        again.clear();
        for arguments in [&[one, one][..], &[], &[one]] {
            again.push(&LAUNCH, arguments);
        }
        assert_eq!(again.changed(&first).collect::<Vec<_>>(), [0]);
        let last = of(&[&[one, two], &[], &[two]]);
        assert_eq!(last.changed(&first).collect::<Vec<_>>(), [2]);
        assert_eq!(first.changed(&first).count(), 0);
    }
}

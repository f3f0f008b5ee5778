//! Classes taught on the device, by one frame or a few each: no host, no training.
//!
//! A frame's features are what an [`Encoder`](crate::Encoder) makes of it. A class is the mean of
//! its frames' features, and a frame is of the class whose mean is nearest: the nearest class mean
//! (Mensink, Verbeek, Perronnin and Csurka, 2013; the prototypes of Snell, Swersky and Zemel, 2017).
//!
//! # Arithmetic
//!
//! All of it is in integers, and the same on every machine. Of a feature of value x with zero point
//! z, the signed square root is kept, so that no few features outweigh the others (Perronnin,
//! Sánchez and Mensink, 2010):
//!
//! ```text
//! r = sgn(x − z) ⌊√(256 |x − z|)⌋                              |r| ≤ 255
//! ```
//!
//! A class is the sum s of the r of its n frames, in 16 bits. The similarity of a frame and a class
//! is the cosine of the angle between r and s, in units of 1 / [`ONE`], rounded towards zero:
//!
//! ```text
//! 2¹⁵ (r · s) / ⌊√(|r|² |s|²)⌋                                  0 where a length is 0
//! ```
//!
//! With at most [`MAX_FEATURES`] features and [`MAX_FRAMES`] frames, |r · s| and |r| |s| are at most
//! 1024 × 255 × (64 × 255) < 2³², so that |r|² |s|² is below 2⁶⁴. [`Calibration`] says how likely a
//! frame of that similarity is of none of the classes.
//!
//! ```
//! use vae96::{Match, Model, Prototypes, Quantised, TeachError};
//!
//! /// Ten classes of a deep encoder, in 3 KB.
//! type Taught = Prototypes<10, 128>;
//!
//! fn learn(taught: &mut Taught, seen: &Quantised<'_>) -> Result<usize, TeachError> {
//!     taught.teach("my mug", seen)
//! }
//!
//! fn is_my_mug(taught: &Taught, seen: &Quantised<'_>) -> Result<bool, TeachError> {
//!     let similarities = taught.compare(seen)?;
//!     let none = similarities.none_of_these().unwrap_or(0);
//!     Ok(none < vae96::prototypes::ONE / 2
//!         && similarities.best().is_some_and(|best| best.name == "my mug"))
//! }
//! ```

mod calibration;
mod file;
mod similarity;

use heapless::{String, Vec};

pub use calibration::Calibration;
pub use file::{SavedError, saved_bytes};

use crate::model::Model;
use crate::quantised::Quantised;
use similarity::{Frame, root};

/// What stands for 1 in similarities and probabilities.
pub const ONE: i32 = 1 << 15;

/// The most features.
pub const MAX_FEATURES: usize = 1024;

/// The most frames of a class.
pub const MAX_FRAMES: u16 = 64;

/// The most bytes of a class's name, in UTF-8.
pub const NAME_BYTES: usize = 24;

/// Why a class is not taught, or a frame not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TeachError {
    /// The features are more than there is room for, or not as many as the model gives.
    Features,
    /// The name is empty, longer than [`NAME_BYTES`], or has a zero byte.
    Name,
    /// There is no room for another class.
    Full,
    /// The class has [`MAX_FRAMES`] frames already.
    Frames,
}

impl core::fmt::Display for TeachError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Features => "the features are not as many as the prototypes are for",
            Self::Name => "a class's name must have 1 to 24 bytes, none of them zero",
            Self::Full => "there is no room for another class",
            Self::Frames => "the class was taught 64 frames already",
        })
    }
}

impl core::error::Error for TeachError {}

/// Up to `CLASSES` classes of up to `FEATURES` features of one model; more than [`MAX_FEATURES`]
/// do not compile.
#[derive(Clone, Debug)]
pub struct Prototypes<const CLASSES: usize, const FEATURES: usize> {
    /// Of the model whose features they are.
    fingerprint: u32,
    /// How many features that model gives.
    features: usize,
    calibration: Option<Calibration>,
    classes: Vec<Class<FEATURES>, CLASSES>,
}

/// A class that was taught a frame at least.
#[derive(Clone, Debug)]
struct Class<const FEATURES: usize> {
    name: String<NAME_BYTES>,
    frames: u16,
    /// Of its frames' roots; zero from the model's number of features on.
    sum: [i16; FEATURES],
}

impl<const CLASSES: usize, const FEATURES: usize> Prototypes<CLASSES, FEATURES> {
    /// No classes yet, for the features that `model` gives.
    ///
    /// # Errors
    /// [`TeachError::Features`] where they are more than `FEATURES`.
    #[inline(always)]
    pub fn of(model: &Model<'_>) -> Result<Self, TeachError> {
        const { assert!(FEATURES <= MAX_FEATURES, "more than MAX_FEATURES features") };
        let features = model.outputs();
        if features > FEATURES {
            return Err(TeachError::Features);
        }
        Ok(Self {
            fingerprint: model.fingerprint(),
            features,
            calibration: None,
            classes: Vec::new(),
        })
    }

    /// How likely a frame is of none of the classes, if that was ever measured of the model.
    pub const fn calibration(&self) -> Option<Calibration> {
        self.calibration
    }

    /// Changes it.
    pub const fn calibrate(&mut self, calibration: Option<Calibration>) {
        self.calibration = calibration;
    }

    /// How many classes there are.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// The classes' names, and how many frames each was taught.
    pub fn classes(&self) -> impl ExactSizeIterator<Item = (&str, u16)> {
        (self.classes.iter()).map(|class| (class.name.as_str(), class.frames))
    }

    /// Adds a frame to the class of that name, which is added where there is none. Gives the
    /// class, counted from 0.
    ///
    /// # Errors
    /// See [`TeachError`]; nothing has changed then.
    pub fn teach(&mut self, name: &str, features: &Quantised<'_>) -> Result<usize, TeachError> {
        self.check(features)?;
        let known = self.classes.iter().position(|class| class.name == name);
        let index = match known {
            Some(index) => index,
            None => self.add(name)?,
        };
        let class = self.classes.get_mut(index).ok_or(TeachError::Full)?;
        if class.frames >= MAX_FRAMES {
            return Err(TeachError::Frames);
        }
        class.frames += 1;
        for (sum, &value) in class.sum.iter_mut().zip(features.values) {
            *sum = sum.wrapping_add(root(value, features.zero_point));
        }
        Ok(index)
    }

    /// Forgets the class of that name; those after it move up by one. `false` where there is none.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.classes.len();
        self.classes.retain(|class| class.name != name);
        self.classes.len() < before
    }

    /// Forgets all classes.
    pub fn clear(&mut self) {
        self.classes.clear();
    }

    /// How similar a frame is to each of the classes.
    ///
    /// # Errors
    /// [`TeachError::Features`].
    pub fn compare(
        &self,
        features: &Quantised<'_>,
    ) -> Result<Similarities<'_, CLASSES, FEATURES>, TeachError> {
        self.check(features)?;
        let frame = Frame::<FEATURES>::new(features);
        let mut values = Vec::new();
        for class in &self.classes {
            // There is room for as many as there are classes.
            let _ = values.push(frame.similarity(&class.sum));
        }
        Ok(Similarities {
            prototypes: self,
            values,
        })
    }

    fn check(&self, features: &Quantised<'_>) -> Result<(), TeachError> {
        if features.values.len() != self.features {
            return Err(TeachError::Features);
        }
        Ok(())
    }

    /// A class of no frames yet.
    fn add(&mut self, name: &str) -> Result<usize, TeachError> {
        let index = self.classes.len();
        let class = Class {
            name: checked(name).ok_or(TeachError::Name)?,
            frames: 0,
            sum: [0; FEATURES],
        };
        self.classes.push(class).map_err(|_| TeachError::Full)?;
        Ok(index)
    }
}

/// A name as it is kept, if it can be.
fn checked(name: &str) -> Option<String<NAME_BYTES>> {
    if name.is_empty() || name.bytes().any(|byte| byte == 0) {
        return None;
    }
    let mut kept = String::new();
    kept.push_str(name).ok()?;
    Some(kept)
}

/// How similar a frame is to each class.
#[derive(Clone, Debug)]
pub struct Similarities<'p, const CLASSES: usize, const FEATURES: usize> {
    prototypes: &'p Prototypes<CLASSES, FEATURES>,
    values: Vec<i32, CLASSES>,
}

/// One class and how similar the frame is to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match<'p> {
    /// The class, counted from 0.
    pub class: usize,
    /// Its name.
    pub name: &'p str,
    /// The frames it was taught.
    pub frames: u16,
    /// The cosine × [`ONE`], from −[`ONE`] to [`ONE`].
    pub similarity: i32,
}

impl<'p, const CLASSES: usize, const FEATURES: usize> Similarities<'p, CLASSES, FEATURES> {
    /// The cosines × [`ONE`], class by class.
    pub fn values(&self) -> &[i32] {
        &self.values
    }

    /// The most similar class, of equal ones the lowest; `None` where there is no class.
    pub fn best(&self) -> Option<Match<'p>> {
        self.best_after(None)
    }

    /// The `K` most similar classes, the best first; of equal ones the lower class first.
    pub fn top_k<const K: usize>(&self) -> Vec<Match<'p>, K> {
        let mut best = Vec::new();
        let mut last = None;
        while let Some(next) = self.best_after(last) {
            if best.push(next).is_err() {
                break;
            }
            last = Some(next);
        }
        best
    }

    /// The probability × [`ONE`] that the frame is of none of the classes: [`ONE`] where there
    /// are no classes, `None` where nobody has calibrated.
    pub fn none_of_these(&self) -> Option<i32> {
        let calibration = self.prototypes.calibration?;
        Some(match self.best() {
            Some(best) => calibration.probability(best.similarity, best.frames),
            None => ONE,
        })
    }

    /// The class that comes after another in the order of the best.
    fn best_after(&self, last: Option<Match<'_>>) -> Option<Match<'p>> {
        let mut best: Option<Match<'p>> = None;
        let classes = self.prototypes.classes();
        for (class, (&similarity, (name, frames))) in self.values.iter().zip(classes).enumerate() {
            let is_after = last.is_none_or(|last| {
                similarity < last.similarity
                    || (similarity == last.similarity && class > last.class)
            });
            if is_after && best.is_none_or(|best| similarity > best.similarity) {
                best = Some(Match {
                    class,
                    name,
                    frames,
                    similarity,
                });
            }
        }
        best
    }
}

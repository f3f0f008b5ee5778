//! Classes taught as the firmware example `teach` is taught them. Its encoder, of scenes:
//!
//! ```text
//! vae96 pretrain --depth deep --epochs 6 --out deep
//! vae96 export deep --out edge-deep-encoder.v96
//! vae96 teach edge-deep-encoder.v96 --calibrate --out edge-deep-encoder.p96
//! ```

use anyhow::{Context, Result, anyhow};
use vae96::prototypes::Similarities;
use vae96::{EdgeDeepEncoder, Encoder, IMAGE_BYTES, Prototypes};

/// What the classes of the host's images are called, and how many images teach each.
const NAMES: [&str; 4] = ["one", "two", "three", "four"];
const SHOTS: usize = 3;

/// The most classes, and the encoder's features.
const FEATURES: usize = 128;
type Taught = Prototypes<{ NAMES.len() }, FEATURES>;

/// An encoder and what it was taught.
pub struct Lesson<'m> {
    encoder: Encoder<'m, EdgeDeepEncoder>,
    taught: Taught,
}

impl<'m> Lesson<'m> {
    /// Begins with the classes of a file.
    ///
    /// # Errors
    /// Where the model is of another network, or the classes are of another model.
    pub fn new(model: &'m [u8], classes: &[u8]) -> Result<Self> {
        let encoder = Encoder::new(model).map_err(|error| anyhow!("{error}"))?;
        let mut taught = Prototypes::of(encoder.model())?;
        taught.load(classes)?;
        Ok(Self { encoder, taught })
    }

    /// Teaches a class an image, 96×96 RGB bytes.
    ///
    /// # Errors
    /// Where there is no room for it, or the image is short.
    pub fn teach(&mut self, name: &str, image: &[u8]) -> Result<()> {
        let Ok(seen) = self.encoder.encode(whole(image)?);
        self.taught.teach(name, &seen)?;
        Ok(())
    }

    /// How similar an image is to each class.
    ///
    /// # Errors
    /// Where it is short.
    pub fn compare(&mut self, image: &[u8]) -> Result<Similarities<'_, { NAMES.len() }, FEATURES>> {
        let Ok(seen) = self.encoder.encode(whole(image)?);
        Ok(self.taught.compare(&seen)?)
    }

    /// What the example writes of raw images: the classes that the first of them teach, as they are
    /// saved; then of each other image the similarities, and the probability of none.
    ///
    /// # Errors
    /// Where the images are too few or not whole.
    pub fn answers(mut self, images: &[u8]) -> Result<Vec<u8>> {
        let mut images = images.chunks(IMAGE_BYTES);
        for name in NAMES.iter().cycle().take(NAMES.len() * SHOTS) {
            self.teach(name, images.next().context("too few images")?)?;
        }
        let mut answers = vec![0; self.taught.saved_bytes()];
        self.taught.save(&mut answers)?;
        for image in images {
            let found = self.compare(image)?;
            let none = found.none_of_these().unwrap_or_default();
            answers.extend(
                found
                    .values()
                    .iter()
                    .chain([&none])
                    .flat_map(|value| value.to_le_bytes()),
            );
        }
        Ok(answers)
    }
}

fn whole(image: &[u8]) -> Result<&[u8; IMAGE_BYTES]> {
    image.first_chunk().context("an image is short")
}

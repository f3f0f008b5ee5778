//! The frames that are built into the firmware examples, and what the device should say of them.

use anyhow::{Context, Result, anyhow};
use host::data::scenes;
use host::evaluate::Aligned;
use vae96::{Classifier, Edge, IMAGE_BYTES};

use crate::lesson::Lesson;

/// What the scenes are drawn from.
const SEED: u64 = 96;

/// The classes that are shown.
const CLASSES: [usize; 2] = [5, 9];

/// A frame.
pub struct Frame {
    /// What it shows.
    pub name: String,
    /// 96×96 RGB pixels.
    pub bytes: Vec<u8>,
}

/// Draws the frames.
pub fn draw() -> Vec<Frame> {
    let data = scenes::dataset(&scenes::Options {
        seed: SEED,
        train_per_class: 0,
        val_per_class: 1,
        unlabelled: 0,
    });
    let frame = |class: usize| Frame {
        name: data.classes[class].clone(),
        bytes: crate::image(&data.val.images, class),
    };
    CLASSES.map(frame).into()
}

/// What `firmware` prints of the frames, a line each, with a model of [`Edge`].
///
/// # Errors
/// Where the file is no such model.
pub fn report(model: &[u8]) -> Result<String> {
    let model = Aligned::new(model);
    let mut classifier =
        Classifier::<Edge>::new(model.bytes()).map_err(|error| anyhow!("{error}"))?;
    let mut report = String::new();
    for frame in draw() {
        let image: &[u8; IMAGE_BYTES] = frame.bytes.first_chunk().context("a frame is short")?;
        let Ok(logits) = classifier.classify(image);
        let best = logits.top_k::<1>();
        let best = best.first().context("a model without classes")?;
        let (frame, name) = (frame.name, best.name.unwrap_or("(no name)"));
        let thousandths = (best.probability * 1000.0 + 0.5) as u32;
        report += &format!(
            "frame {frame}: class {} {name}, score {thousandths}/1000\n",
            best.class
        );
    }
    Ok(report)
}

/// What `teach` prints of the frames as a mirror shows them, a line each, when it was taught each
/// of them once, with an encoder's model and a file of no classes.
///
/// # Errors
/// Where the files are no such files.
pub fn taught_report(model: &[u8], classes: &[u8]) -> Result<String> {
    let model = Aligned::new(model);
    let mut lesson = Lesson::new(model.bytes(), classes)?;
    let frames = draw();
    for frame in &frames {
        lesson.teach(&frame.name, &frame.bytes)?;
    }
    let mut report = String::new();
    for frame in &frames {
        let mut mirrored = frame.bytes.clone();
        let (rows, _) = mirrored.as_chunks_mut::<{ vae96::ROW_BYTES }>();
        rows.iter_mut()
            .for_each(|row| row.as_chunks_mut::<3>().0.reverse());
        let found = lesson.compare(&mirrored)?;
        let best = found.best().context("nothing was taught")?;
        let none = found
            .none_of_these()
            .context("the file is not calibrated")?;
        report += &format!(
            "frame {}: class {}, similarity {}, none of these {none}\n",
            frame.name, best.name, best.similarity
        );
    }
    Ok(report)
}

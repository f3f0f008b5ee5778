//! Classes taught on the device, beside the same sums in wide integers and in real numbers.

mod common;

use common::{File, Random, description};
use proptest::prelude::*;
use vae96::prototypes::{MAX_FRAMES, NAME_BYTES, ONE};
use vae96::{
    Calibration, Edge, EdgeDeepEncoder, Encoder, Model, Prototypes, Quantised, SavedError,
};

/// A model that gives so many features.
fn model(features: usize) -> File {
    File::random(&mut Random(1), description::<Edge>(), features, false)
}

fn quantised(values: &[i8], zero_point: i8) -> Quantised<'_> {
    Quantised {
        values,
        scale: 1.0,
        zero_point,
    }
}

/// sgn(d) ⌊√(256 |d|)⌋, as the documentation has it.
fn root(value: i8, zero_point: i8) -> i128 {
    let distance = i128::from(value) - i128::from(zero_point);
    let root = (256.0 * distance.abs() as f64).sqrt().floor() as i128;
    root * distance.signum()
}

fn roots(values: &[i8], zero_point: i8) -> Vec<i128> {
    values
        .iter()
        .map(|&value| root(value, zero_point))
        .collect()
}

fn dot(a: &[i128], b: &[i128]) -> i128 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The sum of the roots of frames.
fn sum(frames: &[Vec<i8>], zero_point: i8) -> Vec<i128> {
    let mut sum = vec![0; frames[0].len()];
    for frame in frames {
        for (sum, root) in sum.iter_mut().zip(roots(frame, zero_point)) {
            *sum += root;
        }
    }
    sum
}

/// The similarity of the documentation in 128 bits.
fn similarity(frame: &[i128], sum: &[i128]) -> i32 {
    let length = (dot(frame, frame) * dot(sum, sum)).isqrt();
    let one = i128::from(ONE);
    let cosine = (one * dot(frame, sum)).checked_div(length).unwrap_or(0);
    cosine.clamp(-one, one) as i32
}

fn cosine(a: &[i128], b: &[i128]) -> f64 {
    let length = (dot(a, a) as f64 * dot(b, b) as f64).sqrt();
    if length == 0.0 {
        0.0
    } else {
        dot(a, b) as f64 / length
    }
}

/// Values that are often equal, and often at the ends of their range.
fn any_value() -> impl Strategy<Value = i8> {
    prop_oneof![any::<i8>(), -2i8..=2, Just(i8::MIN), Just(i8::MAX)]
}

/// Frames of so many features each.
fn any_frames(features: usize, most: usize) -> impl Strategy<Value = Vec<Vec<i8>>> {
    let frame = prop::collection::vec(any_value(), features);
    prop::collection::vec(frame, 1..=most)
}

/// A zero point, classes of frames each, and a frame to compare, all of as many features.
#[derive(Debug)]
struct Lesson {
    zero_point: i8,
    classes: Vec<Vec<Vec<i8>>>,
    frame: Vec<i8>,
}

fn any_lesson() -> impl Strategy<Value = Lesson> {
    (1usize..=24).prop_flat_map(|features| {
        let classes = prop::collection::vec(any_frames(features, 5), 0..=4);
        let frame = prop::collection::vec(any_value(), features);
        (any_value(), classes, frame).prop_map(|(zero_point, classes, frame)| Lesson {
            zero_point,
            classes,
            frame,
        })
    })
}

impl Lesson {
    fn model(&self) -> File {
        model(self.frame.len())
    }

    fn taught(&self, model: &Model<'_>) -> Prototypes<4, 24> {
        let mut taught = Prototypes::of(model).unwrap();
        for (class, frames) in self.classes.iter().enumerate() {
            for frame in frames {
                let frame = quantised(frame, self.zero_point);
                assert_eq!(taught.teach(&format!("class {class}"), &frame), Ok(class));
            }
        }
        taught
    }
}

fn saved<const C: usize, const F: usize>(taught: &Prototypes<C, F>) -> Vec<u8> {
    let mut file = vec![0xaa; taught.saved_bytes()];
    assert_eq!(taught.save(&mut file), Ok(file.len()));
    file
}

proptest! {
    #[test]
    fn similarities_are_the_documented_cosines(lesson in any_lesson()) {
        let file = lesson.model();
        let taught = lesson.taught(&Model::parse(file.bytes()).unwrap());
        let compared = taught.compare(&quantised(&lesson.frame, lesson.zero_point)).unwrap();
        let frame = roots(&lesson.frame, lesson.zero_point);
        prop_assert_eq!(compared.values().len(), lesson.classes.len());
        for (&ours, frames) in compared.values().iter().zip(&lesson.classes) {
            let sum = sum(frames, lesson.zero_point);
            prop_assert_eq!(ours, similarity(&frame, &sum));
            // A root of 16 at least, unless there is no length: the rounding is below 1 in 16.
            let real = cosine(&frame, &sum);
            let rounded = f64::from(ours) / f64::from(ONE);
            prop_assert!((rounded - real).abs() <= 1.0 / 16.0, "{rounded}, not {real}");
        }
    }

    #[test]
    fn the_best_are_the_most_similar_and_of_equals_the_lower(lesson in any_lesson()) {
        let file = lesson.model();
        let taught = lesson.taught(&Model::parse(file.bytes()).unwrap());
        let compared = taught.compare(&quantised(&lesson.frame, lesson.zero_point)).unwrap();
        let mut order: Vec<_> = compared.values().iter().copied().enumerate().collect();
        order.sort_by_key(|&(class, similarity)| (-similarity, class));
        let top = compared.top_k::<4>();
        prop_assert!(top.iter().map(|m| (m.class, m.similarity)).eq(order));
        prop_assert_eq!(compared.best(), top.first().copied());
        prop_assert_eq!(&compared.top_k::<2>()[..], &top[..top.len().min(2)]);
        for found in top {
            let frames = lesson.classes[found.class].len();
            prop_assert_eq!(usize::from(found.frames), frames);
            prop_assert_eq!(found.name, format!("class {}", found.class));
        }
    }

    #[test]
    fn the_order_of_frames_does_not_matter(lesson in any_lesson(), seed: u64) {
        let file = lesson.model();
        let model = Model::parse(file.bytes()).unwrap();
        let (mut random, mut other) = (Random(seed), lesson.taught(&model));
        other.clear();
        let mut left = lesson.classes.clone();
        // The first frames fix the classes' numbers, the rest come as they like.
        let mut frames = Vec::new();
        for (class, all) in left.iter_mut().enumerate() {
            let first = random.within(0, all.len() as i64 - 1) as usize;
            let name = format!("class {class}");
            other.teach(&name, &quantised(&all.swap_remove(first), lesson.zero_point)).unwrap();
            frames.extend(all.drain(..).map(|frame| (random.word(), name.clone(), frame)));
        }
        frames.sort();
        for (_, name, frame) in frames {
            other.teach(&name, &quantised(&frame, lesson.zero_point)).unwrap();
        }
        prop_assert_eq!(saved(&other), saved(&lesson.taught(&model)));
    }

    #[test]
    fn what_was_saved_is_loaded(lesson in any_lesson(), calibration: Option<[i32; 3]>) {
        let file = lesson.model();
        let model = Model::parse(file.bytes()).unwrap();
        let mut taught = lesson.taught(&model);
        taught.calibrate(calibration.map(|[bias, similarity, frames]| Calibration {
            bias,
            similarity,
            frames,
        }));
        let bytes = saved(&taught);
        // Into more room than it was taught in, and over other classes.
        let mut loaded = Prototypes::<7, 30>::of(&model).unwrap();
        loaded.teach("forgotten", &quantised(&lesson.frame, 3)).unwrap();
        prop_assert_eq!(loaded.load(&bytes), Ok(()));
        prop_assert_eq!(saved(&loaded), bytes);
        prop_assert!(loaded.classes().eq(taught.classes()));
        prop_assert_eq!(loaded.calibration(), taught.calibration());
        let frame = quantised(&lesson.frame, lesson.zero_point);
        let (ours, theirs) = (taught.compare(&frame).unwrap(), loaded.compare(&frame).unwrap());
        prop_assert_eq!(ours.values(), theirs.values());
        prop_assert_eq!(ours.none_of_these(), theirs.none_of_these());
    }

    #[test]
    fn a_changed_byte_is_found(lesson in any_lesson(), at: prop::sample::Index, change in 1u8..) {
        let file = lesson.model();
        let mut taught = lesson.taught(&Model::parse(file.bytes()).unwrap());
        let mut bytes = saved(&taught);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let error = if at < 8 { SavedError::Magic } else { SavedError::Checksum };
        prop_assert_eq!(taught.load(&bytes), Err(error));
        prop_assert_eq!(taught.load(&bytes[..at]).is_err(), true);
    }

    #[test]
    fn a_class_that_is_forgotten_leaves_the_others(lesson in any_lesson(), which: prop::sample::Index) {
        prop_assume!(!lesson.classes.is_empty());
        let file = lesson.model();
        let mut taught = lesson.taught(&Model::parse(file.bytes()).unwrap());
        let frame = quantised(&lesson.frame, lesson.zero_point);
        let which = which.index(lesson.classes.len());
        let mut expected = taught.compare(&frame).unwrap().values().to_vec();
        expected.remove(which);
        let name = format!("class {which}");
        prop_assert!(taught.remove(&name));
        let left = taught.compare(&frame).unwrap().values().to_vec();
        prop_assert_eq!(&left, &expected);
        // Taught anew, it is the last one, of this frame alone.
        let again = taught.teach(&name, &frame);
        prop_assert_eq!(again, Ok(expected.len()));
        prop_assert_eq!(taught.classes().last(), Some((&*name, 1)));
    }

    #[test]
    fn probabilities_are_the_logistic_function(
        similarity in -ONE..=ONE,
        frames in 1..=MAX_FRAMES,
        [bias, slope, few] in [-40_000..40_000, -40_000..40_000, -40_000..40_000],
    ) {
        let calibration = Calibration { bias, similarity: slope, frames: few };
        let nats = |value: i32| f64::from(value) / f64::from(Calibration::NAT);
        let log_odds = nats(bias)
            + nats(slope) * f64::from(similarity) / f64::from(ONE)
            + nats(few) / f64::from(frames);
        let exact = 1.0 / (1.0 + (-log_odds).exp());
        let ours = f64::from(calibration.probability(similarity, frames)) / f64::from(ONE);
        prop_assert!((ours - exact).abs() < 1.2e-3, "{ours}, not {exact}");
    }

    #[test]
    fn no_calibration_overflows(values: [i32; 3], similarity in -ONE..=ONE, frames: u16) {
        let [bias, slope, few] = values;
        let calibration = Calibration { bias, similarity: slope, frames: few };
        prop_assert!((0..=ONE).contains(&calibration.probability(similarity, frames)));
    }
}

#[test]
fn the_longest_sums_do_not_overflow() {
    const FEATURES: usize = 1000;
    let file = model(FEATURES);
    let mut taught = Prototypes::<2, FEATURES>::of(&Model::parse(file.bytes()).unwrap()).unwrap();
    let (low, high) = ([i8::MIN; FEATURES], [i8::MAX; FEATURES]);
    for _ in 0..MAX_FRAMES {
        taught.teach("high", &quantised(&high, i8::MIN)).unwrap();
        taught.teach("low", &quantised(&low, i8::MAX)).unwrap();
    }
    let compared = taught.compare(&quantised(&high, i8::MIN)).unwrap();
    assert_eq!(compared.values(), [ONE, -ONE]);
    assert_eq!(taught.clone().load(&saved(&taught)), Ok(()));
}

#[test]
fn frames_without_length_are_like_nothing() {
    let file = model(3);
    let mut taught = Prototypes::<4, 3>::of(&Model::parse(file.bytes()).unwrap()).unwrap();
    taught.teach("at zero", &quantised(&[5; 3], 5)).unwrap();
    taught.teach("along", &quantised(&[6; 3], 5)).unwrap();
    taught
        .teach("there and back", &quantised(&[6; 3], 5))
        .unwrap();
    taught
        .teach("there and back", &quantised(&[4; 3], 5))
        .unwrap();
    let compare = |values: [i8; 3]| {
        let compared = taught.compare(&quantised(&values, 5)).unwrap();
        (compared.values().to_vec(), compared.best().unwrap().class)
    };
    assert_eq!(compare([5; 3]), (vec![0, 0, 0], 0));
    assert_eq!(compare([9; 3]), (vec![0, ONE, 0], 1));
    assert_eq!(compare([1; 3]), (vec![0, -ONE, 0], 0));
}

#[test]
fn a_frame_is_of_the_class_it_is_near() {
    let file = model(2);
    let mut taught = Prototypes::<2, 2>::of(&Model::parse(file.bytes()).unwrap()).unwrap();
    for (name, frame) in [("up", [0, 100]), ("up", [20, 90]), ("right", [90, 10])] {
        taught.teach(name, &quantised(&frame, 0)).unwrap();
    }
    let name = |frame: [i8; 2]| {
        let best = taught.compare(&quantised(&frame, 0)).unwrap().best();
        best.unwrap().name.to_owned()
    };
    assert_eq!(name([10, 60]), "up");
    assert_eq!(name([50, 20]), "right");
    // Length does not matter.
    assert_eq!(name([1, 6]), "up");
}

#[test]
fn none_of_these_needs_a_calibration() {
    let file = model(2);
    let mut taught = Prototypes::<2, 2>::of(&Model::parse(file.bytes()).unwrap()).unwrap();
    let (near, far) = ([100, 0], [0, 100]);
    let none = |taught: &Prototypes<2, 2>, frame| {
        taught
            .compare(&quantised(frame, 0))
            .unwrap()
            .none_of_these()
    };
    assert_eq!(none(&taught, &near), None);
    taught.calibrate(Some(Calibration {
        bias: 2 * Calibration::NAT,
        similarity: -4 * Calibration::NAT,
        frames: 0,
    }));
    assert_eq!(none(&taught, &near), Some(ONE));
    taught.teach("near", &quantised(&near, 0)).unwrap();
    // The logistic function of −2 and of 2.
    assert_eq!(none(&taught, &near), Some(3906));
    assert_eq!(none(&taught, &far), Some(ONE - 3906));
}

/// A class is taught with one order of the weights, and known with another.
#[test]
fn the_fingerprint_is_of_the_weights_in_any_order() {
    use common::Owned;
    use vae96::model::WeightLayout::{Packed, Portable};
    use vae96::{INPUT, Network};

    let network = description::<EdgeDeepEncoder>();
    let fingerprint = |owned: &Owned, layout| {
        let file = File::ordered(network, owned, false, layout);
        Model::parse(file.bytes()).unwrap().fingerprint()
    };
    let owned = |seed| Owned::random(&mut Random(seed), EdgeDeepEncoder::LAYERS, INPUT, 0);
    let first = owned(1);
    assert_eq!(fingerprint(&first, Portable), fingerprint(&first, Packed));
    assert_ne!(
        fingerprint(&first, Portable),
        fingerprint(&owned(2), Portable)
    );
}

/// What the README says of memory.
#[test]
fn ten_classes_of_the_deep_encoder_take_three_kilobytes() {
    assert!(size_of::<Prototypes<10, 128>>() <= 3072);
    let file = File::random(&mut Random(1), description::<EdgeDeepEncoder>(), 0, false);
    let mut encoder = Encoder::<EdgeDeepEncoder>::new(file.bytes()).unwrap();
    let mut taught = Prototypes::<10, 128>::of(encoder.model()).unwrap();
    let image = common::image(&mut Random(2));
    let Ok(mean) = encoder.encode(&*image);
    for class in 0..10 {
        taught
            .teach(&format!("{class:0NAME_BYTES$}"), &mean)
            .unwrap();
    }
    assert_eq!(taught.saved_bytes(), 36 + 10 * (2 + NAME_BYTES + 2 * 128));
    let compared = taught.compare(&mean).unwrap();
    assert!(
        compared
            .values()
            .iter()
            .all(|&similarity| similarity > ONE * 999 / 1000)
    );
}

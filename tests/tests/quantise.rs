//! From float weights to a model file: what must hold whatever the weights are, and how far the
//! integers' answers are from the floats'.

use anyhow::{Context, Result};
use host::backend::cpu::Cpu;
use host::backend::{Backend, Metadata, Weights, parameters};
use host::data::scenes as built_in;
use host::evaluate::{self, Aligned};
use host::quantise::calibrate::{self, Method, Range};
use host::quantise::fold::{Folded, fold};
use host::quantise::integers::integers;
use host::quantise::{pack, quantise};
use host::train::finetune::{Request, train};
use host::train::progress::Progress;
use host::train::recipe::{Finetune, Recipe};
use host::train::run::Folder;
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use tests::{batch, image, pixels, random_weights, rms, scenes};
use vae96::model::{INPUT_SCALE, INPUT_ZERO_POINT, Parameters, Record};
use vae96::network::{Description, Kind};
use vae96::{Autoencoder, EDGE, Head, INPUT};

const CLASSES: usize = 12;

const METHODS: [Method; 3] = [Method::Mse, Method::Percentile, Method::Minmax];

fn network(kind: Kind) -> &'static Description {
    Description::of(&EDGE, kind).expect("devices run edge")
}

fn folded(head: Head, seed: u64) -> (&'static Description, Vec<Folded>) {
    let weights = random_weights(&parameters::classifier(&EDGE, head, CLASSES), seed);
    let network = network(Kind::classifier(head));
    let layers = fold(network.layers, INPUT, CLASSES, &weights).expect("edge's own weights");
    (network, layers)
}

fn calibration(count: usize) -> Vec<Vec<f32>> {
    scenes(count, 7).iter().map(|image| pixels(image)).collect()
}

#[test]
fn ranges_depend_on_no_order_and_no_thread() -> Result<()> {
    let (_, layers) = folded(Head::Conv, 1);
    let images = calibration(12);
    let mut other_order: Vec<_> = images.iter().rev().cloned().collect();
    other_order.rotate_left(5);
    for method in METHODS {
        let expected = calibrate::ranges(&layers, &images, method)?;
        for threads in 1..=3 {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build()?;
            let found = pool.install(|| calibrate::ranges(&layers, &other_order, method))?;
            assert_eq!(found, expected, "{method:?} on {threads} threads");
        }
    }
    Ok(())
}

#[test]
fn narrower_methods_stay_within_what_was_seen() -> Result<()> {
    let (_, layers) = folded(Head::Conv, 2);
    let images = calibration(4);
    let all = calibrate::ranges(&layers, &images, Method::Minmax)?;
    for method in METHODS {
        for (range, all) in calibrate::ranges(&layers, &images, method)?
            .iter()
            .zip(&all)
        {
            assert!(all.min <= range.min && range.min <= 0.0, "{method:?}");
            assert!(0.0 <= range.max && range.max <= all.max, "{method:?}");
            // Noise of this kind has no outlier worth losing half of the range's steps for.
            assert!(
                range.max > 0.3 * all.max,
                "{method:?}: {range:?} of {all:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn activations_that_are_no_numbers_are_refused() {
    let (_, mut layers) = folded(Head::Conv, 1);
    layers[1].bias[3] = f32::NAN;
    let error = calibrate::ranges(&layers, &calibration(1), Method::Mse).unwrap_err();
    assert!(error.to_string().contains("conv2"), "{error}");
    assert!(calibrate::ranges(&layers, &[], Method::Mse).is_err());
}

/// For each layer a power of ten for its weights, another for the range of its output, and that
/// range's ends.
fn magnitudes() -> impl Strategy<Value = Vec<(i32, i32, f64, f64)>> {
    prop::collection::vec((-3i32..4, -15i32..6, 0.0..8.0, 0.0..8.0), 7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// The file is one that a device takes; its integers stand for the weights and biases to
    /// within half a step, and no image takes a sum out of 32 bits.
    #[test]
    fn integers_stand_for_the_weights(seed: u64, magnitudes in magnitudes(), dense: bool) {
        let head = if dense { Head::Dense } else { Head::Conv };
        let (network, mut layers) = folded(head, seed);
        let mut ranges = Vec::new();
        for (layer, (magnitude, range, min, max)) in layers.iter_mut().zip(magnitudes) {
            let factor = 10f32.powi(magnitude);
            layer.weight.iter_mut().for_each(|weight| *weight *= factor);
            // A row of zeros is a channel that BatchNorm switched off.
            let fan_in = layer.layer.fan_in(layer.input);
            if let Some(first) = layer.weight.get_mut(..fan_in) {
                first.fill(0.0);
            }
            let factor = 10f64.powi(range);
            ranges.push(Range { min: -min * factor, max: max * factor });
        }
        let names: Vec<String> = (0..CLASSES).map(|class| format!("class {class}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let file = Aligned::new(&pack::pack(network, &integers(&layers, &ranges), CLASSES, &names).unwrap());
        let model = evaluate::parse(file.bytes()).unwrap();
        prop_assert!(model.names().eq(names));
        check_integers(&layers, model.parameters())?;
    }
}

fn check_integers(layers: &[Folded], numbers: &Parameters<'_>) -> Result<(), TestCaseError> {
    let mut input = (f64::from(INPUT_SCALE), INPUT_ZERO_POINT);
    let (mut channel, mut at) = (0, 0);
    let weighted = layers.iter().filter(|folded| !folded.bias.is_empty());
    for (folded, &record) in weighted.zip(numbers.records) {
        let record = Record::from_bytes(record);
        let fan_in = folded.layer.fan_in(folded.input);
        for (weights, &bias) in folded.weight.chunks(fan_in).zip(&folded.bias) {
            let found = &numbers.weights[at..at + fan_in];
            prop_assert!(found.iter().all(|weight| (-127..=127).contains(weight)));
            let multiplier = f64::from(numbers.multipliers[channel]) / 2f64.powi(31)
                * 2f64.powi(numbers.shifts[channel].into());
            let bound: i64 = found
                .iter()
                .map(|&weight| 128 * i64::from(weight).abs())
                .sum();
            let bound = i64::from(numbers.bias[channel]).abs() + bound;
            // The device shifts to the left before it multiplies.
            let left = numbers.shifts[channel].max(0);
            prop_assert!(bound << left <= i64::from(i32::MAX), "{bound} << {left}");
            if multiplier == 0.0 {
                // All that the channel does is lost in the rounding of its output.
                let sum: f32 = weights.iter().map(|weight| weight.abs()).sum();
                let reach = f64::from(bias.abs()) + 255.0 * input.0 * f64::from(sum);
                prop_assert!(reach < 0.5 * f64::from(record.scale), "{reach}");
                channel += 1;
                at += fan_in;
                continue;
            }
            // One step of the accumulator, and of the weights.
            let step = multiplier * f64::from(record.scale);
            let scale = step / input.0;
            for (found, &weight) in found.iter().zip(weights) {
                let error = f64::from(*found) * scale - f64::from(weight);
                prop_assert!(
                    error.abs() <= 0.5001 * scale,
                    "{found} × {scale} for {weight}"
                );
            }
            let sum: i64 = found.iter().map(|&weight| i64::from(weight)).sum();
            let folded_in = i64::from(numbers.bias[channel]) + i64::from(input.1) * sum;
            let error = folded_in as f64 * step - f64::from(bias);
            let allowed = 0.5001 * step + 1e-6 * f64::from(bias).abs();
            prop_assert!(error.abs() <= allowed, "{folded_in} × {step} for {bias}");
            channel += 1;
            at += fan_in;
        }
        input = (record.scale.into(), record.zero_point);
    }
    prop_assert_eq!(at, numbers.weights.len());
    Ok(())
}

/// The VAE whose encoder that kind is.
fn autoencoder(kind: Kind) -> Result<&'static Autoencoder> {
    match kind {
        Kind::DeepEncoder => EDGE.deep_vae.as_ref().context("edge has a deep VAE"),
        _ => Ok(&EDGE.vae),
    }
}

/// The answers of float and int8 to the same images.
fn answers(
    kind: Kind,
    weights: &Weights,
    images: &[Vec<u8>],
    method: Method,
) -> Result<[Vec<f32>; 2]> {
    let network = network(kind);
    let classes = if kind.is_classifier() { CLASSES } else { 0 };
    let float = match kind {
        Kind::ConvClassifier | Kind::DenseClassifier => {
            let head = if kind == Kind::ConvClassifier {
                Head::Conv
            } else {
                Head::Dense
            };
            Cpu.classifier(&EDGE, head, CLASSES, weights)?
                .logits(&batch(images))?
        }
        Kind::Encoder | Kind::DeepEncoder => {
            let vae = Cpu.vae(autoencoder(kind)?, weights)?;
            vae.encode(&batch(images))?.mean
        }
    };
    let file = quantise(network, classes, &[], weights, &calibration(24), method)?;
    let file = Aligned::new(&file);
    let model = evaluate::parse(file.bytes())?;
    let mut buffer = vec![0; network.buffer_words(classes)];
    let int8 = images
        .iter()
        .map(|image| evaluate::logits(&model, image, &mut buffer))
        .collect::<Result<Vec<_>>>()?;
    Ok([float, int8.concat()])
}

fn error(float: &[f32], int8: &[f32]) -> f64 {
    let difference: Vec<f32> = float.iter().zip(int8).map(|(a, b)| a - b).collect();
    rms(&difference) / rms(float)
}

#[test]
fn int8_is_close_to_float_for_random_weights() -> Result<()> {
    for kind in Kind::ALL {
        let parameters = match kind {
            Kind::ConvClassifier => parameters::classifier(&EDGE, Head::Conv, CLASSES),
            Kind::DenseClassifier => parameters::classifier(&EDGE, Head::Dense, CLASSES),
            Kind::Encoder | Kind::DeepEncoder => parameters::vae(autoencoder(kind)?),
        };
        for method in METHODS {
            let weights = random_weights(&parameters, 9);
            let [float, int8] = answers(kind, &weights, &scenes(20, 8), method)?;
            let error = error(&float, &int8);
            println!("{kind}, {method:?}: {error:.4}");
            assert!(error < 0.05, "{kind}, {method:?}: {error}");
        }
    }
    Ok(())
}

/// A classifier that has learned something decides as float does, but where it is undecided.
#[test]
fn int8_decides_as_float_does() -> Result<()> {
    const IMAGES: usize = 120;
    let data = built_in::dataset(&built_in::Options {
        seed: 1,
        train_per_class: 20,
        val_per_class: IMAGES / CLASSES,
        unlabelled: 0,
    });
    let settings = Finetune {
        labels_per_class: 0,
        epochs: 1,
        side: 48,
        consistency: 0.0,
        ..Finetune::defaults(Recipe::Default)
    };
    let request = Request {
        name: "classifier",
        architecture: &EDGE,
        settings: &settings,
        seed: 1,
        encoder: None,
        teachers: &[],
        data: &data,
    };
    let folder = tempfile::tempdir()?;
    let folder = Folder::make(folder.path())?;
    let progress = Progress { quiet: true };
    let weights = train(&request, &Cpu, &folder, &Metadata::default(), progress)?;
    let images: Vec<_> = (0..IMAGES)
        .map(|index| image(&data.val.images, index))
        .collect();
    let [float, int8] = answers(Kind::ConvClassifier, &weights, &images, Method::Mse)?;
    let error = error(&float, &int8);
    let best = |logits: &[f32]| {
        let best = (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        best.context("there are classes")
    };
    let mut same = 0;
    for (float, int8) in float.chunks(CLASSES).zip(int8.chunks(CLASSES)) {
        same += usize::from(best(float)? == best(int8)?);
    }
    println!("error {error:.4}, the same class for {same} of {IMAGES}");
    assert!(error < 0.05, "{error}");
    assert!(same >= IMAGES * 95 / 100, "{same} of {IMAGES}");
    Ok(())
}

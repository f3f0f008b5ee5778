//! BatchNorm folded into the layer before it: `vae96`'s float reference on folded weights gives
//! what the backend gives, which computes BatchNorm by itself.

use anyhow::{Context, Result};
use host::backend::cpu::Cpu;
use host::backend::{Backend, parameters};
use host::quantise::fold::{Folded, fold};
use tests::{batch, pixels, random_weights, rms, scenes};
use vae96::float::{Params, forward, scratch};
use vae96::network::{Description, Kind};
use vae96::{Architecture, EDGE, Head, INPUT, PAPER};

const CLASSES: usize = 10;

/// Allowed difference, as a share of the answers' root mean square: f32 has 24 bits, and the
/// longest sum some thousand terms.
const TOLERANCE: f64 = 1e-5;

fn reference(network: &Description, layers: &[Folded], image: &[u8]) -> Result<Vec<f32>> {
    let params: Vec<_> = layers
        .iter()
        .map(|folded| Params {
            weight: &folded.weight,
            bias: &folded.bias,
        })
        .collect();
    let mut buffers = [(); 2].map(|()| vec![0.0; scratch(network.layers, INPUT, CLASSES)]);
    let [a, b] = &mut buffers;
    let (_, answer) = forward(network.layers, INPUT, &pixels(image), &params, a, b)?;
    Ok(answer.to_vec())
}

fn same(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let allowed = TOLERANCE * rms(expected);
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = f64::from(found - expected).abs();
        assert!(
            error <= allowed,
            "{name}, value {index}: {found} instead of {expected} ± {allowed}"
        );
    }
}

fn check_classifier(architecture: &'static Architecture, head: Head) -> Result<()> {
    let parameters = parameters::classifier(architecture, head, CLASSES);
    let weights = random_weights(&parameters, 1);
    let images = scenes(3, 2);
    let classifier = Cpu.classifier(architecture, head, CLASSES, &weights)?;
    let expected = classifier.logits(&batch(&images))?;
    let kind = Kind::classifier(head);
    let network = Description::of(architecture, kind).context("a device runs it")?;
    let layers = fold(network.layers, INPUT, CLASSES, &weights)?;
    for (image, expected) in images.iter().zip(expected.chunks(CLASSES)) {
        let found = reference(network, &layers, image)?;
        same(&format!("{} {kind}", architecture.name), &found, expected);
    }
    Ok(())
}

#[test]
fn edge_with_its_conv_head() -> Result<()> {
    check_classifier(&EDGE, Head::Conv)
}

#[test]
fn edge_with_its_dense_head() -> Result<()> {
    check_classifier(&EDGE, Head::Dense)
}

/// Biases before BatchNorm, windows that pad nothing, a linear layer with BatchNorm on a plane.
#[test]
fn paper_with_its_conv_head() -> Result<()> {
    check_classifier(&PAPER, Head::Conv)
}

#[test]
fn edge_encoders() -> Result<()> {
    let deep = EDGE.deep_vae.as_ref().context("edge has a deep VAE")?;
    for (kind, autoencoder) in [(Kind::Encoder, &EDGE.vae), (Kind::DeepEncoder, deep)] {
        let weights = random_weights(&parameters::vae(autoencoder), 3);
        let images = scenes(3, 4);
        let latent = Cpu.vae(autoencoder, &weights)?.encode(&batch(&images))?;
        let network = Description::of(&EDGE, kind).context("a device runs it")?;
        let layers = fold(network.layers, INPUT, 0, &weights)?;
        let means = latent.mean.chunks(autoencoder.latent());
        for (image, expected) in images.iter().zip(means) {
            same(
                &kind.to_string(),
                &reference(network, &layers, image)?,
                expected,
            );
        }
    }
    Ok(())
}

#[test]
fn weights_of_another_network_are_refused() {
    let weights = random_weights(&parameters::classifier(&EDGE, Head::Conv, CLASSES), 1);
    let refusal = |architecture, kind, classes| {
        let network = Description::of(architecture, kind).unwrap();
        let error = fold(network.layers, INPUT, classes, &weights).unwrap_err();
        format!("{error:#}")
    };
    let other = refusal(&PAPER, Kind::ConvClassifier, CLASSES);
    assert!(
        other.contains("conv1.weight has the shape [16, 3, 5, 5]"),
        "{other}"
    );
    let classes = refusal(&EDGE, Kind::ConvClassifier, CLASSES + 1);
    assert!(classes.contains("fc1.weight"), "{classes}");
    let head = refusal(&EDGE, Kind::DenseClassifier, CLASSES);
    assert!(head.contains("fc1"), "{head}");
}

//! The CPU backend against PyTorch: losses, outputs, and every tensor after three steps.
//!
//! `fixtures/make_torch.py` wrote what is expected; weights, images and noise come from a formula
//! that both sides know.

use anyhow::Result;
use host::backend::cpu::Cpu;
use host::backend::{Backend, LayerRates, Noise, Optimiser, Update, VaeObjective, parameters};
use tests::torch::{Expected, images, initial, noise};
use vae96::{Activation, Architecture, Autoencoder, EDGE, Features, Head, Layer, Op, SIDE, Window};

const STEPS: usize = 3;

/// The paper's shape with few channels: biases before BatchNorm, no padding, a ReLU at the end.
static SMALL: Architecture = Architecture {
    name: "small",
    id: 0,
    encoder: SMALL_ENCODER,
    conv_head: &[
        Layer::conv("conv3", Window::new(4, 2, 1), 8).with_bias(),
        Layer::new("pool1", Op::MaxPool { size: 3 }),
        Layer::hidden("fc1", 12).with_bias(),
        Layer::linear("fc2", Features::Classes),
    ],
    dense_head: &[
        Layer::hidden("fc1", 16).with_bias(),
        Layer::linear("fc2", Features::Classes),
    ],
    vae: Autoencoder {
        encoder: SMALL_ENCODER,
        bottleneck: &[Layer::hidden("fc1", 16).with_bias()],
        mean: Layer::linear("fc21", Features::Fixed(8)),
        log_variance: Layer::linear("fc22", Features::Fixed(8)),
        decoder: &[
            Layer::hidden("fc2", 28 * 28 * 6).with_bias(),
            Layer::new("plane", Op::square(28)),
            Layer::conv_transposed("conv3", Window::new(5, 1, 0), 4).with_bias(),
            Layer::conv_transposed("conv4", Window::new(3, 3, 0), 3).ending_in(Activation::Relu),
        ],
        projector: &[],
    },
    deep_vae: None,
};

const SMALL_ENCODER: &[Layer] = &[
    Layer::conv("conv1", Window::new(5, 3, 0), 4).with_bias(),
    Layer::conv("conv2", Window::new(5, 1, 0), 6).with_bias(),
];

fn update(rule: &str, encoder_rate: f64) -> Update {
    Update {
        optimiser: match rule {
            "adamw" => Optimiser::AdamW {
                betas: [0.9, 0.99],
                epsilon: 1e-3,
            },
            _ => Optimiser::Sgd { momentum: 0.5 },
        },
        rate: 0.02,
        layer_rates: LayerRates::new([("conv1", encoder_rate), ("conv2", encoder_rate)]),
        weight_decay: 0.05,
        clip_norm: Some(0.5),
    }
}

fn check_vae(
    case: &'static str,
    autoencoder: &'static Autoencoder,
    count: usize,
    update: &Update,
) -> Result<()> {
    let expected = Expected::of("torch.safetensors", case)?;
    let mut vae = Cpu.vae(autoencoder, &initial(&parameters::vae(autoencoder)))?;
    let batch = images(count, SIDE);
    let noise = noise(count, autoencoder.latent());
    let objective = VaeObjective {
        reconstruction_weight: 0.5,
        beta: 2.0,
        free_bits: 0.0,
        contrast: None,
        scale: 1.0 / count as f64,
    };
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        let loss = vae.step(&batch, &batch, Noise::Values(&noise), objective, update)?;
        losses.extend([loss.reconstruction, loss.kl]);
    }
    expected.check_losses(&losses)?;
    expected.check_weights(vae.as_ref())?;
    let latent = vae.encode(&batch)?;
    expected.check("mean", &latent.mean)?;
    expected.check("log_variance", &latent.log_variance)?;
    expected.check("decoded", vae.decode(&noise)?.values()?)
}

fn check_classifier(
    case: &'static str,
    architecture: &'static Architecture,
    head: Head,
    (count, side): (usize, usize),
    update: &Update,
) -> Result<()> {
    let expected = Expected::of("torch.safetensors", case)?;
    let weights = initial(&parameters::classifier(architecture, head, 10));
    let mut classifier = Cpu.classifier(architecture, head, 10, &weights)?;
    let batch = images(count, side);
    let labels: Vec<usize> = (0..count).map(|image| image * 7 % 10).collect();
    let targets = tests::targets(&labels, 0.1);
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        let outcomes = classifier.step(&batch, &targets, update)?;
        losses.extend([tests::loss(&outcomes), tests::correct(&outcomes) as f64]);
    }
    expected.check_losses(&losses)?;
    expected.check_weights(classifier.as_ref())?;
    expected.check("logits", &classifier.logits(&batch)?)
}

#[test]
fn edge_vae() -> Result<()> {
    check_vae("edge_vae", &EDGE.vae, 6, &update("sgd", 0.5))
}

#[test]
fn small_vae() -> Result<()> {
    check_vae("small_vae", &SMALL.vae, 8, &update("adamw", 1.0))
}

#[test]
fn vae_with_a_frozen_encoder() -> Result<()> {
    check_vae("frozen_vae", &SMALL.vae, 5, &update("sgd", 0.0))
}

#[test]
fn edge_with_its_conv_head() -> Result<()> {
    check_classifier("edge_conv", &EDGE, Head::Conv, (6, 96), &update("sgd", 0.5))
}

#[test]
fn edge_with_its_conv_head_on_smaller_images() -> Result<()> {
    check_classifier(
        "edge_conv_64",
        &EDGE,
        Head::Conv,
        (6, 64),
        &update("adamw", 1.0),
    )
}

#[test]
fn edge_with_its_dense_head() -> Result<()> {
    check_classifier(
        "edge_dense",
        &EDGE,
        Head::Dense,
        (6, 96),
        &update("adamw", 1.0),
    )
}

#[test]
fn small_with_its_conv_head() -> Result<()> {
    check_classifier(
        "small_conv",
        &SMALL,
        Head::Conv,
        (5, 96),
        &update("adamw", 0.5),
    )
}

#[test]
fn small_with_its_dense_head_and_a_frozen_encoder() -> Result<()> {
    check_classifier(
        "small_frozen",
        &SMALL,
        Head::Dense,
        (5, 96),
        &update("sgd", 0.0),
    )
}

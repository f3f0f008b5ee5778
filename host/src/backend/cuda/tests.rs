//! What can be said of a step without running it: its tensors, its memory, its launches.

mod resident;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use anyhow::{Result, ensure};
use vae96::{Architecture, EDGE, Head, INPUT, PAPER, SIDE, Shape};

use super::classifier::ClassifierNetwork;
use super::machine::{Argument, Launch, Machine, Room};
use super::memory::{Arena, Kind};
use super::network::Network;
use super::ops::Gpu;
use super::ops::images::VIEW;
use super::ops::optimiser::{Move, Moved};
use super::pack::Pack;
use super::share::Share;
use super::vae::VaeNetworks;
use super::{Cuda, kernels};
use crate::backend::parameters::{self, Parameter};
use crate::backend::work::{self, Size, Steps, Work};
use crate::backend::{
    Answer, Backend, Batch, LayerRates, Noise, Optimiser, Picture, Pixels, Precision, Target,
    Tensor, Update, VaeObjective, View, Viewed, Weights,
};

/// A machine that computes nothing, and keeps what it was asked to launch.
#[derive(Default)]
struct Dry {
    launches: RefCell<Vec<Launch>>,
    /// The arguments of each launch.
    arguments: RefCell<Vec<Vec<Vec<u8>>>>,
    allocated: Cell<u64>,
    /// The lengths of what is held, in bytes, by its address.
    held: RefCell<BTreeMap<u64, usize>>,
    /// The most bytes that were held at once.
    most: Cell<usize>,
    /// The lengths of what was brought, in bytes.
    uploaded: RefCell<Vec<usize>>,
    /// How often something was brought after a launch.
    late: Cell<usize>,
    /// Bytes of memory; none for any number.
    size: Option<usize>,
}

impl Dry {
    fn free(&self) -> usize {
        let held = self.held.borrow().values().sum::<usize>();
        self.size.map_or(usize::MAX, |size| size - held)
    }
}

impl Machine for Dry {
    fn name(&self) -> String {
        "nothing".to_owned()
    }

    fn precision(&self) -> Precision {
        Precision::Bf16
    }

    fn room(&self) -> Result<Room> {
        Ok(Room {
            free: self.free(),
            all: self.size.unwrap_or(usize::MAX),
        })
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        ensure!(bytes <= self.free(), "no memory for {bytes} bytes");
        let address = self.allocated.get();
        let mut held = self.held.borrow_mut();
        held.insert(address, bytes);
        self.most.set(self.most.get().max(held.values().sum()));
        self.allocated
            .set((address + bytes as u64).next_multiple_of(256));
        Ok(address)
    }

    unsafe fn free(&self, address: u64) {
        self.held.borrow_mut().remove(&address);
    }

    unsafe fn upload(&self, bytes: &[u8], to: u64) -> Result<()> {
        ensure!(
            to + bytes.len() as u64 <= self.allocated.get(),
            "no memory at {to}"
        );
        self.uploaded.borrow_mut().push(bytes.len());
        let late = !self.launches.borrow().is_empty();
        self.late.set(self.late.get() + usize::from(late));
        Ok(())
    }

    unsafe fn download(&self, _: u64, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(0);
        Ok(())
    }

    unsafe fn launch(&self, launch: &Launch, arguments: &[Argument]) -> Result<()> {
        self.launches.borrow_mut().push(*launch);
        let bytes = |argument: &Argument| argument.bytes().to_vec();
        let arguments = arguments.iter().map(bytes).collect();
        self.arguments.borrow_mut().push(arguments);
        Ok(())
    }
}

fn zeros(parameters: &[Parameter]) -> Weights {
    let tensor = |p: &Parameter| (p.name.clone(), Tensor::full(p.shape.clone(), 0.0));
    Weights(parameters.iter().map(tensor).collect())
}

fn grey(count: usize) -> Batch {
    Batch::new(count, SIDE, vec![0.5; count * INPUT.len()])
}

/// Images as they are.
fn whole<'p>(images: impl Iterator<Item = &'p Picture>) -> Batch {
    let view = |image: &Picture| Viewed {
        image: image.clone(),
        view: View::WHOLE,
    };
    let views: Vec<_> = images.map(view).collect();
    Batch {
        count: views.len(),
        side: SIDE,
        pixels: Pixels::Views(views),
    }
}

const OBJECTIVE: VaeObjective = VaeObjective {
    reconstruction_weight: 1.0,
    beta: 1.0,
    free_bits: 0.0,
    contrast: None,
    scale: 1.0,
};

const TARGET: Target = Target::class(9, 0.1, 1.0);

fn update() -> Update {
    Update {
        optimiser: Optimiser::AdamW {
            betas: [0.9, 0.999],
            epsilon: 1e-8,
        },
        rate: 1e-3,
        layer_rates: LayerRates::default(),
        weight_decay: 0.01,
        clip_norm: Some(1.0),
    }
}

/// A VAE's and a classifier's step of `architecture`; the launches of both.
fn steps(architecture: &'static Architecture, count: usize) -> Result<Vec<Launch>> {
    let machine = Rc::new(Dry::default());
    let gpu = Cuda::on(machine.clone());
    let autoencoder = &architecture.vae;
    let mut vae = gpu.vae(autoencoder, &zeros(&parameters::vae(autoencoder)))?;
    let batch = grey(count);
    let noise = vec![0.0; count * autoencoder.latent()];
    vae.step(&batch, &batch, Noise::Values(&noise), OBJECTIVE, &update())?;
    drop(vae);
    let weights = zeros(&parameters::classifier(architecture, Head::Conv, 1000));
    let mut classifier = gpu.classifier(architecture, Head::Conv, 1000, &weights)?;
    classifier.step(&batch, &vec![TARGET; count], &update())?;
    classifier.average(0.9)?;
    classifier.averaged_logits(&batch)?;
    Ok(machine.launches.take())
}

/// What a training holds at most is what its plan says, to the value, beside the losses of a step.
#[test]
fn plans_are_what_trainings_take() -> Result<()> {
    let answers = Size {
        count: 100,
        side: SIDE,
    };
    const LOSSES: usize = 1 << 14;
    for (architecture, count, averages, shares) in
        [(&EDGE, 256, true, true), (&PAPER, 2, false, false)]
    {
        let steps = Some(Steps {
            batch: Size { count, side: SIDE },
            contrast: false,
            corrupts: false,
            shares,
            averages,
        });
        let work = |network| Work {
            network,
            steps,
            answers,
        };
        let autoencoder = &architecture.vae;
        let head = Head::Conv;
        let machine = Rc::new(Dry::default());
        let gpu = Cuda::on(machine.clone());

        let mut vae = gpu.vae(autoencoder, &zeros(&parameters::vae(autoencoder)))?;
        let noise = vec![0.0; count * autoencoder.latent()];
        let batch = grey(count);
        vae.step(&batch, &batch, Noise::Values(&noise), OBJECTIVE, &update())?;
        let latent = vae.encode(&grey(answers.count))?;
        vae.decode(&latent.mean)?;
        if averages {
            vae.average(0.9)?;
        }
        vae.step(&batch, &batch, Noise::Values(&noise), OBJECTIVE, &update())?;
        drop(vae);
        let plan = VaeNetworks::plan(
            autoencoder,
            &work(work::Network::Vae(autoencoder)),
            (Precision::Bf16, 1),
        )?;
        let more = machine.most.take() - size_of::<f32>() * plan.values();
        assert!(more <= LOSSES, "{more} bytes");

        let weights = zeros(&parameters::classifier(architecture, head, 10));
        let mut classifier = gpu.classifier(architecture, head, 10, &weights)?;
        let mut targets = vec![TARGET; count];
        if shares {
            targets[1].answer = Answer::Shares([0.1; 10].into());
        }
        classifier.step(&batch, &targets, &update())?;
        classifier.logits(&grey(answers.count))?;
        if averages {
            classifier.average(0.9)?;
        }
        drop(classifier);
        let network = work::Network::Classifier {
            architecture,
            head,
            classes: 10,
        };
        let plan =
            ClassifierNetwork::plan(architecture, head, 10, &work(network), (Precision::Bf16, 1))?;
        let more = machine.most.take() - size_of::<f32>() * plan.values();
        assert!(more <= LOSSES, "{more} bytes");
        assert!(machine.held.borrow().is_empty());
    }
    Ok(())
}

/// A batch is most of what a step brings to the GPU.
#[test]
fn images_that_are_their_own_targets_are_brought_once() -> Result<()> {
    let machine = Rc::new(Dry::default());
    let autoencoder = &EDGE.vae;
    let weights = zeros(&parameters::vae(autoencoder));
    let mut vae = Cuda::on(machine.clone()).vae(autoencoder, &weights)?;
    let (batch, noise) = (grey(2), vec![0.0; 2 * autoencoder.latent()]);
    machine.uploaded.take();
    vae.step(&batch, &batch, Noise::Values(&noise), OBJECTIVE, &update())?;
    // Pixels are bf16 there.
    let [pixels, values] = [size_of_val(batch.values()?) / 2, size_of_val(&*noise)];
    assert_eq!(machine.uploaded.take(), [pixels, values]);
    vae.step(
        &batch.clone(),
        &batch,
        Noise::Values(&noise),
        OBJECTIVE,
        &update(),
    )?;
    assert_eq!(machine.uploaded.take(), [pixels, pixels, values]);
    Ok(())
}

/// As bytes, and once however many views there are of it.
#[test]
fn an_image_that_is_viewed_is_brought_once() -> Result<()> {
    let machine = Rc::new(Dry::default());
    let autoencoder = &EDGE.vae;
    let weights = zeros(&parameters::vae(autoencoder));
    let mut vae = Cuda::on(machine.clone()).vae(autoencoder, &weights)?;
    let images = [(); 2].map(|()| Picture::from_bytes(vec![0; INPUT.len()]));
    let images = images.into_iter().collect::<Result<Vec<_>>>()?;
    let batch = whole(images.iter().chain(&images));
    let noise = vec![0.0f32; 4 * autoencoder.latent()];
    machine.uploaded.take();
    vae.step(&batch, &batch, Noise::Values(&noise), OBJECTIVE, &update())?;
    let views = 4 * VIEW * size_of::<u32>();
    let noise = size_of_val(&*noise);
    assert_eq!(machine.uploaded.take(), [2 * INPUT.len(), views, noise]);
    Ok(())
}

/// What a CUDA graph holds is launches alone.
#[test]
fn a_step_brings_all_before_it_launches_anything() -> Result<()> {
    let machine = Rc::new(Dry::default());
    let gpu = Cuda::on(machine.clone());
    let autoencoder = EDGE.deep_vae.as_ref().unwrap();
    let mut vae = gpu.vae(autoencoder, &zeros(&parameters::vae(autoencoder)))?;
    let weights = zeros(&parameters::classifier(&EDGE, Head::Conv, 10));
    let mut classifier = gpu.classifier(&EDGE, Head::Conv, 10, &weights)?;
    let image = Picture::from_bytes(vec![0; INPUT.len()])?;
    let views = whole([&image, &image].into_iter());
    let noise = vec![0.0; 2 * autoencoder.latent()];
    for inputs in [grey(2), views.clone()] {
        for targets in [&inputs, &grey(2), &views] {
            machine.launches.take();
            machine.late.take();
            vae.step(
                &inputs,
                targets,
                Noise::Values(&noise),
                OBJECTIVE,
                &update(),
            )?;
            assert_eq!(machine.late.take(), 0);
        }
        machine.launches.take();
        classifier.step(&inputs, &[TARGET; 2], &update())?;
        assert_eq!(machine.late.take(), 0);
    }
    Ok(())
}

/// CUDA's limits on a launch, at the largest batch that trainings use.
#[test]
fn launches_are_within_the_limits_of_hardware() -> Result<()> {
    let names = kernels::names(Precision::Bf16);
    for architecture in [&EDGE, &PAPER] {
        for Launch {
            kernel,
            grid,
            block,
        } in steps(architecture, 512)?
        {
            let threads: u32 = block.iter().product();
            assert!(names.contains(&kernel), "{kernel}");
            assert!(
                (1..=1024).contains(&threads) && block[2] <= 64,
                "{kernel}: {block:?}"
            );
            assert!(grid.iter().all(|&blocks| blocks > 0), "{kernel}: {grid:?}");
            assert!(grid[0] < 1 << 31 && grid[1] < 1 << 16 && grid[2] < 1 << 16);
        }
    }
    Ok(())
}

/// How much there is to start in a step, whatever the batch: a CUDA graph has to hold it.
#[test]
fn the_launches_of_a_step_do_not_grow_with_the_batch() -> Result<()> {
    for architecture in [&EDGE, &PAPER] {
        let kernels = |count| -> Result<Vec<&str>> {
            let launches = steps(architecture, count)?;
            let maps = launches.iter().map(|launch| launch.kernel);
            // Small batches have products in parts, which are summed, and moments after them; large
            // ones round what is read often.
            let some = ["sum_parts", "moments_parts", "round_values"];
            Ok(maps.filter(|kernel| !some.contains(kernel)).collect())
        };
        let (few, many) = (kernels(2)?, kernels(64)?);
        assert_eq!(few.len(), many.len());
        assert!(many.len() < 200, "{} launches", many.len());
    }
    Ok(())
}

/// So a graph of a step serves the next, but for the place of what is kept, and the optimiser's
/// count of steps.
#[test]
fn steps_have_the_launches_and_arguments_of_the_step_before() -> Result<()> {
    let machine = Rc::new(Dry::default());
    let autoencoder = &EDGE.vae;
    let weights = zeros(&parameters::vae(autoencoder));
    let mut vae = Cuda::on(machine.clone()).vae(autoencoder, &weights)?;
    let (batch, noise) = (grey(2), vec![0.0; 2 * autoencoder.latent()]);
    let mut step = || -> Result<_> {
        machine.launches.take();
        machine.arguments.take();
        vae.step(&batch, &batch, Noise::Values(&noise), OBJECTIVE, &update())?;
        Ok((machine.launches.take(), machine.arguments.take()))
    };
    step()?;
    let (launches, before) = step()?;
    let (again, after) = step()?;
    assert_eq!(launches, again);
    let changed: Vec<_> = (launches.iter().zip(before.iter().zip(&after)))
        .filter(|(_, (before, after))| before != after)
        .map(|(launch, _)| launch.kernel)
        .collect();
    assert_eq!(changed, ["copy", "adam"]);
    Ok(())
}

/// However many tensors a network has.
#[test]
fn all_weights_move_in_one_launch() -> Result<()> {
    for architecture in [&EDGE, &PAPER] {
        let launches = steps(architecture, 2)?;
        let count = |kernel| {
            let of = launches.iter().filter(|launch| launch.kernel == kernel);
            of.count()
        };
        // A step of a VAE, and one of a classifier.
        assert_eq!(["square_parts", "clip", "adam"].map(count), [2; 3]);
    }
    Ok(())
}

/// A table holds 64 tensors; by hand, 65 of one block each and one of three.
#[test]
fn more_tensors_than_a_table_holds_take_another_launch() -> Result<()> {
    let machine = Rc::new(Dry::default());
    let gpu = Gpu::new(machine.clone());
    let mut arena = Arena::default();
    let mut slots: Vec<_> = (0..65).map(|_| arena.place(1024)).collect();
    slots.push(arena.place(2 * 1024 + 1));
    let buffer = gpu.buffer(arena.finish().0)?;
    let step = |slot| Move {
        slot,
        keep: 1.0,
        rate: 1.0,
    };
    let moves: Vec<_> = slots.into_iter().map(step).collect();
    let moved = Moved {
        values: buffer.whole(),
        gradients: buffer.whole(),
        scale: None,
    };
    gpu.sgd(moved, buffer.whole(), &moves, 0.9)?;
    let grids: Vec<_> = (machine.launches.take().iter())
        .map(|launch| launch.grid)
        .collect();
    assert_eq!(grids, [[64, 1, 1], [4, 1, 1]]);
    Ok(())
}

#[test]
fn kernels_have_distinct_names() {
    let names = kernels::names(Precision::Bf16);
    assert_eq!(BTreeSet::from_iter(&names).len(), names.len());
}

#[test]
fn a_pack_holds_every_tensor_of_a_network_apart() -> Result<()> {
    for architecture in [&EDGE, &PAPER] {
        for head in [Head::Conv, Head::Dense] {
            let layers = [architecture.encoder, architecture.head(head)].concat();
            let mut pack = Pack::default();
            Network::new(&layers, INPUT, 10, &mut pack)?;
            let mut found: Vec<_> = (pack.iter())
                .map(|(_, variable)| (variable.name.clone(), variable.shape.clone()))
                .collect();
            let mut expected: Vec<_> = parameters::classifier(architecture, head, 10)
                .into_iter()
                .map(|parameter| (parameter.name, parameter.shape))
                .collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected);
            let mut end = 0;
            for (_, variable) in pack.iter() {
                assert!(variable.slot.start >= end && variable.slot.start.is_multiple_of(64));
                end = variable.slot.start + variable.slot.len;
            }
            assert!(end <= pack.len());
        }
    }
    Ok(())
}

/// By hand: `edge`'s first layer at one image is 48 × 48 × 16 values before BatchNorm and after.
#[test]
fn activations_are_laid_out_one_after_the_other() -> Result<()> {
    let mut pack = Pack::default();
    let network = Network::new(&EDGE.encoder[..1], INPUT, 0, &mut pack)?;
    let (images, values) = (2 * INPUT.len(), 2 * 48 * 48 * 16);
    // Images, and rounded ones; values; statistics of 16 channels in f64, two pairs of f32 in 64 each.
    for (precision, before) in [
        (Precision::F32, images + 2 * values),
        (Precision::Bf16, images + images / 2 + values),
    ] {
        let mut arena = Arena::new(precision);
        let slot = arena.place(images);
        let kind = arena.kind();
        let pass = network.lay_out(&mut arena, Share::whole(2), INPUT, slot, kind)?;
        assert_eq!((pass.output.len, pass.output.kind), (values, kind));
        let (len, scratch) = arena.finish();
        assert_eq!(scratch.start, before + 64 + 64 + 64);
        assert!(len >= scratch.start + scratch.len);
    }
    Ok(())
}

/// What losses are taken of is f32; BatchNorm gives what the next layer reads.
#[test]
fn a_network_ends_in_f32_where_it_is_asked_to() -> Result<()> {
    let mut arena = Arena::new(Precision::Bf16);
    let share = Share::whole(2);
    let features = arena.place_values(2 * 128);
    for (layers, fits) in [(&EDGE.vae.bottleneck[..1], false), (&[EDGE.vae.mean], true)] {
        let input = Shape::vector(128);
        let network = Network::new(layers, input, 0, &mut Pack::default())?;
        let pass = network.lay_out(&mut arena, share, input, features, Kind::F32);
        assert_eq!(pass.is_ok_and(|pass| pass.output.kind == Kind::F32), fits);
    }
    Ok(())
}

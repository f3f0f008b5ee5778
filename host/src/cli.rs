//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::UnknownArgumentValueParser;
use clap::{
    ArgMatches, Args, Command as ClapCommand, FromArgMatches, Parser, Subcommand, ValueEnum,
};
use serde::Serialize;

use crate::backend::{Device, Precision};
use crate::export::Format;
use crate::latent::choice::Method;
use crate::quantise::calibrate;
use crate::train::recipe::{FinetuneArguments, Network, PretrainArguments, Recipe};
use crate::train::reproduction::ReproductionArguments;

/// Pre-trains a variational auto-encoder on unlabelled photographs, fine-tunes a classifier from
/// its encoder with few labels, quantises it to int8 and evaluates the model file that a
/// microcontroller runs. Without a command: `run`.
#[derive(Debug, Parser)]
#[command(name = "vae96", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What `run` takes, which is what happens without a command.
    #[command(flatten)]
    pub run: RunArguments,
    /// How to answer.
    #[command(flatten)]
    pub output: OutputArguments,
}

/// How a command answers.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct OutputArguments {
    /// Print one JSON object on stdout.
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress on stderr.
    #[arg(long, global = true)]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole pipeline: pre-train, train a baseline from scratch, fine-tune, quantise, report.
    Run(Box<RunArguments>),
    /// Train the VAE on the unlabelled images.
    Pretrain(Box<PretrainCommand>),
    /// Train a classifier, from a pre-trained encoder or from scratch.
    Finetune(Box<FinetuneCommand>),
    /// Which unlabelled images to label first.
    Suggest(SuggestCommand),
    /// The paper's experiments: one VAE, four settings and a baseline, 1 to 64 labels a class, each
    /// with several seeds. Head, encoder and number of labels are varied by the experiments
    /// themselves: `--head`, `--encoder` and `--labels-per-class` are refused.
    Reproduce(Box<ReproduceCommand>),
    /// Fold, calibrate, quantise, and write a model file, or one of TensorFlow Lite or ONNX.
    Export(ExportCommand),
    /// Accuracy of a trained classifier or of a model file on the validation images.
    Evaluate(EvaluateCommand),
    /// The most probable classes of some images, by a model file.
    Classify(ClassifyCommand),
    /// Teach an encoder's model file classes by a few images each, as a device would.
    Teach(TeachCommand),
    /// How right classes taught by a few images are, on draws of labelled images.
    FewShot(FewShotCommand),
    /// What a model file holds, needs and costs.
    Inspect(InspectCommand),
}

/// What all trainings have in common. An option that is left out is taken from the configuration
/// file, if there is one, or else from the recipe.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub struct CommonArguments {
    /// Folder of photographs: supervised/train/CLASS/*, supervised/val/CLASS/*,
    /// unsupervised/ANY/*. Without it: scenes drawn by code.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// The network.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The set of defaults.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
    /// All that is random follows from it.
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Where to train: `auto` takes a GPU where there is one, else the processor.
    #[arg(long, value_name = "auto|cpu|cuda[:N|:all]")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// How exactly a GPU multiplies. Without it: bf16 where the GPU has matrix cores for it, else
    /// f32.
    #[arg(long, value_name = "f32|tf32|bf16")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// The most unlabelled images to use; 0 takes all there are.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<usize>,
    /// Write the training curves as TensorBoard event files too, in the run's folder.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tensorboard: bool,
}

/// Where a training's files are.
#[derive(Clone, Debug, Default, Args)]
pub struct FolderArguments {
    /// Read options from this file; the command line overrides it.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub config: Option<PathBuf>,
    /// Write the run here; the folder must not hold another run. Without it: a new one in runs/.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Go on with the interrupted run in this folder, with its own options.
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,
}

/// `vae96 run`.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArguments {
    /// Where the files are.
    #[command(flatten)]
    pub folder: FolderArguments,
    /// What both trainings share.
    #[command(flatten)]
    pub common: CommonArguments,
    /// The options of both stages.
    #[command(flatten)]
    pub stages: StageArguments,
}

/// `vae96 pretrain`.
#[derive(Clone, Debug, Args)]
pub struct PretrainCommand {
    /// The VAE to begin with: a run's folder, or a safetensors file, of PyTorch too. Without it:
    /// random weights.
    #[arg(long, value_name = "RUN|FILE")]
    pub init: Option<PathBuf>,
    /// Where the files are.
    #[command(flatten)]
    pub folder: FolderArguments,
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonArguments,
    /// How to train.
    #[command(flatten)]
    pub pretrain: PretrainArguments,
}

/// `vae96 finetune`.
#[derive(Clone, Debug, Args)]
pub struct FinetuneCommand {
    /// The pre-training to start from: its folder, a safetensors file with the encoder's tensors,
    /// of PyTorch too, or `scratch`.
    #[arg(long, value_name = "RUN|FILE|scratch", required_unless_present_any = ["resume", "config"])]
    pub from: Option<String>,
    /// A classifier to learn from as well: its folder, or its weights file. What it says of the
    /// unlabelled images is what the new one is to say of varied views of them. Given more than
    /// once, the mean of what they say; they may be of another network.
    #[arg(long, value_name = "RUN|FILE")]
    pub teacher: Vec<PathBuf>,
    /// Where the files are.
    #[command(flatten)]
    pub folder: FolderArguments,
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonArguments,
    /// How to train.
    #[command(flatten)]
    pub finetune: FinetuneArguments,
}

/// `vae96 suggest`.
#[derive(Clone, Debug, Args)]
pub struct SuggestCommand {
    /// The pre-training whose latent space tells images apart: its folder, or its weights file.
    #[arg(long, value_name = "RUN")]
    pub from: PathBuf,
    /// Folder of photographs to choose from, in unsupervised/ANY/*. Without it: the run's.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Images to choose.
    #[arg(long, value_name = "N")]
    pub count: usize,
    /// How they are chosen.
    #[arg(long, default_value = "k-means")]
    pub method: Method,
    /// Choose none like the images in supervised/train: they are covered.
    #[arg(long)]
    pub labelled: bool,
    /// Where k-means begins.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where to encode: `auto` takes a GPU where there is one, else the processor.
    #[arg(long, value_name = "auto|cpu|cuda[:N|:all]", default_value = "auto")]
    pub device: Device,
    /// Write the chosen images as one PNG, ten a row, in the order of their ranks.
    #[arg(long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,
}

/// `vae96 reproduce`.
#[derive(Clone, Debug, Args)]
pub struct ReproduceCommand {
    /// Where the files are.
    #[command(flatten)]
    pub folder: FolderArguments,
    /// What all trainings share.
    #[command(flatten)]
    pub common: CommonArguments,
    /// What to train.
    #[command(flatten)]
    pub reproduction: ReproductionArguments,
    /// The options of both stages.
    #[command(flatten)]
    pub stages: StageArguments,
}

/// What a model file computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportKind {
    /// Scores of the classes.
    Classifier,
    /// The mean of the latent.
    Encoder,
}

/// The processor whose kernels the weights of a model file are ordered for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Any, with the smallest file.
    #[default]
    Portable,
    /// Cortex-M3, M4, M7 and M33: two fifths more flash, and fewer than half of the instructions.
    CortexM4,
    /// Cortex-M4 and M7 with 16 KB of memory to spare, by Winograd's method: the fewest
    /// instructions, for `edge` with its convolutional head and for its deep encoder.
    CortexM4Winograd,
}

/// `vae96 export`.
#[derive(Clone, Debug, Args)]
pub struct ExportCommand {
    /// A run's folder: of `run`, of `finetune`, or of `pretrain` for an encoder; or a safetensors
    /// file, of PyTorch too: names and shapes of its tensors tell the network.
    pub run: PathBuf,
    /// The file to write. Without it: `model` with the format's ending.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The file's format. Without it: what the file's ending says.
    #[arg(long)]
    pub format: Option<Format>,
    /// What the file computes. Without it: a classifier, where the run has one.
    #[arg(long)]
    pub kind: Option<ExportKind>,
    /// Folder of photographs whose training images calibrate the ranges of int8. Without it: the
    /// run's.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// How the ranges of activations are chosen.
    #[arg(long, default_value = "mse")]
    pub calibration: calibrate::Method,
    /// Images to calibrate on.
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub calibration_images: usize,
    /// Leave the class names out of the file.
    #[arg(long)]
    pub no_names: bool,
    /// The processor that the weights are ordered for. Every device reads every file, and gives
    /// the same answers.
    #[arg(long, default_value = "portable")]
    pub target: Target,
}

/// `vae96 evaluate`.
#[derive(Clone, Debug, Args)]
pub struct EvaluateCommand {
    /// A run's folder, a model file, or a safetensors file of a classifier, of PyTorch too.
    pub model: PathBuf,
    /// Folder of photographs. Without it: the run's, or the built-in scenes for a model of them.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// `vae96 classify`.
#[derive(Clone, Debug, Args)]
pub struct ClassifyCommand {
    /// A model file.
    pub model: PathBuf,
    /// Image files.
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Classes to tell of each.
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub top: usize,
    /// Classes that were taught, in the place of those the model was trained for: the model is an
    /// encoder.
    #[arg(long, value_name = "FILE")]
    pub prototypes: Option<PathBuf>,
}

/// `vae96 teach`.
#[derive(Clone, Debug, Args)]
pub struct TeachCommand {
    /// A model file of an encoder.
    pub model: PathBuf,
    /// The file of classes to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Begin with the classes and the calibration of this file.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Forget the class of that name; before any are taught.
    #[arg(long, value_name = "NAME")]
    pub remove: Vec<String>,
    /// An image that teaches a class, or a folder of such images; again for each image and class.
    #[arg(long, value_name = "NAME=IMAGE", value_parser = lesson)]
    pub class: Vec<(String, PathBuf)>,
    /// Find out how likely an image is of none of the classes, from the labelled images in
    /// supervised/val of this folder, of any classes that the model was not trained on; without a
    /// folder, from the built-in scenes.
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    pub calibrate: Option<Option<PathBuf>>,
    /// What the calibration's draws follow from.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// A class's name and a path.
fn lesson(argument: &str) -> Result<(String, PathBuf), String> {
    match argument.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(path)))
        }
        _ => Err("must be a class's name, = and an image or a folder".to_owned()),
    }
}

/// `vae96 few-shot`.
#[derive(Clone, Debug, Args)]
pub struct FewShotCommand {
    /// A model file of an encoder.
    pub model: PathBuf,
    /// Folder of photographs, with labelled images in supervised/val. Without it: the built-in
    /// scenes.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Classes taught at a time.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub ways: usize,
    /// The most images that teach a class: all numbers from 1 on are measured.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub shots: usize,
    /// Draws of classes and images.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub draws: u64,
    /// What the draws follow from.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Take the calibration of this file, and draw from all classes. Without it: half of the
    /// classes calibrate, and the other half is drawn from.
    #[arg(long, value_name = "FILE")]
    pub prototypes: Option<PathBuf>,
}

/// `vae96 inspect`.
#[derive(Clone, Debug, Args)]
pub struct InspectCommand {
    /// A model file.
    pub model: PathBuf,
}

/// The options of pre-training and fine-tuning together: those that both have carry their stage's
/// name, as in `--pretrain-epochs`.
#[derive(Clone, Debug, Default)]
pub struct StageArguments {
    /// Of pre-training.
    pub pretrain: PretrainArguments,
    /// Of fine-tuning, and of the baseline.
    pub finetune: FinetuneArguments,
}

/// The arguments of one stage on a command of their own.
fn stage<A: Args>() -> ClapCommand {
    A::augment_args(ClapCommand::new("stage").no_binary_name(true))
}

/// Pairs of a stage's own argument and its name among those of both stages.
fn named(own: &ClapCommand, other: &ClapCommand, prefix: &str) -> Vec<(clap::Arg, String)> {
    let long = |arg: &clap::Arg| arg.get_long().unwrap_or_default().to_owned();
    let shared: Vec<_> = other.get_arguments().map(long).collect();
    own.get_arguments()
        .map(|arg| {
            let name = long(arg);
            match shared.contains(&name) {
                true => (arg.clone(), format!("{prefix}-{name}")),
                false => (arg.clone(), name),
            }
        })
        .collect()
}

/// An option that both stages have, under the name that neither has here: it is refused, and the
/// user is told the names that there are.
fn ambiguous(own: &str) -> clap::Arg {
    let tip = format!("of which stage? '--pretrain-{own}' or '--finetune-{own}'");
    clap::Arg::new(own.to_owned())
        .long(own.to_owned())
        .value_parser(UnknownArgumentValueParser::suggest(tip))
        .hide(true)
}

/// The stage's arguments as they were given among those of both.
fn given<A: Args>(
    matches: &ArgMatches,
    arguments: &[(clap::Arg, String)],
) -> Result<A, clap::Error> {
    let mut line = Vec::<OsString>::new();
    for (arg, name) in arguments {
        for value in matches.get_raw(name).into_iter().flatten() {
            // As one word: a value such as -1 by itself would look like an option.
            let mut word = OsString::from(format!("--{}=", arg.get_long().unwrap_or_default()));
            word.push(value);
            line.push(word);
        }
    }
    A::from_arg_matches(&stage::<A>().try_get_matches_from(line)?)
}

impl StageArguments {
    fn both() -> [(&'static str, Vec<(clap::Arg, String)>); 2] {
        let pretrain = stage::<PretrainArguments>();
        let finetune = stage::<FinetuneArguments>();
        [
            ("Pre-training", named(&pretrain, &finetune, "pretrain")),
            (
                "Fine-tuning and baseline",
                named(&finetune, &pretrain, "finetune"),
            ),
        ]
    }
}

impl Args for StageArguments {
    fn augment_args(mut command: ClapCommand) -> ClapCommand {
        for (heading, arguments) in Self::both() {
            for (arg, name) in arguments {
                if let Some(own) = name.strip_prefix("pretrain-") {
                    command = command.arg(ambiguous(own));
                }
                let arg = arg.id(name.clone()).long(name).help_heading(heading);
                command = command.arg(arg);
            }
        }
        command
    }

    fn augment_args_for_update(command: ClapCommand) -> ClapCommand {
        Self::augment_args(command)
    }
}

impl FromArgMatches for StageArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let [(_, pretrain), (_, finetune)] = Self::both();
        Ok(Self {
            pretrain: given(matches, &pretrain)?,
            finetune: given(matches, &finetune)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_the_options_of_both_stages() {
        let line = "vae96 run --labels-per-class 8 --seed 3 --pretrain-epochs 2 --finetune-rate 0.5 --beta 4";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Some(Command::Run(run)) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(run.common.seed, Some(3));
        assert_eq!(run.stages.finetune.labels_per_class, Some(8));
        assert_eq!(run.stages.pretrain.epochs, Some(2));
        assert_eq!(run.stages.finetune.epochs, None);
        assert_eq!(run.stages.finetune.rate, Some(0.5));
        assert_eq!(run.stages.pretrain.beta, Some(4.0));
        let cli = Cli::try_parse_from(["vae96", "--pretrain-rate=-1"]).unwrap();
        assert_eq!(cli.run.stages.pretrain.rate, Some(-1.0));
    }

    #[test]
    fn without_a_command_the_options_are_those_of_run() {
        let cli = Cli::try_parse_from(["vae96", "--seed", "5", "--json"]).unwrap();
        assert!(cli.command.is_none() && cli.output.json);
        assert_eq!(cli.run.common.seed, Some(5));
    }

    #[test]
    fn an_option_of_both_stages_needs_its_stage() {
        for line in ["vae96 --epochs 5", "vae96 run --epochs=5"] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::UnknownArgument);
            let text = error.to_string();
            assert!(text.contains("--pretrain-epochs"), "{text}");
            assert!(text.contains("--finetune-epochs"), "{text}");
        }
    }
}

//! Every option of a run, resolved: the recipe's defaults, over them the configuration file's,
//! over them the command line's.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use vae96::Autoencoder;

use crate::backend::{Device, Precision};
use crate::cli::CommonArguments;
use crate::files;
use crate::train::recipe::{
    Depth, Finetune, FinetuneArguments, Head, Network, Pretrain, PretrainArguments, Recipe,
};
use crate::train::reproduction::{Reproduction, ReproductionArguments, Setting, Training};

/// What `--from` says for a training without a pre-trained encoder.
pub const SCRATCH: &str = "scratch";
/// What a reproduction sets anew for each of its classifiers.
pub const VARIED: [&str; 3] = ["head", "encoder", "labels_per_class"];

/// Which command a folder is the run of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The whole pipeline.
    Run,
    /// The VAE alone.
    Pretrain,
    /// A classifier alone.
    Finetune,
    /// The paper's experiments.
    Reproduce,
}

impl Stage {
    /// The command's name.
    pub fn command(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Pretrain => "pretrain",
            Self::Finetune => "finetune",
            Self::Reproduce => "reproduce",
        }
    }
}

/// Every option of a run: what its `config.toml` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The command.
    pub stage: Stage,
    /// The folder of photographs; none for the built-in scenes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// The network.
    pub network: Network,
    /// Where the defaults came from.
    pub recipe: Recipe,
    /// All that is random follows from it.
    pub seed: u64,
    /// What the built-in scenes are drawn from, where that is not the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenes_seed: Option<u64>,
    /// Where it trains.
    pub device: Device,
    /// How exactly layers multiply; none until the machine is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// The most unlabelled images to use; 0 for all.
    pub unlabelled: usize,
    /// Whether trainings write their curves for TensorBoard too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tensorboard: bool,
    /// What `finetune` starts from: a run, a weights file, or `scratch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The classifiers that `finetune` learns from as well: runs, or weights files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<PathBuf>,
    /// The weights that `pretrain` begins with: a run, or a weights file; none for random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// How the VAE is trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrain: Option<Pretrain>,
    /// How the classifier is trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finetune: Option<Finetune>,
    /// The extent of a reproduction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reproduce: Option<Reproduction>,
}

/// What the command line says of a run.
#[derive(Clone, Debug, Default)]
pub struct Given<'a> {
    /// What all trainings share.
    pub common: CommonArguments,
    /// What `finetune` starts from.
    pub from: Option<String>,
    /// The classifiers that `finetune` learns from as well.
    pub teachers: Vec<PathBuf>,
    /// What `pretrain` starts from.
    pub init: Option<PathBuf>,
    /// Of pre-training.
    pub pretrain: PretrainArguments,
    /// Of fine-tuning.
    pub finetune: FinetuneArguments,
    /// Of a reproduction.
    pub reproduce: ReproductionArguments,
    /// The configuration file.
    pub file: Option<&'a Path>,
}

impl Given<'_> {
    /// What the command line says, as a configuration file would say it.
    fn table(&self) -> Result<Table> {
        let mut table = options(&self.common)?;
        if let Some(from) = &self.from {
            table.insert("from".to_owned(), Value::String(from.clone()));
        }
        if !self.teachers.is_empty() {
            table.insert("teachers".to_owned(), Value::try_from(&self.teachers)?);
        }
        if let Some(init) = &self.init {
            table.insert("init".to_owned(), Value::try_from(init)?);
        }
        for (name, stage) in [
            ("pretrain", options(&self.pretrain)?),
            ("finetune", options(&self.finetune)?),
            ("reproduce", options(&self.reproduce)?),
        ] {
            if !stage.is_empty() {
                table.insert(name.to_owned(), Value::Table(stage));
            }
        }
        Ok(table)
    }

    /// The names of the options that the command line gives, as in a configuration file.
    pub fn names(&self) -> Result<Vec<String>> {
        let names = |(name, value): (String, Value)| match value {
            Value::Table(stage) => stage.keys().map(|key| format!("{name}.{key}")).collect(),
            _ => vec![name],
        };
        Ok(self.table()?.into_iter().flat_map(names).collect())
    }
}

fn options(given: &impl Serialize) -> Result<Table> {
    Table::try_from(given).context("an option is above 9223372036854775807")
}

impl Config {
    /// Resolves what is given.
    ///
    /// # Errors
    /// Where the file is no configuration, or a value is out of its range.
    pub fn resolve(stage: Stage, given: &Given<'_>) -> Result<Self> {
        let mut over = match given.file {
            Some(path) => table(path)?,
            None => Table::new(),
        };
        over.remove("stage");
        merge(&mut over, given.table()?);
        let named = |error: toml::de::Error| match given.file {
            Some(path) => anyhow::Error::from(error).context(invalid(path)),
            None => error.into(),
        };
        let basis = Basis::of(stage, &over).map_err(named)?;
        let defaults = basis.defaults();
        let mut all = Table::try_from(&defaults)?;
        // A file of `run` serves its stages alone too, and the other way round.
        for (name, wanted) in [
            ("pretrain", defaults.pretrain.is_some()),
            ("finetune", defaults.finetune.is_some()),
            ("from", stage == Stage::Finetune),
            ("teachers", stage == Stage::Finetune),
            ("init", stage == Stage::Pretrain),
            ("reproduce", stage == Stage::Reproduce),
        ] {
            if !wanted {
                over.remove(name);
            }
        }
        if let (Stage::Reproduce, Some(Value::Table(finetune))) = (stage, over.get_mut("finetune"))
        {
            for name in VARIED {
                finetune.remove(name);
            }
        }
        let side_given = option(&over, "finetune", "side").is_some();
        merge(&mut all, over);
        let mut config: Self = all.try_into().map_err(named)?;
        // A run is resumed from any folder.
        let paths = [&mut config.data, &mut config.init].into_iter().flatten();
        for path in paths.chain(&mut config.teachers) {
            *path = std::path::absolute(&*path)?;
        }
        if let Some(from) = &mut config.from
            && from != SCRATCH
            && let Some(path) = std::path::absolute(&*from)?.to_str()
        {
            *from = path.to_owned();
        }
        let any_side = config.reads_any_side();
        if let (false, false, Some(finetune)) = (side_given, any_side, &mut config.finetune) {
            finetune.side = vae96::SIDE;
        }
        config.check()?;
        Ok(config)
    }

    /// What a run without any option has.
    pub fn built_in() -> Result<Self> {
        Self::resolve(Stage::Run, &Given::default())
    }

    /// Reads the configuration of a run's folder.
    pub fn load(path: &Path) -> Result<Self> {
        table(path)?.try_into().with_context(|| invalid(path))
    }

    /// Writes it.
    pub fn save(&self, path: &Path) -> Result<()> {
        files::write(path, toml::to_string(self)?.as_bytes())
    }

    /// As text that may leave this machine: without the places of files on it.
    pub fn without_paths(&self) -> Result<String> {
        let config = Self {
            data: None,
            from: self.from.clone().filter(|from| from == SCRATCH),
            init: None,
            teachers: Vec::new(),
            ..self.clone()
        };
        Ok(toml::to_string(&config)?)
    }

    /// How the VAE is trained.
    pub fn pretrain(&self) -> Result<&Pretrain> {
        self.pretrain
            .as_ref()
            .context("the configuration has no section [pretrain]")
    }

    /// The VAE that is trained.
    pub fn autoencoder(&self) -> Result<&'static Autoencoder> {
        self.network.autoencoder(self.pretrain()?.depth)
    }

    /// How the classifier is trained.
    pub fn finetune(&self) -> Result<&Finetune> {
        self.finetune
            .as_ref()
            .context("the configuration has no section [finetune]")
    }

    /// The extent of a reproduction.
    pub fn reproduce(&self) -> Result<&Reproduction> {
        self.reproduce
            .as_ref()
            .context("the configuration has no section [reproduce]")
    }

    /// The options of one of a reproduction's classifiers, as `finetune` would have them.
    /// `encoder` is the folder of the pre-training.
    pub fn of_training(&self, training: Training, encoder: &Path) -> Result<Self> {
        let encoder = std::path::absolute(encoder)?;
        let mut config = Self {
            stage: Stage::Finetune,
            seed: training.seed,
            scenes_seed: self.data.is_none().then_some(self.seed),
            from: Some(match training.setting {
                Setting::Baseline => SCRATCH.to_owned(),
                _ => encoder.to_string_lossy().into_owned(),
            }),
            pretrain: None,
            finetune: Some(Finetune {
                head: training.setting.head(),
                encoder: training.setting.encoder(),
                labels_per_class: training.labels,
                ..self.finetune()?.clone()
            }),
            reproduce: None,
            ..self.clone()
        };
        let any_side = config.reads_any_side();
        if let (false, Some(finetune)) = (any_side, &mut config.finetune) {
            finetune.side = vae96::SIDE;
        }
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        if let Some(pretrain) = &self.pretrain {
            count("pretrain", "epochs", pretrain.epochs)?;
            count("pretrain", "batch", pretrain.batch)?;
            within("pretrain", "rate", pretrain.rate, 0.0, 10.0)?;
            within("pretrain", "warmup", pretrain.warmup, 0.0, 1.0)?;
            within("pretrain", "weight_decay", pretrain.weight_decay, 0.0, 10.0)?;
            within("pretrain", "clip", pretrain.clip, 0.0, f64::MAX)?;
            within("pretrain", "vae", pretrain.vae, 0.0, 1e6)?;
            within("pretrain", "beta", pretrain.beta, 0.0, 1e6)?;
            within("pretrain", "beta_warmup", pretrain.beta_warmup, 0.0, 1.0)?;
            within("pretrain", "sigma2", pretrain.sigma2, 1e-6, 1e6)?;
            within("pretrain", "free_bits", pretrain.free_bits, 0.0, 1e3)?;
            within("pretrain", "contrast", pretrain.contrast, 0.0, 1e6)?;
            within("pretrain", "temperature", pretrain.temperature, 0.01, 100.0)?;
            within("pretrain", "mask", pretrain.mask, 0.0, 0.95)?;
            within("pretrain", "noise", pretrain.noise, 0.0, 1.0)?;
            within("pretrain", "crop", pretrain.crop, 0.01, 1.0)?;
            within("pretrain", "colour", pretrain.colour, 0.0, 1.0)?;
            within("pretrain", "hue", pretrain.hue, 0.0, 0.5)?;
            within("pretrain", "grey", pretrain.grey, 0.0, 1.0)?;
            self.check_pretrain(pretrain)?;
        }
        if let Some(finetune) = &self.finetune {
            count("finetune", "epochs", finetune.epochs)?;
            count("finetune", "epoch_images", finetune.epoch_images)?;
            count("finetune", "batch", finetune.batch)?;
            within("finetune", "rate", finetune.rate, 0.0, 10.0)?;
            within("finetune", "encoder_rate", finetune.encoder_rate, 0.0, 10.0)?;
            within("finetune", "layer_decay", finetune.layer_decay, 0.0, 1.0)?;
            within("finetune", "probe", finetune.probe, 0.0, 1.0)?;
            within("finetune", "warmup", finetune.warmup, 0.0, 1.0)?;
            within("finetune", "weight_decay", finetune.weight_decay, 0.0, 10.0)?;
            within("finetune", "clip", finetune.clip, 0.0, f64::MAX)?;
            within("finetune", "smoothing", finetune.smoothing, 0.0, 0.99)?;
            within("finetune", "crop", finetune.crop, 0.01, 1.0)?;
            within("finetune", "colour", finetune.colour, 0.0, 1.0)?;
            within("finetune", "average", finetune.average, 0.0, 0.99999)?;
            within("finetune", "consistency", finetune.consistency, 0.0, 1e3)?;
            count("finetune", "consistency_batch", finetune.consistency_batch)?;
            let warmup = finetune.consistency_warmup;
            within("finetune", "consistency_warmup", warmup, 0.0, 1.0)?;
            within("finetune", "confidence", finetune.confidence, 0.0, 1.0)?;
            within("finetune", "weak_crop", finetune.weak_crop, 0.01, 1.0)?;
            within("finetune", "strong_crop", finetune.strong_crop, 0.01, 1.0)?;
            within(
                "finetune",
                "strong_colour",
                finetune.strong_colour,
                0.0,
                1.0,
            )?;
            within("finetune", "strong_grey", finetune.strong_grey, 0.0, 1.0)?;
            within(
                "finetune",
                "strong_rotation",
                finetune.strong_rotation,
                0.0,
                180.0,
            )?;
            within(
                "finetune",
                "strong_cutout",
                finetune.strong_cutout,
                0.0,
                1.0,
            )?;
            within("finetune", "propagation", finetune.propagation, 0.0, 1e3)?;
            within("finetune", "distillation", finetune.distillation, 0.0, 1e3)?;
            self.check_propagation(finetune)?;
            self.check_distillation(finetune)?;
            self.check_side(finetune)?;
        }
        if let Some(reproduce) = &self.reproduce {
            let seeds = reproduce.seeds;
            ensure!(
                (1..=1000).contains(&seeds) && self.seed <= i64::MAX as u64 - seeds as u64,
                "reproduce.seeds is {seeds}, from seed {} on; it must lie between 1 and 1000, and \
                 no seed may exceed {}",
                self.seed,
                i64::MAX
            );
        }
        Ok(())
    }

    fn check_pretrain(&self, pretrain: &Pretrain) -> Result<()> {
        let Pretrain { depth, side, .. } = *pretrain;
        self.network.autoencoder(depth)?;
        let sides: &[usize] = match depth {
            Depth::Shallow => &[vae96::SIDE],
            Depth::Deep => &[32, 64, vae96::SIDE],
        };
        ensure!(
            sides.contains(&side),
            "pretrain.side is {side}; this VAE learns from crops of {sides:?}"
        );
        ensure!(
            pretrain.vae > 0.0 || pretrain.contrast > 0.0,
            "pretrain.vae and pretrain.contrast are both 0: there is nothing to learn from"
        );
        Ok(())
    }

    /// That labels spread by features which are pre-trained, said before anything is.
    fn check_propagation(&self, finetune: &Finetune) -> Result<()> {
        let depth = self
            .pretrain
            .as_ref()
            .map_or(Depth::Deep, |pretrain| pretrain.depth);
        let scratch = self.from.as_deref() == Some(SCRATCH);
        ensure!(
            finetune.propagation == 0.0
                || (finetune.head == Head::Conv && depth == Depth::Deep && !scratch),
            "finetune.propagation is {}; labels spread by what a deep VAE (pretrain.depth = \"deep\") \
             has taught all layers but the last of the head \"conv\": 0 does without",
            finetune.propagation
        );
        Ok(())
    }

    /// That there are teachers where they are to be learned from, and nowhere else.
    fn check_distillation(&self, finetune: &Finetune) -> Result<()> {
        let count = self.teachers.len();
        ensure!(
            (finetune.distillation > 0.0) == (count > 0),
            "finetune.distillation is {}, with {}; above 0 it takes those of \
             `finetune --teacher RUN`, and without any it is 0",
            finetune.distillation,
            match count {
                1 => "1 teacher".to_owned(),
                _ => format!("{count} teachers"),
            }
        );
        Ok(())
    }

    /// Whether the classifier reads images of any size: its head ends in a global average.
    fn reads_any_side(&self) -> bool {
        let head = self.finetune.as_ref().map(|finetune| finetune.head.into());
        head.is_some_and(|head| {
            let mut layers = self.network.architecture().head(head).iter();
            layers.any(|layer| layer.op == vae96::Op::GlobalAveragePool)
        })
    }

    fn check_side(&self, finetune: &Finetune) -> Result<()> {
        let side = finetune.side;
        let any = self.reads_any_side();
        ensure!(
            side == vae96::SIDE
                || (any && (32..vae96::SIDE).contains(&side) && side.is_multiple_of(8)),
            "finetune.side is {side}; {}",
            if any {
                "it must be 96, or a smaller multiple of 8 from 32 on"
            } else {
                "this network and head need 96"
            }
        );
        Ok(())
    }
}

/// What the defaults depend on.
struct Basis {
    stage: Stage,
    recipe: Recipe,
    network: Network,
    depth: Depth,
    /// Whether the images are the built-in scenes.
    built_in: bool,
    /// Whether a classifier starts from scratch.
    scratch: bool,
    /// Whether it has teachers.
    taught: bool,
}

impl Basis {
    fn of(stage: Stage, over: &Table) -> Result<Self, toml::de::Error> {
        let recipe = match over.get("recipe") {
            Some(recipe) => recipe.clone().try_into()?,
            None => Recipe::Default,
        };
        let network = match (over.get("network"), recipe) {
            (Some(network), _) => network.clone().try_into()?,
            (None, Recipe::Default | Recipe::FewLabels) => Network::Edge,
            (None, Recipe::Paper) => Network::Paper,
        };
        let built_in = !over.contains_key("data");
        let depth = match option(over, "pretrain", "depth") {
            Some(depth) => depth.clone().try_into()?,
            // The paper's experiments are about its own VAE, and a few minutes are too short for
            // another.
            None if stage == Stage::Reproduce || recipe == Recipe::Paper => Depth::Shallow,
            None if built_in && recipe == Recipe::Default => Depth::Shallow,
            None if network.autoencoder(Depth::Deep).is_err() => Depth::Shallow,
            None => Depth::Deep,
        };
        Ok(Self {
            stage,
            recipe,
            network,
            depth,
            built_in,
            scratch: over.get("from").and_then(Value::as_str) == Some(SCRATCH),
            taught: stage == Stage::Finetune && over.contains_key("teachers"),
        })
    }

    fn defaults(&self) -> Config {
        let Self { stage, recipe, .. } = *self;
        let mut pretrain = Pretrain::defaults(recipe, self.depth);
        let mut finetune = Finetune::defaults(recipe);
        let trial = self.built_in && recipe == Recipe::Default;
        if trial {
            // The scenes are for trying things out: a few minutes, and few labels, where
            // pre-training shows.
            pretrain.epochs = 12;
            finetune.epochs = 20;
            finetune.labels_per_class = 16;
        }
        if recipe != Recipe::Paper && (self.scratch || trial || stage == Stage::Reproduce) {
            // The baseline, the paper's experiments, a quick trial: what labels alone can teach.
            finetune = finetune.labels_alone();
        }
        if self.taught {
            finetune = finetune.taught();
        }
        if stage == Stage::Reproduce {
            // Each of its classifiers has its own number.
            finetune.labels_per_class = 0;
            if self.built_in {
                finetune.epochs = 8;
            }
        }
        Config {
            stage,
            data: None,
            network: self.network,
            recipe,
            seed: 0,
            scenes_seed: None,
            device: Device::Auto,
            precision: None,
            unlabelled: 0,
            tensorboard: false,
            from: None,
            teachers: Vec::new(),
            init: None,
            pretrain: (stage != Stage::Finetune).then_some(pretrain),
            finetune: (stage != Stage::Pretrain).then_some(finetune),
            reproduce: (stage == Stage::Reproduce).then(|| Reproduction::defaults(self.built_in)),
        }
    }
}

/// What a configuration says of an option of a stage.
fn option<'a>(table: &'a Table, stage: &str, name: &str) -> Option<&'a Value> {
    table.get(stage)?.get(name)
}

fn table(path: &Path) -> Result<Table> {
    files::read_text(path)?
        .parse()
        .with_context(|| invalid(path))
}

fn invalid(path: &Path) -> String {
    format!("{} is not a configuration of vae96", path.display())
}

/// Lays `over` over `under`, table by table.
fn merge(under: &mut Table, over: Table) {
    for (name, value) in over {
        match (under.get_mut(&name), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(name, value);
            }
        }
    }
}

fn count(stage: &str, name: &str, value: usize) -> Result<()> {
    const MOST: usize = 1_000_000;
    ensure!(
        (1..=MOST).contains(&value),
        "{stage}.{name} is {value}; it must lie between 1 and {MOST}"
    );
    Ok(())
}

fn within(stage: &str, name: &str, value: f64, least: f64, most: f64) -> Result<()> {
    ensure!(
        (least..=most).contains(&value),
        "{stage}.{name} is {value}; it must lie between {least} and {most}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::recipe::Encoder;

    fn given() -> Given<'static> {
        Given::default()
    }

    #[test]
    fn the_command_line_overrides_the_file_and_the_file_the_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(
            &file,
            "recipe = 'paper'\nseed = 4\n[finetune]\nbatch = 32\nrate = 0.5\n",
        )
        .unwrap();
        let mut given = Given {
            file: Some(&file),
            ..given()
        };
        given.finetune.rate = Some(0.25);
        let config = Config::resolve(Stage::Run, &given).unwrap();
        let finetune = config.finetune.unwrap();
        assert_eq!((config.seed, finetune.batch, finetune.rate), (4, 32, 0.25));
        assert_eq!(finetune.side, 96);
        assert_eq!(config.pretrain.unwrap().epochs, 180);
    }

    #[test]
    fn few_labels_freeze_what_a_deep_vae_has_learned() {
        let few = |from: &str| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("config.toml");
            std::fs::write(&file, "recipe = 'few-labels'\n").unwrap();
            let given = Given {
                file: Some(&file),
                from: Some(from.to_owned()),
                ..given()
            };
            Config::resolve(Stage::Finetune, &given)
                .unwrap()
                .finetune
                .unwrap()
        };
        let from_run = few("run");
        assert_eq!(from_run.encoder, Encoder::Freeze);
        assert!(from_run.propagation > 0.0);
        // The baseline has nothing to freeze, and nothing to spread by.
        let from_scratch = few(SCRATCH);
        assert_eq!(from_scratch.encoder, Encoder::Learn);
        assert_eq!((from_scratch.lessons(), from_scratch.precise_bn), (0, 0));
    }

    #[test]
    fn teachers_are_learned_from_in_place_of_consistency() {
        let mut given = Given {
            from: Some(SCRATCH.to_owned()),
            teachers: vec!["first".into(), "/second".into()],
            ..given()
        };
        let config = Config::resolve(Stage::Finetune, &given).unwrap();
        let here = std::env::current_dir().unwrap();
        assert_eq!(config.teachers, [here.join("first"), "/second".into()]);
        assert!(config.without_paths().unwrap().find("second").is_none());
        let finetune = config.finetune.unwrap();
        assert_eq!((finetune.distillation, finetune.lessons()), (1.0, 1));
        given.finetune.distillation = Some(2.0);
        given.finetune.consistency = Some(0.5);
        let config = Config::resolve(Stage::Finetune, &given).unwrap();
        let finetune = config.finetune.unwrap();
        assert_eq!((finetune.distillation, finetune.lessons()), (2.0, 2));
    }

    #[test]
    fn labels_that_nothing_could_spread_by_are_refused_at_once() {
        for (depth, head) in [(Depth::Shallow, Head::Conv), (Depth::Deep, Head::Dense)] {
            let mut given = given();
            given.finetune.propagation = Some(1.0);
            given.finetune.head = Some(head);
            given.pretrain.depth = Some(depth);
            let refused = Config::resolve(Stage::Run, &given).unwrap_err().to_string();
            assert!(refused.contains("propagation is 1"), "{refused}");
        }
    }

    #[test]
    fn what_is_saved_reads_back() {
        for stage in [
            Stage::Run,
            Stage::Pretrain,
            Stage::Finetune,
            Stage::Reproduce,
        ] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("config.toml");
            let config = Config::resolve(stage, &given()).unwrap();
            config.save(&file).unwrap();
            assert_eq!(Config::load(&file).unwrap(), config);
        }
    }

    #[test]
    fn runs_from_before_some_options_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let mut config = Config::resolve(Stage::Finetune, &given()).unwrap();
        let text = toml::to_string(&config).unwrap();
        let newer = ["propagation", "distillation", "precise_bn"];
        let older: Vec<_> = text
            .lines()
            .filter(|line| !newer.iter().any(|name| line.starts_with(name)))
            .collect();
        assert_eq!(older.len() + newer.len(), text.lines().count());
        std::fs::write(&file, older.join("\n")).unwrap();
        config.finetune.as_mut().unwrap().precise_bn = 0;
        assert_eq!(Config::load(&file).unwrap(), config);
    }

    #[test]
    fn values_out_of_range_are_named() {
        let mut given = given();
        given.finetune.side = Some(50);
        let error = Config::resolve(Stage::Finetune, &given)
            .unwrap_err()
            .to_string();
        assert!(error.contains("side is 50"), "{error}");
        given.finetune.side = None;
        given.pretrain.crop = Some(2.0);
        let error = Config::resolve(Stage::Run, &given).unwrap_err().to_string();
        assert!(error.contains("pretrain.crop is 2"), "{error}");
    }

    #[test]
    fn an_unknown_option_in_a_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "[pretrain]\nepoch = 3\n").unwrap();
        let given = Given {
            file: Some(&file),
            ..given()
        };
        let error = format!("{:#}", Config::resolve(Stage::Run, &given).unwrap_err());
        assert!(
            error.contains("epoch") && error.contains("config.toml"),
            "{error}"
        );
    }
}

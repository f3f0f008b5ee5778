//! Gathers what the trainings left into the report's data, and into the answer.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Finished, Reproduction, differences};
use crate::commands::folder::stages;
use crate::commands::report::{frame, pretraining};
use crate::report::reproduction::{
    self as page, Accuracy, LabelRow, SettingResult, Spread, StepLoss, paper,
};
use crate::report::{Report, VaeEpoch};
use crate::train::metrics;
use crate::train::recipe::Keep;
use crate::train::reproduction::{Setting, Training};
use crate::train::run::Folder;

/// The page, as far as the trainings are done.
pub fn report(of: &Reproduction<'_>) -> Result<Report> {
    let finished = of.finished()?;
    let accuracy = |setting: Setting, labels: usize| {
        let ones = finished
            .iter()
            .filter(|(training, _)| (training.setting, training.labels) == (setting, labels));
        let (top1, top5) = ones.map(|(_, found)| (found.top1, found.top5)).unzip();
        Some(Accuracy {
            top1: Spread::of(top1)?,
            top5: Spread::of(top5)?,
        })
    };
    let mut labels: Vec<usize> = of
        .trainings
        .iter()
        .map(|training| training.labels)
        .collect();
    labels.sort_unstable();
    labels.dedup();
    let rows = labels.iter().map(|&labels| LabelRow {
        labels,
        pretrained: accuracy(Setting::ConvLearn, labels),
        baseline: accuracy(Setting::Baseline, labels),
    });
    let most = labels.last().copied().unwrap_or(0);
    let settings = Setting::ALL.map(|setting| {
        anyhow::Ok(SettingResult {
            setting: setting.name(),
            name: name(setting),
            accuracy: accuracy(setting, most),
            curve: curve(of, &finished, setting, most)?,
        })
    });
    let vae = Folder::at(&of.folder.file(stages::PRETRAIN));
    let settings_of = of.config.finetune()?;
    let images = of.data.val.labels.len();
    let reproduction = page::Reproduction {
        done: finished.len() + usize::from(vae.is_complete()),
        trainings: 1 + of.trainings.len(),
        classes: of.data.classes.len(),
        images,
        curve_images: match settings_of.val_images {
            0 => images,
            some => some.min(images),
        },
        keeps_best: settings_of.keep == Keep::Best,
        pretraining: match vae.is_complete() {
            true => Some(pretraining(&vae)?),
            false => None,
        },
        steps: steps(&vae)?,
        settings: settings.into_iter().collect::<Result<_>>()?,
        rows: rows.collect(),
        differences: differences::all(of)?,
    };
    Ok(Report {
        reproduction: Some(reproduction),
        ..frame("The paper, reproduced", of.config, of.data)?
    })
}

/// A setting in words.
fn name(setting: Setting) -> &'static str {
    match setting {
        Setting::ConvLearn => "conv head, encoder learns",
        Setting::ConvFreeze => "conv head, encoder frozen",
        Setting::DenseLearn => "dense head, encoder learns",
        Setting::DenseFreeze => "dense head, encoder frozen",
        Setting::Baseline => "baseline: conv head, from scratch",
    }
}

/// The mean over seeds of the validation accuracy after each epoch that all of them had.
fn curve(
    of: &Reproduction<'_>,
    finished: &[(Training, Finished)],
    setting: Setting,
    labels: usize,
) -> Result<Vec<(usize, f64)>> {
    let mut sums = BTreeMap::<usize, (f64, usize)>::new();
    let mut seeds = 0;
    for &(training, _) in finished {
        if (training.setting, training.labels) != (setting, labels) {
            continue;
        }
        seeds += 1;
        for record in metrics::read(&of.folder_of(training).metrics())? {
            let (sum, count) = sums.entry(record.epoch).or_default();
            *sum += record.val.get("top1").copied().unwrap_or(f64::NAN);
            *count += 1;
        }
    }
    let means = sums.into_iter().filter(|(_, (_, count))| *count == seeds);
    Ok(means
        .map(|(epoch, (sum, count))| (epoch, sum / count as f64))
        .collect())
}

/// The VAE's loss over single batches, weighed as the paper weighs it.
fn steps(vae: &Folder) -> Result<Vec<StepLoss>> {
    if !vae.steps().exists() {
        return Ok(Vec::new());
    }
    let loss = |record: &metrics::StepRecord| {
        let figure = |name: &str| record.train.get(name).copied();
        Some(StepLoss {
            step: record.step,
            loss: figure("reconstruction")? + figure("kl")?,
        })
    };
    let records = metrics::read_steps(&vae.steps())?;
    Ok(records.iter().filter_map(loss).collect())
}

/// Everything the page shows as one object.
pub fn json(of: &Reproduction<'_>, report: &Report) -> Result<Value> {
    let Some(found) = &report.reproduction else {
        return Ok(Value::Null);
    };
    let row = |row: &LabelRow| {
        json!({
            "labels": row.labels,
            "pretrained": row.pretrained,
            "baseline": row.baseline,
            "paper_table": paper::notebook(row.labels).map(|_| json!({
                "top1": paper::TABLE.0 / 100.0,
                "top5": paper::TABLE.1 / 100.0,
                "impossible": true,
            })),
            "paper_notebook_top1": paper::notebook(row.labels).map(|top1| top1 / 100.0),
        })
    };
    let setting = |setting: &SettingResult| {
        json!({
            "setting": setting.setting,
            "accuracy": setting.accuracy,
            "paper_top1": paper::top1(setting.setting).map(|top1| top1 / 100.0),
        })
    };
    let curve = |setting: &SettingResult| (setting.setting.to_owned(), json!(setting.curve));
    let epoch = |epoch: &VaeEpoch| {
        json!({
            "epoch": epoch.epoch,
            "train": epoch.train_reconstruction + epoch.train_kl,
            "val": epoch.val_reconstruction + epoch.val_kl,
        })
    };
    let epochs = found.pretraining.iter().flat_map(|vae| &vae.epochs);
    let curves: serde_json::Map<_, _> = found.settings.iter().map(curve).collect();
    Ok(json!({
        "run": of.folder.path(),
        "trainings": { "done": found.done, "all": found.trainings },
        "images": found.images,
        "classes": found.classes,
        "best_epoch_kept": found.keeps_best,
        "table1": found.rows.iter().map(row).collect::<Vec<_>>(),
        "settings": found.settings.iter().map(setting).collect::<Vec<_>>(),
        "figure1": {
            "epochs": epochs.map(epoch).collect::<Vec<_>>(),
            "steps": found.steps,
            "paper_epochs": paper::EPOCH_LOSSES,
            "paper_steps": paper::STEP_LOSSES,
        },
        "figure3": curves,
    }))
}

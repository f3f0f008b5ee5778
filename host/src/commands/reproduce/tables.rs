//! The figures as CSV files and as a table for the terminal.

use std::fmt::{Display, Write};

use anyhow::Result;

use super::Finished;
use crate::files;
use crate::report::Report;
use crate::report::reproduction::{Accuracy, Reproduction, Spread, paper};
use crate::train::reproduction::Training;
use crate::train::run::Folder;

/// Lines of fields; none of them holds a comma or a quote.
struct Csv(String);

impl Csv {
    fn new(header: &str) -> Self {
        Self(format!("{header}\n"))
    }

    fn line(&mut self, fields: &[&dyn Display]) {
        let fields: Vec<_> = fields.iter().map(|field| field.to_string()).collect();
        self.0.push_str(&fields.join(","));
        self.0.push('\n');
    }

    fn write(&self, folder: &Folder, name: &str) -> Result<()> {
        files::write(&folder.file(name), self.0.as_bytes())
    }
}

/// A number, or an empty field.
fn or_empty(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Writes `table1.csv`, `settings.csv`, `trainings.csv`, `figure1.csv`, `figure1-steps.csv` and
/// `figure3.csv`. Accuracies are shares of 1; a field that has no value is empty.
pub fn write(folder: &Folder, report: &Report, finished: &[(Training, Finished)]) -> Result<()> {
    let Some(found) = &report.reproduction else {
        return Ok(());
    };
    table1(found).write(folder, "table1.csv")?;
    settings(found).write(folder, "settings.csv")?;
    trainings(finished).write(folder, "trainings.csv")?;
    figure1(found).write(folder, "figure1.csv")?;
    steps(found).write(folder, "figure1-steps.csv")?;
    figure3(found).write(folder, "figure3.csv")
}

/// Mean and deviation of top-1, then of top-5.
fn fields(accuracy: Option<&Accuracy>) -> [String; 4] {
    let of = |spread: Option<&Spread>| {
        let mean = or_empty(spread.map(|spread| spread.mean));
        [mean, or_empty(spread.and_then(|spread| spread.deviation))]
    };
    let [mean1, deviation1] = of(accuracy.map(|accuracy| &accuracy.top1));
    let [mean5, deviation5] = of(accuracy.map(|accuracy| &accuracy.top5));
    [mean1, deviation1, mean5, deviation5]
}

fn table1(found: &Reproduction) -> Csv {
    let mut csv = Csv::new(
        "labels,pretrained_top1,pretrained_top1_deviation,pretrained_top5,\
         pretrained_top5_deviation,baseline_top1,baseline_top1_deviation,baseline_top5,\
         baseline_top5_deviation,paper_table_top1_impossible,paper_table_top5_impossible,\
         paper_notebook_top1",
    );
    for row in &found.rows {
        let notebook = paper::notebook(row.labels);
        let table = |value: f64| or_empty(notebook.map(|_| value / 100.0));
        csv.line(&[
            &row.labels,
            &fields(row.pretrained.as_ref()).join(","),
            &fields(row.baseline.as_ref()).join(","),
            &table(paper::TABLE.0),
            &table(paper::TABLE.1),
            &or_empty(notebook.map(|top1| top1 / 100.0)),
        ]);
    }
    csv
}

fn settings(found: &Reproduction) -> Csv {
    let mut csv =
        Csv::new("setting,top1,top1_deviation,top5,top5_deviation,paper_best_validation_top1");
    for setting in &found.settings {
        csv.line(&[
            &setting.setting,
            &fields(setting.accuracy.as_ref()).join(","),
            &or_empty(paper::top1(setting.setting).map(|top1| top1 / 100.0)),
        ]);
    }
    csv
}

fn trainings(finished: &[(Training, Finished)]) -> Csv {
    let mut csv = Csv::new("setting,labels,seed,top1,top5,loss,images");
    for (training, found) in finished {
        csv.line(&[
            &training.setting.name(),
            &training.labels,
            &training.seed,
            &found.top1,
            &found.top5,
            &found.loss,
            &found.images,
        ]);
    }
    csv
}

fn figure1(found: &Reproduction) -> Csv {
    let mut csv = Csv::new("epoch,train_loss,val_loss,paper_train_loss");
    for epoch in found.pretraining.iter().flat_map(|vae| &vae.epochs) {
        let paper = paper::EPOCH_LOSSES
            .get(epoch.epoch.wrapping_sub(1))
            .copied();
        csv.line(&[
            &epoch.epoch,
            &(epoch.train_reconstruction + epoch.train_kl),
            &(epoch.val_reconstruction + epoch.val_kl),
            &or_empty(paper),
        ]);
    }
    csv
}

fn steps(found: &Reproduction) -> Csv {
    let mut csv = Csv::new("step,loss,paper_loss");
    for loss in &found.steps {
        let paper = paper::STEP_LOSSES
            .iter()
            .find(|(step, _)| *step == loss.step);
        csv.line(&[
            &loss.step,
            &loss.loss,
            &or_empty(paper.map(|paper| paper.1)),
        ]);
    }
    csv
}

fn figure3(found: &Reproduction) -> Csv {
    let mut csv = Csv::new("setting,epoch,val_top1");
    for setting in &found.settings {
        for (epoch, top1) in &setting.curve {
            csv.line(&[&setting.setting, epoch, top1]);
        }
    }
    csv
}

/// Table 1 and the settings for the terminal, in per cent.
pub fn terminal(report: &Report) -> String {
    let mut text = String::new();
    let Some(found) = &report.reproduction else {
        return text;
    };
    let spread = |spread: Option<&Spread>| match spread {
        Some(Spread {
            mean,
            deviation: Some(deviation),
            ..
        }) => format!("{:.1} ± {:.1}", 100.0 * mean, 100.0 * deviation),
        Some(Spread { mean, .. }) => format!("{:.1}", 100.0 * mean),
        None => "–".to_owned(),
    };
    let top1 = |accuracy: &Option<Accuracy>| spread(accuracy.as_ref().map(|found| &found.top1));
    let top5 = |accuracy: &Option<Accuracy>| spread(accuracy.as_ref().map(|found| &found.top5));
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{:>14}{:>13}{:>13}{:>13}{:>13}{:>10}",
        "labels a class", "top-1 (%)", "top-5 (%)", "base top-1", "base top-5", "paper*"
    );
    for row in &found.rows {
        let paper = paper::notebook(row.labels);
        let _ = writeln!(
            text,
            "{:>14}{:>13}{:>13}{:>13}{:>13}{:>10}",
            row.labels,
            top1(&row.pretrained),
            top5(&row.pretrained),
            top1(&row.baseline),
            top5(&row.baseline),
            paper.map_or("–".to_owned(), |top1| format!("{top1:.1}"))
        );
    }
    let _ = writeln!(
        text,
        "\n{:14}{:>13}{:>13}",
        "setting", "top-1 (%)", "top-5 (%)"
    );
    for setting in &found.settings {
        let _ = writeln!(
            text,
            "{:14}{:>13}{:>13}",
            setting.setting,
            top1(&setting.accuracy),
            top5(&setting.accuracy)
        );
    }
    text.push_str(
        "\n* top-1 from the authors' plotting notebook; the paper's Table 1 gives 8.41 for every \
         number of labels, which is impossible\n",
    );
    text
}

//! One seed gives the same bits on any number of threads.

use std::path::Path;

use crate::photographs;
use crate::vae96::{answer_of, command, read};

fn with_threads(at: &Path, threads: usize) -> Vec<(&'static str, Vec<u8>)> {
    let folder = format!("threads-{threads}");
    for line in [
        format!(
            "pretrain --data data --epochs 2 --batch 7 --mask 0.5 --noise 0.1 --out {folder}/vae"
        ),
        format!(
            "finetune --data data --from {folder}/vae --labels-per-class 3 --side 32 --batch 320 --consistency-batch 16 --average 0.9 \
             --epochs 1 --out {folder}/conv"
        ),
        format!("export {folder}/conv --out {folder}/model.v96"),
    ] {
        answer_of(command(at, &line).env("RAYON_NUM_THREADS", threads.to_string()));
    }
    let files = [
        "vae/weights.safetensors",
        "conv/weights.safetensors",
        "model.v96",
    ];
    files
        .map(|file| (file, read(at.join(&folder).join(file))))
        .into()
}

#[test]
fn same_weights_and_model_on_one_two_and_three_threads() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    let one = with_threads(at, 1);
    for threads in [2, 3] {
        for ((file, expected), (_, found)) in one.iter().zip(with_threads(at, threads)) {
            assert!(found == *expected, "{file} differs on {threads} threads");
        }
    }
}

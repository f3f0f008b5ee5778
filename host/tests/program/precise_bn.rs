//! BatchNorm's statistics, taken anew of whole images when a fine-tuning ends.

use std::path::Path;

use host::backend::Weights;

use crate::photographs;
use crate::vae96::answer;

fn weights(run: &Path) -> Weights {
    Weights::load(&run.join("weights.safetensors")).unwrap().0
}

#[test]
fn the_statistics_alone_are_taken_anew() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    photographs::write(at, "data");
    let short = "--data data --labels-per-class 2 --epochs 1 --epoch-images 64 --side 32 \
        --consistency-batch 16";
    answer(
        at,
        "pretrain --data data --epochs 1 --side 32 --batch 16 --out vae",
    );
    let run = |options: &str, out: &str| {
        answer(at, &format!("finetune {short} {options} --out {out}"));
        weights(&at.join(out))
    };
    let taken = run("--from vae", "taken");
    let kept = run("--from vae --precise-bn 0", "kept");
    assert!(taken.0.keys().eq(kept.0.keys()));
    for (name, tensor) in &taken.0 {
        assert_eq!(*tensor != kept.0[name], name.contains("running"), "{name}");
    }
    // Of fewer images they are others.
    assert!(run("--from vae --precise-bn 3", "fewer") != taken);

    // Labels alone see no other images, unless they are told to.
    let scratch = run("--from scratch", "scratch");
    assert!(run("--from scratch --precise-bn 0", "same") == scratch);
    assert!(run("--from scratch --precise-bn 2048", "other") != scratch);
    // Without unlabelled images there are the labelled ones.
    std::fs::remove_dir_all(at.join("data/unsupervised")).unwrap();
    let labelled = run("--from scratch --precise-bn 2048", "labelled");
    assert!(labelled != scratch);
}

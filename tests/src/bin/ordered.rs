//! Writes a model file again with its weights in another layout: `ordered MODEL.v96 LAYOUT OUT.v96`.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use host::evaluate::Aligned;
use host::quantise::order::order;
use vae96::model::WeightLayout;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [model, layout, out] = &arguments[..] else {
        bail!("usage: ordered MODEL.v96 LAYOUT OUT.v96");
    };
    let layout = (WeightLayout::ALL
        .into_iter()
        .find(|known| known.name() == layout))
    .with_context(|| format!("there is no layout {layout}"))?;
    let file = fs::read(model).with_context(|| model.clone())?;
    let ordered = match order(Aligned::new(&file).bytes(), layout)? {
        Some(ordered) => ordered,
        None => bail!(
            "{model} cannot be {}: its sums are too great",
            layout.name()
        ),
    };
    fs::write(Path::new(out), ordered).with_context(|| out.clone())
}

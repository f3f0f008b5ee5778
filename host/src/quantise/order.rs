//! The same model for other kernels.

use anyhow::{Result, anyhow};
use vae96::INPUT;
use vae96::model::{Contents, Model, ModelError, Parameters, WeightLayout};

/// The model of a file in the portable layout, with its weights in another one. `None` where that
/// layout's kernels could not compute the same.
///
/// # Errors
/// Where the file, which lies where a model must, is none in the portable layout.
pub fn order(file: &[u8], layout: WeightLayout) -> Result<Option<Vec<u8>>> {
    let invalid = |error: ModelError| anyhow!("cannot order the model's weights: {error}");
    let model = Model::parse(file).map_err(invalid)?;
    let (layers, classes) = (model.layers(), model.classes());
    let length = layout.bytes(layers, INPUT, classes);
    let length = length.ok_or_else(|| invalid(ModelError::Length))?;
    // Words, so that packed weights lie as they must.
    let mut words = vec![0i32; length.div_ceil(4)];
    let weights = &mut bytemuck::cast_slice_mut(&mut words)[..length];
    match layout.order(layers, INPUT, model.parameters(), weights) {
        Err(ModelError::Wide) => return Ok(None),
        ordered => ordered.map_err(invalid)?,
    }
    let names: Vec<&str> = model.names().collect();
    let contents = Contents {
        network: model.network(),
        parameters: Parameters {
            layout,
            weights,
            ..*model.parameters()
        },
        names: &names,
    };
    let mut ordered = vec![0; contents.length().map_err(invalid)?];
    contents.write(&mut ordered).map_err(invalid)?;
    Ok(Some(ordered))
}

//! The kernels' sources: CUDA C++, one program.

/// The sources in the order in which they are compiled, with their names.
pub const SOURCES: [(&str, &str); 7] = [
    ("common.cu", include_str!("common.cu")),
    ("maps.cu", include_str!("maps.cu")),
    ("norm.cu", include_str!("norm.cu")),
    ("pools.cu", include_str!("pools.cu")),
    ("losses.cu", include_str!("losses.cu")),
    ("contrast.cu", include_str!("contrast.cu")),
    ("optimiser.cu", include_str!("optimiser.cu")),
];

/// Every kernel.
pub const NAMES: [&str; 42] = [
    "adam",
    "approach",
    "average_pool",
    "average_pool_backward",
    "clip",
    "column_parts",
    "columns",
    "contrast_backward",
    "contrast_losses",
    "contrast_pairs",
    "contrast_units",
    "copy",
    "cross_entropy",
    "divergence",
    "fill",
    "finish",
    "finish_backward",
    "gather_flat",
    "gather_square",
    "gather_tall",
    "max_pool",
    "max_pool_backward",
    "moments",
    "moments_parts",
    "norm_backward",
    "norm_gradients",
    "norm_parts",
    "normalise",
    "running_affine",
    "sample",
    "sample_backward",
    "scatter_flat",
    "scatter_square",
    "scatter_tall",
    "sgd",
    "square_parts",
    "squared_error",
    "sum",
    "sum_parts",
    "weigh_flat",
    "weigh_square",
    "weigh_tall",
];

/// The program.
pub fn program() -> String {
    let sources = SOURCES.iter();
    // Messages of the compiler tell the file and the line in it.
    let parts = sources.map(|(name, source)| format!("#line 1 \"{name}\"\n{source}"));
    parts.collect()
}

//! The kernels' sources: CUDA C++, one program for each precision.

use crate::backend::Precision;

/// A source: its name and its text.
pub type Source = (&'static str, &'static str);

/// The instructions of matrix cores.
pub const INSTRUCTIONS: Source = ("mma.cu", include_str!("mma.cu"));

/// What every program begins with.
const FIRST: [Source; 2] = [
    ("common.cu", include_str!("common.cu")),
    ("values.cu", include_str!("values.cu")),
];

/// What layers' values are in it.
const F32_VALUES: Source = ("values_f32.cu", include_str!("values_f32.cu"));
const BF16_VALUES: Source = ("values_bf16.cu", include_str!("values_bf16.cu"));

/// What every program has after that, in the order in which it is compiled.
const ALWAYS: [Source; 12] = [
    ("several.cu", include_str!("several.cu")),
    ("adam.cu", include_str!("adam.cu")),
    ("product.cu", include_str!("product.cu")),
    ("maps.cu", include_str!("maps.cu")),
    ("images.cu", include_str!("images.cu")),
    ("noise.cu", include_str!("noise.cu")),
    ("corrupt.cu", include_str!("corrupt.cu")),
    ("norm.cu", include_str!("norm.cu")),
    ("pools.cu", include_str!("pools.cu")),
    ("losses.cu", include_str!("losses.cu")),
    ("contrast.cu", include_str!("contrast.cu")),
    ("optimiser.cu", include_str!("optimiser.cu")),
];

/// What that of bf16 has more: what is f32 all the same, plain matrices, and convolutions of few channels.
const BF16: [Source; 5] = [
    ("ends.cu", include_str!("ends.cu")),
    ("plain.cu", include_str!("plain.cu")),
    ("direct.cu", include_str!("direct.cu")),
    ("direct_outputs.cu", include_str!("direct_outputs.cu")),
    ("direct_weights.cu", include_str!("direct_weights.cu")),
];

/// The kernels that every program has.
const NAMES: [&str; 49] = [
    "adam",
    "add_noise",
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
    "gather_flat",
    "gather_square",
    "gather_tall",
    "hide_patches",
    "max_pool",
    "max_pool_backward",
    "merge_moments",
    "moments",
    "moments_parts",
    "move_square",
    "norm_backward",
    "norm_gradients",
    "norm_parts",
    "norm_sums",
    "normal",
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
    "tints",
    "views",
    "weigh_flat",
    "weigh_square",
    "weigh_tall",
];

/// Those that are in bf16 alone.
const BF16_NAMES: [&str; 28] = [
    "direct_outputs_1_16_1",
    "direct_outputs_1_16_2",
    "direct_outputs_1_16_4",
    "direct_outputs_1_32_1",
    "direct_outputs_1_32_2",
    "direct_outputs_1_8_1",
    "direct_outputs_1_8_2",
    "direct_outputs_1_8_4",
    "direct_outputs_2_16_1",
    "direct_outputs_2_16_2",
    "direct_outputs_2_32_1",
    "direct_outputs_2_32_2",
    "direct_outputs_2_8_1",
    "direct_outputs_2_8_2",
    "direct_weights_1_1",
    "direct_weights_1_2",
    "direct_weights_2_1",
    "direct_weights_2_2",
    "finish_f32",
    "gather_mma_large_plain",
    "gather_mma_square_plain",
    "move_mma_small_plain",
    "round_values",
    "scatter_mma_large_plain",
    "scatter_mma_square_plain",
    "sum_parts_f32",
    "weigh_mma_large_plain",
    "weigh_mma_square_plain",
];

/// Those of layers on matrix cores.
const MATRIX_NAMES: [&str; 13] = [
    "gather_mma_flat",
    "gather_mma_large",
    "gather_mma_square",
    "gather_mma_tall",
    "move_mma_square",
    "scatter_mma_flat",
    "scatter_mma_large",
    "scatter_mma_square",
    "scatter_mma_tall",
    "weigh_mma_flat",
    "weigh_mma_large",
    "weigh_mma_square",
    "weigh_mma_tall",
];

/// The sources of a precision's program, in the order in which they are compiled.
pub fn sources(precision: Precision) -> Vec<Source> {
    let matrix = ("matrix.cu", include_str!("matrix.cu"));
    let tf32 = ("tf32.cu", include_str!("tf32.cu"));
    let bf16 = ("bf16.cu", include_str!("bf16.cu"));
    let exact = [&FIRST[..], &[F32_VALUES], &ALWAYS];
    match precision {
        Precision::F32 => exact.concat(),
        Precision::Tf32 => [exact.concat(), vec![INSTRUCTIONS, tf32, matrix]].concat(),
        Precision::Bf16 => {
            let rounded = [&FIRST[..], &[INSTRUCTIONS, BF16_VALUES], &ALWAYS];
            [rounded.concat(), vec![bf16, matrix], BF16.to_vec()].concat()
        }
    }
}

/// Every kernel of a precision's program.
pub fn names(precision: Precision) -> Vec<&'static str> {
    match precision {
        Precision::F32 => NAMES.to_vec(),
        Precision::Tf32 => [&NAMES[..], &MATRIX_NAMES].concat(),
        Precision::Bf16 => [&NAMES[..], &MATRIX_NAMES, &BF16_NAMES].concat(),
    }
}

/// The bytes of shared memory that a launch gives a kernel, beside what the kernel declares: all that
/// products of plain matrices have, for more than 48 KiB cannot be declared. Every GPU of matrix cores for
/// bf16 has 99 KiB a block.
pub fn shared_bytes(kernel: &str) -> u32 {
    const PLAIN: u32 = 90 << 10;
    match kernel.ends_with("_plain") && !kernel.starts_with("move") {
        true => PLAIN,
        false => 0,
    }
}

/// The program of these sources.
pub fn program(sources: &[Source]) -> String {
    let sources = sources.iter();
    // Messages of the compiler tell the file and the line in it.
    let parts = sources.map(|(name, source)| format!("#line 1 \"{name}\"\n{source}"));
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_have_as_much_shared_memory_as_they_rely_on() {
        let all = names(Precision::Bf16).into_iter();
        let given: Vec<_> = all.map(shared_bytes).filter(|&bytes| bytes > 0).collect();
        assert_eq!(given.len(), 6);
        for bytes in given {
            let declared = format!("constexpr int PLAIN_BYTES = {bytes};");
            assert!(include_str!("plain.cu").contains(&declared));
        }
    }
}

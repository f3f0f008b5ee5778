//! The kernels, compiled by NVRTC for the GPUs there are. `tests/fixtures/check_kernels.sh` fetches
//! NVRTC and runs this.

use anyhow::{Result, ensure};
use host::backend::Precision;
use host::backend::cuda::kernels;
use host::backend::cuda::program::Compiler;

/// Matrix cores of these precisions come with sm_80.
const PROGRAMS: [(&str, Precision); 7] = [
    ("sm_75", Precision::F32),
    ("sm_80", Precision::F32),
    ("sm_80", Precision::Tf32),
    ("sm_80", Precision::Bf16),
    ("sm_90", Precision::F32),
    ("sm_90", Precision::Tf32),
    ("sm_90", Precision::Bf16),
];

#[test]
#[ignore = "needs NVRTC: tests/fixtures/check_kernels.sh"]
fn every_kernel_compiles_for_every_architecture() -> Result<()> {
    let compiler = Compiler::find()?;
    for (architecture, precision) in PROGRAMS {
        let code = compiler.compile(architecture, precision)?;
        ensure!(
            code.starts_with(b"\x7fELF"),
            "{architecture}: no machine code"
        );
        let names = kernels::names(precision);
        for name in &names {
            let section = format!(".text.{name}\0");
            let found = code
                .windows(section.len())
                .any(|bytes| bytes == section.as_bytes());
            ensure!(found, "{architecture}: no kernel {name}");
        }
        println!(
            "{architecture}, {precision}: {} kernels in {} bytes",
            names.len(),
            code.len()
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs NVRTC: tests/fixtures/check_kernels.sh"]
fn machine_code_is_kept_by_all_it_depends_on() -> Result<()> {
    let compiler = Compiler::find()?;
    let folder = tempfile::tempdir()?;
    let place = Some(folder.path());
    let cached =
        |architecture, precision, driver| compiler.cached(architecture, precision, driver, place);
    let (code, found) = cached("sm_80", Precision::F32, 1)?;
    assert!(!found);
    assert_eq!(cached("sm_80", Precision::F32, 1)?, (code, true));
    for (what, architecture, precision, driver) in [
        ("driver", "sm_80", Precision::F32, 2),
        ("architecture", "sm_90", Precision::F32, 1),
        ("precision", "sm_80", Precision::Bf16, 1),
    ] {
        assert!(
            !cached(architecture, precision, driver)?.1,
            "another {what}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 4);
    Ok(())
}

#[test]
#[ignore = "needs NVRTC: tests/fixtures/check_kernels.sh"]
fn an_unknown_architecture_is_named() -> Result<()> {
    let error = Compiler::find()?
        .compile("sm_1", Precision::F32)
        .unwrap_err()
        .to_string();
    assert!(error.contains("sm_1") && !error.contains('\n'), "{error}");
    Ok(())
}

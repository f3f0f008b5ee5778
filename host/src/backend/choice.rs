//! Where to train.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use anyhow::{Error, Result, bail};
use serde::{Deserialize, Serialize};
use vae96::{Architecture, Autoencoder, Head};

use super::cpu::Cpu;
use super::cuda::group::{self, Group};
use super::cuda::{Cuda, TooLittle, TooOld};
use super::work::Work;
use super::{Backend, Classifier, Precision, Vae, Weights};

/// Where to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// A GPU where there is one, else the processor.
    Auto,
    /// This computer's processor.
    Cpu,
    /// The GPU of this number, counted from 0.
    Cuda(usize),
    /// All GPUs of this computer together.
    AllCuda,
}

impl Device {
    /// Where to use what was trained there: a run may have come from a computer with more GPUs.
    pub fn or_any(self) -> Self {
        match self {
            Self::Cuda(_) | Self::AllCuda => Self::Auto,
            device => device,
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = text.strip_prefix("cuda:").map(str::parse);
        Ok(match (text, number) {
            ("auto", _) => Self::Auto,
            ("cpu", _) => Self::Cpu,
            ("cuda", _) => Self::Cuda(0),
            ("cuda:all", _) => Self::AllCuda,
            (_, Some(Ok(number))) => Self::Cuda(number),
            _ => bail!(
                "{text:?} is no device: it is auto, cpu, cuda, cuda:N for the GPU number N, or \
                 cuda:all for all GPUs together"
            ),
        })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::AllCuda => f.write_str("cuda:all"),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

/// The backend of a device, in that precision; without one, in the fastest that it has. Where the
/// choice is ours and falls on the processor, `tell` gets a line that says why, and another where
/// the processor is asked for a precision that it has not.
///
/// # Errors
/// Where there is no such device, or it cannot be used; where a GPU lacks the precision.
pub fn choose(
    device: Device,
    precision: Option<Precision>,
    tell: impl Fn(&str) + 'static,
) -> Result<Box<dyn Backend>> {
    let unusable = |error: Error| error.context(format!("cannot use the device {device}"));
    match device {
        Device::Cpu => {}
        Device::Cuda(number) => {
            let gpu = Cuda::new(number, precision).map_err(unusable)?;
            return Ok(Box::new(gpu));
        }
        Device::AllCuda => return all_gpus(precision).map_err(unusable),
        Device::Auto => match Cuda::new(0, precision) {
            Ok(gpu) => return Ok(Box::new(Auto::new(gpu, tell))),
            // The processor would take far longer, and be no nearer to what was asked for.
            Err(error) if error.is::<TooOld>() => return Err(unusable(error)),
            Err(error) => tell(&format!("no GPU: {error:#}")),
        },
    }
    if let Some(precision) = precision.filter(|&precision| precision != Cpu.precision()) {
        tell(&format!(
            "the CPU computes in {}, not in {precision}",
            Cpu.precision()
        ));
    }
    Ok(Box::new(Cpu))
}

/// All GPUs of this computer, or the one that it has.
fn all_gpus(precision: Option<Precision>) -> Result<Box<dyn Backend>> {
    Ok(match group::gpus()? {
        1 => Box::new(Cuda::new(0, precision)?),
        gpus => Box::new(Group::of_gpus(gpus, precision)?),
    })
}

/// A GPU, and the processor for what is too large for the GPU's memory.
pub struct Auto {
    gpu: Cuda,
    tell: Box<dyn Fn(&str)>,
    /// What the user has been told of.
    told: RefCell<Vec<Work>>,
}

impl Auto {
    /// `tell` gets a line for each work that goes to the processor.
    pub fn new(gpu: Cuda, tell: impl Fn(&str) + 'static) -> Self {
        Self {
            gpu,
            tell: Box::new(tell),
            told: RefCell::default(),
        }
    }
}

impl Backend for Auto {
    fn name(&self) -> String {
        self.gpu.name()
    }

    fn precision(&self) -> Precision {
        self.gpu.precision()
    }

    fn suited_to(&self, work: &Work) -> Result<&dyn Backend> {
        let error = match self.gpu.suited_to(work) {
            Err(error) if error.is::<TooLittle>() => error,
            suited => return suited,
        };
        if !self.told.borrow().contains(work) {
            self.told.borrow_mut().push(*work);
            (self.tell)(&format!("{error}; this goes on with the {}", Cpu.name()));
        }
        Ok(&Cpu)
    }

    fn vae(&self, autoencoder: &'static Autoencoder, weights: &Weights) -> Result<Box<dyn Vae>> {
        self.gpu.vae(autoencoder, weights)
    }

    fn classifier(
        &self,
        architecture: &'static Architecture,
        head: Head,
        classes: usize,
        weights: &Weights,
    ) -> Result<Box<dyn Classifier>> {
        self.gpu.classifier(architecture, head, classes, weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_they_are_written() {
        for (text, device) in [
            ("auto", Device::Auto),
            ("cpu", Device::Cpu),
            ("cuda", Device::Cuda(0)),
            ("cuda:7", Device::Cuda(7)),
            ("cuda:all", Device::AllCuda),
        ] {
            assert_eq!(text.parse::<Device>().unwrap(), device);
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("cuda:0".parse::<Device>().unwrap(), Device::Cuda(0));
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            let error = text.parse::<Device>().unwrap_err().to_string();
            assert!(error.contains("cuda:N") && error.contains(text), "{error}");
        }
    }
}

//! Which instruction set the kernels use, decided at run time.

use std::sync::OnceLock;

use crate::{Error, Result};

/// An instruction set with kernels of its own. All give the same answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// Plain Rust: the twin that the others are tested against, and the path of other processors.
    Scalar,
    /// x86-64 with AVX2, BMI and POPCNT.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ, VL, IFMA, VBMI, VBMI2 and VPOPCNTDQ (Ice Lake, Zen 4 and later).
    Avx512,
}

impl Path {
    /// The name that `THRIFTY_SIMD` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this machine has the instructions.
    pub fn is_usable(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = || has!("avx2") && has!("bmi1") && has!("bmi2") && has!("lzcnt") && has!("popcnt");
            match self {
                Self::Scalar => true,
                Self::Avx2 => avx2(),
                Self::Avx512 => {
                    avx2()
                        && has!("avx512f")
                        && has!("avx512bw")
                        && has!("avx512dq")
                        && has!("avx512vl")
                        && has!("avx512ifma")
                        && has!("avx512vbmi")
                        && has!("avx512vbmi2")
                        && has!("avx512vpopcntdq")
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Self::Scalar
        }
    }

    /// The paths that this machine can run, narrowest first.
    pub fn usable() -> Vec<Self> {
        [Self::Scalar, Self::Avx2, Self::Avx512].into_iter().filter(|p| p.is_usable()).collect()
    }
}

/// The path in use: the widest, or what the environment variable `THRIFTY_SIMD` names. Read once a process.
pub fn path() -> Result<Path> {
    static CHOICE: OnceLock<std::result::Result<Path, (String, &'static str)>> = OnceLock::new();
    let choice = CHOICE.get_or_init(|| choose(std::env::var("THRIFTY_SIMD").ok(), &Path::usable()));
    choice.clone().map_err(|(value, why)| Error::Simd {
        value,
        why,
        usable: Path::usable().iter().map(|p| p.name()).collect::<Vec<_>>().join(", "),
    })
}

fn choose(wish: Option<String>, usable: &[Path]) -> std::result::Result<Path, (String, &'static str)> {
    let Some(wish) = wish.filter(|w| !w.trim().is_empty()) else {
        return Ok(*usable.last().unwrap_or(&Path::Scalar));
    };
    let named = [Path::Scalar, Path::Avx2, Path::Avx512].into_iter().find(|p| p.name() == wish.trim());
    match named {
        Some(p) if usable.contains(&p) => Ok(p),
        Some(_) => Err((wish, "this machine has no such instructions")),
        None => Err((wish, "no such path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choice() {
        let all = [Path::Scalar, Path::Avx2, Path::Avx512];
        assert_eq!(choose(None, &all), Ok(Path::Avx512));
        assert_eq!(choose(Some("avx2".into()), &all), Ok(Path::Avx2));
        assert_eq!(choose(Some(" scalar ".into()), &all[..1]), Ok(Path::Scalar));
        assert!(choose(Some("avx512".into()), &all[..2]).is_err());
        assert!(choose(Some("neon".into()), &all).is_err());
        assert_eq!(choose(Some(String::new()), &all[..2]), Ok(Path::Avx2));
    }
}

//! Which instruction set the kernels use: found once per process, or named by the environment variable `BANTAM_ISA`.

use std::sync::OnceLock;

/// The environment variable that overrides the choice (`scalar`, `avx2`, `avx512` or `amx`), for tests and bug reports.
pub const VARIABLE: &str = "BANTAM_ISA";

/// A family of kernels, from the plainest to the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust: the reference that the others are tested against.
    Scalar,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ, VL and VNNI (Intel since 2019, AMD since Zen 4).
    Avx512,
    /// The same with AVX512-BF16 and AMX, whose instructions multiply whole tiles of bf16 and int8 (Intel's servers since 2023), where the
    /// system lets the process use them.
    Amx,
}

/// Why the instruction set named in the environment cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// The name is none that Bantam knows.
    #[error("{VARIABLE}={name} is not an instruction set; use one of {available}, or unset it")]
    Unknown {
        /// What the variable said.
        name: String,
        /// The names that this CPU can use.
        available: String,
    },
    /// The CPU cannot run it.
    #[error("{VARIABLE}={name}, but this CPU lacks it; use one of {available}, or unset it")]
    Unsupported {
        /// What the variable said.
        name: String,
        /// The names that this CPU can use.
        available: String,
    },
}

impl Isa {
    const ALL: [Isa; 4] = [Isa::Scalar, Isa::Avx2, Isa::Avx512, Isa::Amx];

    /// The instruction set that the kernels use: what [`Isa::detect`] found on the first call, or the best of the CPU where that failed.
    #[inline]
    pub fn current() -> Isa {
        #[cfg(test)]
        if let Some(isa) = scoped::get() {
            return isa;
        }
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| Isa::detect().unwrap_or_else(|_| best()))
    }

    /// Reads the environment and the CPU. Programs call this at start-up, to report a wrong `BANTAM_ISA` before any work is done.
    pub fn detect() -> Result<Isa, IsaError> {
        match std::env::var(VARIABLE) {
            Ok(name) => parse(&name),
            Err(_) => Ok(best()),
        }
    }

    /// All sets that this CPU can run, plainest first.
    pub fn available() -> Vec<Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_supported()).collect()
    }

    /// The name used in `BANTAM_ISA` and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Amx => "amx",
        }
    }

    /// Whether this set multiplies bf16 pairs in one instruction (AVX512-BF16).
    #[inline]
    pub fn has_bf16(self) -> bool {
        self >= Isa::Avx512 && cpu().bf16
    }

    /// Whether products of pairs of bf16 run at twice the f32 rate (AMD since Zen 4). Intel cores run `vdpbf16ps` at half the rate of f32 FMA.
    #[inline]
    pub fn pairs_are_fast(self) -> bool {
        self.has_bf16() && cpu().amd
    }

    /// Whether bf16 products of matrices run at twice the f32 rate or more, by pairs or by tiles. Elsewhere
    /// [`crate::gemm::Precision::F32`] is both faster and more precise.
    #[inline]
    pub fn bf16_is_fast(self) -> bool {
        self.pairs_are_fast() || self == Isa::Amx
    }

    fn is_supported(self) -> bool {
        match self {
            Isa::Scalar => true,
            Isa::Avx2 => cpu().avx2,
            Isa::Avx512 => cpu().avx512,
            Isa::Amx => cpu().amx,
        }
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

fn best() -> Isa {
    *Isa::available().last().unwrap_or(&Isa::Scalar)
}

fn parse(name: &str) -> Result<Isa, IsaError> {
    let available = || Isa::available().iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ");
    let wanted = Isa::ALL.into_iter().find(|isa| isa.name() == name.trim().to_ascii_lowercase());
    match wanted {
        None => Err(IsaError::Unknown { name: name.to_string(), available: available() }),
        Some(isa) if !isa.is_supported() => {
            Err(IsaError::Unsupported { name: name.to_string(), available: available() })
        }
        Some(isa) => Ok(isa),
    }
}

struct Cpu {
    avx2: bool,
    avx512: bool,
    bf16: bool,
    amx: bool,
    amd: bool,
}

fn cpu() -> &'static Cpu {
    static CPU: OnceLock<Cpu> = OnceLock::new();
    CPU.get_or_init(probe)
}

#[cfg(target_arch = "x86_64")]
fn probe() -> Cpu {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni");
    // Leaf 0 spells the vendor in EBX, EDX, ECX.
    let vendor = std::arch::x86_64::__cpuid(0);
    let amd = vendor.ebx.to_le_bytes() == *b"Auth"
        && vendor.edx.to_le_bytes() == *b"enti"
        && vendor.ecx.to_le_bytes() == *b"cAMD";
    let bf16 = avx512 && is_x86_feature_detected!("avx512bf16");
    Cpu { avx2, avx512, bf16, amx: bf16 && has_amx() && may_use_tiles(), amd }
}

/// Whether the CPU has AMX with bf16 and int8: bits 22, 24 and 25 of EDX in leaf 7 of CPUID.
#[cfg(target_arch = "x86_64")]
fn has_amx() -> bool {
    const PARTS: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    let leaves = std::arch::x86_64::__cpuid(0).eax;
    leaves >= 7 && std::arch::x86_64::__cpuid_count(7, 0).edx & PARTS == PARTS
}

/// Asks Linux to let this process use the registers of AMX, which it must before the first use ("Using XSTATE features in user space
/// applications", Linux's documentation for x86).
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn may_use_tiles() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers, and changes nothing but what the process may do.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn may_use_tiles() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn probe() -> Cpu {
    Cpu { avx2: false, avx512: false, bf16: false, amx: false, amd: false }
}

/// A choice that holds on one thread for the length of a call; the pool hands it on to its workers. Tests use it to try every set.
#[cfg(test)]
pub(crate) mod scoped {
    use super::Isa;
    use std::cell::Cell;

    thread_local! {
        static CHOICE: Cell<Option<Isa>> = const { Cell::new(None) };
    }

    pub(crate) fn get() -> Option<Isa> {
        CHOICE.get()
    }

    pub(crate) fn with<R>(isa: Option<Isa>, run: impl FnOnce() -> R) -> R {
        struct Restore(Option<Isa>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CHOICE.set(self.0);
            }
        }
        let _restore = Restore(CHOICE.replace(isa));
        run()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_wrong_ones_are_explained() {
        for isa in Isa::available() {
            assert_eq!(parse(isa.name()), Ok(isa));
        }
        assert_eq!(parse(" Scalar "), Ok(Isa::Scalar));
        let message = parse("sse9").unwrap_err().to_string();
        assert!(message.contains("BANTAM_ISA=sse9") && message.contains("scalar"), "{message}");
    }

    #[test]
    fn scalar_is_always_there_and_first() {
        assert_eq!(Isa::available()[0], Isa::Scalar);
        assert!(Isa::available().contains(&Isa::current()));
        assert!(!Isa::Scalar.has_bf16() && !Isa::Avx2.bf16_is_fast());
    }

    #[test]
    fn a_scoped_choice_ends_with_its_scope() {
        let before = Isa::current();
        scoped::with(Some(Isa::Scalar), || assert_eq!(Isa::current(), Isa::Scalar));
        assert_eq!(Isa::current(), before);
    }
}

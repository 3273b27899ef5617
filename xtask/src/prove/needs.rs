//! What campaigns need of a machine, and how one gets it.

use std::process::{Command, Stdio};

use super::campaigns::Campaign;

/// Something that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A nightly compiler, for the sanitizers.
    Nightly,
    /// valgrind, for instruction counts.
    Valgrind,
    /// x86-64: single steps are taken by its trap flag.
    X86,
    /// The aarch64 target, its linker and qemu-user.
    Aarch64,
    /// The i686 target and a linker for it.
    I686,
}

impl Need {
    fn is_there(self) -> bool {
        match self {
            Self::Nightly => runs("rustc", &["+nightly", "--version"]),
            Self::Valgrind => runs("valgrind", &["--version"]),
            Self::X86 => cfg!(target_arch = "x86_64"),
            Self::Aarch64 => {
                has_target("aarch64-unknown-linux-gnu")
                    && runs("aarch64-linux-gnu-gcc", &["--version"])
                    && (runs("qemu-aarch64-static", &["--version"])
                        || runs("qemu-aarch64", &["--version"]))
            }
            Self::I686 => has_target("i686-unknown-linux-gnu") && links_32_bits(),
        }
    }

    /// What to do about it.
    fn remedy(self) -> &'static str {
        match self {
            Self::Nightly => "a nightly compiler: rustup toolchain install nightly",
            Self::Valgrind => "valgrind: apt-get install valgrind",
            Self::X86 => "an x86-64 processor",
            Self::Aarch64 => {
                "aarch64: rustup target add aarch64-unknown-linux-gnu; apt-get install \
                 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static"
            }
            Self::I686 => {
                "32 bits: rustup target add i686-unknown-linux-gnu; apt-get install gcc-multilib"
            }
        }
    }
}

/// What a campaign lacks here, with remedies.
pub fn missing(campaign: &Campaign) -> Vec<&'static str> {
    campaign.needs.iter().filter(|need| !need.is_there()).map(|need| need.remedy()).collect()
}

/// The same of several campaigns, as text.
pub fn all_missing<'a>(campaigns: impl Iterator<Item = &'a Campaign>) -> String {
    let lines = campaigns.filter_map(|campaign| {
        let missing = missing(campaign);
        let name = campaign.name;
        (!missing.is_empty())
            .then(|| format!("{name} will be skipped. It needs {}\n", missing.join("; ")))
    });
    lines.collect()
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // A program run by cargo inherits the toolchain that cargo was chosen with.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC");
    command.status().is_ok_and(|status| status.success())
}

fn has_target(target: &str) -> bool {
    let output = Command::new("rustc").args(["--print=target-libdir", "--target", target]).output();
    let folder = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    folder.is_some_and(|folder| std::path::Path::new(folder.trim()).is_dir())
}

fn links_32_bits() -> bool {
    let script = "echo 'int main(void){return 0;}' | cc -m32 -x c - -o /dev/null";
    runs("sh", &["-c", script])
}

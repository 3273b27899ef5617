//! What the figures were taken on: read from the system, each fact or nothing.

use std::fs;

use nix::sys::utsname::uname;

/// A machine as a report names it.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// The first core's caches, from the nearest: `L1d 32K`.
    pub caches: Vec<String>,
    /// Bytes of memory.
    pub memory: u64,
    /// Whether it is a guest of some hypervisor.
    pub guest: bool,
    /// The kernel's name, release and architecture.
    pub kernel: String,
    /// The system's own name.
    pub system: String,
    /// When huge pages are used, in the kernel's words.
    pub huge_pages: String,
    /// How the processor's pace is chosen, where that is told.
    pub governor: Option<String>,
}

impl Machine {
    /// This one.
    pub fn read() -> Machine {
        let processors = file("/proc/cpuinfo");
        let field = |name: &str| {
            let named =
                |line: &&str| line.split_once(':').is_some_and(|(key, _)| key.trim() == name);
            let line = processors.lines().find(named).and_then(|line| line.split_once(':'));
            line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        Machine {
            processor: field("model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            caches: (0..8).filter_map(cache).collect(),
            memory: memory(),
            guest: field("flags").split(' ').any(|flag| flag == "hypervisor"),
            kernel: kernel(),
            system: system(),
            huge_pages: chosen(&file("/sys/kernel/mm/transparent_hugepage/shmem_enabled")),
            governor: Some(file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty()),
        }
    }
}

/// How many programs would run now, on average over the last minute.
pub fn load() -> f64 {
    let text = file("/proc/loadavg");
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

fn file(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn cache(index: usize) -> Option<String> {
    let part = |what: &str| {
        let text = file(&format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{what}"));
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let kind = match part("type")?.as_str() {
        "Data" => "d",
        "Instruction" => "i",
        _ => "",
    };
    Some(format!("L{}{kind} {}", part("level")?, part("size")?))
}

fn memory() -> u64 {
    let text = file("/proc/meminfo");
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().split(' ').next()).and_then(|kib| kib.parse().ok());
    kib.unwrap_or(0_u64) * 1024
}

fn kernel() -> String {
    let Ok(name) = uname() else { return String::new() };
    let parts = [name.sysname(), name.release(), name.machine()];
    parts.map(|part| part.to_string_lossy()).join(" ")
}

fn system() -> String {
    let text = file("/etc/os-release");
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or_default().trim_matches('"').to_owned()
}

/// The one of several that the kernel marks: `always within_size [never]`.
fn chosen(text: &str) -> String {
    let marked = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    marked.map_or_else(String::new, |(chosen, _)| chosen.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_is() {
        let machine = Machine::read();
        assert!(machine.cores >= 1 && machine.memory > 1 << 20);
        assert!(machine.kernel.starts_with("Linux "), "{}", machine.kernel);
        assert!(load() >= 0.0);
    }

    #[test]
    fn the_marked_choice_is_found() {
        assert_eq!(chosen("always within_size [never] deny\n"), "never");
        assert_eq!(chosen(""), "");
    }
}

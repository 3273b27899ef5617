//! Which cores the two processes are pinned to.

use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::Error;

/// The cores of the two processes. They are equal where only one may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Where this process runs.
    pub lead: usize,
    /// Where the peer runs.
    pub peer: usize,
}

impl Cores {
    /// Two cores this process may use: no hyperthread siblings if that can be
    /// helped, and under one last-level cache rather than under two.
    pub fn choose() -> Result<Cores, Error> {
        let allowed = allowed()?;
        let lead = *allowed.first().ok_or_else(|| Error::Spec("no core to run on".into()))?;
        let siblings = listed(lead, "topology/thread_siblings_list");
        let near = listed(lead, "cache/index3/shared_cpu_list");
        let peer = allowed[1..]
            .iter()
            .copied()
            .min_by_key(|core| (siblings.contains(core), !near.contains(core), *core))
            .unwrap_or(lead);
        Ok(Cores { lead, peer })
    }

    /// Whether the two processes must take turns on one core.
    pub fn shared(&self) -> bool {
        self.lead == self.peer
    }
}

/// All that this process may use, those that [`Cores::choose`] would choose first.
pub fn all() -> Result<Vec<usize>, Error> {
    let Cores { lead, peer } = Cores::choose()?;
    let others = allowed()?.into_iter().filter(|&core| core != lead && core != peer);
    let mut first = vec![lead, peer];
    first.dedup();
    Ok(first.into_iter().chain(others).collect())
}

/// Pins the calling thread, and every thread it starts later, to one core.
pub fn pin(core: usize) -> Result<(), Error> {
    let mut set = CpuSet::new();
    set.set(core).map_err(Error::system("choosing a core"))?;
    sched_setaffinity(Pid::from_raw(0), &set).map_err(Error::system("pinning to a core"))
}

/// How often the calling thread had to leave its core to another.
#[allow(clippy::unnecessary_cast, reason = "32 bits wide on 32-bit targets")]
pub(crate) fn interruptions() -> u64 {
    getrusage(UsageWho::RUSAGE_THREAD)
        .map_or(0, |usage| usage.involuntary_context_switches().unsigned_abs() as u64)
}

/// Nanoseconds that the calling thread has had a processor so far, polling included.
pub fn processor_time() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

fn allowed() -> Result<Vec<usize>, Error> {
    let set = sched_getaffinity(Pid::from_raw(0)).map_err(Error::system("listing the cores"))?;
    Ok((0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).collect())
}

fn listed(core: usize, what: &str) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/{what}");
    fs::read_to_string(path).map(|list| parse_list(&list)).unwrap_or_default()
}

/// Reads the kernel's way to list cores: `0-3,8,10-11`.
fn parse_list(list: &str) -> Vec<usize> {
    let mut cores = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cores.extend(first..=last);
        }
    }
    cores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_list("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(parse_list("5"), [5]);
        assert_eq!(parse_list("\n"), [] as [usize; 0]);
    }

    #[test]
    fn work_costs_processor_time() {
        let (before, start) = (processor_time(), std::time::Instant::now());
        while processor_time() == before {
            assert!(start.elapsed() < std::time::Duration::from_secs(20), "the clock stands");
        }
    }

    #[test]
    fn the_chosen_cores_are_allowed() {
        let (cores, allowed) = (Cores::choose().unwrap(), allowed().unwrap());
        assert!(allowed.contains(&cores.lead) && allowed.contains(&cores.peer));
        assert_eq!(cores.shared(), allowed.len() == 1);
    }
}

//! What the system says of processes.

use std::fs::read_to_string;

/// Linux says times in hundredths of a second, whatever its own clock ticks at.
const TICKS_A_SECOND: f64 = 100.0;

/// CPU time of a process with all its threads so far, user and system, seconds.
pub(crate) fn cpu_seconds(id: u32) -> f64 {
    let stat = read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The second field is the program's name and may hold anything.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_A_SECOND
}

pub(crate) fn cpu_seconds_of_all(ids: &[u32]) -> f64 {
    ids.iter().map(|id| cpu_seconds(*id)).sum()
}

/// Proportional set size of all these processes, bytes: a page that several share counts once.
pub(crate) fn memory_bytes(ids: &[u32]) -> u64 {
    let of = |id: &u32| -> Option<u64> {
        let rollup = read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        Some(line.trim().split(' ').next()?.parse::<u64>().ok()? * 1024)
    };
    ids.iter().filter_map(of).sum()
}

/// A process and all that descend from it.
pub(crate) fn family(id: u32) -> Vec<u32> {
    let mut parents = vec![];
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let stat = read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        if let Some(parent) = fields.nth(1).and_then(|parent| parent.parse::<u32>().ok()) {
            parents.push((child, parent));
        }
    }
    let mut family = vec![id];
    let mut at = 0;
    while let Some(&member) = family.get(at) {
        let children = parents.iter().filter(|(_, parent)| *parent == member);
        family.extend(children.map(|(child, _)| *child));
        at += 1;
    }
    family
}

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

/// CPU time of everything on this machine so far, seconds.
pub(crate) fn cpu_seconds_of_machine() -> f64 {
    let stat = read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let fields = line.split_whitespace().skip(1);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    // User, nice and system; idle and waiting for a disk are none; interrupts, and what other virtual machines took.
    let busy = ticks.iter().take(3).chain(ticks.iter().skip(5).take(3));
    busy.sum::<f64>() / TICKS_A_SECOND
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

//! What is counted.

use super::material::{World, bodies};
use std::hint::black_box;

/// How often each step is counted. Rounds differ in what the allocator finds free, hardly in anything else.
pub(crate) const ROUNDS: u32 = 10;

pub(crate) struct Step {
    pub(crate) name: &'static str,
    rounds: fn(u32),
}

pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "head_and_route",
        rounds: |rounds| {
            let world = World::new(1, 1);
            repeat(rounds, || (), |()| world.head_and_route().index);
        },
    },
    Step {
        name: "token_parse_and_screen",
        rounds: |rounds| {
            let world = World::new(1, 1);
            repeat(rounds, || (), |()| world.parse_and_screen());
        },
    },
    Step {
        name: "token_recalled",
        rounds: |rounds| {
            let world = World::new(1, 1);
            let recalled = |()| world.verify(world.recall_and_screen());
            repeat(rounds, || (), recalled);
        },
    },
    Step {
        name: "signature_verified",
        rounds: |rounds| {
            let world = World::new(1, 1);
            let screened = || world.parse_and_screen();
            repeat(rounds, screened, |screened| world.verify(screened));
        },
    },
    Step {
        name: "activity_1_2_kb",
        rounds: |rounds| {
            let (world, body) = (World::new(1, 1), bodies::teams_message());
            repeat(rounds, || body.clone(), |body| world.activity(body));
        },
    },
    Step {
        name: "activity_100_kb",
        rounds: |rounds| {
            let (world, body) = (World::new(1, 1), bodies::card(100_000));
            repeat(rounds, || body.clone(), |body| world.activity(body));
        },
    },
    Step {
        name: "admit_1_tenant",
        rounds: |rounds| admit(rounds, 1),
    },
    Step {
        name: "admit_10000_tenants",
        rounds: |rounds| admit(rounds, 10_000),
    },
    Step {
        name: "whole_judge",
        rounds: |rounds| {
            let (world, body) = (World::new(1, 1), bodies::teams_message());
            repeat(rounds, || body.clone(), |body| world.judge(body));
        },
    },
];

impl Step {
    pub(crate) fn run(&self, rounds: u32) {
        (self.rounds)(rounds);
    }
}

pub(crate) fn named(name: &str) -> &'static Step {
    let step = STEPS.iter().find(|step| step.name == name);
    step.expect("the name of a step")
}

fn admit(rounds: u32, tenants: usize) {
    let world = World::new(1, tenants);
    let proven = || world.proven(bodies::teams_message());
    repeat(rounds, proven, |proven| world.admit(proven));
}

/// Does the work and drops what comes out, once uncounted, since the first time also makes what is made once.
fn repeat<I, O>(rounds: u32, before: impl Fn() -> I, work: impl Fn(I) -> O) {
    drop(work(before()));
    for _ in 0..rounds {
        let mut input = Some(before());
        counted_by_callgrind(&mut || drop(black_box(input.take().map(&work))));
    }
}

/// `callgrind` finds it by this name, and counts from its first instruction to its last. Not generic, so that there is one of it.
#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    black_box(work)();
}

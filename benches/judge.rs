//! How long the judge alone takes, step by step: `cargo bench --bench judge [FILTER]`.
//!
//! Figures only; they belong to the machine. What guards against becoming slower is `bench/instructions`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench may fail by panicking"
)]

mod material;

use botgate::judge::{Bearer, host_of};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput};
use material::{World, bodies};
use std::hint::black_box;
use std::time::Duration;

const KB: usize = 1000;

fn main() {
    // Cargo runs this for `cargo test --all-targets`, too, and then without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let world = World::new(1, 1);
    head(&mut criterion, &world);
    routes(&mut criterion);
    token(&mut criterion, &world);
    proof(&mut criterion, &world);
    activity(&mut criterion, &world);
    admit(&mut criterion);
    whole(&mut criterion, &world);
    criterion.final_summary();
}

fn head(criterion: &mut Criterion, world: &World) {
    let mut group = criterion.benchmark_group("head");
    group.bench_function("checks", |bencher| bencher.iter(|| world.head_checks()));
    group.bench_function("host", |bencher| bencher.iter(|| host_of(world.head())));
    group.bench_function("checks and route", |bencher| {
        bencher.iter(|| world.head_and_route().index);
    });
}

fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for bots in [1, 1000] {
        let world = World::new(bots, 1);
        let (host, path) = (host_of(world.head()).unwrap(), world.head().uri.path());
        group.bench_function(format!("{bots} bots"), |bencher| {
            bencher.iter(|| world.routes().find(black_box(&host), black_box(path)));
        });
    }
}

fn token(criterion: &mut Criterion, world: &World) {
    let mut group = criterion.benchmark_group("token");
    group.bench_function("parse", |bencher| {
        bencher.iter(|| Bearer::parse(black_box(world.token())));
    });
    group.bench_function("from headers and screen", |bencher| {
        bencher.iter(|| world.parse_and_screen());
    });
}

fn proof(criterion: &mut Criterion, world: &World) {
    let mut group = criterion.benchmark_group("proof");
    let screened = || world.parse_and_screen();
    step(&mut group, "signature verified", screened, |screened| {
        world.verify(screened)
    });
    group.bench_function("from headers, recalled", |bencher| {
        bencher.iter(|| world.verify(world.recall_and_screen()));
    });
}

fn activity(criterion: &mut Criterion, world: &World) {
    let mut group = criterion.benchmark_group("activity");
    for (name, body) in [
        ("Teams message, 1.2 KB", bodies::teams_message()),
        ("card, 100 KB", bodies::card(100 * KB)),
        ("card, 1 MB", bodies::card(1000 * KB)),
        ("one long text, 100 KB", bodies::long_text(100 * KB)),
        ("one long text, 1 MB", bodies::long_text(1000 * KB)),
    ] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| world.activity(body.clone()));
        });
    }
}

fn admit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit");
    for tenants in [1, 100, 10_000] {
        let world = World::new(1, tenants);
        let proven = || world.proven(bodies::teams_message());
        step(
            &mut group,
            &format!("{tenants} tenants"),
            proven,
            |proven| world.admit(proven),
        );
    }
}

fn whole(criterion: &mut Criterion, world: &World) {
    let mut group = criterion.benchmark_group("whole");
    group.bench_function("known token", |bencher| {
        bencher.iter(|| world.judge(bodies::teams_message()));
    });
    group.bench_function("new token", |bencher| {
        bencher.iter(|| world.judge_new_token(bodies::teams_message()));
    });
}

/// One step that takes what the step before gave: making that is not measured, nor is dropping what comes out.
fn step<I, O>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut before: impl FnMut() -> I,
    mut work: impl FnMut(I) -> O,
) {
    group.bench_function(name, |bencher| {
        bencher.iter_batched(&mut before, &mut work, BatchSize::SmallInput);
    });
}

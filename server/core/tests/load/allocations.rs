//! What a task costs in allocations. Counts, not times: they are the same on any machine.

use crate::world::World;

/// It was 5.5 when this was written, the vectors of the test itself included. More needs a reason; less, a lower bound.
const ALLOCATIONS_MAX: u64 = 6;

/// It was 952 when this was written.
const BYTES_MAX: u64 = 1050;

#[test]
fn a_task_takes_few_allocations_and_leaves_none() {
    let mut world = World::new(2, 1, 100);
    // Tables have grown to what so many tasks in flight need.
    for _ in 0..10_000 {
        world.step(10_000);
    }
    let before = world.done[0];
    let counted = allocation_counter::measure(|| {
        for _ in 0..10_000 {
            world.step(10_000);
        }
    });
    let tasks = u64::from(world.done[0] - before);
    assert!(tasks >= 10_000, "{tasks} tasks are too few to tell");
    let each = counted.count_total as f64 / tasks as f64;
    println!(
        "{each:.2} allocations, {:.0} bytes for each of {tasks} tasks",
        counted.bytes_total as f64 / tasks as f64
    );
    assert!(
        counted.count_total <= ALLOCATIONS_MAX * tasks,
        "{each:.2} allocations for each of {tasks} tasks"
    );
    assert!(counted.bytes_total <= BYTES_MAX * tasks, "{} bytes in all", counted.bytes_total);
    // (Tables keep pages of neighbours, and have a few more of them at one moment than at another.)
    assert!(counted.bytes_current <= 64 << 10, "{} bytes are left of {tasks} tasks", counted.bytes_current);
}

/// `RECORD_BYTES` of the core: what of a driver's share of the node's memory a task without arguments uses up.
const COUNTED_FOR: i64 = 768;

#[test]
fn a_queued_task_takes_what_it_is_counted_for() {
    for tasks in [20_000, 70_000, 140_000] {
        let mut world = None;
        let counted = allocation_counter::measure(|| world = Some(World::new(2, 1, tasks)));
        let each = counted.bytes_current / i64::from(tasks);
        println!("{each} bytes for each of {tasks} queued tasks");
        assert!(each <= COUNTED_FOR, "{each} bytes for each of {tasks} queued tasks");
        // (The allocator of the node has a few more bytes for each block than were asked for.)
        assert!(
            each > COUNTED_FOR * 3 / 4,
            "{each} bytes are far less than what it is counted for: count less"
        );
        drop(world);
    }
}

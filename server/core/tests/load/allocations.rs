//! What a task costs in allocations. Counts, not times: they are the same on any machine.

use crate::world::World;

/// It was 5.5 when this was written, the vectors of the test itself included. More needs a reason; less, a lower bound.
const ALLOCATIONS_MAX: u64 = 6;

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
    // (Tables keep pages of neighbours, and have a few more of them at one moment than at another.)
    assert!(counted.bytes_current <= 64 << 10, "{} bytes are left of {tasks} tasks", counted.bytes_current);
}

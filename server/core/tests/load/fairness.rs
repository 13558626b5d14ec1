//! Drivers that all keep tasks in flight get equal shares of the processors, also when there are many more of them than processors.

use crate::world::World;

const STEPS: u32 = 10_000;

#[test]
fn drivers_with_pools_of_their_own_get_equal_shares() {
    let mut world = World::new(2, 64, 50);
    for _ in 0..STEPS {
        world.step(200_000);
    }
    let (least, most) = (world.done.iter().min().unwrap(), world.done.iter().max().unwrap());
    // The last turns are not over for all.
    assert!(most * 2 <= least * 3, "shares are unequal: {:?}", world.done);
    let done: u32 = world.done.iter().sum();
    assert!(done > 2 * STEPS * 9 / 10, "processors were idle: {done} tasks in {STEPS} steps of two");
}

#[test]
fn jobs_whose_workers_wait_for_a_processor_get_as_much_as_others() {
    const DRIVERS: u32 = 16;
    const TASK_NS: u64 = 10_000;
    let mut world = World::new(2, DRIVERS, 600);
    // Who is quick and who is not is luck at first, and must not become a habit: a worker that began late looks like one whose tasks are long.
    let latency = |nth: u64| 5_000_000 + (nth * 7_919) % 40 * 1_000_000;
    world.crowded(2_000_000_000, TASK_NS, latency);
    let before = world.done.clone();
    world.crowded(6_000_000_000, TASK_NS, latency);
    let done: Vec<u32> = world.done.iter().zip(&before).map(|(now, then)| now - then).collect();
    let (most, least) = (done.iter().max().expect("drivers"), done.iter().min().expect("drivers"));
    assert!(*most <= 2 * *least, "{done:?}");
    // A turn is then worth what is sent ahead: hundreds of tasks, not one.
    assert!(done.iter().sum::<u32>() > 50_000, "{done:?}");
}

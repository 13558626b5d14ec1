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

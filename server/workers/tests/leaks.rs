//! Nothing is left of workers that came and went. Alone in its program, for it counts what the whole process holds.

mod house;

use house::{House, sh, template};
use thornback_types::WorkerId;
use thornback_workers::{Event, ExitStatus, Options};

#[tokio::test]
async fn many_short_lives_leave_no_descriptor_and_no_zombie() {
    let mut house = House::new(Options::default());
    house.workers.start_template(1, template("", "exit:0"));
    let parent = house.ready(1).await;
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    for round in 0..10 {
        for launch in 0..20 {
            house.workers.fork(1, WorkerId(100 + round * 20 + launch));
        }
        for launch in 0..10 {
            house.workers.spawn(WorkerId(1000 + round * 10 + launch), sh("exit 0"));
            house.workers.spawn(WorkerId(2000 + round * 10 + launch), sh("sleep 1000"));
            // Before, while or after it is started.
            house.workers.kill(WorkerId(2000 + round * 10 + launch));
        }
        for launch in 0..20 {
            assert_eq!(house.exited(100 + round * 20 + launch).await.0, ExitStatus::Code(0));
        }
        for launch in 0..10 {
            assert_eq!(house.exited(1000 + round * 10 + launch).await.0, ExitStatus::Code(0));
            house
                .find("the end of a killed one", |event| match event {
                    Event::Exited { launch: WorkerId(found), .. }
                    | Event::StartFailed { launch: WorkerId(found), .. } => {
                        (*found == 2000 + round * 10 + launch).then_some(())
                    }
                    _ => None,
                })
                .await;
        }
        assert!(house.rest().iter().all(|event| matches!(event, Event::Started { .. })));
    }
    // The spawner starts and drops what was killed meanwhile; one more start shows that it is done with that.
    house.workers.spawn(WorkerId(1), sh("exit 0"));
    house.exited(1).await;
    assert_eq!(descriptors(), before);
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    assert_eq!(children.trim(), "");
    house.shutdown().await;
}

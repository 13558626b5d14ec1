//! Resources and placement groups.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use thornback::{Code, Strategy};

use crate::functions::add;
use crate::support::{eventually, options, with_client, with_options};

#[test]
fn tasks_run_inside_a_group_and_its_resources_come_back() {
    with_client(|client| async move {
        let group = client.create_placement_group([[("CPU", 1.0)], [("CPU", 1.0)]], Strategy::Pack).await?;
        group.ready().await?;
        assert_eq!(add::options().placement(&group, Some(1)).submit(&client, 1, 2).await?, 3);
        assert_eq!(client.status().await?.available.get("CPU").copied().unwrap_or(0.0), 0.0);
        group.remove().await?;
        group.remove().await?;
        eventually("the CPUs are back", || async {
            client.status().await.is_ok_and(|status| status.available.get("CPU") == Some(&2.0))
        })
        .await;
        Ok(())
    });
}

#[test]
fn what_no_node_has_is_told_and_waited_for() {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let heard = notices.clone();
    let options = options().on_notice(move |notice| heard.lock().expect("not poisoned").push(notice.clone()));
    with_options(options, |client| async move {
        let r = add::options().resource("unobtainium", 1.0).submit(&client, 1, 2);
        eventually("the node says so", || async {
            notices.lock().expect("not poisoned").iter().any(|notice| notice.is(Code::Infeasible))
        })
        .await;
        let error = r.get().timeout(Duration::from_millis(10)).await.expect_err("it waits");
        assert!(error.is(Code::GetTimeout), "{error}");
        r.cancel();
        assert!(r.await.expect_err("cancelled").is(Code::Cancelled));
        Ok(())
    });
}

//! `thornback status`.

use serde_json::json;
use thornback_types::{Resources, UNITS_PER_WHOLE};
use thornback_wire::v1;

use crate::flags::Ask;
use crate::{Result, ask};

/// Prints what a node has and does.
pub(crate) fn show(flags: &Ask) -> Result {
    let asked = v1::request::Request::GetStatus(v1::GetStatus {});
    let v1::reply::Reply::Status(status) = ask::ask(flags.dir.as_deref(), asked)? else {
        return Err("the node answered something else than its status".to_owned());
    };
    if flags.json {
        println!("{:#}", as_json(&status));
    } else {
        print!("{}", as_table(&status));
    }
    Ok(())
}

fn as_json(status: &v1::Status) -> serde_json::Value {
    let amounts = |resources: &Option<v1::Resources>| {
        let amounts = resources.iter().flat_map(|resources| &resources.amounts);
        amounts
            .map(|(name, amount)| (name.clone(), json!(*amount as f64 / UNITS_PER_WHOLE as f64)))
            .collect::<serde_json::Map<_, _>>()
    };
    let workers = status.worker_list.iter().map(|worker| {
        json!({"pid": worker.pid, "pool": worker.pool, "state": worker.state, "rss_bytes": worker.rss_bytes})
    });
    json!({
        "server_version": status.server_version,
        "node": hex(&status.node),
        "uptime_ms": status.uptime_ms,
        "nodes": status.nodes,
        "resources": {"total": amounts(&status.total), "available": amounts(&status.available)},
        "store": {"used_bytes": status.store_used_bytes, "capacity_bytes": status.store_capacity_bytes, "spilled_bytes": status.spilled_bytes},
        "tasks": {"queued": status.tasks_queued, "running": status.tasks_running, "finished": status.tasks_finished},
        "sessions": status.sessions,
        "workers": status.workers,
        "actors": status.actors,
        "objects": status.objects,
        "worker_list": workers.collect::<Vec<_>>(),
    })
}

fn as_table(status: &v1::Status) -> String {
    let mut rows = vec![
        (
            "Node",
            format!(
                "{}, version {}, up for {}",
                hex(&status.node),
                status.server_version,
                duration(status.uptime_ms)
            ),
        ),
        (
            "Tasks",
            format!(
                "{} running, {} waiting, {} finished",
                status.tasks_running, status.tasks_queued, status.tasks_finished
            ),
        ),
        ("Actors", status.actors.to_string()),
        ("Objects", status.objects.to_string()),
        (
            "Store",
            format!(
                "{} of {} in use, {} on disk",
                bytes(status.store_used_bytes),
                bytes(status.store_capacity_bytes),
                bytes(status.spilled_bytes)
            ),
        ),
        ("Sessions", status.sessions.to_string()),
    ];
    let empty = v1::Resources::default();
    let (total, available) =
        (status.total.as_ref().unwrap_or(&empty), status.available.as_ref().unwrap_or(&empty));
    for (name, amount) in &total.amounts {
        let free = available.amounts.get(name).copied().unwrap_or(0);
        let text = if name == Resources::MEMORY {
            format!("{} of {} free", bytes(free / UNITS_PER_WHOLE), bytes(amount / UNITS_PER_WHOLE))
        } else {
            format!("{} of {} free", number(free), number(*amount))
        };
        rows.push((name.as_str(), text));
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut table: String = rows.iter().map(|(name, text)| format!("{name:width$}  {text}\n")).collect();
    if status.worker_list.is_empty() {
        table += "\nNo workers.\n";
    } else {
        table += &format!("\n{:>8}  {:16}  {:10}  {:>10}\n", "WORKER", "POOL", "STATE", "MEMORY");
        for worker in &status.worker_list {
            table += &format!(
                "{:>8}  {:16}  {:10}  {:>10}\n",
                worker.pid,
                worker.pool,
                worker.state,
                bytes(worker.rss_bytes)
            );
        }
    }
    table
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(units: u64) -> String {
    (units as f64 / UNITS_PER_WHOLE as f64).to_string()
}

fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

fn duration(ms: u64) -> String {
    match ms / 1000 {
        0 => format!("{ms} ms"),
        s if s < 60 => format!("{s} s"),
        s if s < 3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> v1::Status {
        v1::Status {
            server_version: "0.1.0".into(),
            node: vec![0xab; 16].into(),
            uptime_ms: 61_500,
            total: Some(v1::Resources {
                amounts: [("CPU".to_owned(), 20_000), ("memory".to_owned(), (1 << 30) * 10_000)].into(),
            }),
            available: Some(v1::Resources { amounts: [("CPU".to_owned(), 5_000)].into() }),
            worker_list: vec![v1::WorkerInfo {
                pid: 42,
                pool: "python".into(),
                state: "busy".into(),
                rss_bytes: 5 << 20,
            }],
            ..Default::default()
        }
    }

    #[test]
    fn the_table_is_for_people() {
        let table = as_table(&status());
        for text in ["up for 1 min 1 s", "0.5 of 2 free", "0 B of 1.0 GiB free", "42  python", "5.0 MiB"] {
            assert!(table.contains(text), "{text} is not in\n{table}");
        }
    }

    #[test]
    fn the_json_has_plain_numbers() {
        let json = as_json(&status());
        assert_eq!(json["resources"]["available"]["CPU"], 0.5);
        assert_eq!(json["worker_list"][0]["pid"], 42);
    }
}

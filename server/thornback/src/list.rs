//! `thornback list`.

use serde_json::{Map, Value};
use thornback_wire::v1;

use crate::flags::List;
use crate::{Result, ask};

/// Prints live things of one kind.
pub(crate) fn show(flags: &List) -> Result {
    let asked = v1::request::Request::ListState(v1::ListState {
        kind: flags.kind.name().to_owned(),
        limit: flags.limit,
    });
    let v1::reply::Reply::State(list) = ask::ask(flags.ask.dir.as_deref(), asked)? else {
        return Err("the node answered something else than a list".to_owned());
    };
    if flags.ask.json {
        for item in &list.items {
            println!("{item}");
        }
    } else {
        let items = list
            .items
            .iter()
            .map(|item| serde_json::from_str(item))
            .collect::<std::result::Result<Vec<_>, _>>();
        let items =
            items.map_err(|error| format!("the node's list cannot be read: {error}; see it with --json"))?;
        print!("{}", table(flags.kind.name(), &items));
    }
    if list.truncated {
        eprintln!("There are more; --limit shows more than {}.", flags.limit);
    }
    Ok(())
}

fn table(kind: &str, items: &[Map<String, Value>]) -> String {
    if items.is_empty() {
        return format!("No {kind}.\n");
    }
    let mut columns: Vec<&str> = Vec::new();
    for name in items.iter().flat_map(Map::keys) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let cell = |item: &Map<String, Value>, column: &str| match item.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let mut rows = vec![columns.iter().map(|column| column.to_uppercase()).collect::<Vec<_>>()];
    rows.extend(items.iter().map(|item| columns.iter().map(|column| cell(item, column)).collect()));
    let widths: Vec<usize> = (0..columns.len())
        .map(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let items: Vec<Map<String, Value>> =
            [r#"{"id": "ab", "state": "running"}"#, r#"{"id": "cdef", "state": null, "pid": 7}"#]
                .map(|text| serde_json::from_str(text).unwrap())
                .into();
        assert_eq!(table("tasks", &items), "ID    STATE    PID\nab    running\ncdef           7\n");
        assert_eq!(table("tasks", &[]), "No tasks.\n");
    }
}

//! The same for what Go and npm bring: each module and package that we use has a licence that `deny.toml` accepts.
//!
//! npm's lock files say each package's licence as an SPDX expression. Go's modules say nothing but their licence file, so its text is recognised; a text
//! that is not is a complaint. This judges words, not lawyers' questions: who sees a complaint reads the licence.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Complaint;
use super::licences::{accepted, allowed};
use crate::repo::{Repo, Result};
use crate::run::Program;

/// Folders with a `package-lock.json`.
const NPM: &[&str] = &["sdks/ts", "examples/polyglot/ts"];

/// Folders with a `go.mod`, and the packages whose dependencies count: `tool` is what the tools of the module are built from.
const GO: &[(&str, &str)] =
    &[("sdks/go", "./..."), ("sdks/go/tools", "tool"), ("examples/polyglot/go", "./...")];

/// One line for each package, with the folder of its module.
const MODULES: &str = "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}{{end}}{{end}}";

pub fn check(repo: &Repo) -> Result<Vec<Complaint>> {
    let allowed = allowed(&repo.read("deny.toml")?);
    let mut complaints = Vec::new();
    for folder in NPM {
        let path = format!("{folder}/package-lock.json");
        let lock = serde_json::from_str(&repo.read(&path)?).map_err(|e| format!("{path} is no JSON: {e}"))?;
        complaints.extend(check_npm(&path, &lock, &allowed));
    }
    for (folder, packages) in GO {
        let listed = Program::new("go", &repo.path(folder))
            .args(["list", "-deps", "-test", "-f", MODULES, packages])
            .capture()
            .map_err(|e| format!("{e}\nThe rules need Go 1.25 or newer (https://go.dev/dl)"))?;
        let mut modules: Vec<(&str, PathBuf)> = listed
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(module, dir)| (module, PathBuf::from(dir)))
            // The SDK itself is a module to what is written with it.
            .filter(|(_, dir)| !dir.starts_with(repo.root()))
            .collect();
        modules.sort();
        modules.dedup();
        for (module, dir) in modules {
            complaints.extend(check_module(module, &licence_texts(&dir)?, &allowed));
        }
    }
    Ok(complaints)
}

fn check_npm(path: &str, lock: &Value, allowed: &[String]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (place, package) in lock["packages"].as_object().into_iter().flatten() {
        // The empty place is the package that the file belongs to; a link leads to another of ours.
        if place.is_empty() || package["link"] == true || !place.contains("node_modules/") {
            continue;
        }
        let name = format!("{path}: {place}");
        match package["license"].as_str() {
            None => complaints.push(Complaint::new(&name, "declares no licence")),
            Some(expression) if accepted(expression, allowed) == Some(true) => {}
            Some(expression) => {
                complaints
                    .push(Complaint::new(&name, format!("its licence `{expression}` is not in deny.toml")));
            }
        }
    }
    complaints
}

/// The licence files of a module's folder. Notices of what it took over have other names.
fn licence_texts(dir: &Path) -> Result<Vec<(String, String)>> {
    let unreadable = |e: std::io::Error| format!("{} cannot be read: {e}", dir.display());
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_uppercase();
        if ["LICENSE", "LICENCE", "COPYING"].contains(&stem.as_str()) && path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            texts.push((name, std::fs::read_to_string(&path).map_err(unreadable)?));
        }
    }
    Ok(texts)
}

fn check_module(module: &str, texts: &[(String, String)], allowed: &[String]) -> Vec<Complaint> {
    let place = format!("Go module {module}");
    if texts.is_empty() {
        return vec![Complaint::new(&place, "has no licence file")];
    }
    let complaint = |(file, text): &(String, String)| match recognise(text) {
        None => {
            Some(Complaint::new(&place, format!("the licence in its {file} is not one that is known here")))
        }
        Some(id) if allowed.iter().any(|allowed| allowed == id) => None,
        Some(id) => Some(Complaint::new(&place, format!("its licence `{id}` is not in deny.toml"))),
    };
    texts.iter().filter_map(complaint).collect()
}

/// Which licence a text is, by what it alone says. Texts that grant on further conditions are not recognised.
fn recognise(text: &str) -> Option<&'static str> {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let says = |phrase: &str| words.contains(phrase);
    let strings_attached = [
        "gnu general public license",
        "gnu lesser general public license",
        "gnu affero general public license",
        "mozilla public license",
        "all advertising materials",
        "commons clause",
        "business source license",
    ];
    if strings_attached.into_iter().any(says) {
        return None;
    }
    if says("apache license version 2.0, january 2004") {
        return Some("Apache-2.0");
    }
    if says("redistribution and use in source and binary forms, with or without modification, are permitted")
    {
        return Some(if says("neither the name of") { "BSD-3-Clause" } else { "BSD-2-Clause" });
    }
    if says("permission is hereby granted, free of charge, to any person obtaining a copy")
        && says("the above copyright notice and this permission notice")
    {
        return Some("MIT");
    }
    if says(
        "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided that the above copyright notice",
    ) {
        return Some("ISC");
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MIT: &str = "Permission is hereby granted, free of charge, to any person\nobtaining a copy of this software …\n\
        The above copyright notice and this permission notice shall be included in all copies";
    const BSD: &str = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided that";

    fn known() -> Vec<String> {
        ["MIT", "BSD-3-Clause", "Apache-2.0"].map(str::to_owned).to_vec()
    }

    #[test]
    fn licence_texts_are_recognised() {
        assert_eq!(recognise(MIT), Some("MIT"));
        assert_eq!(recognise(BSD), Some("BSD-2-Clause"));
        assert_eq!(recognise(&format!("{BSD} … Neither the name of Google")), Some("BSD-3-Clause"));
        assert_eq!(
            recognise("   Apache License\n   Version 2.0, January 2004\n http://"),
            Some("Apache-2.0")
        );
    }

    #[test]
    fn what_is_unknown_or_asks_for_more_is_not() {
        assert_eq!(recognise(""), None);
        assert_eq!(recognise("All rights reserved."), None);
        assert_eq!(recognise("GNU GENERAL PUBLIC LICENSE Version 3"), None);
        assert_eq!(recognise(&format!("{BSD} All advertising materials mentioning features")), None);
        assert_eq!(recognise(&format!("{MIT} \"Commons Clause\" License Condition")), None);
    }

    #[test]
    fn a_module_needs_a_licence_file_that_is_accepted() {
        let file = |text: &str| vec![("LICENSE".to_owned(), text.to_owned())];
        assert!(check_module("m", &file(MIT), &known()).is_empty());
        assert_eq!(check_module("m", &[], &known()), [Complaint::new("Go module m", "has no licence file")]);
        assert_eq!(
            check_module("m", &file(BSD), &known()),
            [Complaint::new("Go module m", "its licence `BSD-2-Clause` is not in deny.toml")]
        );
        assert_eq!(check_module("m", &file("Mine."), &known()).len(), 1);
    }

    #[test]
    fn packages_of_a_lock_file_need_an_accepted_licence() {
        let lock = json!({"packages": {
            "": {"name": "ours"},
            "../../../sdks/ts": {},
            "node_modules/thornback": {"link": true},
            "node_modules/good": {"license": "(MIT OR GPL-3.0-only)"},
            "node_modules/bad": {"license": "GPL-3.0-only"},
            "node_modules/silent": {},
        }});
        let complaints = check_npm("lock", &lock, &known());
        assert_eq!(
            complaints,
            [
                Complaint::new("lock: node_modules/bad", "its licence `GPL-3.0-only` is not in deny.toml"),
                Complaint::new("lock: node_modules/silent", "declares no licence"),
            ]
        );
    }
}

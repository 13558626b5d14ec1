//! Expectations: what an answer or an operation must look like, as far as a case says it.
//!
//! An object matches if each key that it names does; a list matches item by item and in length. An object with one of a few keys alone says more:
//! `{any: true}` `{absent: true}` `{contains: text}` `{min: n}` `{max: n}` `{one_of: […]}` `{not: …}` `{bind: name}` `{is: value}` `{hex: …}` `{text: …}` `{length: n}`.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::spec::CODE_NUMBERS;
use crate::value;

/// Names of one run of a case.
pub struct Names {
    /// The folder of its files.
    pub folder: std::path::PathBuf,
    /// Distinguishes this run from all others, for names that a whole node shares.
    pub serial: u64,
    /// What patterns bound.
    pub bound: BTreeMap<String, Json>,
    salt: [u8; 8],
    counters: BTreeMap<String, u32>,
}

impl Names {
    pub fn new(folder: std::path::PathBuf, serial: u64) -> Self {
        // Unique among runs on one node is enough here: the runner is no client that others must be safe from.
        let mut salt = [0xC0; 8];
        salt[..4].copy_from_slice(&(std::process::id()).to_be_bytes());
        salt[4..].copy_from_slice(&u32::try_from(serial).unwrap_or(u32::MAX).to_be_bytes());
        Self { folder, serial, bound: BTreeMap::new(), salt, counters: BTreeMap::new() }
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// The id of a name such as `t1` (index 0) or `t1.2` (index 2).
    pub fn id(&mut self, name: &str) -> Vec<u8> {
        let (base, index) = name.split_once('.').unwrap_or((name, "0"));
        let next = u32::try_from(self.counters.len()).unwrap_or(u32::MAX) + 1;
        let counter = *self.counters.entry(base.to_owned()).or_insert(next);
        let index: u32 = index.parse().unwrap_or(0);
        [&self.salt[..], &counter.to_be_bytes(), &index.to_be_bytes()].concat()
    }

    /// Fills in what only this run knows: `$t1` is an id, `{var: x}` what was bound, and the notations of bytes become base64.
    pub fn resolve(&mut self, raw: &Json) -> Result<Json, String> {
        Ok(match raw {
            Json::String(text) => match text.strip_prefix('$') {
                Some(name) => Json::String(value::base64(&self.id(name))),
                None => raw.clone(),
            },
            Json::Array(items) => {
                Json::Array(items.iter().map(|item| self.resolve(item)).collect::<Result<_, _>>()?)
            }
            Json::Object(map) => {
                if let (1, Some((key, body))) = (map.len(), map.iter().next()) {
                    let bytes = match (key.as_str(), body) {
                        ("hex", Json::String(text)) => {
                            Some(value::from_hex(text).ok_or_else(|| format!("{text} is not hexadecimal"))?)
                        }
                        ("text", Json::String(text)) => Some(text.clone().into_bytes()),
                        ("zeros", Json::Number(n)) => {
                            Some(vec![0; usize::try_from(n.as_u64().unwrap_or(0)).unwrap_or(0)])
                        }
                        // A list in a list in a list, in MessagePack.
                        ("deep", Json::Number(n)) => {
                            let depth = usize::try_from(n.as_u64().unwrap_or(0)).unwrap_or(0);
                            Some([vec![0x91; depth], vec![0xc0]].concat())
                        }
                        // The first result of a task whose id was bound.
                        ("result", Json::String(name)) => {
                            let task =
                                self.bound.get(name).and_then(Json::as_str).and_then(value::from_base64);
                            let task = task
                                .filter(|id| id.len() == 16)
                                .ok_or_else(|| format!("no id is bound to `{name}`"))?;
                            Some([&task[..12], &1u32.to_be_bytes()].concat())
                        }
                        ("pattern", Json::Object(body)) => Some(value::pattern(
                            body.get("size").and_then(Json::as_u64).unwrap_or(0),
                            body.get("seed").and_then(Json::as_u64).unwrap_or(0),
                        )),
                        _ => None,
                    };
                    if let Some(bytes) = bytes {
                        return Ok(Json::String(value::base64(&bytes)));
                    }
                    match (key.as_str(), body) {
                        ("is", body) => return self.encoded(body),
                        ("var", Json::String(name)) => {
                            return self
                                .bound
                                .get(name)
                                .cloned()
                                .ok_or_else(|| format!("nothing bound `{name}`"));
                        }
                        ("file", Json::String(name)) => return Ok(Json::String(self.file(name))),
                        ("unique", Json::String(name)) => {
                            return Ok(Json::String(format!("{name}-{}", self.serial)));
                        }
                        _ => {}
                    }
                }
                let mut resolved = Map::new();
                for (key, item) in map {
                    // A failure's code may be said by its name.
                    let code =
                        item.as_str().and_then(|name| CODE_NUMBERS.get(name)).filter(|_| key == "code");
                    let item = code.map_or_else(|| self.resolve(item), |number| Ok(json!(number)))?;
                    resolved.insert(key.clone(), item);
                }
                Json::Object(resolved)
            }
            other => other.clone(),
        })
    }

    /// A `Value` message that holds a value in MessagePack.
    fn encoded(&mut self, short: &Json) -> Result<Json, String> {
        let folder = self.folder.clone();
        let explicit = value::explicit(short, &|name| folder.join(name).to_string_lossy().into_owned());
        let mut refs = Vec::new();
        let packed =
            value::to_msgpack(&explicit, &mut |name| self.id(name.trim_start_matches('$')), &mut refs)?;
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, &packed).map_err(|error| error.to_string())?;
        let refs: Vec<String> = refs.iter().map(|id| value::base64(id)).collect();
        Ok(json!({"format": "FORMAT_MSGPACK", "data": value::base64(&bytes), "refs": refs}))
    }

    /// Whether `actual` is what `expected` says; if not, where and why.
    pub fn matches(&mut self, expected: &Json, actual: Option<&Json>) -> Result<(), String> {
        if let Some((key, body)) = value::parts(expected) {
            let found = || actual.map_or_else(|| "nothing".to_owned(), brief);
            let text = || actual.and_then(Json::as_str);
            let number = || actual.and_then(Json::as_f64);
            let judge = |holds: bool| {
                if holds { Ok(()) } else { Err(format!("expected {key} {}, found {}", brief(body), found())) }
            };
            match key {
                "any" => return judge(actual.is_some_and(|actual| !actual.is_null())),
                "absent" => return judge(actual.is_none_or(Json::is_null)),
                "contains" => {
                    return judge(text().is_some_and(|text| text.contains(body.as_str().unwrap_or("\0"))));
                }
                "min" => return judge(number().is_some_and(|n| n >= body.as_f64().unwrap_or(f64::INFINITY))),
                "max" => {
                    return judge(number().is_some_and(|n| n <= body.as_f64().unwrap_or(f64::NEG_INFINITY)));
                }
                "length" => {
                    let length = match actual {
                        Some(Json::Array(items)) => Some(items.len()),
                        Some(Json::String(text)) => value::from_base64(text).map(|bytes| bytes.len()),
                        _ => None,
                    };
                    return judge(length.map(|length| length as u64) == body.as_u64());
                }
                "one_of" => {
                    let options = body.as_array().cloned().unwrap_or_default();
                    return judge(options.iter().any(|option| self.matches(option, actual).is_ok()));
                }
                "not" => return judge(self.matches(body, actual).is_err()),
                "bind" => {
                    let Some(actual) = actual else { return judge(false) };
                    self.bound.insert(body.as_str().unwrap_or_default().to_owned(), actual.clone());
                    return Ok(());
                }
                "is" => {
                    let data = actual.and_then(|value| value["data"].as_str()).and_then(value::from_base64);
                    let Some(data) =
                        data.filter(|_| actual.is_some_and(|value| value["format"] == "FORMAT_MSGPACK"))
                    else {
                        return Err(format!("expected a value in MessagePack, found {}", found()));
                    };
                    let folder = self.folder.clone();
                    let expected =
                        value::explicit(body, &|name| folder.join(name).to_string_lossy().into_owned());
                    return self.same_value(&expected, &value::from_msgpack(&data)?);
                }
                "hex" | "text" | "zeros" | "pattern" | "var" | "unique" => {
                    let expected = self.resolve(expected)?;
                    return judge(actual == Some(&expected));
                }
                _ => {}
            }
        }
        let Some(actual) = actual else { return Err(format!("expected {}, found nothing", brief(expected))) };
        let differs = || Err(format!("expected {}, found {}", brief(expected), brief(actual)));
        match (expected, actual) {
            (Json::Object(expected), Json::Object(found)) => {
                for (key, expected) in expected {
                    self.matches(expected, found.get(key)).map_err(|reason| format!(".{key}: {reason}"))?;
                }
                Ok(())
            }
            (Json::Array(expected), Json::Array(found)) if expected.len() == found.len() => {
                for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                    self.matches(expected, Some(found)).map_err(|reason| format!("[{index}]: {reason}"))?;
                }
                Ok(())
            }
            (Json::String(name), Json::Number(number)) if CODE_NUMBERS.contains_key(name) => {
                if number.as_u64() == CODE_NUMBERS.get(name).copied() {
                    return Ok(());
                }
                Err(format!(
                    "expected {name}, found {}",
                    number.as_u64().map_or_else(|| number.to_string(), crate::spec::code_name)
                ))
            }
            (Json::String(id), Json::String(found)) if id.starts_with('$') => {
                if value::base64(&self.id(&id[1..])) == *found {
                    Ok(())
                } else {
                    Err(format!("expected the id {id}, found {found}"))
                }
            }
            (Json::Number(expected), Json::Number(found)) if expected.as_f64() == found.as_f64() => Ok(()),
            (expected, found) if expected == found => Ok(()),
            _ => differs(),
        }
    }

    /// Whether two explicit values are one. A ref of the case's takes the name that the testee gave.
    pub fn same_value(&mut self, expected: &Json, actual: &Json) -> Result<(), String> {
        let differs = || Err(format!("expected {}, found {}", brief(expected), brief(actual)));
        let (Some((wanted, body)), Some((kind, found))) = (value::parts(expected), value::parts(actual))
        else {
            return differs();
        };
        match (wanted, kind) {
            ("any", _) => Ok(()),
            ("list", "list") => {
                let (Some(body), Some(found)) = (body.as_array(), found.as_array()) else { return differs() };
                if body.len() != found.len() {
                    return Err(format!(
                        "expected {} items, found {}: {}",
                        body.len(),
                        found.len(),
                        brief(actual)
                    ));
                }
                for (index, (expected, found)) in body.iter().zip(found).enumerate() {
                    self.same_value(expected, found).map_err(|reason| format!("[{index}]: {reason}"))?;
                }
                Ok(())
            }
            ("map", "map") => {
                let (Some(body), Some(found)) = (body.as_array(), found.as_array()) else { return differs() };
                if body.len() != found.len() {
                    return Err(format!(
                        "expected {} entries, found {}: {}",
                        body.len(),
                        found.len(),
                        brief(actual)
                    ));
                }
                for entry in body {
                    let place =
                        found.iter().find(|candidate| self.same_value(&entry[0], &candidate[0]).is_ok());
                    let Some(place) = place else {
                        return Err(format!(
                            "the key {} is missing from {}",
                            brief(&entry[0]),
                            brief(actual)
                        ));
                    };
                    self.same_value(&entry[1], &place[1])
                        .map_err(|reason| format!("[{}]: {reason}", brief(&entry[0])))?;
                }
                Ok(())
            }
            ("ref", "ref") | ("actor", "actor") => {
                let name = body.as_str().unwrap_or_default();
                if let Some(id) = name.strip_prefix('$') {
                    let id = value::base64(&self.id(id));
                    return if *found == id { Ok(()) } else { differs() };
                }
                self.bound.insert(name.to_owned(), found.clone());
                Ok(())
            }
            ("bytes" | "pattern", "bytes" | "digest") => {
                if value::digest(wanted, body).is_some()
                    && value::digest(wanted, body) == value::digest(kind, found)
                {
                    Ok(())
                } else {
                    differs()
                }
            }
            _ if expected == actual => Ok(()),
            _ => differs(),
        }
    }
}

/// JSON cut to a length that can be read.
pub fn brief(json: &Json) -> String {
    let text = json.to_string();
    if text.chars().count() <= 400 {
        text
    } else {
        format!("{}… ({} characters)", text.chars().take(400).collect::<String>(), text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(std::path::PathBuf::from("/f"), 1)
    }

    fn value_of(short: &Json) -> Json {
        value::explicit(short, &|name| format!("/f/{name}"))
    }

    #[test]
    fn values_differ_where_the_specification_says_so() {
        let zero = json!({"float": "0000000000000000"});
        let minus_zero = json!({"float": "8000000000000000"});
        assert_eq!(value_of(&json!(-0.0)), minus_zero);
        assert!(names().same_value(&minus_zero, &zero).is_err());
        assert!(names().same_value(&value_of(&json!(1)), &value_of(&json!(1.0))).is_err());
        assert!(names().same_value(&json!({"str": "a"}), &json!({"bytes": "61"})).is_err());
        assert!(names().same_value(&json!({"bool": true}), &json!({"int": "1"})).is_err());
        let map = |a: &str, b: &str| json!({"map": [[{"str": a}, {"int": "1"}], [{"str": b}, {"int": "1"}]]});
        assert!(names().same_value(&map("a", "b"), &map("b", "a")).is_ok());
        assert!(names().same_value(&map("a", "b"), &map("a", "c")).is_err());
        let long = json!({"pattern": {"size": 2000, "seed": 3}});
        let crc = format!("{:08x}", crc32fast::hash(&value::pattern(2000, 3)));
        assert!(names().same_value(&long, &json!({"digest": {"size": 2000, "crc32": crc}})).is_ok());
        assert!(names().same_value(&long, &json!({"digest": {"size": 2000, "crc32": "00000000"}})).is_err());
    }

    #[test]
    fn patterns_bind_and_look_where_they_are_told() {
        let mut names = names();
        let actual = json!({"code": 25, "message": "the task was cancelled", "cause": null, "id": "x"});
        let good = json!({"code": "CANCELLED", "message": {"contains": "cancelled"}, "cause": {"absent": true}, "id": {"bind": "it"}});
        names.matches(&good, Some(&actual)).expect("it matches");
        assert_eq!(names.resolve(&json!({"var": "it"})), Ok(json!("x")));
        for wrong in [
            json!({"code": "TASK_FAILED"}),
            json!({"cause": {"any": true}}),
            json!({"more": 1}),
            json!({"message": {"not": {"any": true}}}),
        ] {
            assert!(names.matches(&wrong, Some(&actual)).is_err(), "{wrong}");
        }
        assert!(names.matches(&json!([1, 2]), Some(&json!([1]))).is_err());
        assert!(names.matches(&json!({"one_of": [1, {"min": 5}]}), Some(&json!(7))).is_ok());
    }

    #[test]
    fn a_value_survives_messagepack() {
        let mut names = names();
        for short in [
            json!(null),
            json!(-1),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1.5),
            json!("é"),
            json!([1, {"a": [true]}]),
            json!({"ref": "$x.1"}),
        ] {
            let message = names.resolve(&json!({"is": short})).expect("it encodes");
            names.matches(&json!({"is": short}), Some(&message)).expect("it is the same");
        }
        let message = names.resolve(&json!({"is": {"ref": "$x.1"}})).expect("it encodes");
        assert_eq!(message["refs"], json!([value::base64(&names.id("x.1"))]));
    }
}

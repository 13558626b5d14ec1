//! The descriptor set of the last release, and the promise that later schemas keep: what was said once on the wire
//! keeps its meaning.
//!
//! Allowed: new files, messages, fields, enum values, methods. Refused: anything released that is gone, or has another
//! number, name, type or cardinality, or moved into or out of a oneof; a number in use for something else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
};

use crate::Result;
use crate::output::Output;

const FILE: &str = "protocol/released/v1.binpb";

/// Takes the schemas as released.
pub(crate) fn release(schemas: &FileDescriptorSet, output: &mut Output) -> Result {
    let mut bare = schemas.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    output.file(FILE, &bare.encode_to_vec())
}

/// Compares the schemas with the last release.
pub(crate) fn compare(root: &Path, schemas: &FileDescriptorSet) -> Result {
    let path = root.join(FILE);
    let bytes = fs::read(&path).map_err(|e| {
        format!("{} cannot be read: {e}; `cargo run -p xtask-codegen -- --release` makes it", path.display())
    })?;
    let released =
        FileDescriptorSet::decode(&bytes[..]).map_err(|e| format!("{FILE} is not a descriptor set: {e}"))?;
    let broken = breaks(&released, schemas);
    if broken.is_empty() {
        return Ok(());
    }
    Err(format!("the schemas break what {FILE} promised:\n  {}", broken.join("\n  ")))
}

/// Every promise of `old` that `new` does not keep, one line each.
fn breaks(old: &FileDescriptorSet, new: &FileDescriptorSet) -> Vec<String> {
    let mut broken = Vec::new();
    let (old, new) = (Names::of(old), Names::of(new));
    for (name, message) in &old.messages {
        match new.messages.get(name) {
            Some(other) => compare_message(name, message, other, &mut broken),
            None => broken.push(format!("message {name} is gone")),
        }
    }
    for (name, values) in &old.enums {
        match new.enums.get(name) {
            Some(other) => compare_enum(name, values, other, &mut broken),
            None => broken.push(format!("enum {name} is gone")),
        }
    }
    for (name, service) in &old.services {
        match new.services.get(name) {
            Some(other) => compare_service(name, service, other, &mut broken),
            None => broken.push(format!("service {name} is gone")),
        }
    }
    broken
}

fn compare_message(name: &str, old: &DescriptorProto, new: &DescriptorProto, broken: &mut Vec<String>) {
    for field in &old.field {
        let Some(other) = new.field.iter().find(|other| other.number == field.number) else {
            if !new.reserved_range.iter().any(|range| (range.start()..range.end()).contains(&field.number()))
            {
                broken.push(format!(
                    "{name}.{} is gone and its number {} not reserved",
                    field.name(),
                    field.number()
                ));
            }
            continue;
        };
        let (was, is) = (shape(old, field), shape(new, other));
        if was != is {
            broken.push(format!("{name}: number {} was `{was}`, is `{is}`", field.number()));
        }
    }
}

/// All that matters of a field to someone who has the old schema.
fn shape(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let oneof = match field.oneof_index {
        Some(index) => message
            .oneof_decl
            .get(usize::try_from(index).unwrap_or(usize::MAX))
            .map_or("", |oneof| oneof.name()),
        None => "",
    };
    let what = if field.type_name().is_empty() {
        format!("{:?}", field.r#type())
    } else {
        field.type_name().trim_start_matches('.').to_owned()
    };
    let oneof = if oneof.is_empty() { String::new() } else { format!("oneof {oneof} ") };
    format!("{oneof}{:?} {what} {}", field.label(), field.name())
}

fn compare_enum(name: &str, old: &EnumDescriptorProto, new: &EnumDescriptorProto, broken: &mut Vec<String>) {
    for value in &old.value {
        match new.value.iter().find(|other| other.number == value.number) {
            Some(other) if other.name() == value.name() => {}
            Some(other) => {
                broken.push(format!("{name}: {} was {}, is {}", value.number(), value.name(), other.name()));
            }
            None => broken.push(format!("{name}.{} is gone", value.name())),
        }
    }
}

fn compare_service(
    name: &str,
    old: &ServiceDescriptorProto,
    new: &ServiceDescriptorProto,
    broken: &mut Vec<String>,
) {
    for method in &old.method {
        let Some(other) = new.method.iter().find(|other| other.name() == method.name()) else {
            broken.push(format!("method {name}.{} is gone", method.name()));
            continue;
        };
        let same = method.input_type() == other.input_type()
            && method.output_type() == other.output_type()
            && method.client_streaming() == other.client_streaming()
            && method.server_streaming() == other.server_streaming();
        if !same {
            broken.push(format!("method {name}.{} has another signature", method.name()));
        }
    }
}

/// Everything with a name, by full name.
#[derive(Default)]
struct Names<'a> {
    messages: BTreeMap<String, &'a DescriptorProto>,
    enums: BTreeMap<String, &'a EnumDescriptorProto>,
    services: BTreeMap<String, &'a ServiceDescriptorProto>,
}

impl<'a> Names<'a> {
    fn of(set: &'a FileDescriptorSet) -> Self {
        let mut names = Self::default();
        for file in &set.file {
            for message in &file.message_type {
                names.message(file.package(), message);
            }
            for one in &file.enum_type {
                names.enums.insert(format!("{}.{}", file.package(), one.name()), one);
            }
            for service in &file.service {
                names.services.insert(format!("{}.{}", file.package(), service.name()), service);
            }
        }
        names
    }

    fn message(&mut self, within: &str, message: &'a DescriptorProto) {
        let name = format!("{within}.{}", message.name());
        for nested in &message.nested_type {
            self.message(&name, nested);
        }
        for one in &message.enum_type {
            self.enums.insert(format!("{name}.{}", one.name()), one);
        }
        self.messages.insert(name, message);
    }
}

#[cfg(test)]
mod tests {
    use prost_types::FileDescriptorProto;
    use prost_types::field_descriptor_proto::Type;

    use super::*;

    fn field(name: &str, number: i32, kind: Type) -> FieldDescriptorProto {
        FieldDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            r#type: Some(kind.into()),
            ..Default::default()
        }
    }

    fn schema(fields: Vec<FieldDescriptorProto>) -> FileDescriptorSet {
        let message = DescriptorProto { name: Some("M".to_owned()), field: fields, ..Default::default() };
        let file = FileDescriptorProto {
            package: Some("p".to_owned()),
            message_type: vec![message],
            ..Default::default()
        };
        FileDescriptorSet { file: vec![file] }
    }

    #[test]
    fn additions_keep_the_promise() {
        let old = schema(vec![field("a", 1, Type::Uint64)]);
        let new = schema(vec![field("a", 1, Type::Uint64), field("b", 2, Type::Bytes)]);
        assert_eq!(breaks(&old, &new), Vec::<String>::new());
        assert_eq!(breaks(&new, &old), ["p.M.b is gone and its number 2 not reserved"]);
    }

    #[test]
    fn another_type_or_name_breaks_it() {
        let old = schema(vec![field("a", 1, Type::Uint64)]);
        assert_eq!(breaks(&old, &schema(vec![field("a", 1, Type::Int64)])).len(), 1);
        assert_eq!(breaks(&old, &schema(vec![field("b", 1, Type::Uint64)])).len(), 1);
        assert_eq!(breaks(&old, &FileDescriptorSet::default()), ["message p.M is gone"]);
    }
}

//! From what was written to the model: names looked up, aliases followed, what has no counterpart refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::Problem;
use crate::ast;
use crate::model::{
    Actor, Case, Field, Function, Gives, Interface, Kind, Label, Package, Param, Scalar, Type, TypeDef,
    TypeId,
};
use crate::signature::{self, SIGNATURE_BYTES_MAX};

/// How deep a value may be nested, names followed. The protocol's own limit is 512.
const DEPTH_MAX: usize = 32;

/// How many parts the type of one parameter, result or field may have, aliases followed: each of them may stand for many.
const PARTS_MAX: usize = 4096;

/// Parameters that every language can take.
const PARAMS_MAX: usize = 10;

/// A longer file is not read at all.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Refuses what is too long to be an interface.
pub(crate) fn check_length(path: &str, text: &str) -> Result<(), Problem> {
    if text.len() > FILE_BYTES_MAX {
        return Err(Problem::at(
            path,
            text,
            0,
            format!("the file is longer than {FILE_BYTES_MAX} bytes: split it"),
        ));
    }
    Ok(())
}

pub(crate) fn resolve(path: &str, text: &str, file: ast::File) -> Result<Package, Problem> {
    let mut resolver = Resolver {
        path,
        text,
        file: &file,
        done: BTreeMap::new(),
        under_way: BTreeSet::new(),
        types: Vec::new(),
        depths: Vec::new(),
    };
    let (interfaces, types) = resolver.package()?;
    let name = file.package.rsplit(':').next().unwrap_or_default().to_owned();
    let id = if file.version.is_empty() {
        file.package.clone()
    } else {
        format!("{}@{}", file.package, file.version)
    };
    Ok(Package { name, id, interfaces, types })
}

type Resolved<T> = Result<T, Problem>;

/// A type by the positions of its interface and of itself there.
type Place = (usize, usize);

struct Resolver<'a> {
    path: &'a str,
    text: &'a str,
    file: &'a ast::File,
    /// What names stand for, each looked up once.
    done: BTreeMap<Place, Type>,
    under_way: BTreeSet<Place>,
    types: Vec<TypeDef>,
    /// How deep a value of each of `types` is nested.
    depths: Vec<usize>,
}

impl Resolver<'_> {
    fn package(&mut self) -> Resolved<(Vec<Interface>, Vec<TypeDef>)> {
        let file = self.file;
        self.distinct(file.interfaces.iter().map(|interface| &interface.name), "an interface")?;
        if file.interfaces.is_empty() {
            return Err(self.problem(0, "the file has no interface: write one, `interface NAME { … }`"));
        }
        for export in file.worlds.iter().flat_map(|world| &world.exports) {
            if !file.interfaces.iter().any(|interface| interface.name.text == export.text) {
                return Err(
                    self.problem(export.at, format!("there is no interface `{}` in this file", export.text))
                );
            }
        }
        let mut interfaces = Vec::new();
        for (i, interface) in file.interfaces.iter().enumerate() {
            let types = interface.types.iter().map(|ty| &ty.name);
            let resources = interface.resources.iter().map(|resource| &resource.name);
            let functions = interface.functions.iter().map(|function| &function.name);
            let uses = interface.uses.iter().map(|used| &used.as_);
            self.distinct(types.chain(resources).chain(functions).chain(uses), "something")?;
            for used in &interface.uses {
                self.used(used)?;
            }
            for t in 0..interface.types.len() {
                self.define((i, t))?;
            }
            interfaces.push(self.interface(i, interface)?);
        }
        Ok((interfaces, std::mem::take(&mut self.types)))
    }

    fn interface(&mut self, i: usize, interface: &ast::Interface) -> Resolved<Interface> {
        let name = &interface.name.text;
        let served = |own: &str| format!("{name}.{own}");
        let mut functions = Vec::new();
        for function in &interface.functions {
            functions.push(self.function(i, function, served(&function.name.text))?);
        }
        let mut actors = Vec::new();
        for resource in &interface.resources {
            actors.push(self.actor(i, resource, served(&resource.name.text))?);
        }
        Ok(Interface { name: name.clone(), docs: interface.docs.clone(), functions, actors })
    }

    fn actor(&mut self, i: usize, resource: &ast::Resource, served: String) -> Resolved<Actor> {
        let (name, at) = (&resource.name.text, resource.name.at);
        let Some(constructor) = &resource.constructor else {
            return Err(self.problem(
                at,
                format!("the resource `{name}` has no constructor, so that no actor of it could be made: add `constructor();`"),
            ));
        };
        self.distinct(resource.methods.iter().map(|method| &method.name), "a method")?;
        let mut made = self.function(i, constructor, served.clone())?;
        let mut methods = Vec::new();
        for method in &resource.methods {
            methods.push(self.function(i, method, method.name.text.clone())?);
        }
        let signature =
            signature::of_actor(&self.types, &made.params, &methods).map_err(|_| self.too_long(at, name))?;
        made.signature.clone_from(&signature);
        Ok(Actor {
            name: name.clone(),
            served,
            docs: resource.docs.clone(),
            constructor: made,
            methods,
            signature,
        })
    }

    fn function(&mut self, i: usize, function: &ast::Function, served: String) -> Resolved<Function> {
        let (name, at) = (&function.name.text, function.name.at);
        self.distinct(function.params.iter().map(|(name, _)| name), "a parameter")?;
        if function.params.len() > PARAMS_MAX {
            let message = format!("more than {PARAMS_MAX} parameters: make a record of some of them");
            return Err(self.problem(at, message));
        }
        let mut params = Vec::new();
        for (name, ty) in &function.params {
            params.push(Param { name: name.text.clone(), ty: self.ty(i, ty)? });
        }
        let gives = match &function.gives {
            None => Gives::Nothing,
            Some(ty) if ty.name.text == "stream" && !ty.escaped => match &ty.args[..] {
                [item] => Gives::Stream(self.ty(i, item)?),
                _ => return Err(self.problem(ty.name.at, "a stream of what? Write `stream<T>`")),
            },
            Some(ty) => Gives::Value(self.ty(i, ty)?),
        };
        let signature =
            signature::of_function(&self.types, &params, &gives).map_err(|_| self.too_long(at, name))?;
        Ok(Function { name: name.clone(), served, docs: function.docs.clone(), params, gives, signature })
    }

    /// Takes a type of the file, unless that was done.
    fn define(&mut self, place: Place) -> Resolved<Type> {
        if let Some(done) = self.done.get(&place) {
            return Ok(done.clone());
        }
        let (i, t) = place;
        let file = self.file;
        let definition = &file.interfaces[i].types[t];
        let (name, at) = (&definition.name.text, definition.name.at);
        // Types name only each other, so this is as deep as there are types; and no deeper than is allowed, since each level counts.
        if !self.under_way.insert(place) {
            return Err(self.problem(at, format!("`{name}` holds itself: a value of it would have no end. Use a list of records that name each other by a key")));
        }
        if self.under_way.len() > DEPTH_MAX {
            return Err(self.too_deep(at));
        }
        let ty = match &definition.kind {
            ast::Kind::Alias(ty) => self.ty(i, ty)?,
            kind => {
                let kind = self.kind(i, kind)?;
                let depth = 1 + self.depth_of(&kind);
                if depth > DEPTH_MAX {
                    return Err(self.too_deep(at));
                }
                let id = TypeId(self.types.len());
                let shared = file.interfaces.iter().enumerate().any(|(other, interface)| {
                    other != i
                        && interface.types.iter().any(|ty| {
                            ty.name.text.eq_ignore_ascii_case(name) && !matches!(ty.kind, ast::Kind::Alias(_))
                        })
                });
                let name =
                    if shared { format!("{}-{name}", file.interfaces[i].name.text) } else { name.clone() };
                self.types.push(TypeDef { name, docs: definition.docs.clone(), kind });
                self.depths.push(depth);
                Type::Named(id)
            }
        };
        self.under_way.remove(&place);
        self.done.insert(place, ty.clone());
        Ok(ty)
    }

    fn kind(&mut self, i: usize, kind: &ast::Kind) -> Resolved<Kind> {
        let (ast::Kind::Record(members)
        | ast::Kind::Variant(members)
        | ast::Kind::Enum(members)
        | ast::Kind::Flags(members)) = kind
        else {
            // Aliases are followed where they are defined.
            return Ok(Kind::Enum(Vec::new()));
        };
        self.distinct(members.iter().map(|member| &member.name), "a member")?;
        let labels = || {
            members.iter().map(|member| Label { name: member.name.text.clone(), docs: member.docs.clone() })
        };
        let unwanted = members.iter().filter_map(|member| member.ty.as_ref()).next();
        Ok(match kind {
            ast::Kind::Record(_) => {
                let mut fields = Vec::new();
                for member in members {
                    let Some(ty) = &member.ty else { continue };
                    let ty = self.ty(i, ty)?;
                    fields.push(Field { name: member.name.text.clone(), docs: member.docs.clone(), ty });
                }
                Kind::Record(fields)
            }
            ast::Kind::Variant(_) => {
                let mut cases = Vec::new();
                for member in members {
                    let ty = member.ty.as_ref().map(|ty| self.ty(i, ty)).transpose()?;
                    cases.push(Case { name: member.name.text.clone(), docs: member.docs.clone(), ty });
                }
                Kind::Variant(cases)
            }
            _ if unwanted.is_some() => {
                let at = unwanted.map_or(0, |ty| ty.name.at);
                return Err(self.problem(at, "only the cases of a `variant` hold values"));
            }
            ast::Kind::Enum(_) => Kind::Enum(labels().collect()),
            _ => Kind::Flags(labels().collect()),
        })
    }

    fn ty(&mut self, i: usize, ty: &ast::Type) -> Resolved<Type> {
        let resolved = self.shallow(i, ty)?;
        if parts(&resolved) > PARTS_MAX {
            let message = format!("this type has more than {PARTS_MAX} parts: make records of some of them");
            return Err(self.problem(ty.name.at, message));
        }
        if self.depth(&resolved) > DEPTH_MAX {
            return Err(self.too_deep(ty.name.at));
        }
        Ok(resolved)
    }

    fn shallow(&mut self, i: usize, ty: &ast::Type) -> Resolved<Type> {
        let (name, at) = (ty.name.text.as_str(), ty.name.at);
        let wrong = |message: &str| Err(self.problem(at, message));
        if !ty.escaped {
            match (name, &ty.args[..]) {
                ("list", [item]) => {
                    return Ok(match self.ty(i, item)? {
                        Type::Scalar(Scalar::U8) => Type::Bytes,
                        item => Type::List(Box::new(item)),
                    });
                }
                ("option", [some]) => {
                    let some = self.ty(i, some)?;
                    if matches!(some, Type::Option(_)) {
                        return Err(self.problem(at, "an option of an option: on the wire both are nil where nothing is there. Use a variant, or a result"));
                    }
                    return Ok(Type::Option(Box::new(some)));
                }
                ("result", [] | [_] | [_, _]) => {
                    let mut side = |at: usize| match ty.args.get(at) {
                        Some(side) if side.name.text != "_" => {
                            self.ty(i, side).map(|side| Some(Box::new(side)))
                        }
                        _ => Ok(None),
                    };
                    return Ok(Type::Result(side(0)?, side(1)?));
                }
                ("tuple", [_, ..]) => {
                    let parts: Resolved<Vec<Type>> = ty.args.iter().map(|part| self.ty(i, part)).collect();
                    return Ok(Type::Tuple(parts?));
                }
                ("list" | "option" | "result" | "tuple", _) => {
                    return Err(self.problem(at, format!("`{name}` holds another number of types: list<T>, option<T>, result<T, E>, tuple<A, B>")));
                }
                ("stream", _) => {
                    return wrong(
                        "a stream that is not what a function gives: streams go from a call to its caller. Take a list, or a function that gives `stream<T>`",
                    );
                }
                ("future", _) => {
                    return wrong(
                        "a future: every call gives a ref at once, which is one already. Write the type alone",
                    );
                }
                ("borrow" | "own", _) => {
                    return wrong(
                        "a handle of a resource as a value: actors are passed by their names here. Take a string, and look the actor up by it",
                    );
                }
                ("map", [_, _]) => {
                    return wrong("a map: use a list of tuples or of records");
                }
                ("error-context", _) => {
                    return wrong("`error-context` belongs to components: use a result, or raise");
                }
                ("_", _) => return wrong("`_` stands only for an absent side of a result"),
                _ => {}
            }
        }
        if !ty.args.is_empty() {
            return Err(self.problem(at, format!("`{name}` takes no types in `<>`")));
        }
        if !ty.escaped
            && let Some(scalar) = Scalar::ALL.into_iter().find(|scalar| scalar.name() == name)
        {
            return Ok(Type::Scalar(scalar));
        }
        self.look_up(i, name, at)
    }

    fn look_up(&mut self, i: usize, name: &str, at: usize) -> Resolved<Type> {
        let file = self.file;
        let interface = &file.interfaces[i];
        if let Some(t) = interface.types.iter().position(|ty| ty.name.text == name) {
            return self.define((i, t));
        }
        if let Some(used) = interface.uses.iter().find(|used| used.as_.text == name) {
            return self.used(used);
        }
        if interface.resources.iter().any(|resource| resource.name.text == name) {
            return Err(self.problem(
                at,
                format!("`{name}` is a resource, and a handle of it is no value here: actors are made by their constructor and found by name. Take a string"),
            ));
        }
        Err(self.problem(
            at,
            format!(
                "there is no type `{name}` in the interface `{}`: define it there, or `use` it",
                interface.name.text
            ),
        ))
    }

    fn used(&mut self, used: &ast::Use) -> Resolved<Type> {
        let file = self.file;
        let Some(from) = file.interfaces.iter().position(|interface| interface.name.text == used.from.text)
        else {
            return Err(self
                .problem(used.from.at, format!("there is no interface `{}` in this file", used.from.text)));
        };
        // Uses of uses may go round in a circle.
        let marker = (from, usize::MAX - used.name.at);
        if !self.under_way.insert(marker) {
            return Err(self.problem(
                used.name.at,
                format!("`{}` is used from an interface that uses it from here", used.name.text),
            ));
        }
        if self.under_way.len() > DEPTH_MAX {
            return Err(self.problem(used.name.at, format!("`{}` is used by way of more than {DEPTH_MAX} interfaces: use it from where it is defined", used.name.text)));
        }
        let found = self.look_up(from, &used.name.text, used.name.at);
        self.under_way.remove(&marker);
        found
    }

    fn depth(&self, ty: &Type) -> usize {
        match ty {
            Type::Scalar(_) | Type::Bytes => 1,
            Type::List(inner) => 1 + self.depth(inner),
            Type::Option(inner) => self.depth(inner),
            Type::Result(ok, err) => {
                1 + [ok, err].into_iter().flatten().map(|side| self.depth(side)).max().unwrap_or(1)
            }
            Type::Tuple(parts) => 1 + parts.iter().map(|part| self.depth(part)).max().unwrap_or(0),
            Type::Named(id) => self.depths[id.0],
        }
    }

    fn depth_of(&self, kind: &Kind) -> usize {
        match kind {
            Kind::Record(fields) => fields.iter().map(|field| self.depth(&field.ty)).max().unwrap_or(0),
            Kind::Variant(cases) => {
                cases.iter().filter_map(|case| case.ty.as_ref()).map(|ty| self.depth(ty)).max().unwrap_or(1)
            }
            Kind::Enum(_) => 0,
            Kind::Flags(_) => 1,
        }
    }

    /// Names that differ only in case are the same name in WIT.
    fn distinct<'n>(&self, names: impl Iterator<Item = &'n ast::Name>, what: &str) -> Resolved<()> {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name.text.to_ascii_lowercase()) {
                return Err(self.problem(name.at, format!("there is {what} named `{}` already", name.text)));
            }
        }
        Ok(())
    }

    fn too_long(&self, at: usize, name: &str) -> Problem {
        self.problem(
            at,
            format!("the signature of `{name}` is longer than {SIGNATURE_BYTES_MAX} bytes: split the types that it takes or gives"),
        )
    }

    fn too_deep(&self, at: usize) -> Problem {
        self.problem(
            at,
            format!("values of this type are nested more than {DEPTH_MAX} deep: make it flatter"),
        )
    }

    fn problem(&self, at: usize, message: impl Into<String>) -> Problem {
        Problem::at(self.path, self.text, at, message)
    }
}

fn parts(ty: &Type) -> usize {
    match ty {
        Type::Scalar(_) | Type::Bytes | Type::Named(_) => 1,
        Type::List(inner) | Type::Option(inner) => 1 + parts(inner),
        Type::Result(ok, err) => 1 + [ok, err].into_iter().flatten().map(|side| parts(side)).sum::<usize>(),
        Type::Tuple(inner) => 1 + inner.iter().map(parts).sum::<usize>(),
    }
}

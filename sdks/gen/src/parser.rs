//! From text to what was written. Recursion goes only as deep as types are nested, which is bounded.

use crate::Problem;
use crate::ast::{Function, Interface, Kind, Member, Name, Resource, Type, TypeDef, Use, World};
use crate::lexer::{Spanned, Token, lex};

/// How deep types may be nested in each other where they are written.
const DEPTH_MAX: usize = 16;

pub(crate) fn parse(path: &str, text: &str) -> Result<crate::ast::File, Problem> {
    let tokens = lex(path, text)?;
    Parser { path, text, tokens, at: 0 }.file()
}

struct Parser<'a> {
    path: &'a str,
    text: &'a str,
    /// Never empty: the last is `End`.
    tokens: Vec<Spanned>,
    at: usize,
}

type Parsed<T> = Result<T, Problem>;

impl Parser<'_> {
    fn file(mut self) -> Parsed<crate::ast::File> {
        let (package, version) = self.package()?;
        let mut file = crate::ast::File { package, version, interfaces: Vec::new(), worlds: Vec::new() };
        while self.peek() != &Token::End {
            let docs = self.docs();
            self.gates()?;
            if self.eat_word("interface") {
                let interface = self.interface(docs)?;
                file.interfaces.push(interface);
            } else if self.eat_word("world") {
                let world = self.world()?;
                file.worlds.push(world);
            } else if self.is_word("use") {
                return Err(self.wrong("a `use` outside of an interface: write `use INTERFACE.{TYPE};` inside the interface that needs it"));
            } else if self.is_word("package") {
                return Err(self.wrong("a second package: put it into a file of its own"));
            } else {
                return Err(self.expected("`interface`"));
            }
        }
        Ok(file)
    }

    fn package(&mut self) -> Parsed<(String, String)> {
        if !self.eat_word("package") {
            return Err(self.wrong("a file begins with its package: `package NAMESPACE:NAME;`"));
        }
        let namespace = self.name("the package's namespace")?.text;
        self.sign(":")?;
        let name = self.name("the package's name")?.text;
        let mut version = String::new();
        if self.eat("@") {
            version = self.version()?;
        }
        if self.is_sign("{") {
            return Err(self.wrong("a package in braces: put it into a file of its own, which begins with `package NAMESPACE:NAME;`"));
        }
        self.sign(";")?;
        Ok((format!("{namespace}:{name}"), version))
    }

    fn version(&mut self) -> Parsed<String> {
        match self.peek().clone() {
            Token::Number(version) => {
                self.at += 1;
                Ok(version)
            }
            _ => Err(self.expected("a version, such as 1.0.0")),
        }
    }

    /// `@since(version = 1.0.0)` and the like, which say when something came and change nothing about it.
    fn gates(&mut self) -> Parsed<()> {
        while self.eat("@") {
            let gate = self.name("the name of a gate")?;
            if !["since", "unstable", "deprecated"].contains(&gate.text.as_str()) {
                return Err(self.problem(
                    gate.at,
                    format!("`@{}` is no gate: there are @since, @unstable and @deprecated", gate.text),
                ));
            }
            self.sign("(")?;
            while !self.is_sign(")") {
                if self.peek() == &Token::End {
                    return Err(self.expected("`)`"));
                }
                self.at += 1;
            }
            self.sign(")")?;
        }
        Ok(())
    }

    fn world(&mut self) -> Parsed<World> {
        self.name("the world's name")?;
        self.sign("{")?;
        let mut exports = Vec::new();
        while !self.eat("}") {
            self.gates()?;
            if !self.eat_word("export") {
                return Err(self.wrong(
                    "a world in such a file may only export its interfaces (`export NAME;`): a worker is given nothing but its calls, so that it has no imports",
                ));
            }
            exports.push(self.name("the name of an interface")?);
            if !self.is_sign(";") {
                return Err(
                    self.wrong("what a world exports has to be an interface of this file: `export NAME;`")
                );
            }
            self.sign(";")?;
        }
        Ok(World { exports })
    }

    fn interface(&mut self, docs: String) -> Parsed<Interface> {
        let name = self.name("the interface's name")?;
        let mut interface = Interface {
            name,
            docs,
            uses: Vec::new(),
            types: Vec::new(),
            functions: Vec::new(),
            resources: Vec::new(),
        };
        self.sign("{")?;
        while !self.eat("}") {
            let docs = self.docs();
            self.gates()?;
            match self.peek_word() {
                Some("use") => self.uses(&mut interface.uses)?,
                Some("record") => {
                    let members = self.definition(docs, Kind::Record, "a field", true)?;
                    interface.types.push(members);
                }
                Some("variant") => {
                    let members = self.definition(docs, Kind::Variant, "a case", false)?;
                    interface.types.push(members);
                }
                Some("enum") => {
                    let members = self.definition(docs, Kind::Enum, "a case", false)?;
                    interface.types.push(members);
                }
                Some("flags") => {
                    let members = self.definition(docs, Kind::Flags, "a flag", false)?;
                    interface.types.push(members);
                }
                Some("type") => {
                    self.at += 1;
                    let name = self.name("the type's name")?;
                    self.sign("=")?;
                    let ty = self.ty(0)?;
                    self.sign(";")?;
                    interface.types.push(TypeDef { name, docs, kind: Kind::Alias(ty) });
                }
                Some("resource") => {
                    let resource = self.resource(docs)?;
                    interface.resources.push(resource);
                }
                _ => {
                    let name = self.name("a function, a type or `}`")?;
                    self.sign(":")?;
                    let function = self.function(name, docs)?;
                    interface.functions.push(function);
                }
            }
        }
        Ok(interface)
    }

    /// `use other.{a, b as c};`
    fn uses(&mut self, uses: &mut Vec<Use>) -> Parsed<()> {
        self.at += 1;
        let from = self.name("the name of an interface")?;
        if self.is_sign(":") || self.is_sign("/") {
            return Err(self.wrong("a type of another package: put the interface that has it into this file, and write `use INTERFACE.{TYPE};`"));
        }
        self.sign(".")?;
        self.sign("{")?;
        while !self.eat("}") {
            let name = self.name("the name of a type")?;
            let as_ = if self.eat_word("as") { self.name("a name")? } else { name.clone() };
            uses.push(Use { from: from.clone(), name, as_ });
            if !self.eat(",") && !self.is_sign("}") {
                return Err(self.expected("`,` or `}`"));
            }
        }
        self.sign(";")
    }

    /// A type that is made of members.
    fn definition(
        &mut self,
        docs: String,
        kind: fn(Vec<Member>) -> Kind,
        member: &str,
        typed: bool,
    ) -> Parsed<TypeDef> {
        self.at += 1;
        let name = self.name("the type's name")?;
        self.sign("{")?;
        let mut members = Vec::new();
        while !self.eat("}") {
            let docs = self.docs();
            let name = self.name(member)?;
            let ty = if typed {
                self.sign(":")?;
                Some(self.ty(0)?)
            } else if self.eat("(") {
                let ty = self.ty(0)?;
                self.sign(")")?;
                Some(ty)
            } else {
                None
            };
            members.push(Member { name, docs, ty });
            if !self.eat(",") && !self.is_sign("}") {
                return Err(self.expected("`,` or `}`"));
            }
        }
        if members.is_empty() {
            return Err(self.problem(name.at, format!("`{}` is empty: give it at least {member}", name.text)));
        }
        Ok(TypeDef { name, docs, kind: kind(members) })
    }

    fn resource(&mut self, docs: String) -> Parsed<Resource> {
        self.at += 1;
        let name = self.name("the resource's name")?;
        let mut resource = Resource { name, docs, constructor: None, methods: Vec::new() };
        if self.eat(";") {
            return Ok(resource);
        }
        self.sign("{")?;
        while !self.eat("}") {
            let docs = self.docs();
            self.gates()?;
            let at = self.position();
            if self.eat_word("constructor") {
                let params = self.params()?;
                if self.eat("->") {
                    return Err(self.wrong(
                        "a constructor that gives something: leave that out, a constructor that fails raises",
                    ));
                }
                self.sign(";")?;
                let name = Name { text: String::new(), at };
                if resource.constructor.replace(Function { name, docs, params, gives: None }).is_some() {
                    return Err(self.problem(at, "a second constructor: a class of actors has one"));
                }
                continue;
            }
            let name = self.name("a method, `constructor` or `}`")?;
            self.sign(":")?;
            if self.is_word("static") {
                return Err(self.wrong("a static function of a resource belongs to no actor: make it a function of the interface"));
            }
            let method = self.function(name, docs)?;
            resource.methods.push(method);
        }
        Ok(resource)
    }

    /// `func(…) -> …;` after the name and its colon. That one is asynchronous is said in WIT, and is each side's own affair here.
    fn function(&mut self, name: Name, docs: String) -> Parsed<Function> {
        self.eat_word("async");
        if !self.eat_word("func") {
            return Err(self.expected("`func`"));
        }
        let params = self.params()?;
        let gives = if self.eat("->") { Some(self.ty(0)?) } else { None };
        self.sign(";")?;
        Ok(Function { name, docs, params, gives })
    }

    fn params(&mut self) -> Parsed<Vec<(Name, Type)>> {
        self.sign("(")?;
        let mut params = Vec::new();
        while !self.eat(")") {
            let name = self.name("a parameter or `)`")?;
            self.sign(":")?;
            params.push((name, self.ty(0)?));
            if !self.eat(",") && !self.is_sign(")") {
                return Err(self.expected("`,` or `)`"));
            }
        }
        Ok(params)
    }

    fn ty(&mut self, depth: usize) -> Parsed<Type> {
        if depth > DEPTH_MAX {
            return Err(
                self.wrong(format!("types nested more than {DEPTH_MAX} deep: give the inner ones names"))
            );
        }
        let at = self.position();
        if self.eat("_") {
            return Ok(Type { name: Name { text: "_".to_owned(), at }, escaped: false, args: Vec::new() });
        }
        let escaped = matches!(self.peek(), Token::Word(_, true));
        let name = self.name("a type")?;
        let mut args = Vec::new();
        if self.eat("<") {
            while !self.eat(">") {
                if matches!(self.peek(), Token::Number(_)) {
                    return Err(self.wrong(
                        "a list of a fixed length: leave the length out, or make it a tuple or record",
                    ));
                }
                args.push(self.ty(depth + 1)?);
                if !self.eat(",") && !self.is_sign(">") {
                    return Err(self.expected("`,` or `>`"));
                }
            }
        }
        Ok(Type { name, escaped, args })
    }

    // ------------------------------------------------------------------------------------------------------------------------ tokens

    fn token(&self) -> &Spanned {
        // Nobody goes beyond `End`: it is no word or sign that could be taken.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &Token {
        &self.token().token
    }

    fn position(&self) -> usize {
        self.token().at
    }

    fn docs(&self) -> String {
        self.token().docs.trim_end().to_owned()
    }

    /// The next word, if it may be a keyword.
    fn peek_word(&self) -> Option<&str> {
        // A name that is followed by `:` is a function's, whatever it is.
        let named = self.tokens.get(self.at + 1).is_some_and(|next| next.token == Token::Sign(":"));
        match self.peek() {
            Token::Word(word, false) if !named => Some(word),
            _ => None,
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found, false) if found == word)
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, sign: &str) -> Parsed<()> {
        if self.eat(sign) { Ok(()) } else { Err(self.expected(&format!("`{sign}`"))) }
    }

    fn name(&mut self, what: &str) -> Parsed<Name> {
        let at = self.position();
        match self.peek().clone() {
            Token::Word(text, _) => {
                self.at += 1;
                Ok(Name { text, at })
            }
            _ => Err(self.expected(what)),
        }
    }

    fn expected(&self, what: &str) -> Problem {
        let found = match self.peek() {
            Token::Word(word, _) => format!("`{word}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Number(number) => format!("`{number}`"),
            Token::End => "the end of the file".to_owned(),
        };
        self.wrong(format!("expected {what}, found {found}"))
    }

    fn wrong(&self, message: impl Into<String>) -> Problem {
        self.problem(self.position(), message)
    }

    fn problem(&self, at: usize, message: impl Into<String>) -> Problem {
        Problem::at(self.path, self.text, at, message)
    }
}

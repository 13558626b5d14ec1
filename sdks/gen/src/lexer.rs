//! WIT's words and signs.

use crate::Problem;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name or keyword; `true` if it was written with `%`, which makes it a name.
    Word(String, bool),
    /// One of `{}()<>,;:=.@/_*` or `->`.
    Sign(&'static str),
    /// A number, or the like, as versions have them.
    Number(String),
    End,
}

#[derive(Debug)]
pub(crate) struct Spanned {
    pub(crate) token: Token,
    pub(crate) at: usize,
    /// The documentation that stands before it.
    pub(crate) docs: String,
}

const SIGNS: [&str; 16] = ["->", "{", "}", "(", ")", "<", ">", ",", ";", ":", "=", ".", "@", "/", "_", "*"];

/// Cuts a file into tokens, the last of which is `End`.
pub(crate) fn lex(path: &str, text: &str) -> Result<Vec<Spanned>, Problem> {
    let mut lexer = Lexer { path, text, at: 0, docs: String::new() };
    let mut tokens = Vec::new();
    loop {
        lexer.skip()?;
        let at = lexer.at;
        let token = lexer.next()?;
        let end = token == Token::End;
        tokens.push(Spanned { token, at, docs: std::mem::take(&mut lexer.docs) });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    path: &'a str,
    text: &'a str,
    at: usize,
    docs: String,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn problem(&self, at: usize, message: impl Into<String>) -> Problem {
        Problem::at(self.path, self.text, at, message)
    }

    /// Takes as many bytes as hold.
    fn take(&mut self, holds: impl Fn(char) -> bool) -> &str {
        let length = self.rest().find(|c| !holds(c)).unwrap_or(self.rest().len());
        let start = self.at;
        self.at += length;
        &self.text[start..self.at]
    }

    /// Skips space and comments; keeps what documents the next token.
    fn skip(&mut self) -> Result<(), Problem> {
        loop {
            self.take(char::is_whitespace);
            if self.rest().starts_with("//") {
                let line = self.take(|c| c != '\n').trim_end().to_owned();
                if let Some(docs) = line.strip_prefix("///").filter(|docs| !docs.starts_with('/')) {
                    self.document(docs.strip_prefix(' ').unwrap_or(docs));
                }
            } else if self.rest().starts_with("/*") {
                self.block()?;
            } else {
                return Ok(());
            }
        }
    }

    /// A comment that may hold others.
    fn block(&mut self) -> Result<(), Problem> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    break;
                }
            } else if let Some(c) = rest.chars().next() {
                self.at += c.len_utf8();
            } else {
                return Err(self.problem(start, "this comment has no end: close it with `*/`"));
            }
        }
        let inside = self.text[start..self.at].strip_prefix("/**").and_then(|text| text.strip_suffix("*/"));
        if let Some(inside) = inside {
            let lines: Vec<String> = inside
                .trim()
                .lines()
                .map(|line| {
                    let line = line.trim();
                    line.strip_prefix('*').map_or(line, str::trim_start).to_owned()
                })
                .collect();
            for line in lines {
                self.document(&line);
            }
        }
        Ok(())
    }

    fn document(&mut self, line: &str) {
        if !self.docs.is_empty() {
            self.docs.push('\n');
        }
        self.docs.push_str(line);
    }

    fn next(&mut self) -> Result<Token, Problem> {
        let start = self.at;
        let Some(first) = self.rest().chars().next() else { return Ok(Token::End) };
        if first.is_ascii_alphabetic() || first == '%' {
            let escaped = first == '%';
            if escaped {
                self.at += 1;
            }
            let word = self.take(|c| c.is_ascii_alphanumeric() || c == '-').to_owned();
            return if is_name(&word) {
                Ok(Token::Word(word, escaped))
            } else {
                Err(self.problem(
                    start,
                    format!("{word:?} is no name: words of one case joined by `-`, each beginning with a letter, such as `max-width`"),
                ))
            };
        }
        if first.is_ascii_digit() {
            let number = self.take(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+')).to_owned();
            return Ok(Token::Number(number));
        }
        if let Some(sign) = SIGNS.into_iter().find(|sign| self.rest().starts_with(*sign)) {
            self.at += sign.len();
            return Ok(Token::Sign(sign));
        }
        Err(self.problem(start, format!("{first:?} has no meaning in WIT")))
    }
}

/// WIT's names: words of lower or upper case, joined by single hyphens, each beginning with a letter.
fn is_name(word: &str) -> bool {
    word.split('-').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && (!part.contains(|c: char| c.is_ascii_lowercase())
                || !part.contains(|c: char| c.is_ascii_uppercase()))
    })
}

//! What stands in the parentheses of the attributes.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitStr, Token, parenthesized};

/// The options, and where each was given.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) num_returns: Option<(usize, Span)>,
    set: Vec<(Ident, TokenStream)>,
}

const RESOURCES: &[&str] = &["label", "pool", "num_cpus", "num_gpus", "memory", "resources"];
const OF_TASKS: &[&str] =
    &["max_retries", "retry_exceptions", "retry_types", "deadline_ms", "stream_window", "num_returns"];
const OF_ACTORS: &[&str] = &["max_restarts", "max_task_retries", "max_concurrency", "max_pending_calls"];

impl Options {
    /// Calls of the builder methods, in the order in which the options were given.
    pub(crate) fn calls(&self) -> TokenStream {
        self.set.iter().map(|(_, call)| call.clone()).collect()
    }

    pub(crate) fn check_for_task(&self) -> syn::Result<()> {
        self.check(OF_ACTORS, "an actor's")
    }

    pub(crate) fn check_for_actor(&self) -> syn::Result<()> {
        if let Some((_, span)) = self.num_returns {
            return Err(Error::new(span, "`num_returns` is an option of tasks, not of actors"));
        }
        self.check(OF_TASKS, "a task's")
    }

    fn check(&self, others: &[&str], whose: &str) -> syn::Result<()> {
        match self.set.iter().find(|(key, _)| others.iter().any(|other| key == other)) {
            Some((key, _)) => Err(Error::new(key.span(), format!("`{key}` is {whose} option"))),
            None => Ok(()),
        }
    }
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Options> {
        let mut options = Options::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            let known = ["name"].iter().chain(RESOURCES).chain(OF_TASKS).chain(OF_ACTORS);
            if !known.clone().any(|name| key == name) {
                let list: Vec<_> = known.map(|name| format!("`{name}`")).collect();
                return Err(Error::new(
                    key.span(),
                    format!("there is no option `{key}`; there are {}", list.join(", ")),
                ));
            }
            if options.set.iter().any(|(other, _)| *other == key) || (key == "name" && options.name.is_some())
            {
                return Err(Error::new(key.span(), format!("`{key}` is given twice")));
            }
            options.parse_one(key, input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

impl Options {
    fn parse_one(&mut self, key: Ident, input: ParseStream<'_>) -> syn::Result<()> {
        if key == "resources" {
            let content;
            parenthesized!(content in input);
            let amounts =
                Punctuated::<(LitStr, Expr), Token![,]>::parse_terminated_with(&content, |input| {
                    let name = input.parse()?;
                    input.parse::<Token![=]>()?;
                    Ok((name, input.parse()?))
                })?;
            let calls = amounts.into_iter().map(|(name, amount)| {
                let amount = float(amount);
                quote! { .resource(#name, #amount) }
            });
            self.set.push((key, calls.collect()));
            return Ok(());
        }
        input.parse::<Token![=]>()?;
        if key == "name" {
            let name: LitStr = input.parse()?;
            if name.value().is_empty() {
                return Err(Error::new(name.span(), "the name must not be empty"));
            }
            self.name = Some(name);
            return Ok(());
        }
        if key == "num_returns" {
            let number: syn::LitInt = input.parse()?;
            self.num_returns = Some((number.base10_parse()?, number.span()));
            return Ok(());
        }
        let value: Expr = input.parse()?;
        let call = match key.to_string().as_str() {
            "num_cpus" | "num_gpus" => {
                let value = float(value);
                quote! { .#key(#value) }
            }
            "deadline_ms" => quote! { .deadline(::std::time::Duration::from_millis(#value)) },
            "retry_exceptions" => match &value {
                Expr::Lit(ExprLit { lit: Lit::Bool(wanted), .. }) if !wanted.value => TokenStream::new(),
                Expr::Lit(ExprLit { lit: Lit::Bool(_), .. }) => quote! { .retry_exceptions() },
                other => return Err(Error::new_spanned(other, "`true` or `false`")),
            },
            _ => quote! { .#key(#value) },
        };
        self.set.push((key, call));
        Ok(())
    }
}

/// `1` where `1.0` is meant is no mistake.
fn float(value: Expr) -> TokenStream {
    match &value {
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) if int.suffix().is_empty() => {
            let float = syn::LitFloat::new(&format!("{}.0", int.base10_digits()), int.span());
            quote! { #float }
        }
        _ => quote! { #value },
    }
}

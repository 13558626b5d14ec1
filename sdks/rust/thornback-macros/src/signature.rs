//! What a function or method takes and gives, as far as its text shows.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{
    Error, FnArg, GenericArgument, Ident, Pat, PathArguments, Receiver, ReturnType, Signature, Type,
    TypeParamBound,
};

/// A signature that can be called remotely.
pub(crate) struct Callable<'a> {
    pub(crate) name: &'a Ident,
    pub(crate) receiver: Option<&'a Receiver>,
    /// Takes a context first, and whether by reference.
    context: Option<bool>,
    pub(crate) params: Vec<Param<'a>>,
    pub(crate) gives: Gives<'a>,
    is_async: bool,
}

pub(crate) struct Param<'a> {
    pub(crate) name: Ident,
    pub(crate) ty: &'a Type,
}

/// What comes of a call.
pub(crate) enum Gives<'a> {
    Value {
        ty: Type,
        fallible: bool,
    },
    Stream {
        item: &'a Type,
        fallible: bool,
    },
    /// A tuple, one object for each element; or nothing.
    Many {
        elements: Vec<&'a Type>,
        fallible: bool,
    },
}

impl<'a> Callable<'a> {
    pub(crate) fn read(
        signature: &'a Signature,
        num_returns: Option<(usize, Span)>,
    ) -> syn::Result<Callable<'a>> {
        if let Some(token) = &signature.constness {
            return Err(Error::new(token.span(), "a const function cannot be called remotely"));
        }
        if let Some(token) = &signature.unsafety {
            return Err(Error::new(
                token.span(),
                "an unsafe function cannot be called remotely: nobody could keep its promises",
            ));
        }
        if let Some(abi) = &signature.abi {
            return Err(Error::new(abi.span(), "a function of another ABI cannot be called remotely"));
        }
        if let Some(param) = signature.generics.params.first() {
            return Err(Error::new(
                param.span(),
                "a generic function cannot be called remotely: its caller could not say which one it means",
            ));
        }
        let mut inputs = signature.inputs.iter().peekable();
        let receiver = match inputs.peek() {
            Some(FnArg::Receiver(receiver)) => {
                inputs.next();
                Some(receiver)
            }
            _ => None,
        };
        let context = match inputs.peek() {
            Some(FnArg::Typed(first)) => is_context(&first.ty),
            _ => None,
        };
        if context.is_some() {
            inputs.next();
        }
        let params =
            inputs.enumerate().map(|(i, input)| Param::read(i, input)).collect::<syn::Result<Vec<_>>>()?;
        if params.len() > 10 {
            return Err(Error::new(
                signature.inputs.span(),
                "at most 10 arguments can be passed remotely; put them into a struct",
            ));
        }
        let gives = Gives::read(&signature.output, num_returns)?;
        Ok(Callable {
            name: &signature.ident,
            receiver,
            context,
            params,
            gives,
            is_async: signature.asyncness.is_some(),
        })
    }

    /// The types of the parameters as a tuple.
    pub(crate) fn tuple(&self) -> TokenStream {
        let types = self.params.iter().map(|param| param.ty);
        quote! { (#(#types,)*) }
    }

    /// The parameters of the remote caller, behind its first.
    pub(crate) fn remote_params(&self) -> TokenStream {
        let params =
            self.params.iter().map(|Param { name, ty }| quote! { #name: impl ::thornback::Arg<#ty> });
        quote! { #(#params),* }
    }

    pub(crate) fn names(&self) -> Vec<&Ident> {
        self.params.iter().map(|param| &param.name).collect()
    }

    /// A name for the caller's first parameter that none of the others has.
    pub(crate) fn client_name(&self) -> Ident {
        let taken = self.params.iter().any(|param| param.name == "client");
        if taken { format_ident!("thornback_client") } else { format_ident!("client") }
    }

    /// How many arguments a call has. `Param::read` bounds it.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.params.len()).unwrap_or(u32::MAX)
    }

    /// Takes the arguments out of the invocation `call`.
    pub(crate) fn decode(&self) -> TokenStream {
        let args = self.params.iter().map(|Param { name, ty }| {
            let text = name.to_string();
            let text = text.trim_start_matches("r#");
            quote! { let #name: #ty = call.arg(#text)?; }
        });
        quote! {
            #(#args)*
            call.no_more_args()?;
            let context = call.context();
        }
    }

    /// Calls `function` with the arguments, and gives what came as it is, or leaves with its error.
    pub(crate) fn make(&self, function: &TokenStream) -> TokenStream {
        let call = self.call(function);
        let fallible =
            matches!(&self.gives, Gives::Value { fallible: true, .. } | Gives::Many { fallible: true, .. });
        let unwrap = if fallible {
            quote! { .map_err(::thornback::__private::user_error)? }
        } else {
            TokenStream::new()
        };
        quote! { #call #unwrap }
    }

    /// Calls `function` with the arguments, and gives what came as an `Output`.
    pub(crate) fn run(&self, function: &TokenStream) -> TokenStream {
        let made = self.make(function);
        match &self.gives {
            Gives::Value { .. } => quote! { ::thornback::__private::one(#made) },
            Gives::Many { .. } => quote! { ::thornback::__private::many(#made) },
            Gives::Stream { fallible, .. } => {
                let items = if *fallible {
                    quote! { try_items }
                } else {
                    quote! { items }
                };
                quote! {
                    let sink = call.sink();
                    let stream = #made;
                    ::thornback::__private::drive(::thornback::__private::#items(stream), sink).await
                }
            }
        }
    }

    fn call(&self, function: &TokenStream) -> TokenStream {
        let names = self.names();
        let context = match self.context {
            Some(true) => quote! { &context, },
            Some(false) => quote! { context.clone(), },
            None => TokenStream::new(),
        };
        let dot_await = if self.is_async {
            quote! { .await }
        } else {
            TokenStream::new()
        };
        quote! { #function(#context #(#names),*)#dot_await }
    }
}

impl<'a> Param<'a> {
    fn read(index: usize, input: &'a FnArg) -> syn::Result<Param<'a>> {
        let FnArg::Typed(typed) = input else {
            return Err(Error::new(input.span(), "`self` can only come first"));
        };
        match &*typed.ty {
            Type::Reference(reference) => {
                return Err(Error::new(
                    reference.span(),
                    "an argument comes from another process, so it must be owned: take a `String` for a `&str`, a `Vec<T>` for a `&[T]`",
                ));
            }
            Type::ImplTrait(ty) => {
                return Err(Error::new(ty.span(), "an argument needs a type that can be named"));
            }
            _ => {}
        }
        let name = match &*typed.pat {
            Pat::Ident(pat) => pat.ident.clone(),
            _ => format_ident!("arg{index}"),
        };
        Ok(Param { name, ty: &typed.ty })
    }
}

impl<'a> Gives<'a> {
    fn read(output: &'a ReturnType, num_returns: Option<(usize, Span)>) -> syn::Result<Gives<'a>> {
        let ty = match output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => Some(&**ty),
        };
        if let Some((count, span)) = num_returns {
            return Gives::many(ty, count, span);
        }
        match ty {
            None => Ok(Gives::Value { ty: syn::parse_quote! { () }, fallible: false }),
            Some(Type::ImplTrait(implements)) => {
                let item = implements.bounds.iter().find_map(stream_item).ok_or_else(|| {
                    Error::new(
                        implements.span(),
                        "a remote function returns a type that can be named, or `impl Stream<Item = …>`",
                    )
                })?;
                Ok(Gives::Stream { item, fallible: is_result(item) })
            }
            Some(Type::Reference(reference)) => {
                Err(Error::new(reference.span(), "what goes to another process must be owned"))
            }
            Some(ty) => Ok(Gives::Value { ty: ty.clone(), fallible: is_result(ty) }),
        }
    }

    fn many(ty: Option<&'a Type>, count: usize, span: Span) -> syn::Result<Gives<'a>> {
        let fallible = ty.is_some_and(is_result);
        let inner = if fallible { ty.and_then(first_argument) } else { ty };
        let elements = match inner {
            Some(Type::Tuple(tuple)) => tuple.elems.iter().collect(),
            None if !fallible => Vec::new(),
            _ => {
                return Err(Error::new(
                    span,
                    "with `num_returns` the function must return a tuple, or a `Result` of one",
                ));
            }
        };
        if elements.len() != count {
            return Err(Error::new(
                span,
                format!("`num_returns` is {count}, and the function returns a tuple of {}", elements.len()),
            ));
        }
        if count == 1 || count > 8 {
            return Err(Error::new(
                span,
                "`num_returns` is 0, or from 2 to 8; one is what a function gives without it",
            ));
        }
        Ok(Gives::Many { elements, fallible })
    }

    /// The type that the remote caller gives.
    pub(crate) fn remote(&self) -> TokenStream {
        let plain = |ty: &dyn quote::ToTokens, fallible: bool| {
            if fallible {
                quote! { <#ty as ::thornback::__private::Fallible>::Ok }
            } else {
                quote! { #ty }
            }
        };
        match self {
            Gives::Value { ty, fallible } => {
                let ty = plain(ty, *fallible);
                quote! { ::thornback::Ref<#ty> }
            }
            Gives::Stream { item, fallible } => {
                let item = plain(item, *fallible);
                quote! { ::thornback::RefStream<#item> }
            }
            Gives::Many { elements, .. } => quote! { (#(::thornback::Ref<#elements>,)*) },
        }
    }
}

/// Whether a type is a context, and whether it is taken by reference.
fn is_context(ty: &Type) -> Option<bool> {
    match ty {
        Type::Reference(reference) if reference.mutability.is_none() => {
            is_context(&reference.elem).map(|_| true)
        }
        Type::Path(path)
            if path
                .path
                .segments
                .last()
                .is_some_and(|last| last.ident == "Context" && last.arguments.is_none()) =>
        {
            Some(false)
        }
        _ => None,
    }
}

/// Whether a type is called `Result`: `Result<T>`, `std::result::Result<T, E>`, `anyhow::Result<T>`.
fn is_result(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result"))
}

fn first_argument(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn stream_item(bound: &TypeParamBound) -> Option<&Type> {
    let TypeParamBound::Trait(bound) = bound else { return None };
    let last = bound.path.segments.last().filter(|last| last.ident == "Stream")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(item) if item.ident == "Item" => Some(&item.ty),
        _ => None,
    })
}
